package postgres

// What the tests of pure parts need.
var (
	SyncNames     = syncNames
	ParseHistory  = parseHistory
	RecordEnd     = recordEnd
	ShutdownStart = shutdownStart
	Classify      = classify
	ProgressText  = progressText
)

// ShutdownCheckLen is the aligned length of a checkpoint record.
const ShutdownCheckLen = shutdownCheckLen

// WithoutWALInspect makes the node's next sessions act as if pg_walinspect
// weren't there.
func (n *Node) WithoutWALInspect() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.idle != nil {
		n.idle.wal = &walAccess{segment: 16 << 20}
	}
}
