package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"twokey/actions/local"
	"twokey/actions/local/pgbin"
	"twokey/secret"
	pairsql "twokey/sql"
)

func (o Options) programs(ctx context.Context) (pgbin.Programs, error) {
	if o.Programs.Folder != "" {
		return o.Programs, nil
	}
	return pgbin.FindOrFetch(ctx, pgbin.Options{})
}

// bringUp copies the cluster for both nodes and starts them.
func (p *Pair) bringUp(ctx context.Context, o Options) error {
	primary, standby := p.Nodes[0], p.Nodes[1]
	admin, err := p.copyCluster(ctx, o)
	if err != nil {
		return err
	}
	for _, n := range p.Nodes {
		if err := n.configure(o.Settings); err != nil {
			return err
		}
	}
	if err := primary.start(ctx); err != nil {
		return err
	}
	if err := p.install(ctx, admin); err != nil {
		return err
	}
	if err := standby.start(ctx); err != nil {
		return err
	}
	if err := standby.makeSlot(ctx); err != nil {
		return err
	}
	return primary.awaitSynchronous(ctx)
}

// copyCluster gives both nodes the template's cluster, under a new identifier, and returns the superuser's
// password in it. The standby is a cold copy of the primary: a cluster that was shut down in good order and
// copied is a valid beginning for a standby.
func (p *Pair) copyCluster(ctx context.Context, o Options) (secret.Text, error) {
	primary, standby := p.Nodes[0], p.Nodes[1]
	admin, err := template(ctx, o, primary.Server, primary.file("template"))
	if err != nil {
		return admin, err
	}
	if err := reidentify(primary.Server); err != nil {
		return admin, err
	}
	if err := local.CopyFolder(ctx, primary.Server.DataDir, standby.Server.DataDir, standby.Server.User); err != nil {
		return admin, fmt.Errorf("copy the cluster for the standby: %w", err)
	}
	signal := filepath.Join(standby.Server.DataDir, "standby.signal")
	return admin, errors.Join(os.WriteFile(signal, nil, 0o600), standby.Server.User.Own(signal))
}

// configure writes the files outside of the data folder.
func (n *Node) configure(settings map[string]string) error {
	partner := n.partner()
	for name, text := range map[string]string{
		"postgresql.conf":  n.configuration(partner, settings),
		"replication.conf": n.Upstream.Config(n.Name),
		"pg_hba.conf":      n.hostBased(n.pair.Database),
		"passfile":         n.passwords(n.pair.ReplicationPassword.Reveal()),
	} {
		path := n.file(name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return fmt.Errorf("configure %s: %w", n.Name, err)
		}
		if err := n.Server.User.Own(path); err != nil {
			return fmt.Errorf("configure %s: %w", n.Name, err)
		}
	}
	return nil
}

// start returns when the node lets sessions in. errPortTaken: another program listens on the port.
func (n *Node) start(ctx context.Context) error {
	_, err := n.Server.Start(ctx)
	if err == nil {
		err = n.Server.WaitReady(ctx)
	}
	var ended *local.StartError
	if errors.As(err, &ended) && inUse(n.address()) {
		return fmt.Errorf("%s: %w: %w", n.Name, errPortTaken, err)
	}
	return err
}

// iterations of a sandbox's passwords: they are drawn at random, and more would
// be most of what a login costs in a program that the race detector watches.
const iterations = 1

// install runs the project's own SQL with the pair's own passwords, and changes the superuser's last.
func (p *Pair) install(ctx context.Context, admin secret.Text) error {
	primary := p.Nodes[0]
	connect := func(ctx context.Context, database string) (*pgconn.PgConn, error) {
		return pgconn.Connect(ctx, p.url(local.Superuser, admin, primary.address(), database, ""))
	}
	err := pairsql.Install(ctx, connect, pairsql.Params{
		Database:            p.Database,
		BotPassword:         p.BotPassword,
		ReplicationPassword: p.ReplicationPassword,
		Slots:               []string{p.Nodes[1].Slot()},
		ApplicationRole:     AppRole,
		ApplicationPassword: p.AppPassword,
		Iterations:          iterations,
	})
	if err != nil {
		return err
	}
	verifier, err := pairsql.Verifier(p.AdminPassword, iterations)
	if err != nil {
		return err
	}
	change := "SET synchronous_commit = local; ALTER ROLE " + pairsql.Identifier(local.Superuser) + " PASSWORD " + pairsql.Literal(verifier)
	return exec(ctx, p.url(local.Superuser, admin, primary.address(), "postgres", ""), change)
}

// makeSlot makes the slot for the way back on a standby. It is not reserved: nobody uses it yet, and it must
// not hold WAL.
func (n *Node) makeSlot(ctx context.Context) error {
	text := "SELECT pg_create_physical_replication_slot(" + pairsql.Literal(n.partner().Slot()) + ", false)"
	return poll(ctx, "the new superuser's password reaches the standby", func() (bool, error) {
		err := exec(ctx, n.AdminURL("postgres"), text)
		var denied *pgconn.PgError
		if errors.As(err, &denied) && denied.Code == "28P01" { // the standby has not replayed it yet
			return false, nil
		}
		return err == nil, err
	})
}

// awaitSynchronous returns when the node's standby is synchronous.
func (n *Node) awaitSynchronous(ctx context.Context) error {
	c, err := pgconn.Connect(ctx, n.AdminURL("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(context.WithoutCancel(ctx)) }()
	const text = "SELECT FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = 'sync'"
	return poll(ctx, "the standby becomes synchronous", func() (bool, error) {
		result, err := c.Exec(ctx, text).ReadAll()
		return err == nil && len(result[0].Rows) == 1, err
	})
}

func exec(ctx context.Context, url, text string) error {
	c, err := pgconn.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(context.WithoutCancel(ctx)) }()
	_, err = c.Exec(ctx, text).ReadAll()
	return err
}

// settling bounds what a fresh pair waits for.
const settling = 30 * time.Second

func poll(ctx context.Context, what string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, settling)
	defer cancel()
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := done(); err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w", what, ctx.Err())
		case <-tick.C:
		}
	}
}
