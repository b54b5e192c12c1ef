package vultr_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"twokey/actions"
	"twokey/actions/vultr"
	"twokey/actions/vultr/vultrfake"
	"twokey/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	key      = "PLANTEDKEY7HUNTER2"
	instance = "cb676a46-66fd-4dfb-b839-443f2e6c0b60"
	recordID = "b92f4771-d8cd-480a-b6e6-a14ca31ea2ca"
	strange  = "00000000-0000-4000-8000-000000000000"
	timeout  = 300 * time.Millisecond // of one request
)

// bundle is an account with an instance that runs and a record that leads to dc1.
type bundle struct {
	*testing.T
	ctx    context.Context
	fake   *vultrfake.Server
	api    *vultr.API
	fence  *vultr.Fence
	record *vultr.Record
}

func newBundle(t *testing.T) *bundle {
	t.Helper()
	return newBundleWith(t, key, instance)
}

func newBundleWith(t *testing.T, with, id string) *bundle {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	b := &bundle{T: t, ctx: ctx, fake: vultrfake.New(key)}
	t.Cleanup(b.fake.Close)
	b.fake.AddInstance(instance, "dc1", "atl")
	b.fake.AddRecord("example.com", recordID, "A", "db", "192.0.2.1", 60)
	b.api = b.reach(b.fake.URL, with)
	var err error
	if b.fence, err = b.api.Fence(id); err != nil {
		t.Fatal(err)
	}
	if b.record, err = b.api.Record(dbRecord()); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bundle) reach(url, with string) *vultr.API {
	b.Helper()
	api, err := vultr.New(vultr.Options{Key: secret.New(with), URL: url, Timeout: timeout, LongestWait: 300 * time.Millisecond, Pace: 10 * time.Millisecond})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(api.Close)
	return api
}

func dbRecord() vultr.RecordOptions {
	return vultr.RecordOptions{
		Domain: "example.com", ID: recordID, Name: "db", TTL: time.Minute,
		Hosts: map[string]string{"dc1": "192.0.2.1", "dc2": "192.0.2.2"},
	}
}

// wantError: it says all the words, shows no key, and is uncertain or not.
func (b *bundle) wantError(err error, uncertain bool, words ...string) {
	b.Helper()
	if err == nil {
		b.Errorf("no error, want one with %q", words)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			b.Errorf("%q doesn't say %q", err, w)
		}
	}
	if _, is := errors.AsType[*actions.Uncertain](err); is != uncertain {
		b.Errorf("%q: uncertain is %t, want %t", err, is, uncertain)
	}
	wantNoKey(b.T, err)
}

// wantNoKey: however it is printed, logged or encoded, the key isn't in it.
func wantNoKey(t *testing.T, v any) {
	t.Helper()
	var out strings.Builder
	fmt.Fprintf(&out, "%v %+v %#v %s %q", v, v, v, v, v)
	for err, ok := v.(error); ok && err != nil; err = errors.Unwrap(err) {
		fmt.Fprintf(&out, "%v %+v %#v", err, err, err)
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
	encoded, err := json.Marshal(v)
	if err == nil {
		out.Write(encoded)
	}
	if text := out.String(); strings.Contains(text, key) || strings.Contains(text, "HUNTER2") {
		t.Errorf("the key is shown:\n%s", text)
	}
}

func (b *bundle) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bundle) wantPower(want actions.Power) {
	b.Helper()
	if power, err := b.fence.Read(b.ctx); power != want || err != nil {
		b.Errorf("read as %s, %v, want %s", power, err, want)
	}
}

func TestFenceLooksOrdersAndReadsBack(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.wantPower(actions.PowerOn)
	b.must(b.fence.Off(b.ctx))
	b.wantPower(actions.PowerOff)
	b.must(b.fence.Off(b.ctx))
	if halts := b.fake.Count(vultrfake.Halt); halts != 1 {
		b.Errorf("ordered %d times: an instance that is off is not halted again", halts)
	}
	if want := "halts Vultr instance " + instance; !strings.HasPrefix(b.fence.Describe(), want) {
		b.Error(b.fence.Describe())
	}
}

