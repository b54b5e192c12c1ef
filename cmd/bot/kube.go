package main

import (
	"errors"
	"fmt"
	"log/slog"

	"twokey/actions"
	"twokey/actions/kube"
	"twokey/actions/postgres"
	"twokey/config"
)

// site is the access to a node's cluster; nodes of one cluster share it.
func (m *maker) site(k config.Kube) (*kube.Site, error) {
	if s, open := m.sites[k.Cluster()]; open {
		return s, nil
	}
	s, err := kube.Open(kube.Options{Kubeconfig: k.Kubeconfig, Context: k.Context, InCluster: k.InCluster, Namespace: k.Namespace})
	if err != nil {
		return nil, err
	}
	if m.sites == nil {
		m.sites = map[string]*kube.Site{}
	}
	m.sites[k.Cluster()] = s
	m.closers = append(m.closers, s.Close)
	return s, nil
}

func kubeMachineOptions(n config.Node) kube.MachineOptions {
	return kube.MachineOptions{Node: n.Name, StatefulSet: n.Driver.Kube.StatefulSet, Order: n.Driver.Kube.Order}
}

// kubeMachine is the power over a server that is the one pod of a StatefulSet.
func (m *maker) kubeMachine(n config.Node, own, partner *postgres.Node) (*kube.Machine, error) {
	s, err := m.site(*n.Driver.Kube)
	if err != nil {
		return nil, err
	}
	o := kubeMachineOptions(n)
	o.Observe, o.Partner, o.Report, o.Log = own.Observe, partner.Observe, own.GuardReport, slog.Default()
	return s.Machine(o)
}

// kubeEndpoints are one for each cluster that a node of the pair stands in.
func (m *maker) kubeEndpoints(p config.Pair, h actions.Hands) ([]actions.Endpoint, error) {
	var all []actions.Endpoint
	seen := map[string]bool{}
	for _, n := range p.Nodes {
		k := n.Driver.Kube
		if k == nil || seen[k.Cluster()] {
			continue
		}
		seen[k.Cluster()] = true
		s, err := m.site(*k)
		if err != nil {
			return nil, fmt.Errorf("in the cluster of %s: %w", n.Name, err)
		}
		o := kubeEndpointOptions(p)
		if own, ok := h.Machines[n.Name].(*kube.Machine); ok {
			o.Own, o.Address = n.Name, own.Address
		}
		e, err := s.Endpoint(o)
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	if len(all) == 0 {
		return nil, errors.New("no node stands in a cluster")
	}
	return all, nil
}

func kubeEndpointOptions(p config.Pair) kube.EndpointOptions {
	o := kube.EndpointOptions{Slice: p.Endpoint.Kube.Slice, Connection: p.Endpoint.Kube.Connection, Targets: map[string]kube.Target{}}
	for _, n := range p.Nodes {
		o.Targets[n.Name] = kube.Target{IP: n.IP(), Port: int32(n.Port), Conn: p.Domain().Conn(n.Name)}
	}
	return o
}

// kubeNeeds are the rights that the bot uses in a node's cluster.
func kubeNeeds(p config.Pair, n config.Node) []kube.Need {
	needs := kubeMachineOptions(n).Needs(n.Driver.Kube.Namespace)
	if p.Endpoint != nil && p.Endpoint.Kube != nil {
		needs = append(needs, kubeEndpointOptions(p).Needs(n.Driver.Kube.Namespace)...)
	}
	return needs
}
