package vultr_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"twokey/actions/vultr"
	"twokey/actions/vultr/vultrfake"
)

func (b *bundle) wantHolds(want string) {
	b.Helper()
	if data, ttl := b.fake.Record("example.com", recordID); data != want || ttl != 60 {
		b.Errorf("the record holds %s for %d s, want %s for 60 s", data, ttl, want)
	}
}

func TestRecordLooksMovesAndReadsBack(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	for _, node := range []string{"dc2", "dc2", "dc1"} {
		b.must(b.record.Point(b.ctx, node))
		if leads, err := b.record.Read(b.ctx); leads != node || err != nil {
			t.Errorf("it leads to %q, %v, want %s", leads, err, node)
		}
	}
	b.wantHolds("192.0.2.1")
	if orders := b.fake.Count(vultrfake.UpdateRecord); orders != 2 {
		t.Errorf("ordered %d times: what is so already needs no order", orders)
	}
	if want := "DNS record db.example.com (A, at Vultr, TTL 60 s: whoever has asked before finds the new one at most that much later)"; b.record.Describe() != want {
		t.Error(b.record.Describe())
	}
}

func TestRecordReadsWhatItIsToldToLookAt(t *testing.T) {
	t.Parallel()
	lie := func(l vultrfake.Lie) func(*bundle) {
		return func(b *bundle) { b.fake.AlwaysLie(vultrfake.GetRecord, l) }
	}
	there := func(kind, name, data string, ttl int) func(*bundle) {
		return func(b *bundle) { b.fake.AddRecord("example.com", recordID, kind, name, data, ttl) }
	}
	for title, row := range map[string]struct {
		api  func(*bundle)
		node string
		says []string
	}{
		"it leads to one":     {there("A", "db", "192.0.2.2", 60), "dc2", nil},
		"it leads elsewhere":  {there("A", "db", "198.51.100.7", 60), "", nil},
		"in capitals":         {there("A", "DB", "192.0.2.2", 60), "dc2", nil},
		"another TTL":         {there("A", "db", "192.0.2.2", 3600), "dc2", []string{"its TTL is 3600 s, not 60 s"}},
		"another name":        {there("A", "www", "192.0.2.2", 60), "", []string{`is "www" of type A, not "db"`, "changes no other record"}},
		"another type":        {there("TXT", "db", "192.0.2.2", 60), "", []string{`of type TXT, not "db" of type A`}},
		"another record":      {lie(vultrfake.Lie{Status: 200, Body: `{"record":{"id":"` + strange + `","type":"A","name":"db"}}`}), "", []string{"not about this record"}},
		"an empty object":     {lie(vultrfake.Lie{Status: 200, Body: `{}`}), "", []string{"not about this record"}},
		"a page":              {lie(vultrfake.Lie{Status: 200, Body: `<html>`}), "", []string{"not the API's JSON"}},
		"a wrong key":         {lie(vultrfake.Lie{Status: 401}), "", []string{"401", "Check vultr.api_key"}},
		"no such record":      {lie(vultrfake.Lie{Status: 404}), "", []string{"404", "Check the id"}},
		"trouble":             {lie(vultrfake.Lie{Status: 500}), "", []string{"500"}},
		"trouble, but passes": {func(b *bundle) { b.fake.Lie(vultrfake.GetRecord, vultrfake.Lie{Status: 500}) }, "dc1", nil},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			row.api(b)
			node, err := b.record.Read(b.ctx)
			if node != row.node {
				t.Errorf("it leads to %q, want %q", node, row.node)
			}
			if row.says != nil {
				b.wantError(err, false, row.says...)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRecordIsPointed(t *testing.T) {
	t.Parallel()
	lies := func(l ...vultrfake.Lie) func(*bundle) {
		return func(b *bundle) { b.fake.Lie(vultrfake.UpdateRecord, l...) }
	}
	always := func(l vultrfake.Lie) func(*bundle) {
		return func(b *bundle) { b.fake.AlwaysLie(vultrfake.UpdateRecord, l) }
	}
	for title, row := range map[string]struct {
		api       func(*bundle)
		orders    int
		holds     string
		says      []string
		uncertain bool
	}{
		"taken":                                {func(*bundle) {}, 1, "192.0.2.2", nil, false},
		"its TTL is put right":                 {func(b *bundle) { b.fake.AddRecord("example.com", recordID, "A", "db", "192.0.2.2", 3600) }, 1, "192.0.2.2", nil, false},
		"done, but the answer is lost":         {lies(vultrfake.Lie{Cut: true, Does: true}), 1, "192.0.2.2", nil, false},
		"done, but answered with trouble":      {lies(vultrfake.Lie{Status: 500, Does: true}), 1, "192.0.2.2", nil, false},
		"trouble, then taken":                  {lies(vultrfake.Lie{Status: 500}), 2, "192.0.2.2", nil, false},
		"too many requests, then taken":        {lies(vultrfake.Lie{Status: 429, Header: http.Header{"Retry-After": {"600"}}}), 2, "192.0.2.2", nil, false},
		"taken, but never done":                {lies(vultrfake.Lie{Status: 204}), 1, "192.0.2.1", []string{"took the order, but the record reads otherwise"}, true},
		"a wrong key":                          {always(vultrfake.Lie{Status: 401}), 1, "192.0.2.1", []string{"point DNS record db.example.com at 192.0.2.2", "401"}, false},
		"trouble, always":                      {always(vultrfake.Lie{Status: 500}), 3, "192.0.2.1", []string{"500"}, true},
		"a record of that id and another name": {func(b *bundle) { b.fake.AddRecord("example.com", recordID, "A", "www", "192.0.2.1", 60) }, 0, "192.0.2.1", []string{"changes no other record"}, false},
		"it can't be read":                     {func(b *bundle) { b.fake.AlwaysLie(vultrfake.GetRecord, vultrfake.Lie{Status: 500}) }, 0, "192.0.2.1", []string{"read DNS record", "500"}, false},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			row.api(b)
			ctx, cancel := context.WithTimeoutCause(b.ctx, 2*time.Second, errors.New("pointing took longer than 2s"))
			defer cancel()
			err := b.record.Point(ctx, "dc2")
			if row.says != nil {
				b.wantError(err, row.uncertain, row.says...)
			} else if err != nil {
				t.Error(err)
			}
			b.wantHolds(row.holds)
			if orders := b.fake.Count(vultrfake.UpdateRecord); orders != row.orders {
				t.Errorf("ordered %d times, want %d: %q", orders, row.orders, b.fake.Asked())
			}
		})
	}
}

func TestRecordRefusesAStranger(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.wantError(b.record.Point(b.ctx, "dc3"), false, "dc3")
	if asked := b.fake.Asked(); len(asked) > 0 {
		t.Errorf("asked %q", asked)
	}
}

// Which type the record has follows from what the nodes are called.
func TestRecordOptions(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	hosts := func(a, c string) func(*vultr.RecordOptions) {
		return func(o *vultr.RecordOptions) { o.Hosts = map[string]string{"dc1": a, "dc2": c} }
	}
	for title, row := range map[string]struct {
		change func(*vultr.RecordOptions)
		kind   string // "" for refused
	}{
		"two IPv4 addresses":        {func(*vultr.RecordOptions) {}, "(A,"},
		"two IPv6 addresses":        {hosts("2001:db8::1", "2001:db8::2"), "(AAAA,"},
		"two names":                 {hosts("dc1.example.com", "dc2.example.com."), "(CNAME,"},
		"an address and a name":     {hosts("192.0.2.1", "dc2.example.com"), ""},
		"an IPv4 and an IPv6":       {hosts("192.0.2.1", "2001:db8::2"), ""},
		"the same twice":            {hosts("dc1.example.com", "DC1.example.com."), ""},
		"one node":                  {func(o *vultr.RecordOptions) { o.Hosts = map[string]string{"dc1": "192.0.2.1"} }, ""},
		"the domain itself":         {func(o *vultr.RecordOptions) { o.Name = "" }, "record example.com (A,"},
		"the domain as an alias":    {func(o *vultr.RecordOptions) { o.Name = ""; hosts("a.example.com", "b.example.com")(o) }, ""},
		"no domain":                 {func(o *vultr.RecordOptions) { o.Domain = "" }, ""},
		"a path as domain":          {func(o *vultr.RecordOptions) { o.Domain = "example.com/records" }, ""},
		"dots as domain":            {func(o *vultr.RecordOptions) { o.Domain = ".." }, ""},
		"a question in the domain":  {func(o *vultr.RecordOptions) { o.Domain = "example.com?x" }, ""},
		"no TTL":                    {func(o *vultr.RecordOptions) { o.TTL = 0 }, ""},
		"a TTL of half a second":    {func(o *vultr.RecordOptions) { o.TTL = 500 * time.Millisecond }, ""},
		"a TTL of one and a half s": {func(o *vultr.RecordOptions) { o.TTL = 1500 * time.Millisecond }, ""},
	} {
		o := dbRecord()
		o.Hosts = maps.Clone(o.Hosts)
		row.change(&o)
		r, err := b.api.Record(o)
		if (err == nil) != (row.kind != "") || err == nil && !strings.Contains(r.Describe(), row.kind) {
			t.Errorf("%s: %v, want %q", title, err, row.kind)
		}
	}
}
