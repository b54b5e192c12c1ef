package local

// What the tests look at from outside.
var (
	DescribePS        = describePS
	ServerProcessesPS = serverProcessesPS
	ParsePS           = parsePS
	WithoutOverrides  = withoutStandbyOverrides
	ParsePidFile      = parsePidFile
	ParseControl      = parseControl
	ParseHistory      = parseHistory
	ParseRecord       = parseRecord
	SegmentFile       = segmentFile
)

// SeenClean and CleanControl are what Follow goes by.
var (
	SeenClean    = Server.seenClean
	CleanControl = cleanControl
)

// Zombie and Program show facts.
func (f facts) Zombie() bool    { return f.zombie }
func (f facts) Program() string { return f.program }
func (f facts) Parent() int     { return f.parent }

// PID and Status show a pidFile.
func (f pidFile) PID() int       { return f.pid }
func (f pidFile) Single() bool   { return f.single }
func (f pidFile) Port() int      { return f.port }
func (f pidFile) Segment() int   { return f.segment }
func (f pidFile) Status() string { return f.status }

// Start and End show a record.
func (r record) Start() uint64             { return uint64(r.start) }
func (r record) End(segment uint64) uint64 { return uint64(r.end(segment)) }

// ClearStale and RemovePidFile are what a start does about an old postmaster.pid.
var (
	ClearStale    = Server.clearStale
	RemovePidFile = Server.removePidFile
)

// Lines gives pg_waldump's lines of a server's log.
var Walk = Server.walk

// Evidence is what a guard decides by.
var Evidence = (*Guard).evidence
