package kube

import (
	"context"

	"twokey/actions"
)

// MachineOptions say which server it is.
type MachineOptions struct {
	Node        string // its name in the pair, and sync name
	Partner     string
	StatefulSet string // whose one pod it is
	Order       string // the ConfigMap that its guard reads
	// Observe asks the server itself, and Partner's what it sees, by SQL.
	Observe, ObservePartner func(context.Context) actions.Observation
}

// EndpointOptions say what leads clients in one cluster.
type EndpointOptions struct {
	Slice      string // the EndpointSlice
	Connection string // the ConfigMap
	// Addresses and Conns are where each node is and how clients connect when it
	// is the primary.
	Addresses map[string]Address
	Conns     map[string]actions.ConnString
}

// Address is an IP address and port.
type Address struct {
	IP   string
	Port int32
}
