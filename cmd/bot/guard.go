package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"twokey/actions"
	"twokey/actions/local"
	"twokey/sql"
)

const guardLong = `guard stands before the command that starts a node's server, at every start. It
asks the partner what that is, looks what the data folder holds and what the bot
has ordered, and then lets the server start as it is, starts it in recovery until
the partner was seen, makes it a standby of the partner first, or keeps it down
and asks again. No answer of the partner's is never "go ahead".

A server that may run as it is takes the guard's place. One that waits in
recovery is its child: SIGTERM and SIGINT give it a fast shutdown, SIGQUIT and
SIGHUP are passed on.

Each flag can also be set in the environment: --data-dir is TWOKEY_GUARD_DATA_DIR.
Passwords come from a password file alone.

Exit codes: 0 told to stop, or --dry-run and it may start; 1 something is wrong,
in one sentence; 3 --dry-run and it must stay down; else the server's own.`

type guardFlags struct {
	dataDir, configFile, programs, osUser string
	node, partner, host, slot, upstream   string
	user, passfile, sslmode, sslrootcert  string
	order, platform, rejoins, lastWords   string
	port, ownPort                         int
	every, rejoinTimeout                  time.Duration
	dryRun                                bool
}

func newGuard() *cobra.Command {
	var f guardFlags
	cmd := &cobra.Command{
		Use:     "guard [flags] -- COMMAND [ARG…]",
		Short:   "Start a node's server as what it may be now",
		Long:    guardLong,
		Example: "  bot guard --node dc1 --partner dc2 --partner-host 10.0.0.2 --passfile /etc/twokey/passfile -- docker-entrypoint.sh postgres",
		RunE:    func(cmd *cobra.Command, args []string) error { return runGuard(cmd, f, args) },
	}
	f.register(cmd.Flags())
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error { return fromEnvironment(cmd.Flags(), os.LookupEnv) }
	return cmd
}

func (f *guardFlags) register(set *pflag.FlagSet) {
	set.StringVar(&f.node, "node", "", "name of this node, which is its sync name too")
	set.StringVar(&f.partner, "partner", "", "name of the other node")
	set.StringVar(&f.host, "partner-host", "", "where the other node's server is reached")
	set.IntVar(&f.port, "partner-port", 5432, "its port")
	set.StringVar(&f.dataDir, "data-dir", os.Getenv("PGDATA"), "data folder of this node's server; default $PGDATA")
	set.StringVar(&f.configFile, "config-file", "", "its configuration file; default postgresql.conf in the data folder")
	set.IntVar(&f.ownPort, "port", 0, "port of this node's server while it is being rejoined; default: the configuration's")
	set.StringVar(&f.upstream, "upstream-file", "", "file outside of the data folder that the configuration includes, for primary_conninfo; default: the data folder's path with .upstream.conf")
	set.StringVar(&f.slot, "slot", "", "slot on the partner; default twokey_ and the node's name")
	set.StringVar(&f.user, "replication-user", sql.ReplicationRole, "role with which this node logs in at the other")
	set.StringVar(&f.passfile, "passfile", "", "password file for that")
	set.StringVar(&f.sslmode, "sslmode", "verify-full", "libpq's, for that")
	set.StringVar(&f.sslrootcert, "sslrootcert", "", "libpq's, for that")
	set.StringVar(&f.programs, "programs", "", "folder of PostgreSQL's programs; default: looked for")
	set.StringVar(&f.osUser, "os-user", "", "account that the server runs as, when the guard runs as root")
	set.StringVar(&f.order, "order-file", "", "file with the bot's order; default: the data folder's path with .order")
	set.StringVar(&f.platform, "platform-dir", "", "folder that the bot's platform fills with orders and notes, a mounted ConfigMap say")
	set.StringVar(&f.lastWords, "termination-log", "", "file to leave the last words in when the guard ends, /dev/termination-log say")
	set.StringVar(&f.rejoins, "rejoin", string(actions.RejoinFitting), "without an order: ordered (never), fitting (where nothing has to be taken back), always")
	set.DurationVar(&f.every, "every", 2*time.Second, "pause between two looks while it has to wait")
	set.DurationVar(&f.rejoinTimeout, "rejoin-timeout", 30*time.Minute, "bound of one attempt to rejoin, a copy of everything included")
	set.BoolVar(&f.dryRun, "dry-run", false, "say what would be done, do nothing")
}

