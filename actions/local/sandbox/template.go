package sandbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"twokey/actions/local"
	"twokey/secret"
	pairsql "twokey/sql"
)

// templateFormat changes when this file makes templates in another way.
const templateFormat = "2"

// template copies the template's cluster into the server's data folder, through work, and returns the password
// of its superuser.
func template(ctx context.Context, o Options, s local.Server, work string) (secret.Text, error) {
	o.Templates.User = s.User
	build := func(ctx context.Context, dir string) error { return build(ctx, o, s, dir) }
	if err := o.Templates.Copy(ctx, templateKey(o), work, build); err != nil {
		return secret.Text{}, err
	}
	admin, err := os.ReadFile(filepath.Join(work, "password"))
	if err != nil {
		return secret.Text{}, err
	}
	if err := os.Rename(filepath.Join(work, "data"), s.DataDir); err != nil {
		return secret.Text{}, err
	}
	return secret.New(string(admin)), os.RemoveAll(work)
}

// templateKey names what a template's content depends on.
func templateKey(o Options) string {
	all := []string{templateFormat, o.Programs.Version, o.Database,
		pairsql.Setup(), pairsql.Application(), pairsql.Schema(), pairsql.Sample()}
	sum := sha256.Sum256([]byte(strings.Join(all, "\x00")))
	return fmt.Sprintf("pg%d-%s", o.Programs.Major, hex.EncodeToString(sum[:8]))
}

// build makes a cluster with the project's roles, functions and sample data, without any role's password but
// the superuser's, and shuts it down in good order.
func build(ctx context.Context, o Options, s local.Server, dir string) error {
	admin := password()
	s.DataDir, s.LogFile, s.ConfigFile = filepath.Join(dir, "data"), filepath.Join(dir, "log"), ""
	if err := s.Init(ctx, admin.Reveal()); err != nil {
		return err
	}
	if err := fill(ctx, o, s, admin); err != nil {
		return err
	}
	if err := s.Sync(ctx); err != nil { // the template outlives a power cut
		return err
	}
	if err := os.Remove(s.LogFile); err != nil {
		return err
	}
	return s.User.WriteFile(filepath.Join(dir, "password"), []byte(admin.Reveal()), 0o600)
}

func fill(ctx context.Context, o Options, s local.Server, admin secret.Text) (err error) {
	held, err := takePort()
	if err != nil {
		return err
	}
	defer held.release()
	s.Port = held.number
	if err := appendSettings(s); err != nil {
		return err
	}
	defer func() { // a template that failed is thrown away: nothing of it may go on running
		if err != nil {
			_ = s.End(context.WithoutCancel(ctx), patience)
		}
	}()
	if _, err := s.Start(ctx); err != nil {
		return err
	}
	if err := s.WaitReady(ctx); err != nil {
		return err
	}
	connect := func(ctx context.Context, database string) (*pgconn.PgConn, error) {
		p := &Pair{}
		return pgconn.Connect(ctx, p.url(local.Superuser, admin, fmt.Sprintf("%s:%d", host, s.Port), database, ""))
	}
	if err := pairsql.Install(ctx, connect, pairsql.Params{Database: o.Database, ApplicationRole: AppRole}); err != nil {
		return err
	}
	if err := pairsql.InstallSample(ctx, connect, o.Database); err != nil {
		return err
	}
	return s.StopFast(ctx)
}

// appendSettings configures the server while the template is made: quick, without a trace elsewhere. The
// numbers are the least that a pair may be configured with: a standby refuses less than its cluster had.
func appendSettings(s local.Server) error {
	file, err := os.OpenFile(filepath.Join(s.DataDir, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString("listen_addresses = '" + host + "'\nunix_socket_directories = ''\nfsync = off\n" +
		"jit = off\ntimezone = 'GMT'\nlog_timezone = 'GMT'\ndynamic_shared_memory_type = mmap\nmin_wal_size = 32MB\n" +
		"max_connections = 20\nmax_wal_senders = 4\nmax_worker_processes = 4\n")
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	return err
}
