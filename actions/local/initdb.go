package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Superuser is the name of the superuser of clusters made here.
const Superuser = "postgres"

// Init makes a new cluster in the data folder, which may exist if it is empty: with checksums, so that
// pg_rewind can work on it, in UTF-8 and the C locale, and with passwords (SCRAM) for everybody, also from
// this machine. It is not forced to disk: see [Server.Sync].
func (s Server) Init(ctx context.Context, password string) error {
	file, err := s.passwordFile(password)
	if err != nil {
		return fmt.Errorf("init %s: %w", s.DataDir, err)
	}
	defer func() { _ = os.Remove(file) }()
	return s.Run(ctx, "initdb", "--pgdata="+s.DataDir, "--no-sync", "--data-checksums", "--encoding=UTF8",
		"--no-locale", "--username="+Superuser, "--auth=scram-sha-256", "--pwfile="+file)
}

// Sync forces a stopped server's data folder to disk.
func (s Server) Sync(ctx context.Context) error {
	return s.Run(ctx, "initdb", "--pgdata="+s.DataDir, "--sync-only")
}

// passwordFile writes the password where only the server's user can read it.
func (s Server) passwordFile(password string) (string, error) {
	file, err := os.CreateTemp(filepath.Dir(s.DataDir), ".password-*")
	if err != nil {
		return "", err
	}
	_, err = file.WriteString(password + "\n")
	if err = errors.Join(err, file.Close(), s.User.Own(file.Name())); err != nil {
		_ = os.Remove(file.Name())
		return "", err
	}
	return file.Name(), nil
}
