package local_test

import (
	"os"
	"strings"
	"testing"
)

// TestLoginIsTriedByTheNodes: the old primary's way back is tried with its own
// login while it is still the primary. The standby doesn't try: it would be a
// walsender more on the primary, and stand in the way of a switchover.
func TestLoginIsTriedByTheNodes(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	for _, n := range b.pair.Nodes {
		if in := n.Machine().Inside(b.ctx); in.Login != "" || in.DiskFree <= 0 {
			t.Errorf("%s, from within: %+v", n.Name, in)
		}
	}
	hba := b.b.Dir + "/pg_hba.conf"
	text, err := os.ReadFile(hba)
	b.must(err)
	b.must(os.WriteFile(hba, []byte("host replication twokey_replication 127.0.0.1/32 reject\n"+string(text)), 0o600))
	b.must(b.b.Server.Reload(b.ctx))
	b.until("B lets A's WAL receiver in no more", func() bool {
		in := b.a.Machine().Inside(b.ctx)
		return strings.Contains(in.Login, "for replication: the partner can't be used as a source") && strings.Contains(in.Login, "pg_hba")
	})
	b.must(os.WriteFile(b.a.Upstream.Passfile, nil, 0o600))
	if in := b.a.Machine().Inside(b.ctx); !strings.Contains(in.Login, "for pg_rewind: ") {
		t.Errorf("without its password A gets in: %+v", in)
	}
	b.must(os.WriteFile(b.b.Upstream.Passfile, nil, 0o600))
	if in := b.b.Machine().Inside(b.ctx); in.Login != "" {
		t.Errorf("B, a standby, tries to log in at A: %s", in.Login)
	}
}
