package sql_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"twokey/secret"
	"twokey/sql"
)

const planted = "hunter2-planted"

func TestSecretsPrintAsAPlaceholderInEveryWay(t *testing.T) {
	t.Parallel()
	p := sql.Params{Database: "orders", BotPassword: secret.New(planted)}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%t"} {
		fmt.Fprintf(&out, verb+verb+verb, p, &p, p.BotPassword)
	}
	raw, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(raw)
	slog.New(slog.NewTextHandler(&out, nil)).Info("params", "params", p, "password", p.BotPassword)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("params", "params", p, "password", p.BotPassword)
	hex := fmt.Sprintf("%x", planted)
	if s := strings.ToLower(out.String()); strings.Contains(s, planted) || strings.Contains(s, hex) {
		t.Errorf("the password shows in %s", s)
	}
	if p.BotPassword.Reveal() != planted {
		t.Error("the password can't be had where it is needed")
	}
}

func TestPrefixHoldsNoPasswordOnlyVerifiers(t *testing.T) {
	t.Parallel()
	p := sql.Params{BotPassword: secret.New(planted), ReplicationPassword: secret.New(planted + "2"), ApplicationPassword: secret.New(planted + "3")}
	text, err := p.Prefix()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, planted) || strings.Count(text, "'SCRAM-SHA-256$4096:") != 3 {
		t.Errorf("the prefix is %s", text)
	}
	again, err := p.Prefix()
	if err != nil || again == text {
		t.Errorf("salts are used twice (%v)", err)
	}
}

func TestUnfitParametersAreRefused(t *testing.T) {
	t.Parallel()
	for what, p := range map[string]sql.Params{
		"a password that clients would normalise": {BotPassword: secret.New("größe")},
		"a password with a line break":            {ReplicationPassword: secret.New("a\nb")},
		"a slot that would be two":                {Slots: []string{"twokey_a,twokey_b"}},
		"a role with a NUL":                       {ApplicationRole: "a\x00b"},
	} {
		if text, err := p.Prefix(); err == nil {
			t.Errorf("%s is taken: %s", what, text)
		}
	}
}

func TestQuotingIsUndoneByTheServersRules(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		want := strings.ReplaceAll(text, "\x00", "")
		if got := readIdentifier(t, sql.Identifier(text)); got != want {
			t.Errorf("identifier %q reads as %q", text, got)
		}
		if got := readLiteral(t, sql.Literal(text)); got != want {
			t.Errorf("literal %q reads as %q", text, got)
		}
	})
}

func readIdentifier(t *rapid.T, quoted string) string {
	inside, ok := strings.CutPrefix(quoted, `"`)
	inside, end := strings.CutSuffix(inside, `"`)
	if !ok || !end || strings.Contains(strings.ReplaceAll(inside, `""`, ""), `"`) {
		t.Fatalf("%s is no identifier", quoted)
	}
	return strings.ReplaceAll(inside, `""`, `"`)
}

func readLiteral(t *rapid.T, quoted string) string {
	inside, escapes := strings.CutPrefix(quoted, " E")
	if escapes {
		inside = strings.ReplaceAll(inside, `\\`, "\x00")
	}
	if strings.Contains(inside, `\`) || len(inside) < 2 || inside[0] != '\'' || inside[len(inside)-1] != '\'' {
		t.Fatalf("%s is no literal", quoted)
	}
	inside = inside[1 : len(inside)-1]
	if strings.Contains(strings.ReplaceAll(inside, "''", ""), "'") {
		t.Fatalf("%s ends early", quoted)
	}
	return strings.ReplaceAll(strings.ReplaceAll(inside, "''", "'"), "\x00", `\`)
}

func TestScriptsUseNoClientsOwnCommands(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"setup": sql.Setup(), "application": sql.Application(), "schema": sql.Schema(), "verify": sql.Verify(), "sample": sql.Sample(),
	} {
		if script == "" {
			t.Errorf("%s is empty", name)
		}
		for i, line := range strings.Split(script, "\n") {
			if strings.HasPrefix(strings.TrimSpace(line), `\`) || strings.HasPrefix(line, "COPY ") || strings.HasPrefix(line, "CREATE DATABASE") {
				t.Errorf("%s, line %d: %s", name, i+1, line)
			}
		}
	}
}
