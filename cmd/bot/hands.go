package main

import (
	"errors"
	"fmt"

	"twokey/actions"
	"twokey/actions/kube"
	"twokey/actions/postgres"
	"twokey/actions/vultr"
	"twokey/config"
)

// handsOf makes every pair's drivers. They connect to nothing yet; close ends
// what they connect to later. dial, where it isn't nil, gives how each node is
// dialled; else that is the driver's own way.
func handsOf(cfg config.Config, secrets config.Secrets, dial func(node string) postgres.DialFunc) (hands map[string]actions.Hands, closeAll func(), err error) {
	m := &maker{cfg: cfg, secrets: secrets, dial: dial}
	hands = map[string]actions.Hands{}
	err = m.openAccount()
	for _, p := range cfg.Pairs {
		if err == nil {
			hands[p.Name], err = m.pair(p)
		}
	}
	if err != nil {
		m.close()
		return nil, nil, err
	}
	return hands, m.close, nil
}

// maker makes drivers and knows what has to be closed.
type maker struct {
	cfg     config.Config
	secrets config.Secrets
	dial    func(node string) postgres.DialFunc // nil: the driver's own way
	account *vultr.API                          // nil without one
	sites   map[string]*kube.Site               // by cluster and namespace
	closers []func()
}

func (m *maker) close() {
	for _, c := range m.closers {
		c()
	}
}

func (m *maker) openAccount() (err error) {
	if m.cfg.Vultr == nil {
		return nil
	}
	if m.account, err = vultr.New(vultr.Options{Key: m.secrets.VultrKey, URL: m.cfg.Vultr.APIURL}); err != nil {
		return fmt.Errorf("vultr: %w", err)
	}
	m.closers = append(m.closers, m.account.Close)
	return nil
}

func (m *maker) pair(p config.Pair) (actions.Hands, error) {
	h := actions.Hands{Databases: map[string]actions.Database{}, Machines: map[string]actions.Machine{}, Fencers: map[string]actions.Fencer{}}
	databases := [2]*postgres.Node{}
	for i, n := range p.Nodes {
		db, err := databaseOf(m.cfg, p, n, m.secrets, m.dial)
		if err != nil {
			return h, fmt.Errorf("pair %s, node %s: %w", p.Name, n.Name, err)
		}
		m.closers = append(m.closers, db.Close)
		databases[i], h.Databases[n.Name] = db, db
	}
	for i, n := range p.Nodes {
		if err := m.driver(h, n, p.Nodes[1-i], databases[i], databases[1-i]); err != nil {
			return h, fmt.Errorf("pair %s, node %s: %w", p.Name, n.Name, err)
		}
	}
	var err error
	if h.Endpoints, err = m.endpoints(p, h); err != nil {
		return h, fmt.Errorf("pair %s, endpoint: %w", p.Name, err)
	}
	return h, nil
}

// endpoints are all that lead a pair's clients.
func (m *maker) endpoints(p config.Pair, h actions.Hands) (all []actions.Endpoint, err error) {
	if p.Endpoint == nil {
		return nil, nil
	}
	if p.Endpoint.Kube != nil {
		if all, err = m.kubeEndpoints(p, h); err != nil {
			return nil, fmt.Errorf("kube: %w", err)
		}
	}
	if p.Endpoint.Vultr != nil {
		record, err := m.record(p)
		if err != nil {
			return nil, fmt.Errorf("vultr: %w", err)
		}
		all = append(all, record)
	}
	return all, nil
}

// driver makes the power over a node's server, and its fences.
func (m *maker) driver(h actions.Hands, n, partner config.Node, own, other *postgres.Node) (err error) {
	switch {
	case n.Driver.Local != nil:
		if h.Machines[n.Name], err = localMachine(n, partner); err != nil {
			return fmt.Errorf("local driver: %w", err)
		}
	case n.Driver.Kube != nil:
		if h.Machines[n.Name], err = m.kubeMachine(n, own, other); err != nil {
			return fmt.Errorf("kube driver: %w", err)
		}
	}
	if n.Driver.Vultr != nil { // else the machine's own fence is the only one
		h.Fencers[n.Name], err = m.fences(n, h.Machines[n.Name])
	}
	return err
}

// fences is a node's chain, in the configured order.
func (m *maker) fences(n config.Node, machine actions.Machine) (actions.Fencer, error) {
	links := make([]actions.Link, len(n.Driver.Fence))
	for i, name := range n.Driver.Fence {
		link, err := m.link(name, n, machine)
		if err != nil {
			return nil, err
		}
		links[i] = link
	}
	return actions.NewChain(links...)
}

var errNoAccount = errors.New("the account's section vultr is missing")

func (m *maker) link(name string, n config.Node, machine actions.Machine) (actions.Link, error) {
	if name != "vultr" {
		return actions.Link{Name: name, Fencer: machine}, nil
	}
	if m.account == nil {
		return actions.Link{}, errNoAccount
	}
	fence, err := m.account.Fence(n.Driver.Vultr.Instance)
	return actions.Link{Name: name, Fencer: fence, Machine: true}, err
}

func (m *maker) record(p config.Pair) (*vultr.Record, error) {
	if m.account == nil {
		return nil, errNoAccount
	}
	r, hosts := p.Endpoint.Vultr, map[string]string{}
	for _, n := range p.Domain().Nodes {
		hosts[n.Name] = n.Host
	}
	return m.account.Record(vultr.RecordOptions{Domain: r.Domain, ID: r.Record, Name: r.Name, TTL: r.TTL.Std(), Hosts: hosts})
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
