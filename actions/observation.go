package actions

import (
	"fmt"
	"time"
)

// Observation is everything read from one node at one moment, or why nothing
// could be read. Exactly one of Server and Failure is set.
type Observation struct {
	Node    string        `json:"node"`
	At      time.Time     `json:"at"`   // the bot's clock when the question left
	Took    time.Duration `json:"took"` // nanoseconds
	Server  *Server       `json:"server,omitempty"`
	Failure *Failure      `json:"failure,omitempty"`
}

// Reach classifies why a node could not be observed.
type Reach string

// The classes, from "nobody there" to "there, but not for us".
const (
	Unreachable Reach = "unreachable" // no route, connection refused, reset
	Silent      Reach = "silent"      // connected or not, it didn't answer within the deadline
	Starting    Reach = "starting"    // the server says that it is starting up or shutting down
	Denied      Reach = "denied"      // authentication, authorization, TLS
	Garbled     Reach = "garbled"     // an answer that can't be understood
)

// Failure is why an observation has no Server. Text is for people and free of
// secrets.
type Failure struct {
	Reach Reach  `json:"reach"`
	Text  string `json:"text"`
}

// Error lets a Failure be returned where nothing else went wrong.
func (f *Failure) Error() string { return fmt.Sprintf("%s: %s", f.Reach, f.Text) }

// Server is one PostgreSQL server as seen by one query. Fields that only a
// primary or only a standby has are zero on the other.
type Server struct {
	Now        time.Time `json:"now"` // the server's clock
	VersionNum int       `json:"version_num"`
	SystemID   string    `json:"system_id"`
	InRecovery bool      `json:"in_recovery"`
	StartedAt  time.Time `json:"started_at"`     // postmaster
	ConfLoaded time.Time `json:"conf_loaded_at"` // pg_conf_load_time() of a fresh session

	Timeline   uint32     `json:"timeline"` // primary: of the WAL being written; standby: of the control file
	Checkpoint Checkpoint `json:"checkpoint"`
	FlushLSN   LSN        `json:"flush_lsn"`   // primary: pg_current_wal_flush_lsn()
	ReceiveLSN LSN        `json:"receive_lsn"` // standby: greatest of received and replayed, see traps
	ReplayLSN  LSN        `json:"replay_lsn"`  // standby

	ReplayPause    string            `json:"replay_pause"`    // standby: not paused, pause requested, paused
	ReplayConflict bool              `json:"replay_conflict"` // standby: the startup process waits for a session
	LastReplayAt   *time.Time        `json:"last_replay_at"`  // commit time of the last replayed transaction
	ConninfoSet    bool              `json:"conninfo_set"`    // primary_conninfo is not empty
	Settings       map[string]string `json:"settings"`        // see SettingNames
	SyncOverrides  []string          `json:"sync_overrides"`  // "role app", "database orders": own synchronous_commit
	PendingRestart []string          `json:"pending_restart"` // settings that wait for a restart

	Standbys    []Standby `json:"standbys"`  // pg_stat_replication
	Receiver    *Receiver `json:"receiver"`  // pg_stat_wal_receiver
	Receivers   int       `json:"receivers"` // walreceiver processes in pg_stat_activity
	Slots       []Slot    `json:"slots"`
	SyncWaiters int       `json:"sync_waiters"` // sessions in wait_event SyncRep
	Prepared    int       `json:"prepared"`     // prepared transactions
	PreparedAt  time.Time `json:"prepared_at"`  // of the oldest one
	BaseBackups int       `json:"base_backups"` // running base backups
	Archiver    Archiver  `json:"archiver"`
	Unlogged    Unlogged  `json:"unlogged"`
	Checksums   bool      `json:"checksums"`
	Rights      []string  `json:"missing_rights"` // what the bot's role lacks, e.g. "EXECUTE on pg_promote"
}

// Checkpoint is pg_control_checkpoint(): the last checkpoint or restartpoint.
type Checkpoint struct {
	LSN      LSN       `json:"lsn"`
	Redo     LSN       `json:"redo"`
	Timeline uint32    `json:"timeline"`
	Time     time.Time `json:"time"` // seconds
}

// Standby is one row of pg_stat_replication. Lags are nil when the server
// doesn't know them.
type Standby struct {
	Name       string         `json:"application_name"`
	User       string         `json:"user"`
	ClientAddr string         `json:"client_addr"`
	State      string         `json:"state"`
	SyncState  string         `json:"sync_state"`
	Sent       LSN            `json:"sent_lsn"`
	Write      LSN            `json:"write_lsn"`
	Flush      LSN            `json:"flush_lsn"`
	Replay     LSN            `json:"replay_lsn"`
	WriteLag   *time.Duration `json:"write_lag"` // nanoseconds, like the next two
	FlushLag   *time.Duration `json:"flush_lag"`
	ReplayLag  *time.Duration `json:"replay_lag"`
	ReplyAt    *time.Time     `json:"reply_at"`
}

// Receiver is pg_stat_wal_receiver without its conninfo.
type Receiver struct {
	Status     string     `json:"status"`
	Timeline   uint32     `json:"received_tli"`
	Flushed    LSN        `json:"flushed_lsn"`
	Slot       string     `json:"slot"`
	SenderHost string     `json:"sender_host"`
	SenderPort int        `json:"sender_port"`
	LastMsgAt  *time.Time `json:"last_msg_at"`
}

// Slot is one replication slot. SafeWALSize is nil when the server keeps no
// limit, Synced and the like are false before version 17.
type Slot struct {
	Name         string `json:"name"`
	Type         string `json:"type"`
	Active       bool   `json:"active"`
	Temporary    bool   `json:"temporary"`
	RestartLSN   LSN    `json:"restart_lsn"`
	WALStatus    string `json:"wal_status"`
	SafeWALSize  *int64 `json:"safe_wal_size"` // bytes
	Failover     bool   `json:"failover"`
	Synced       bool   `json:"synced"`
	Invalidation string `json:"invalidation_reason"`
}

// Archiver is pg_stat_archiver as far as it matters for a stop, and what waits
// to be archived.
type Archiver struct {
	Failing  bool       `json:"failing"` // the last attempt failed
	FailedAt *time.Time `json:"failed_at"`
	FailedWA string     `json:"failed_wal"`
	Waiting  int        `json:"waiting"`         // WAL files; 0 without archiving, -1 when they could not be counted
	Oldest   time.Time  `json:"oldest,omitzero"` // since when the oldest of them waits
}

// Unlogged are the unlogged tables of the application's database: empty after
// a promotion, and so no part of the promise.
type Unlogged struct {
	Count int       `json:"count"` // -1 when they could not be counted
	Names []string  `json:"names"` // the first of them, with their schemas
	At    time.Time `json:"at"`    // when they were counted: seldom, see the driver
}

// SettingNames are the settings that Server.Settings holds, in server units.
func SettingNames() []string {
	return []string{
		"synchronous_commit", "synchronous_standby_names", "fsync", "full_page_writes",
		"wal_log_hints", "hot_standby", "recovery_min_apply_delay", "restore_command",
		"archive_mode", "archive_command", "archive_library",
		"max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_transactions",
		"max_locks_per_transaction", "max_replication_slots", "max_slot_wal_keep_size", "wal_keep_size",
		"wal_retrieve_retry_interval", "wal_sender_timeout", "wal_level", "allow_alter_system",
		"synchronized_standby_slots", "primary_slot_name", "hot_standby_feedback", "default_transaction_read_only", "ssl",
	}
}
