package bot_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"twokey/bot"
)

const sdkFolder = "slacksim/testdata/sdk"

// sending collects what the bots of all tests send, and what tests render, one
// of each shape: what is the same but for its words is checked once.
type sending struct {
	mu     sync.Mutex
	shapes map[string]bool
	blocks map[string]json.RawMessage // by a name for messages of the compiler
	views  map[string]json.RawMessage
}

var sent = &sending{shapes: map[string]bool{}, blocks: map[string]json.RawMessage{}, views: map[string]json.RawMessage{}}

func (s *sending) rendered(m bot.Rendered) {
	s.keep(s.blocks, "rendered", m.Blocks)
	s.keep(s.blocks, "rendered", m.Short)
}

func (s *sending) call(method string, arguments map[string]any) {
	s.keep(s.blocks, method, asJSON(arguments["blocks"]))
	s.keep(s.views, method, asJSON(arguments["view"]))
}

// asJSON is an argument that came as JSON, or as its text in a form.
func asJSON(v any) json.RawMessage {
	if v == nil {
		return nil
	}
	if text, ok := v.(string); ok {
		return json.RawMessage(text)
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return raw
}

func (s *sending) keep(in map[string]json.RawMessage, from string, raw json.RawMessage) {
	var v any
	if len(raw) == 0 || json.Unmarshal(raw, &v) != nil || v == nil {
		return
	}
	shape, err := json.Marshal(shapeOf(v))
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if key := string(shape); !s.shapes[key] {
		s.shapes[key] = true
		in[fmt.Sprintf("%s_%d", strings.ReplaceAll(from, ".", "_"), len(s.shapes))] = raw
	}
}

// shapeOf leaves out the words, but not those that a type is made of.
func shapeOf(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, inner := range v {
			if word, ok := inner.(string); ok && (k == "type" || k == "style") {
				out[k] = word
				continue
			}
			out[k] = shapeOf(inner)
		}
		return out
	case []any:
		seen, out := map[string]bool{}, []any{}
		for _, inner := range v {
			shape, err := json.Marshal(shapeOf(inner))
			if err == nil && !seen[string(shape)] {
				seen[string(shape)] = true
				out = append(out, json.RawMessage(shape))
			}
		}
		return out
	case string:
		return ""
	}
	return v
}

// program is TypeScript that compiles only if all of it is of Slack's types.
// Literals are checked for what they have too much, too.
func program(blocks, views map[string]json.RawMessage) string {
	var b strings.Builder
	b.WriteString("import type { KnownBlock, View } from \"@slack/types\";\n")
	for _, name := range slices.Sorted(maps.Keys(blocks)) {
		fmt.Fprintf(&b, "export const %s: KnownBlock[] = %s;\n", name, blocks[name])
	}
	for _, name := range slices.Sorted(maps.Keys(views)) {
		fmt.Fprintf(&b, "export const %s: View = %s;\n", name, views[name])
	}
	return b.String()
}

// tsc compiles a program against @slack/types. missing says why it can't.
func tsc(source string) (complaints, missing string, err error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return "", "Node.js isn't installed", nil
	}
	modules, err := filepath.Abs(sdkFolder + "/node_modules")
	if err != nil {
		return "", "", err
	}
	if _, err := os.Stat(modules + "/typescript"); err != nil {
		return "", "run `npm ci` in bot/" + sdkFolder, nil
	}
	dir, err := os.MkdirTemp("", "twokey-types-")
	if err != nil {
		return "", "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	const settings = `{"compilerOptions": {"strict": true, "noEmit": true, "module": "nodenext", "skipLibCheck": true, "types": []}, "files": ["sent.ts"]}`
	for name, text := range map[string]string{"sent.ts": source, "tsconfig.json": settings} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return "", "", err
		}
	}
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		return "", "", err
	}
	cmd := exec.Command(node, filepath.Join(modules, "typescript/bin/tsc"), "--project", dir, "--pretty", "false")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if _, failed := errors.AsType[*exec.ExitError](err); failed && len(out) > 0 {
		return string(out), "", nil
	}
	return "", "", err
}

// typesFit checks everything that was sent or rendered in this run against
// Slack's own types. It is TestMain's, because only then everything was.
func typesFit() int {
	sent.mu.Lock()
	defer sent.mu.Unlock()
	if !wholeRun() {
		return 0
	}
	if len(sent.blocks) < 15 || len(sent.views) < 5 {
		fmt.Fprintf(os.Stderr, "FAIL: only %d messages and %d views of different shapes were sent; the collection is broken\n", len(sent.blocks), len(sent.views))
		return 1
	}
	complaints, missing, err := tsc(program(sent.blocks, sent.views))
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "FAIL: messages can't be checked against @slack/types:", err)
	case missing != "" && os.Getenv("TWOKEY_CI") == "":
		fmt.Fprintln(os.Stderr, "SKIPPED: messages were not checked against @slack/types:", missing)
		return 0
	case missing != "":
		fmt.Fprintln(os.Stderr, "FAIL: messages were not checked against @slack/types:", missing)
	case complaints != "":
		fmt.Fprintf(os.Stderr, "FAIL: what the bot sends isn't what @slack/types says:\n%s\n", complaints)
	default:
		return 0
	}
	return 1
}

// TestMessagesAreWhatSlacksTypesSay checks the compiler's part: a good message
// passes, and each of these mistakes is seen. All that is sent is checked by
// TestMain after the last test.
func TestMessagesAreWhatSlacksTypesSay(t *testing.T) {
	t.Parallel()
	s := newTale(t, switchoverPlan())
	good := bot.RenderRequest(s.scene)
	blocks := map[string]json.RawMessage{"good": good.Blocks}
	for name, raw := range map[string]string{
		"bad_type": `[{"type":"paragraph"}]`, "bad_style": `[{"type":"actions","elements":[{"type":"button","action_id":"a","style":"loud","text":{"type":"plain_text","text":"x"}}]}]`,
		"bad_header": `[{"type":"header","text":{"type":"mrkdwn","text":"x"}}]`, "bad_surplus": `[{"type":"divider","text":"x"}]`,
	} {
		blocks[name] = json.RawMessage(raw)
	}
	views := map[string]json.RawMessage{"bad_view": json.RawMessage(`{"type":"modal","blocks":[]}`)}
	for name, raw := range bot.Views(s.scene) {
		views["view_"+strings.ReplaceAll(name, " ", "_")] = raw
	}
	source := program(blocks, views)
	complaints, missing, err := tsc(source)
	if err != nil {
		t.Fatal(err)
	}
	if missing != "" && os.Getenv("TWOKEY_CI") == "" {
		t.Skipf("SKIPPED: messages were not checked against @slack/types: %s", missing)
	} else if missing != "" {
		t.Fatalf("messages were not checked against @slack/types: %s", missing)
	}
	wrong := map[string]bool{}
	lines := strings.Split(source, "\n")
	for complaint := range strings.Lines(complaints) {
		var at int
		if _, err := fmt.Sscanf(complaint, "sent.ts(%d,", &at); err == nil {
			name, _, _ := strings.Cut(strings.TrimPrefix(lines[at-1], "export const "), ":")
			wrong[name] = true
		}
	}
	for name := range wrong {
		if !strings.HasPrefix(name, "bad_") {
			t.Errorf("%s isn't what @slack/types says:\n%s", name, complaints)
		}
	}
	if len(wrong) != 5 {
		t.Errorf("the compiler sees mistakes in %v:\n%s", slices.Collect(maps.Keys(wrong)), complaints)
	}
}