// What each kind of answer to a reading means. Nothing is ordered by reading.
func TestFenceReadsWhatTheAPISays(t *testing.T) {
	t.Parallel()
	lie := func(l vultrfake.Lie) func(*bundle) {
		return func(b *bundle) { b.fake.AlwaysLie(vultrfake.GetInstance, l) }
	}
	once := func(l vultrfake.Lie) func(*bundle) {
		return func(b *bundle) { b.fake.Lie(vultrfake.GetInstance, l) }
	}
	retry := func(after string) http.Header { return http.Header{"Retry-After": {after}} }
	about := func(id, power, server string) string {
		return fmt.Sprintf(`{"instance":{"id":%q,"status":"active","power_status":%q,"server_status":%q}}`, id, power, server)
	}
	on, off, unknown := actions.PowerOn, actions.PowerOff, actions.PowerUnknown
	for title, row := range map[string]struct {
		api   func(*bundle)
		want  actions.Power
		asked int // at most
		says  []string
	}{
		"it runs":                           {func(*bundle) {}, on, 1, nil},
		"it is stopped":                     {lie(vultrfake.Lie{Status: 200, Body: about(instance, "stopped", "ok")}), off, 1, nil},
		"stopped, and no word on health":    {lie(vultrfake.Lie{Status: 200, Body: about(instance, "stopped", "none")}), off, 1, nil},
		"status alone is no word on power":  {lie(vultrfake.Lie{Status: 200, Body: `{"instance":{"id":"` + instance + `","status":"active","server_status":"ok"}}`}), unknown, 1, []string{`power_status is ""`, "customer portal"}},
		"stopped and locked":                {lie(vultrfake.Lie{Status: 200, Body: about(instance, "stopped", "locked")}), unknown, 1, []string{`server_status is "locked"`, "Wait until that is over"}},
		"running and locked":                {func(b *bundle) { b.fake.SetServerStatus(instance, "locked") }, unknown, 1, []string{`server_status is "locked"`}},
		"it is about to boot":               {lie(vultrfake.Lie{Status: 200, Body: about(instance, "stopped", "installingbooting")}), unknown, 1, []string{"installingbooting"}},
		"a power that nobody knows":         {lie(vultrfake.Lie{Status: 200, Body: about(instance, "paused", "ok")}), unknown, 1, []string{`power_status is "paused"`}},
		"another instance":                  {lie(vultrfake.Lie{Status: 200, Body: about(strange, "stopped", "ok")}), unknown, 1, []string{"not about this instance"}},
		"an empty object":                   {lie(vultrfake.Lie{Status: 200, Body: `{}`}), unknown, 1, []string{"not about this instance", "Check vultr.api_url"}},
		"nothing":                           {lie(vultrfake.Lie{Status: 200}), unknown, 1, []string{"not about this instance"}},
		"a page":                            {lie(vultrfake.Lie{Status: 200, Body: "<html>Sign in</html>", Header: http.Header{"Content-Type": {"text/html"}}}), unknown, 1, []string{"not the API's JSON", "Check vultr.api_url"}},
		"half of an answer":                 {lie(vultrfake.Lie{Status: 200, Body: `{"instance":{"id":"` + instance}), unknown, 1, []string{"not the API's JSON"}},
		"an array":                          {lie(vultrfake.Lie{Status: 200, Body: `[]`}), unknown, 1, []string{"not the API's JSON"}},
		"JSON with a charset":               {lie(vultrfake.Lie{Status: 200, Body: about(instance, "stopped", "ok"), Header: http.Header{"Content-Type": {"application/json; charset=utf-8"}}}), off, 1, nil},
		"a wrong key":                       {lie(vultrfake.Lie{Status: 401, Body: `{"error":"Invalid API token.","status":401}`}), unknown, 1, []string{"read instance " + instance, `401 Unauthorized ("Invalid API token.")`, "Check vultr.api_key"}},
		"a key that may not":                {lie(vultrfake.Lie{Status: 403, Body: `{"error":"no","status":403}`}), unknown, 1, []string{"403 Forbidden", "access list"}},
		"no such instance":                  {lie(vultrfake.Lie{Status: 404, Body: `{"error":"Instance not found.","status":404}`}), unknown, 1, []string{"404 Not Found", "Check the id"}},
		"an error that repeats the key":     {lie(vultrfake.Lie{Status: 401, Body: `{"error":"key ` + key + ` is unknown","status":401}`}), unknown, 1, []string{"key [secret] is unknown"}},
		"an error of many words":            {lie(vultrfake.Lie{Status: 400, Body: `{"error":"` + strings.Repeat("word\\n ", 1000) + `"}`}), unknown, 1, []string{"400 Bad Request", "word word"}},
		"elsewhere":                         {lie(vultrfake.Lie{Status: 302, Header: http.Header{"Location": {"http://192.0.2.1/"}}}), unknown, 1, []string{"302 Found", "Check vultr.api_url"}},
		"too many requests, once":           {once(vultrfake.Lie{Status: 429, Body: `{"error":"slow down"}`, Header: retry("1")}), on, 2, nil},
		"too many requests, for a day":      {lie(vultrfake.Lie{Status: 429, Header: retry("86400")}), unknown, 3, []string{"429 Too Many Requests", "Other programs"}},
		"too many requests, until a date":   {lie(vultrfake.Lie{Status: 429, Header: retry("Fri, 31 Dec 2066 23:59:59 GMT")}), unknown, 3, []string{"429"}},
		"too many requests, nonsense after": {lie(vultrfake.Lie{Status: 429, Header: retry("-5")}), unknown, 3, []string{"429"}},
		"trouble, once":                     {once(vultrfake.Lie{Status: 500, Body: `{"error":"x"}`}), on, 2, nil},
		"trouble":                           {lie(vultrfake.Lie{Status: 500, Body: "<html>"}), unknown, 3, []string{"500 Internal Server Error", "status page"}},
		"a gateway's page":                  {lie(vultrfake.Lie{Status: 502, Body: "<html>bad gateway</html>"}), unknown, 3, []string{"502 Bad Gateway"}},
		"cut off, once":                     {once(vultrfake.Lie{Cut: true}), on, 2, nil},
		"cut off":                           {lie(vultrfake.Lie{Cut: true}), unknown, 3, []string{"no answer from 127.0.0.1", "this machine's way"}},
		"slow":                              {lie(vultrfake.Lie{Slow: timeout / 3}), on, 1, nil},
		"no answer":                         {lie(vultrfake.Lie{Hang: true}), unknown, 3, []string{"gave no answer within 300ms"}},
		"the server is gone":                {func(b *bundle) { b.fake.Close() }, unknown, 0, []string{"connection refused"}},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			row.api(b)
			began := time.Now()
			power, err := b.fence.Read(b.ctx)
			if power != row.want {
				t.Errorf("read as %s, want %s", power, row.want)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
			if row.says != nil {
				b.wantError(err, false, row.says...)
			} else if err != nil {
				t.Errorf("%v", err)
			}
			if asked := b.fake.Count(vultrfake.GetInstance); asked > row.asked || asked < min(1, row.asked) {
				t.Errorf("asked %d times, at most %d were right", asked, row.asked)
			}
			if b.fake.Count(vultrfake.Halt) > 0 {
				t.Error("a reading ordered something")
			}
			if len(fmt.Sprint(err)) > 700 {
				t.Errorf("nobody reads that much: %v", err)
			}
		})
	}
}

