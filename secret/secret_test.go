package secret_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"twokey/secret"
)

// planted is no secret of anybody; it has the shape of a token and of a password.
const planted = "xoxb-1234-PLANTED-hunter2"

type holder struct {
	Open   secret.Text
	closed secret.Text
	Ptr    *secret.Text
}

// shown are the values through which a secret could be shown.
func shown(s secret.Text) map[string]any {
	return map[string]any{
		"itself": s, "a pointer to it": &s, "no secret": secret.Text{},
		"a structure": holder{s, s, &s}, "a pointer to a structure": &holder{s, s, &s}, "any": any(holder{closed: s}),
		"a slice": []secret.Text{s}, "a map": map[string]secret.Text{"k": s}, "an error": fmt.Errorf("with %v", s),
	}
}

func TestNoFormatShowsASecret(t *testing.T) {
	t.Parallel()
	for what, v := range shown(secret.New(planted)) {
		var out bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "% X", "%t", "%p", "%e", "%10.3s", "%T"} {
			fmt.Fprintf(&out, verb, v)
		}
		fmt.Fprintln(&out, v)
		mustNotShow(t, what, out.String())
	}
}

func TestNoEncodingShowsASecret(t *testing.T) {
	t.Parallel()
	for what, v := range shown(secret.New(planted)) {
		asJSON, err := json.Marshal(v)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		asYAML, err := yaml.Marshal(v)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		asXML, err := xml.Marshal(v)
		if unsupported := (*xml.UnsupportedTypeError)(nil); err != nil && !errors.As(err, &unsupported) { // XML has no maps
			t.Fatalf("%s: %v", what, err)
		}
		mustNotShow(t, what, string(asJSON)+string(asYAML)+string(asXML))
	}
}

func TestNoLogShowsASecret(t *testing.T) {
	t.Parallel()
	for what, v := range shown(secret.New(planted)) {
		var out bytes.Buffer
		for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(h).With("with", v).Info("secret", "value", v, slog.Group("group", "value", v))
		}
		mustNotShow(t, what, out.String())
	}
}

func mustNotShow(t *testing.T, what, out string) {
	t.Helper()
	lower := strings.ToLower(out)
	for _, part := range []string{"hunter2", fmt.Sprintf("%x", "hunter2"), fmt.Sprintf("% x", "hunter2"), "104 117 110 116"} {
		if strings.Contains(lower, part) {
			t.Errorf("%s shows the secret: %s", what, out)
		}
	}
}

func TestOnlyRevealGivesASecret(t *testing.T) {
	t.Parallel()
	s, none := secret.New(planted), secret.Text{}
	if s.Reveal() != planted || s.Empty() {
		t.Errorf("the secret is %q, empty: %t", s.Reveal(), s.Empty())
	}
	if none.Reveal() != "" || !none.Empty() || !secret.New("").Empty() {
		t.Error("the zero value is a secret")
	}
	raw, err := json.Marshal(s)
	if fmt.Sprint(s, none) != "[secret] [secret]" || string(raw) != `"[secret]"` || err != nil {
		t.Errorf("it prints as %s and encodes as %s (%v)", s, raw, err)
	}
}
