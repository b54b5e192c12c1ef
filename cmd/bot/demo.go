package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"twokey/actions"
	"twokey/actions/local/janitor"
	"twokey/actions/local/load"
	"twokey/actions/local/pgbin"
	"twokey/actions/local/sandbox"
	"twokey/bot/slacksim"
	"twokey/config"
)

type demoFlags struct {
	scripted bool
	keep     bool
	listen   string
	socket   bool
	verbose  bool
}

func newDemo() *cobra.Command {
	var f demoFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Try everything here: a real pair, a simulated Slack, a write load",
		Long: `demo makes a real primary and synchronous standby in a temporary folder, starts a
simulated Slack workspace and the bot, keeps a small write load going, and
prints the address of a page where you can be five people. Ctrl-C ends it and
leaves nothing behind. With --scripted it plays the whole story by itself and
ends with one line of JSON.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDemo(cmd.Context(), cmd, f) },
	}
	cmd.Flags().BoolVar(&f.scripted, "scripted", false, "play the whole story without a person")
	cmd.Flags().BoolVar(&f.keep, "keep", false, "keep the servers and their folder at the end")
	cmd.Flags().StringVar(&f.listen, "listen", "127.0.0.1:0", "address of the page")
	cmd.Flags().BoolVar(&f.socket, "socket", false, "let the bot hear of commands over Socket Mode instead of HTTP")
	cmd.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "show the bot's own log")
	return cmd
}

// runDemo owns the demo's parts; they end in the reverse order.
func runDemo(ctx context.Context, cmd *cobra.Command, f demoFlags) (err error) {
	ctx, unwatch := janitor.WatchParent(ctx) // `go run` dies of SIGTERM without telling its child
	defer unwatch()
	d := &demo{flags: f, say: cmd.ErrOrStderr(), out: cmd.OutOrStdout(), log: slog.New(slog.DiscardHandler)}
	if f.verbose {
		d.log = newLogger(os.Stderr, slog.LevelInfo)
	}
	defer func() { err = errors.Join(err, d.close()) }()
	if err := d.open(ctx); err != nil {
		return err
	}
	if f.scripted {
		return d.during(ctx, d.script)
	}
	return d.during(ctx, d.wait)
}

// demo is a running demonstration.
type demo struct {
	flags    demoFlags
	noDriver string                                     // node without a driver, for tests
	drivers  map[string]string                          // a node's driver in place of its own, for tests
	timeouts string                                     // a section of the configuration, for tests
	sweeps   string                                     // schedule of the checks, for tests
	expiry   string                                     // of requests, for tests
	settings string                                     // more lines of the pair's configuration, for tests
	disk     bool                                       // the data lies on disk, for benchmarks
	at       func(context.Context, actions.Point) error // faults, for tests
	wrap     func(map[string]actions.Hands)             // other hands, for tests
	sandbox  sandbox.Options                            // of the pair, for tests
	ports    map[string]int                             // where the bot finds a node, for tests; else the node's own
	say      io.Writer                                  // for people, beside the output
	out      io.Writer
	log      *slog.Logger
	keeper   *janitor.Janitor
	pair     *sandbox.Pair
	slack    *slacksim.Workspace
	page     string
	service  *service
	load     *load.Load
	closers  []func() error
}

// stepFunc opens one part of the demo.
type stepFunc func(context.Context) error

func (d *demo) onClose(f func() error) { d.closers = append(d.closers, f) }

func (d *demo) close() error {
	var errs []error
	for _, closeOne := range slices.Backward(d.closers) {
		errs = append(errs, closeOne())
	}
	return errors.Join(errs...)
}

func (d *demo) open(ctx context.Context) error {
	for _, step := range []stepFunc{
		d.openKeeper,
		d.openPair,
		d.openSlack,
		d.openService,
		d.openLoad,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// openKeeper starts the process that cleans up if this one is killed.
func (d *demo) openKeeper(ctx context.Context) (err error) {
	d.keeper, err = janitor.Start(ctx)
	if err == nil {
		d.onClose(d.keeper.Close)
	}
	return err
}

func (d *demo) openPair(ctx context.Context) error {
	programs, err := pgbin.FindOrFetch(ctx, pgbin.Options{Log: d.fetchLog()})
	if err != nil {
		return err
	}
	fmt.Fprintf(d.say, "Making a primary and a synchronous standby with %s …\n", programs)
	began := time.Now()
	opt := d.sandbox
	opt.Programs, opt.Memory, opt.Janitor = programs, !d.disk, d.keeper
	d.pair, err = sandbox.New(ctx, opt)
	if err != nil {
		return err
	}
	d.onClose(d.closePair)
	fmt.Fprintf(d.say, "  %s and %s run in %s (%.1f s)\n", d.pair.Nodes[0].Name, d.pair.Nodes[1].Name, d.pair.Dir, time.Since(began).Seconds())
	return nil
}

func (d *demo) fetchLog() *slog.Logger {
	return slog.New(slog.NewTextHandler(d.say, &slog.HandlerOptions{Level: slog.LevelInfo}))
}

func (d *demo) closePair() error {
	if !d.flags.keep {
		return d.pair.Close()
	}
	fmt.Fprintf(d.say, "Kept: %s, its servers still run. Stop them with pg_ctl -D … stop, then remove the folder.\n", d.pair.Dir)
	return d.keeper.Keep()
}

func (d *demo) openSlack(ctx context.Context) (err error) {
	d.slack = slacksim.New(slacksim.Options{Log: d.log, SocketMode: d.flags.socket})
	d.onClose(d.slack.Close)
	d.page, err = d.slack.Listen(ctx, d.flags.listen)
	return err
}

// openService starts the bot from a real configuration file, so that the demo
// walks the same way as `bot serve`.
func (d *demo) openService(context.Context) error {
	path, err := d.writeConfig()
	if err != nil {
		return err
	}
	cfg, secrets, err := loadConfig(path)
	if err != nil {
		return err
	}
	if d.service, err = newService(cfg, secrets, d.log, seams{at: d.at, wrap: d.wrap}); err != nil {
		return err
	}
	d.onClose(d.service.close)
	d.slack.SetRequestURL("http://" + d.service.public.Addr().String())
	return nil
}

// openLoad makes the load's table and begins to write into it.
func (d *demo) openLoad(ctx context.Context) error {
	if err := makeLoadTable(ctx, d.pair); err != nil {
		return fmt.Errorf("the load's table: %w", err)
	}
	cfg, err := pgx.ParseConfig(d.pair.AppURL())
	if err != nil {
		return err
	}
	d.load = load.Start(context.WithoutCancel(ctx), load.Options{
		Config: cfg, Table: pgx.Identifier{"load", "writes"}, Sessions: 4, Every: 2 * time.Millisecond, Patience: 10 * time.Second,
	})
	d.onClose(func() error { d.load.Stop(); return nil })
	return nil
}

// makeLoadTable makes the load's table on the first node, in a schema of its own
// so that verify-data compares the application's tables and not what is being written.
func makeLoadTable(ctx context.Context, p *sandbox.Pair) error {
	conn, err := pgx.Connect(ctx, p.Nodes[0].AdminURL(p.Database))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // all its work is committed
	for _, text := range []string{
		"CREATE SCHEMA load", "CREATE TABLE load.writes (id bigint PRIMARY KEY)",
		"GRANT USAGE ON SCHEMA load TO " + sandbox.AppRole, "GRANT SELECT, INSERT ON load.writes TO " + sandbox.AppRole,
	} {
		if _, err := conn.Exec(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

// during runs the bot while do does its part, and ends it afterwards.
func (d *demo) during(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- d.service.run(ctx); cancel() }()
	err := do(ctx)
	cancel()
	return errors.Join(err, <-served)
}

// wait is the demo without a script: people do the rest.
func (d *demo) wait(ctx context.Context) error {
	fmt.Fprintf(d.out, `
The ops channel is at  %s

  Choose who you are at the top of the page, then try:
    /pg status                          how the pair stands
    /pg verify                          what zero loss rests on, checked
    /pg failover orders -- maintenance  ask; then approve as dba-1 and dba-2
  Applications connect to  %s
  Ctrl-C ends everything and leaves nothing behind.
`, d.page, d.pair.Actions().Conn(d.pair.Nodes[0].Name).URI)
	<-ctx.Done()
	fmt.Fprintln(d.say, "Ending …")
	return nil
}

// secretFile writes one secret that only we can read.
func (d *demo) secretFile(name, value string) (string, error) {
	path := filepath.Join(d.pair.Dir, name)
	return path, os.WriteFile(path, []byte(value+"\n"), 0o600)
}

func (d *demo) writeConfig() (string, error) {
	files := map[string]string{
		"slack-token": d.slack.BotToken(), "signing-secret": d.slack.SigningSecret(), "app-token": d.slack.AppToken(), "bot-password": d.pair.BotPassword.Reveal(),
	}
	for name, value := range files {
		path, err := d.secretFile(name, value)
		if err != nil {
			return "", err
		}
		files[name] = path
	}
	path := filepath.Join(d.pair.Dir, "twokey.yaml")
	return path, os.WriteFile(path, []byte(d.configText(files)), 0o600)
}

func (d *demo) configText(files map[string]string) string {
	text := fmt.Sprintf(`slack:
  team: %s
  channel: C0OPS00001
  api_url: %s
  token: {file: %q}
  transport: %s
  signing_secret: {file: %q}
  app_token: {file: %q}
listen: 127.0.0.1:0
store: %q
admin_socket: %q
policy:
  approvers:
    - {name: dba-1, slack: U0DBA00001}
    - {name: dba-2, slack: U0DBA00002}
    - {name: manager, slack: U0MANAGER1}
    - {name: oncall, slack: U0ONCALL01}
  expiry: %s
  hold_expiry: 10m
schedule:
  lag_check: %q
  report: %q
%spairs:
  - name: %s
    database: %s
    user: %s
    sslmode: disable
%s    nodes:
`, d.slack.Team(), d.slack.APIURL(d.page), files["slack-token"], d.transport(), files["signing-secret"], files["app-token"],
		filepath.Join(d.pair.Dir, "twokey.db"), filepath.Join(d.pair.Dir, "admin.sock"), cmp.Or(d.expiry, "15m"), d.sweepSchedule(), d.reportSchedule(), d.timeouts,
		d.pair.Name, d.pair.Database, sandbox.AppRole, d.settings)
	for _, n := range d.pair.Actions().Nodes {
		if port, ok := d.ports[n.Name]; ok {
			n.Port = uint16(port)
		}
		text += d.nodeText(n, d.pair.Node(n.Name), files["bot-password"])
	}
	return text
}

func (d *demo) transport() string {
	if d.flags.socket {
		return config.TransportSocket
	}
	return config.TransportHTTP
}

// sweepSchedule is short, so that people see alerts.
func (d *demo) sweepSchedule() string {
	if d.sweeps != "" {
		return d.sweeps
	}
	return "@every 3s"
}

// reportSchedule is short where a script waits for a report.
func (d *demo) reportSchedule() string {
	if d.flags.scripted {
		return "@every 6s"
	}
	return config.Default().Schedule.Report
}

func (d *demo) nodeText(n actions.Node, s *sandbox.Node, password string) string {
	text := fmt.Sprintf(`      - name: %s
        host: %s
        port: %d
        slot: %s
        source: %s
        sslmode: disable
        password: {file: %q}
`, n.Name, n.Host, n.Port, n.Slot, n.Source, password)
	if n.Name == d.noDriver {
		return text
	}
	if driver, other := d.drivers[n.Name]; other {
		return text + driver
	}
	return text + driverText(s)
}

func driverText(s *sandbox.Node) string {
	text := fmt.Sprintf(`        driver:
          local:
            programs: %q
            data_dir: %q
            config_file: %q
            upstream_file: %q
            log_file: %q
            replication: {passfile: %q, sslmode: disable}
`, s.Server.Programs.Folder, s.Server.DataDir, s.Server.ConfigFile, filepath.Join(s.Dir, "replication.conf"), s.Server.LogFile, s.Upstream.Passfile)
	if s.Server.User != nil {
		text += fmt.Sprintf("            os_user: %s\n", s.Server.User.Name)
	}
	return text
}
