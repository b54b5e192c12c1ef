package vultrfake_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"twokey/actions/vultr/vultrfake"
)

const (
	id     = "cb676a46-66fd-4dfb-b839-443f2e6c0b60"
	other  = "b92f4771-d8cd-480a-b6e6-a14ca31ea2ca"
	domain = "example.com"
)

// shapes reads the fields of each answer, with their types.
func shapes(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("testdata/shapes.txt")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] != "#" {
			out[fields[0]] = append(out[fields[0]], fields[1]+" "+fields[2])
		}
	}
	return out
}

// fieldsOf lists every path of a JSON value with its type.
func fieldsOf(path string, v any, into map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		note(path, "object", into)
		for key, field := range v {
			fieldsOf(strings.TrimPrefix(path+"."+key, "."), field, into)
		}
	case []any:
		note(path, "array", into)
		for _, element := range v {
			fieldsOf(path+"[]", element, into)
		}
	case string:
		note(path, "string", into)
	case json.Number:
		kind := "integer"
		if strings.ContainsAny(v.String(), ".eE") {
			kind = "number"
		}
		note(path, kind, into)
	default:
		note(path, fmt.Sprintf("%T", v), into)
	}
}

func note(path, kind string, into map[string]bool) {
	if path != "" {
		into[path+" "+kind] = true
	}
}

func serve(t *testing.T) *vultrfake.Server {
	t.Helper()
	s := vultrfake.New("key")
	t.Cleanup(s.Close)
	s.AddInstance(id, "dc1", "atl")
	s.AddRecord(domain, id, "A", "db", "192.0.2.1", 60)
	s.AddRecord(domain, other, "A", "www", "192.0.2.2", 300)
	return s
}

func ask(t *testing.T, s *vultrfake.Server, method, path, body, key string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL+"/v2/"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > 0 && resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s %s: %s", method, path, resp.Header.Get("Content-Type"))
	}
	return resp.StatusCode, string(text)
}

// The answers have exactly the fields and types of the OpenAPI document.
func TestAnswersHaveTheDocumentsShapes(t *testing.T) {
	t.Parallel()
	s, want := serve(t), shapes(t)
	for answer, path := range map[string]string{
		"instance": "instances/" + id, "record": "domains/example.com/records/" + id, "records": "domains/example.com/records",
	} {
		status, text := ask(t, s, http.MethodGet, path, "", "key")
		var v any
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		if err := d.Decode(&v); err != nil || status != http.StatusOK {
			t.Fatalf("%s: %d, %v", answer, status, err)
		}
		got := map[string]bool{}
		fieldsOf("", v, got)
		if diff := cmp.Diff(slices.Sorted(slices.Values(want[answer])), slices.Sorted(maps.Keys(got))); diff != "" {
			t.Errorf("%s: in the document -, answered +:\n%s", answer, diff)
		}
	}
	if len(want["instance"]) < 30 {
		t.Errorf("only %d fields of an instance", len(want["instance"]))
	}
}

func TestOrdersAndRefusals(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for _, row := range []struct {
		method, path, body, key string
		status                  int
		says                    string
	}{
		{"POST", "instances/" + id + "/halt", "", "key", 204, ""},
		{"POST", "instances/" + id + "/halt", "", "key", 204, ""},
		{"POST", "instances/" + id + "/start", "", "key", 204, ""},
		{"POST", "instances/" + id + "/start", "", "wrong", 401, `{"error":"Invalid API token.","status":401}`},
		{"GET", "instances/" + other, "", "key", 404, `{"error":"Instance not found.","status":404}`},
		{"PATCH", "domains/example.com/records/" + id, `{"data":"192.0.2.9","ttl":30}`, "key", 204, ""},
		{"PATCH", "domains/example.com/records/" + id, `{"value":"192.0.2.9"}`, "key", 400, `{"error":"Invalid request.","status":400}`},
		{"PATCH", "domains/example.org/records/" + id, `{}`, "key", 404, `{"error":"Invalid record.","status":404}`},
		{"GET", "nothing", "", "key", 404, `{"error":"Invalid API route.","status":404}`},
	} {
		if status, text := ask(t, s, row.method, row.path, row.body, row.key); status != row.status || text != row.says {
			t.Errorf("%s %s: %d %s, want %d %s", row.method, row.path, status, text, row.status, row.says)
		}
	}
	if data, ttl := s.Record(domain, id); data != "192.0.2.9" || ttl != 30 || s.Power(id) != vultrfake.Running {
		t.Errorf("%s, %d, %s", data, ttl, s.Power(id))
	}
}
