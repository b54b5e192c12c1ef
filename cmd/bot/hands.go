package main

import (
	"fmt"

	"twokey/actions"
	"twokey/actions/postgres"
	"twokey/config"
)

// handsOf makes every pair's drivers. They connect to nothing yet; close ends
// what they connect to later. dial, where it isn't nil, gives how each node is
// dialled; else that is the driver's own way.
func handsOf(cfg config.Config, secrets config.Secrets, dial func(node string) postgres.DialFunc) (hands map[string]actions.Hands, closeAll func(), err error) {
	hands = map[string]actions.Hands{}
	var nodes []*postgres.Node
	closeAll = func() {
		for _, n := range nodes {
			n.Close()
		}
	}
	for _, p := range cfg.Pairs {
		h := actions.Hands{Databases: map[string]actions.Database{}, Machines: map[string]actions.Machine{}, Fencers: map[string]actions.Fencer{}}
		for i, n := range p.Nodes {
			db, err := databaseOf(cfg, p, n, secrets, dial)
			if err != nil {
				closeAll()
				return nil, nil, fmt.Errorf("pair %s, node %s: %w", p.Name, n.Name, err)
			}
			nodes = append(nodes, db)
			h.Databases[n.Name] = db
			if n.Driver.Local == nil {
				continue
			}
			if h.Machines[n.Name], err = localMachine(n, p.Nodes[1-i]); err != nil {
				closeAll()
				return nil, nil, fmt.Errorf("pair %s, node %s: local driver: %w", p.Name, n.Name, err)
			}
		}
		hands[p.Name] = h
	}
	return hands, closeAll, nil
}

func databaseOf(cfg config.Config, p config.Pair, n config.Node, secrets config.Secrets, dial func(string) postgres.DialFunc) (*postgres.Node, error) {
	var way postgres.DialFunc
	if dial != nil {
		way = dial(n.Name)
	}
	return postgres.New(postgres.Options{
		Dial: way,
		Node: n.Domain(), AppDatabase: p.Database, Schemas: p.Schemas,
		User: n.User, Password: secrets.Password(p.Name, n.Name), PassFile: n.Passfile,
		SSLMode: n.SSLMode, RootCert: n.SSLRootCert, Cert: n.SSLCert, Key: n.SSLKey,
		Timeouts: cfg.Timeouts.Domain(),
	})
}
