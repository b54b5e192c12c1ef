package actions

import (
	"fmt"
	"hash/fnv"
	"time"
)

// Node is one server of a pair, as configured.
type Node struct {
	Name string `json:"name"` // unique in its pair; the standby's sync name and application_name
	Site string `json:"site"`
	Host string `json:"host"` // what clients and the partner connect to
	Port uint16 `json:"port"`
	Slot string `json:"slot"` // physical slot that this node streams from when it is the standby
	// Source is the address from which this node's WAL receiver reaches its
	// partner, as pg_stat_replication shows it.
	Source string `json:"source"`
}

// Addr is host:port.
func (n Node) Addr() string { return fmt.Sprintf("%s:%d", n.Host, n.Port) }

// After says what happens to synchronous commit on the promoted node.
type After string

// Block keeps the promoted node waiting for its standby (consistency before
// availability); Degrade lets it acknowledge alone until the standby is back.
const (
	Block   After = "block"
	Degrade After = "degrade"
)

// Pair is a primary and its synchronous standby; which is which is never
// configured, only observed.
type Pair struct {
	Name            string  `json:"name"`
	Nodes           [2]Node `json:"nodes"`
	Database        string  `json:"database"` // that clients connect to
	SSLMode         string  `json:"sslmode"`  // in the connection string
	User            string  `json:"user"`     // in the connection string, may be empty
	AfterSwitchover After   `json:"after_switchover"`
	AfterFailover   After   `json:"after_failover"`
}

// Node gives the node of that name.
func (p Pair) Node(name string) (Node, bool) {
	for _, n := range p.Nodes {
		if n.Name == name {
			return n, true
		}
	}
	return Node{}, false
}

// Partner gives the other node.
func (p Pair) Partner(name string) Node {
	if p.Nodes[0].Name == name {
		return p.Nodes[1]
	}
	return p.Nodes[0]
}

// LockKey is the advisory lock's key for this pair, the same for every bot.
func (p Pair) LockKey() int64 {
	h := fnv.New64a()
	h.Write([]byte("twokey pair " + p.Name))
	return int64(h.Sum64())
}

// Timeouts bound each kind of waiting; an error that comes from one names it.
type Timeouts struct {
	Observe time.Duration // one node's observation
	Effect  time.Duration // one statement that changes something
	Stop    time.Duration // from SIGINT until the shutdown checkpoint stands on the standby
	Promote time.Duration // from pg_promote until the node is out of recovery
	Fence   time.Duration // until a fence is confirmed
	Rejoin  time.Duration // until the old primary streams again, base backup included
}

// DefaultTimeouts are generous: they end what hangs, they pace nothing.
func DefaultTimeouts() Timeouts {
	return Timeouts{
		Observe: 3 * time.Second, Effect: 10 * time.Second, Stop: 30 * time.Second,
		Promote: 30 * time.Second, Fence: 60 * time.Second, Rejoin: 30 * time.Minute,
	}
}
