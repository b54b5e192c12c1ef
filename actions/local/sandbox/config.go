package sandbox

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"twokey/actions/local"
	pairsql "twokey/sql"
)

// settings are what every node of a pair is configured with.
func (n *Node) settings(partner *Node, extra map[string]string) map[string]string {
	settings := map[string]string{
		"listen_addresses":            host,
		"unix_socket_directories":     "",
		"cluster_name":                n.Name,
		"hba_file":                    n.file("pg_hba.conf"),
		"password_encryption":         "scram-sha-256",
		"max_connections":             "60",
		"shared_buffers":              "32MB",
		"dynamic_shared_memory_type":  "mmap", // its files lie in the data folder and go with it
		"jit":                         "off",  // LLVM may not be there
		"wal_level":                   "replica",
		"hot_standby":                 "on",
		"wal_log_hints":               "on",
		"max_wal_senders":             "10",
		"max_replication_slots":       "10",
		"min_wal_size":                "32MB",
		"wal_keep_size":               "128MB", // for pg_rewind
		"max_slot_wal_keep_size":      "512MB",
		"wal_retrieve_retry_interval": "100ms",
		"synchronous_commit":          "on",
		"synchronous_standby_names":   partner.Name, // permanently: a standby ignores it until it is promoted
		"log_line_prefix":             "%m [%p] %q%u@%d ",
		"log_connections":             "off",
		"log_checkpoints":             "off",
		"timezone":                    "GMT", // needs no time zone files
		"log_timezone":                "GMT",
		"tcp_keepalives_idle":         "5",
		"tcp_keepalives_interval":     "2",
		"tcp_keepalives_count":        "3",
		"default_text_search_config":  "pg_catalog.english",
		"max_standby_streaming_delay": "5s",
	}
	maps.Copy(settings, extra)
	return settings
}

// configuration is the text of postgresql.conf. The include comes last but ALTER SYSTEM still wins over it:
// that is how the bot freezes a standby.
func (n *Node) configuration(partner *Node, extra map[string]string) string {
	var b strings.Builder
	settings := n.settings(partner, extra)
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&b, "%s = %s\n", name, local.Quote(settings[name]))
	}
	fmt.Fprintf(&b, "include %s\n", local.Quote(n.file("replication.conf")))
	return b.String()
}

// hostBased is the text of pg_hba.conf: each role only where it has to go, replication only from the partner.
func (n *Node) hostBased(database string) string {
	lines := []string{
		"host replication " + pairsql.ReplicationRole + " " + host + "/32 scram-sha-256",
		"host " + pairsql.BotDatabase + " " + pairsql.ReplicationRole + " " + host + "/32 scram-sha-256",
		"host " + pairsql.BotDatabase + " " + pairsql.BotRole + " " + host + "/32 scram-sha-256",
		"host " + database + " " + pairsql.BotRole + " " + host + "/32 scram-sha-256",
		"host " + database + " " + AppRole + " " + host + "/32 scram-sha-256",
		"host all " + local.Superuser + " " + host + "/32 scram-sha-256",
	}
	return strings.Join(lines, "\n") + "\n"
}

// passwords is the text of the password file with which this node logs in at its partner. Passwords made here
// hold no character that would need escaping.
func (n *Node) passwords(password string) string {
	return strings.Join([]string{host, strconv.Itoa(n.Upstream.Port), "*", pairsql.ReplicationRole, password}, ":") + "\n"
}

func (n *Node) file(name string) string { return filepath.Join(n.Dir, name) }
