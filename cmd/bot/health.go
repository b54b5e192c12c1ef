package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"twokey/config"
)

// newHealth makes the health check of a container, in which there is no other
// program to ask with.
func newHealth() *cobra.Command {
	var file string
	var ready bool
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Say whether the bot that runs with this file is alive, or ready",
		Long: `health asks the bot that runs on this machine with this configuration. It
exits with 0 when that one answers that it is well, and else with 1 and the
reason. --ready also wants its store and its start to be in order.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return errors.New("--config FILE is missing; it names the address on which the bot listens")
			}
			cfg, err := config.Load(file)
			if err != nil {
				return err
			}
			return askHealth(cmd.Context(), cfg.Listen, ready)
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration file")
	cmd.Flags().BoolVar(&ready, "ready", false, "ask whether it takes commands, not only whether it lives")
	return cmd
}

// healthPatience is shorter than what container platforms wait by default.
const healthPatience = 3 * time.Second

func askHealth(ctx context.Context, listen string, ready bool) error {
	path := "/livez"
	if ready {
		path = "/readyz"
	}
	ctx, cancel := context.WithTimeoutCause(ctx, healthPatience, fmt.Errorf("the bot on %s did not answer within %s", listen, healthPatience))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+reachable(listen)+path, nil)
	if err != nil {
		return fmt.Errorf("listen: %q is no address: %w", listen, err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("no bot answers on %s; is `bot serve` running with this file? %w", listen, errors.Join(err, context.Cause(ctx)))
	}
	defer func() { _ = resp.Body.Close() }() // only read from
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return fmt.Errorf("the answer of the bot on %s broke off: %w", listen, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the bot on %s is not well (HTTP %d): %s", listen, resp.StatusCode, strings.TrimSpace(string(answer)))
	}
	return nil
}

// reachable is where a bot that listens on every address answers this machine.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("localhost", port)
	}
	return listen
}
