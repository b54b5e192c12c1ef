package local

import (
	"strconv"
	"strings"
)

// Upstream is how a node reaches its partner: to stream from it, to be rewound to it, to be copied from it.
type Upstream struct {
	Host string
	Port int
	// User is a role with REPLICATION, and for pg_rewind with EXECUTE on the functions that it reads with.
	User string
	// Database is where pg_rewind logs in with that role.
	Database string
	// Passfile holds the password, in a file because primary_conninfo is shown to every role that monitors.
	Passfile string
	// SSLMode and SSLRootCert are libpq's; empty leaves them out.
	SSLMode     string
	SSLRootCert string
	// Slot is the physical slot on the partner to stream from; empty streams without one.
	Slot string
}

// conninfo is libpq's connection string. application is the name that the partner knows the connection by.
func (u Upstream) conninfo(application string) string {
	words := []string{
		Keyword("host", u.Host), Keyword("port", strconv.Itoa(u.Port)), Keyword("user", u.User),
		Keyword("application_name", application), Keyword("connect_timeout", "5"), Keyword("tcp_user_timeout", giveUp),
	}
	for _, optional := range []struct{ name, value string }{
		{"dbname", u.Database}, {"passfile", u.Passfile}, {"sslmode", u.SSLMode}, {"sslrootcert", u.SSLRootCert},
	} {
		if optional.value != "" {
			words = append(words, Keyword(optional.name, optional.value))
		}
	}
	return strings.Join(words, " ")
}

// giveUp is how long the partner's machine may be silent, in milliseconds, before a connection, or an attempt at
// one, is given up. A walreceiver does not keep connect_timeout: towards a machine that is dark it would wait for
// two minutes, and so would every commit once that machine is back.
const giveUp = "10000"

// Config is the text of the included configuration file that makes the node stream under that name whenever
// it is a standby. A primary ignores it.
func (u Upstream) Config(application string) string {
	lines := []string{
		"# Written by twokey. Included outside of the data folder, so that ALTER SYSTEM can freeze and thaw.",
		"primary_conninfo = " + Quote(u.conninfo(application)),
	}
	if u.Slot != "" {
		lines = append(lines, "primary_slot_name = "+Quote(u.Slot))
	}
	return strings.Join(lines, "\n") + "\n"
}
