package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"twokey/actions/local"
	"twokey/actions/local/pgbin"
	"twokey/config"
	"twokey/sql"
)

// localMachine is the power over a server that runs on this machine.
func localMachine(n, partner config.Node) (*local.Machine, error) {
	l := n.Driver.Local
	programs, err := programsIn(l.Programs)
	if err != nil {
		return nil, err
	}
	user, err := serverUser(l.OSUser)
	if err != nil {
		return nil, err
	}
	to := partner.Domain()
	return &local.Machine{
		Server: local.Server{
			Programs: programs, DataDir: l.DataDir, ConfigFile: l.ConfigFile, Port: int(n.Port), LogFile: l.LogFile, User: user,
		},
		Upstream: local.Upstream{
			Host: to.Host, Port: int(to.Port), User: l.Replication.User, Database: sql.BotDatabase,
			Passfile: l.Replication.Passfile, SSLMode: l.Replication.SSLMode, SSLRootCert: l.Replication.SSLRootCert,
			Slot: n.Domain().Slot,
		},
		Include: l.Include,
	}, nil
}

func programsIn(folder string) (pgbin.Programs, error) {
	if folder == "" {
		return pgbin.Find(context.Background(), pgbin.Options{})
	}
	named := func(name string) string {
		if name == "TWOKEY_PGBIN" {
			return folder
		}
		return ""
	}
	found, err := pgbin.Find(context.Background(), pgbin.Options{Getenv: named})
	if unfit, ok := errors.AsType[*pgbin.NamedFolderError](err); ok {
		// Its own text speaks of the environment, which nobody has set here.
		return pgbin.Programs{}, fmt.Errorf("programs: %s can't be used: %s; name a folder that holds %s, or leave it out",
			unfit.Folder, unfit.Reason, strings.Join(pgbin.Required(), ", "))
	}
	return found, err
}

func serverUser(name string) (*local.User, error) {
	if name == "" {
		return local.ServerUser()
	}
	return local.LookupUser(name)
}