// What becomes of an order that is answered otherwise than it should be.
func TestFenceOrders(t *testing.T) {
	t.Parallel()
	refuse := func(status int) vultrfake.Lie {
		return vultrfake.Lie{Status: status, Body: `{"error":"no","status":` + fmt.Sprint(status) + `}`}
	}
	lies := func(l ...vultrfake.Lie) func(*bundle) { return func(b *bundle) { b.fake.Lie(vultrfake.Halt, l...) } }
	always := func(l vultrfake.Lie) func(*bundle) {
		return func(b *bundle) { b.fake.AlwaysLie(vultrfake.Halt, l) }
	}
	reading := func(l vultrfake.Lie) func(*bundle) {
		return func(b *bundle) { b.fake.AlwaysLie(vultrfake.GetInstance, l) }
	}
	for title, row := range map[string]struct {
		api       func(*bundle)
		orders    int
		off       bool // in the end
		says      []string
		uncertain bool
	}{
		"taken":                              {func(*bundle) {}, 1, true, nil, false},
		"taken, and answered with an object": {lies(vultrfake.Lie{Status: 200, Body: `{}`, Does: true}), 1, true, nil, false},
		"taken, but never done":              {func(b *bundle) { b.fake.Deafen(instance) }, 1, false, nil, false},
		"done, but answered with trouble":    {lies(vultrfake.Lie{Status: 500, Does: true}), 1, true, nil, false},
		"done, but the answer is lost":       {lies(vultrfake.Lie{Cut: true, Does: true}), 1, true, nil, false},
		"done, but answered with a page":     {lies(vultrfake.Lie{Status: 200, Body: "<html>", Does: true}), 1, true, nil, false},
		"done, but refused":                  {lies(vultrfake.Lie{Status: 400, Does: true}), 1, true, nil, false},
		"trouble, then taken":                {lies(refuse(500)), 2, true, nil, false},
		"too many requests, then taken":      {lies(vultrfake.Lie{Status: 429, Header: http.Header{"Retry-After": {"3600"}}}), 2, true, nil, false},
		"too many requests, always":          {always(refuse(429)), 3, false, []string{"halt instance " + instance, "429"}, false},
		"trouble, always":                    {always(refuse(503)), 3, false, []string{"halt instance " + instance, "503", "status page"}, true},
		"no answer, ever":                    {always(vultrfake.Lie{Hang: true}), 3, false, []string{"gave no answer within 300ms"}, true},
		"a page, always":                     {always(vultrfake.Lie{Status: 200, Body: "<html>"}), 1, false, []string{"not the API's JSON"}, true},
		"trouble, then too many requests":    {func(b *bundle) { b.fake.Lie(vultrfake.Halt, refuse(500)); always(refuse(429))(b) }, 3, false, []string{"500"}, true},
		"a wrong key":                        {always(refuse(401)), 1, false, []string{"401", "Check vultr.api_key"}, false},
		"no such instance":                   {always(refuse(404)), 1, false, []string{"404", "Check the id"}, false},
		"nothing can be read":                {reading(refuse(500)), 0, false, []string{"read instance", "500"}, false},
		"another instance answers":           {reading(vultrfake.Lie{Status: 200, Body: `{"instance":{"id":"` + strange + `","power_status":"running","server_status":"ok"}}`}), 0, false, []string{"not about this instance"}, false},
		"an empty object":                    {reading(vultrfake.Lie{Status: 200, Body: `{}`}), 0, false, []string{"not about this instance"}, false},
		"off already":                        {func(b *bundle) { b.fake.SetPower(instance, vultrfake.Stopped) }, 0, true, nil, false},
		"locked for a moment": {func(b *bundle) {
			b.fake.SetServerStatus(instance, "locked")
			time.AfterFunc(100*time.Millisecond, func() { b.fake.SetServerStatus(instance, "ok") })
		}, 1, true, nil, false},
		"the order comes while somebody halts it": {func(b *bundle) { b.fake.Lie(vultrfake.Halt, vultrfake.Lie{Status: 400, Does: true}) }, 1, true, nil, false},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			row.api(b)
			err := b.fence.Off(b.ctx)
			if row.says != nil {
				b.wantError(err, row.uncertain, row.says...)
			} else if err != nil {
				t.Errorf("%v", err)
			}
			if orders := b.fake.Count(vultrfake.Halt); orders != row.orders {
				t.Errorf("ordered %d times, want %d: %q", orders, row.orders, b.fake.Asked())
			}
			if off := b.fake.Power(instance) == vultrfake.Stopped; off != row.off {
				t.Errorf("in the end its power is %s", b.fake.Power(instance))
			}
			wantLookedBefore(t, b.fake.Asked())
		})
	}
}

