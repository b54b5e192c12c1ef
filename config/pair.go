package config

// Pair is two servers of one system. Which of them is the primary is never
// configured, only observed.
type Pair struct {
	Name            string    `yaml:"name" validate:"required,pairname" jsonschema:"required" jsonschema_description:"Name in commands and messages."`
	Database        string    `yaml:"database" validate:"required,dbname" jsonschema:"required" jsonschema_description:"Database that clients connect to, and the bot too."`
	User            string    `yaml:"user,omitempty" validate:"omitempty,dbname" jsonschema_description:"Role in the connection string for clients; may be left out. It never has a password there."`
	Schemas         []string  `yaml:"schemas" validate:"dive,required,dbname" jsonschema_description:"Schemas that verify-data compares on both nodes."`
	SSLMode         string    `yaml:"sslmode" validate:"required,sslmode" jsonschema:"enum=disable,enum=require,enum=verify-ca,enum=verify-full" jsonschema_description:"sslmode in the connection string for clients."`
	AfterSwitchover string    `yaml:"after_switchover" validate:"required,after" jsonschema:"enum=block,enum=degrade" jsonschema_description:"Whether the new primary waits for its standby after a planned switchover (block) or takes writes alone until it is back (degrade)."`
	AfterFailover   string    `yaml:"after_failover" validate:"required,after" jsonschema:"enum=block,enum=degrade" jsonschema_description:"The same after a disaster failover, where block means no writes until a standby is back."`
	Endpoint        *Endpoint `yaml:"endpoint,omitempty" validate:"omitempty" jsonschema_description:"What leads clients to the primary beside the connection string; moved after each promotion."`
	Nodes           []Node    `yaml:"nodes" validate:"len=2,dive" jsonschema:"required,minItems=2,maxItems=2" jsonschema_description:"The two servers."`
}

// Node is one server: how clients and its partner reach it, and how the bot
// logs in. At most one of Password and Passfile is set.
type Node struct {
	Name    string `yaml:"name" validate:"required,nodename" jsonschema:"required" jsonschema_description:"Name of the node, and the application_name with which it streams from its partner."`
	Site    string `yaml:"site" validate:"required,word" jsonschema_description:"Where it stands; for people."`
	Host    string `yaml:"host" validate:"required,host" jsonschema:"required" jsonschema_description:"Host name or address that clients, the partner and the bot connect to."`
	Port    Port   `yaml:"port" jsonschema_description:"Port of the server."`
	Slot    string `yaml:"slot" validate:"required,slot" jsonschema_description:"Physical replication slot that this node uses on its partner while it is the standby."`
	Address string `yaml:"address,omitempty" validate:"omitempty,ip" jsonschema_description:"IP address of the server, where host is a name and an EndpointSlice has to lead to it."`
	Source  string `yaml:"source" validate:"required,ip" jsonschema_description:"IP address from which this node's WAL receiver reaches its partner. May be left out when host is an IP address and the same."`

	User        string `yaml:"user" validate:"required,dbname" jsonschema_description:"The bot's own role on this server."`
	Password    Ref    `yaml:"password,omitempty" validate:"optionalref" jsonschema_description:"Where that role's password stands."`
	Passfile    string `yaml:"passfile,omitempty" validate:"omitempty,abspath" jsonschema_description:"A libpq password file instead."`
	SSLMode     string `yaml:"sslmode" validate:"required,sslmode" jsonschema:"enum=disable,enum=require,enum=verify-ca,enum=verify-full" jsonschema_description:"sslmode of the bot's own connections."`
	SSLRootCert string `yaml:"sslrootcert,omitempty" validate:"omitempty,abspath" jsonschema_description:"Certificates of the authorities that may have signed the server's; the system's when left out."`
	SSLCert     string `yaml:"sslcert,omitempty" validate:"omitempty,abspath" jsonschema_description:"Client certificate of the bot's role, for servers that ask for one."`
	SSLKey      string `yaml:"sslkey,omitempty" validate:"omitempty,abspath" jsonschema_description:"Key of sslcert."`

	Driver Driver `yaml:"driver,omitempty" jsonschema_description:"What gives the bot power over this server's process. Without one it can promote, but neither stop, fence nor rejoin this node."`
}

// Driver is how the bot stops, starts, fences and rejoins a node's server. Fence
// is never empty where a driver is set.
type Driver struct {
	Vultr *Instance `yaml:"vultr,omitempty" validate:"omitempty" jsonschema_description:"The server's machine is a Vultr instance: the bot can halt it, to fence the node."`
	Kube  *Kube     `yaml:"kube,omitempty" validate:"omitempty" jsonschema_description:"The server is the one pod of a StatefulSet."`
	Fence []string  `yaml:"fence,omitempty" validate:"dive,fence" jsonschema_description:"The drivers that fence this node, in the order in which they are tried until one is proven; all that are set when left out, the server's own first."`
	Local *Local    `yaml:"local,omitempty" validate:"omitempty" jsonschema_description:"The server is a process of the bot's own machine."`
}

// Local is a server that runs as a process of the bot's own machine.
type Local struct {
	Programs    string      `yaml:"programs,omitempty" validate:"omitempty,abspath" jsonschema_description:"Folder with the server's programs (postgres, pg_ctl, pg_rewind …); looked for when left out."`
	DataDir     string      `yaml:"data_dir" validate:"required,abspath" jsonschema:"required" jsonschema_description:"The server's data folder."`
	ConfigFile  string      `yaml:"config_file,omitempty" validate:"omitempty,abspath" jsonschema_description:"The server's main configuration file, when it isn't postgresql.conf in the data folder. Outside of it, a rewind or copy can't replace it."`
	Include     string      `yaml:"upstream_file,omitempty" validate:"omitempty,abspath" jsonschema_description:"The file outside of the data folder that the server's configuration includes and that the bot writes primary_conninfo to; data_dir with .upstream.conf when left out."`
	LogFile     string      `yaml:"log_file" validate:"required,abspath" jsonschema:"required" jsonschema_description:"Where the server's own output goes when the bot starts it."`
	OSUser      string      `yaml:"os_user,omitempty" validate:"omitempty,word" jsonschema_description:"Account that the server runs as; needed when the bot runs as root."`
	Replication Replication `yaml:"replication" jsonschema_description:"How this node logs in at its partner to stream, rewind and copy."`
}

// Replication is how a node logs in at its partner. The password stands in a
// file because primary_conninfo would show it to every role that monitors.
type Replication struct {
	User        string `yaml:"user" validate:"required,dbname" jsonschema_description:"Role with REPLICATION on both nodes."`
	Passfile    string `yaml:"passfile,omitempty" validate:"omitempty,abspath" jsonschema_description:"libpq password file with that role's password; the server's account must be able to read it."`
	SSLMode     string `yaml:"sslmode" validate:"required,sslmode" jsonschema:"enum=disable,enum=require,enum=verify-ca,enum=verify-full" jsonschema_description:"sslmode of these connections."`
	SSLRootCert string `yaml:"sslrootcert,omitempty" validate:"omitempty,abspath" jsonschema_description:"Certificates of the authorities that may have signed the partner's; needed to verify it."`
}
