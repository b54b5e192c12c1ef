package bot_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"twokey/bot"
	"twokey/bot/slacksim"
)

// called are the methods of the Web API that the bots of all tests called, by
// whether their channel was private.
var called = struct {
	mu      sync.Mutex
	methods map[bool]map[string]bool
}{methods: map[bool]map[string]bool{false: {}, true: {}}}

func noteCalls(s *slacksim.Snapshot, o slacksim.Options) {
	called.mu.Lock()
	defer called.mu.Unlock()
	private := slices.Contains(o.Scopes, "groups:history")
	for _, method := range s.Methods() {
		called.methods[private][method] = true
	}
}

// scopesFit compares what the manifest asks for with what was called in all
// tests of this run: nothing may be missing, and nothing be asked for in vain.
// It is TestMain's, because only then everything was called. The exit code is 1
// where it doesn't fit.
func scopesFit() int {
	called.mu.Lock()
	defer called.mu.Unlock()
	code := 0
	for _, private := range []bool{false, true} {
		o := bot.ManifestOptions{Private: private}
		missing, vain := compareScopes(o, called.methods[private])
		if !wholeRun() || private { // few tests have a private channel
			vain = nil
		}
		for _, text := range slices.Concat(missing, vain) {
			fmt.Fprintf(os.Stderr, "FAIL: the manifest (private channel: %t) %s; see uses in manifest.go\n", private, text)
			code = 1
		}
	}
	return code
}

func compareScopes(o bot.ManifestOptions, methods map[string]bool) (missing, vain []string) {
	needed := map[string]string{"commands": "slash commands"}
	for _, event := range o.Events() {
		needed[slacksim.EventScopes()[event]] = event
	}
	for method := range methods {
		scope := slacksim.Scopes()[method]
		if what, reading := strings.CutPrefix(scope, "channels:"); o.Private && reading {
			scope = "groups:" + what
		}
		needed[scope] = method
	}
	delete(needed, "")
	for _, scope := range slices.Sorted(maps.Keys(needed)) {
		if !slices.Contains(o.Scopes(), scope) {
			missing = append(missing, fmt.Sprintf("lacks the scope %s, which %s needs", scope, needed[scope]))
		}
	}
	for _, scope := range o.Scopes() {
		if needed[scope] == "" {
			vain = append(vain, "asks for the scope "+scope+", which nothing that was called needs")
		}
	}
	return missing, vain
}

// wholeRun says that all tests of the package ran.
func wholeRun() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.fuzz", "test.short", "test.bench"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != f.DefValue {
			return false
		}
	}
	return true
}

func TestScopesAreComparedWithWhatWasCalled(t *testing.T) {
	t.Parallel()
	o, all := bot.ManifestOptions{}, map[string]bool{}
	for method, scope := range slacksim.Scopes() {
		if slices.Contains(o.Scopes(), scope) {
			all[method] = true
		}
	}
	if missing, vain := compareScopes(o, all); missing != nil || vain != nil {
		t.Errorf("missing %q, in vain %q", missing, vain)
	}
	all["conversations.open"] = true
	maps.DeleteFunc(all, func(method string, _ bool) bool { return slacksim.Scopes()[method] == "users:read" })
	missing, vain := compareScopes(o, all)
	if len(missing) != 1 || !strings.Contains(missing[0], "im:write") || len(vain) != 1 || !strings.Contains(vain[0], "users:read") {
		t.Errorf("missing %q, in vain %q", missing, vain)
	}
}

// TestAPrivateChannelWorksWithItsOwnManifest: its history and its events need
// other scopes.
func TestAPrivateChannelWorksWithItsOwnManifest(t *testing.T) {
	t.Parallel()
	b := newBundle(t, func(s *setup) {
		s.members = true
		s.sim.Channels = []slacksim.Channel{{ID: ops, Name: "ops", Private: true, BotMember: true}}
	})
	b.Fail("chat.postMessage", slacksim.Lost().Times(1)) // so that the history is searched
	m := b.ask()
	b.press(dba1, m.TS, "approve")
	b.message("1 of 2 approvals")
	b.must(b.DeleteMessage(ops, m.TS))
	b.await("the request to be posted again", func(s *slacksim.Snapshot) bool {
		all := s.Messages(ops)
		return len(all) == 1 && all[0].TS != m.TS
	})
}

func TestManifestNamesWhatIsDelivered(t *testing.T) {
	t.Parallel()
	over, err := bot.ManifestOptions{URL: "https://twokey.example.com/"}.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	b := newBundle(t) // its routes are those of the code
	for what, address := range map[string]string{
		"commands": over.Features.SlashCommands[0].Url, "interactions": over.Settings.Interactivity.RequestUrl, "events": over.Settings.EventSubscriptions.RequestUrl,
	} {
		path, ok := strings.CutPrefix(address, "https://twokey.example.com/")
		if status, _ := b.send("/"+path, nil, nil); !ok || status != 401 {
			t.Errorf("%s go to %s, where the bot answers %d", what, address, status)
		}
	}
	socket, err := bot.ManifestOptions{Socket: true}.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(socket)
	if err != nil || strings.Contains(string(raw), "url") || !socket.Settings.SocketModeEnabled || !socket.Settings.Interactivity.IsEnabled {
		t.Errorf("over Socket Mode, interactivity must be on and nothing have an address: %s, %v", raw, err)
	}
	if n := len([]rune(over.Display.LongDescription)); n < 174 || n > 4000 {
		t.Errorf("a long description of %d characters", n)
	}
}

func TestManifestRefusesWhatSlackWould(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		o    bot.ManifestOptions
		want string
	}{
		"no URL":                 {bot.ManifestOptions{}, "the URL is missing"},
		"plain http":             {bot.ManifestOptions{URL: "http://twokey.example.com"}, "https://"},
		"a password in the URL":  {bot.ManifestOptions{URL: "https://a:b@twokey.example.com"}, "without query, user or password"},
		"a query":                {bot.ManifestOptions{URL: "https://twokey.example.com?x=1"}, "without query"},
		"a URL over Socket Mode": {bot.ManifestOptions{Socket: true, URL: "https://twokey.example.com"}, "has no URL"},
		"a long name":            {bot.ManifestOptions{Socket: true, Name: strings.Repeat("ü", 36)}, "36 characters"},
	} {
		if _, err := c.o.Manifest(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