// wantLookedBefore: no order without a look right before it.
func wantLookedBefore(t *testing.T, asked []string) {
	t.Helper()
	for i, op := range asked {
		if op == vultrfake.Halt && (i == 0 || asked[i-1] != vultrfake.GetInstance) {
			t.Errorf("ordered without a look: %q", asked)
		}
	}
}

// An instance that stays locked is not ordered off, and the caller's deadline holds.
func TestFenceWaitsForALockedInstance(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.fake.SetServerStatus(instance, "locked")
	ctx, cancel := context.WithTimeoutCause(b.ctx, 400*time.Millisecond, errors.New("the fence of dc1 took too long"))
	defer cancel()
	began := time.Now()
	b.wantError(b.fence.Off(ctx), false, "locked", "Wait until that is over")
	if took := time.Since(began); took > 3*time.Second || b.fake.Count(vultrfake.Halt) > 0 {
		t.Errorf("%s, %q", took, b.fake.Asked())
	}
}

// Power that somebody switches on again is seen by the reading that counts.
func TestFenceSeesPowerThatComesBack(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.must(b.fence.Off(b.ctx))
	b.wantPower(actions.PowerOff)
	b.fake.SetPower(instance, vultrfake.Running)
	b.wantPower(actions.PowerOn)
}

// Readings in a row are of different moments, whatever the caller's hurry.
func TestFencePacesItsReadings(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	api, err := vultr.New(vultr.Options{Key: secret.New(key), URL: b.fake.URL, Pace: 150 * time.Millisecond})
	b.must(err)
	b.Cleanup(api.Close)
	b.fence, err = api.Fence(instance)
	b.must(err)
	began := time.Now()
	for range 3 {
		b.wantPower(actions.PowerOn)
	}
	if took := time.Since(began); took < 300*time.Millisecond {
		t.Errorf("three readings within %s", took)
	}
}

