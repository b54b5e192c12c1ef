package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"twokey/actions"
	"twokey/config"
)

func newStatus() *cobra.Command {
	return newLook("status", "Show both nodes of a pair, as they are now", false)
}

func newVerify() *cobra.Command {
	return newLook("verify", "Check everything that a failover without loss rests on", true)
}

// newLook makes status or verify: through the running bot where there is one,
// else straight against the databases.
func newLook(what, short string, checks bool) *cobra.Command {
	var file, format string
	cmd := &cobra.Command{
		Use:   what + " [pair]",
		Short: short,
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(formats, format) {
				return fmt.Errorf("-o %s: the formats are %s", format, strings.Join(formats, ", "))
			}
			pair := ""
			if len(args) == 1 {
				pair = args[0]
			}
			cfg, secrets, err := loadConfig(file)
			if err != nil {
				return err
			}
			reports, err := look(cmd, cfg, secrets, what, pair)
			if err != nil {
				return err
			}
			return errors.Join(printReports(cmd.OutOrStdout(), format, reports, checks), exitFor(reports))
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration file")
	cmd.Flags().StringVarP(&format, "output", "o", "table", "one of "+strings.Join(formats, ", "))
	return cmd
}

// look asks the running bot first. Without one it looks for itself, and says
// what it therefore doesn't know.
func look(cmd *cobra.Command, cfg config.Config, secrets config.Secrets, what, pair string) ([]actions.Report, error) {
	ctx := cmd.Context()
	reports, err := askBot(ctx, cfg.AdminSocket, what, pair)
	if !errors.Is(err, errNoBot) {
		return reports, err
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "bot: no bot answers on", cfg.AdminSocket+"; looking without its memory, so the latch (synchronous since when) is not known")
	return lookDirectly(ctx, cfg, secrets, pair)
}

// lookDirectly observes and judges without a store.
func lookDirectly(ctx context.Context, cfg config.Config, secrets config.Secrets, pair string) ([]actions.Report, error) {
	hands, closeHands, err := handsOf(cfg, secrets, nil)
	if err != nil {
		return nil, err
	}
	defer closeHands()
	pairs := cfg.DomainPairs()
	how := actions.Looking{Timeouts: cfg.Timeouts.Domain(), Thresholds: cfg.Thresholds.Domain(), Now: time.Now, Within: true}
	return lookAll(ctx, pairs, pair, func(ctx context.Context, name string) (actions.Report, error) {
		for _, p := range pairs {
			if p.Name == name {
				e := actions.Observe(ctx, p, hands[name], how)
				v := actions.Judge(e)
				return actions.Report{Evidence: e, Verdict: v, Conn: p.Conn(v.Primary)}, nil
			}
		}
		return actions.Report{}, fmt.Errorf("there is no pair %q in the configuration", name)
	})
}

// exitFor makes scripts see what people see: 0 when every pair is well, 1 when
// one is worth a look, 2 when one needs somebody.
func exitFor(reports []actions.Report) error {
	worst := 0
	for _, rep := range reports {
		worst = max(worst, rep.Verdict.Health.Severity())
	}
	switch {
	case worst == 0:
		return nil
	case worst == 1:
		return &exitError{code: 1}
	}
	return &exitError{code: 2}
}
