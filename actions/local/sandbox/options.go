package sandbox

import (
	"fmt"
	"os"
	"regexp"

	"twokey/actions/local"
	"twokey/actions/local/janitor"
	"twokey/actions/local/pgbin"
)

// Options say what pair to make. The zero value makes pair "orders" of dc1 and dc2 in the temporary folder.
type Options struct {
	// Programs are PostgreSQL's; the zero value finds them.
	Programs pgbin.Programs
	// Dir is the folder in which the pair's own is made; empty is the system's for temporary files.
	Dir string
	// Memory prefers a memory file system where the machine has one and Dir is empty.
	Memory bool
	// Pair is its name, empty for "orders".
	Pair string
	// Nodes are the names, empty for dc1 and dc2. The first becomes the primary.
	Nodes [2]string
	// Database is the application's, empty for "orders".
	Database string
	// Settings are added to both configurations, over the sandbox's own.
	Settings map[string]string
	// Route gives the port under which a node reaches its partner's: a forwarder's, say. Nil is the port itself.
	Route func(node string, port int) (int, error)
	// Prepare is called with a node's name and its new folder, before anything lies in it; nil does nothing.
	Prepare func(node, dir string) error
	// Env is added to the servers' environment.
	Env []string
	// Janitor is told of the servers and the folder; nil where nobody may kill this process.
	Janitor *janitor.Janitor
	// Templates is where clusters are copied from; the zero value is the user's cache.
	Templates local.Templates
}

// nodeName is what a name may look like without quoting in synchronous_standby_names, in a slot's name and in
// a file's.
var nodeName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,30}$`)

func (o Options) complete() (Options, error) {
	if o.Pair == "" {
		o.Pair = "orders"
	}
	if o.Database == "" {
		o.Database = "orders"
	}
	if o.Nodes == [2]string{} {
		o.Nodes = [2]string{"dc1", "dc2"}
	}
	for _, name := range o.Nodes {
		if !nodeName.MatchString(name) {
			return o, fmt.Errorf("node name %q must match %s", name, nodeName)
		}
	}
	if o.Nodes[0] == o.Nodes[1] {
		return o, fmt.Errorf("both nodes are named %q", o.Nodes[0])
	}
	if o.Dir == "" {
		o.Dir = parent(o.Memory)
	}
	return o, nil
}

// memoryFolder is where Linux has its memory file system.
const memoryFolder = "/dev/shm"

// leastMemory is what a pair needs there at most, with room for a base backup; containers often get 64 MB.
const leastMemory = 1 << 30

func parent(memory bool) string {
	if memory && freeBytes(memoryFolder) >= leastMemory {
		return memoryFolder
	}
	return os.TempDir()
}