func TestFenceHonoursItsContext(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.fake.AlwaysLie(vultrfake.GetInstance, vultrfake.Lie{Hang: true})
	b.fake.AlwaysLie(vultrfake.Halt, vultrfake.Lie{Hang: true})
	cause := errors.New("the fence of dc1 took longer than 100ms")
	for name, do := range map[string]func(context.Context) error{
		"off":  b.fence.Off,
		"read": func(ctx context.Context) error { _, err := b.fence.Read(ctx); return err },
	} {
		ctx, cancel := context.WithTimeoutCause(b.ctx, 100*time.Millisecond, cause)
		began := time.Now()
		err := do(ctx)
		cancel()
		if took := time.Since(began); took > time.Second || !errors.Is(err, cause) {
			t.Errorf("%s: %v after %s", name, err, took)
		}
		wantNoKey(t, err)
	}
}

func TestIdsAreCheckedBeforeTheyAreSent(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	for _, id := range []string{"", "..", "dc1", instance + "/halt", "../account", strings.ToUpper(instance), instance[1:], instance + "\n", "%2e%2e"} {
		if _, err := b.api.Fence(id); err == nil || !strings.Contains(err.Error(), "UUID") {
			t.Errorf("%q: %v", id, err)
		}
		o := dbRecord()
		o.ID = id
		if _, err := b.api.Record(o); err == nil {
			t.Errorf("record %q was taken", id)
		}
	}
	if asked := b.fake.Asked(); len(asked) > 0 {
		t.Errorf("asked %q", asked)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for title, o := range map[string]vultr.Options{
		"no key": {}, "a key of two lines": {Key: secret.New("a\nb")}, "a key with a blank": {Key: secret.New("a b")},
		"no address": {Key: secret.New(key), URL: "vultr"}, "a password in the address": {Key: secret.New(key), URL: "https://u:" + key + "@host"},
	} {
		_, err := vultr.New(o)
		if err == nil {
			t.Errorf("%s: taken", title)
			continue
		}
		wantNoKey(t, err)
	}
}

// However the driver's own values are printed, the key isn't there.
func TestTheKeyIsNeverShown(t *testing.T) {
	t.Parallel()
	b := newBundleWith(t, key, instance)
	for _, v := range []any{b.api, b.fence, b.record, *b.api, *b.fence, *b.record, b.fence.Describe(), b.record.Describe()} {
		wantNoKey(t, v)
	}
	wrong := newBundleWith(t, key+"WRONG", instance)
	_, err := wrong.fence.Read(wrong.ctx)
	wrong.wantError(err, false, "401")
	wrong.wantError(wrong.fence.Off(wrong.ctx), false, "401")
}