// fromEnvironment gives each flag that was not set the value of its variable.
func fromEnvironment(set *pflag.FlagSet, lookup func(string) (string, bool)) error {
	var problems []error
	set.VisitAll(func(flag *pflag.Flag) {
		name := "TWOKEY_GUARD_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
		value, given := lookup(name)
		if !given || flag.Changed || flag.Name == "help" {
			return
		}
		if err := set.Set(flag.Name, value); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", name, err))
		}
	})
	return errors.Join(problems...)
}

func runGuard(cmd *cobra.Command, f guardFlags, args []string) error {
	g, err := f.guard(args)
	if err != nil {
		return err
	}
	g.Told = func(text string) { fmt.Fprintln(cmd.ErrOrStderr(), "guard:", text) }
	if f.dryRun {
		return dryRun(cmd, g)
	}
	pass := make(chan os.Signal, 4)
	signal.Notify(pass, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(pass)
	err = g.Run(cmd.Context(), pass)
	f.leaveWords(cmd, g.Last(), err)
	if ended, ok := errors.AsType[*exec.ExitError](err); ok {
		return &exitError{code: max(ended.ExitCode(), 1), err: fmt.Errorf("the server ended: %w", err)}
	}
	return err
}

// leaveWords tells the platform why the guard ends, for whoever may not read its log.
func (f guardFlags) leaveWords(cmd *cobra.Command, last string, err error) {
	if f.lastWords == "" {
		return
	}
	if err != nil {
		last = err.Error()
	}
	if err := os.WriteFile(f.lastWords, []byte(last), 0o600); err != nil {
		fmt.Fprintln(cmd.ErrOrStderr(), "guard: its last words could not be left:", err)
	}
}

func dryRun(cmd *cobra.Command, g *local.Guard) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), time.Minute)
	defer cancel()
	d, err := g.Look(ctx)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(cmd.OutOrStdout(), d); err != nil {
		return err
	}
	if d.Kind == actions.StartNot {
		return &exitError{code: 3}
	}
	return nil
}

// guard checks the flags and makes of them what local needs.
func (f guardFlags) guard(command []string) (*local.Guard, error) {
	for _, need := range []struct{ flag, value string }{
		{"node", f.node}, {"partner", f.partner}, {"partner-host", f.host}, {"data-dir", f.dataDir},
	} {
		if need.value == "" {
			return nil, fmt.Errorf("--%s is missing; see `bot guard --help`", need.flag)
		}
	}
	if len(command) == 0 && !f.dryRun {
		return nil, errors.New("the command that starts the server is missing: bot guard [flags] -- COMMAND [ARG…]")
	}
	rejoins := actions.RejoinPolicy(f.rejoins)
	switch rejoins {
	case actions.RejoinOrdered, actions.RejoinFitting, actions.RejoinAlways:
	default:
		return nil, fmt.Errorf("--rejoin %s: it is ordered, fitting or always", f.rejoins)
	}
	m, err := f.machine()
	if err != nil {
		return nil, err
	}
	return &local.Guard{
		Machine: m, Node: f.node, Partner: f.partner, Rejoins: rejoins, OrderFile: f.order, Platform: f.platform, Command: command, Every: f.every,
		RejoinTimeout: f.rejoinTimeout,
	}, nil
}

func (f guardFlags) machine() (local.Machine, error) {
	programs, err := programsIn(f.programs)
	if err != nil {
		return local.Machine{}, err
	}
	var user *local.User
	if f.osUser != "" {
		if user, err = local.LookupUser(f.osUser); err != nil {
			return local.Machine{}, fmt.Errorf("--os-user %s: %w", f.osUser, err)
		}
	}
	slot := f.slot
	if slot == "" {
		slot = "twokey_" + f.node
	}
	return local.Machine{
		Server: local.Server{Programs: programs, DataDir: f.dataDir, ConfigFile: f.configFile, Port: f.ownPort, LogFile: f.dataDir + ".guard.log", User: user},
		Upstream: local.Upstream{
			Host: f.host, Port: f.port, User: f.user, Database: sql.BotDatabase, Passfile: f.passfile,
			SSLMode: f.sslmode, SSLRootCert: f.sslrootcert, Slot: slot,
		},
		Include: f.upstream,
	}, nil
}
