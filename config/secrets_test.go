package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"twokey/config"
	"twokey/secret"
)

// planted is no token of anybody; it has the shape of one and of a password.
const planted = "xoxb-1234-PLANTED-hunter2"

func TestSecretsPrintAsPlaceholders(t *testing.T) {
	t.Parallel()
	secrets := config.Secrets{SlackToken: secret.New(planted), SigningSecret: secret.New(planted)}
	var printed bytes.Buffer
	fmt.Fprintf(&printed, "%v %+v %#v", secrets, secrets, &secrets)
	asJSON, err := json.Marshal(secrets)
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.Marshal(secrets)
	if err != nil {
		t.Fatal(err)
	}
	slog.New(slog.NewTextHandler(&printed, nil)).Info("secrets", "secrets", secrets)
	if text := printed.String() + string(asJSON) + string(asYAML); strings.Contains(text, "hunter2") || !strings.Contains(text, "[secret]") {
		t.Errorf("the secrets print as %s", text)
	}
}

// Wherever somebody puts a secret into the file by mistake, the message that
// refuses it doesn't repeat it.
func TestParseNeverShowsAPlantedSecret(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string][2]string{
		"as the token":                           {"{env: TWOKEY_SLACK_TOKEN}", planted},
		"as the token, on its own line":          {"{env: TWOKEY_SLACK_TOKEN}", "\n    " + planted},
		"as the token, as a list":                {"{env: TWOKEY_SLACK_TOKEN}", "\n    - " + planted},
		"as the token, as a block":               {"{env: TWOKEY_SLACK_TOKEN}", "|\n    " + planted},
		"as the name of a variable":              {"{env: TWOKEY_SLACK_TOKEN}", "{env: " + planted + "}"},
		"as the name of a variable, by block":    {"{env: TWOKEY_SLACK_TOKEN}", "\n    env: " + planted},
		"as the path of a file":                  {"{env: TWOKEY_SLACK_TOKEN}", "{file: " + planted + "}"},
		"under another key":                      {"{env: TWOKEY_SLACK_TOKEN}", "{value: " + planted + "}"},
		"as a key":                               {"{env: TWOKEY_SLACK_TOKEN}", "{" + planted + ": x}"},
		"as a number":                            {"{env: TWOKEY_SLACK_TOKEN}", "8142231101112131415161718192021222324252627"},
		"with an anchor":                         {"{env: TWOKEY_SLACK_TOKEN}", "&a " + planted},
		"with a tag":                             {"{env: TWOKEY_SLACK_TOKEN}", "!!str " + planted},
		"with a quote that isn't closed":         {"{env: TWOKEY_SLACK_TOKEN}", "\"" + planted},
		"with a bracket that isn't closed":       {"{env: TWOKEY_SLACK_TOKEN}", "{env: " + planted},
		"twice":                                  {"{env: TWOKEY_SLACK_TOKEN}", planted + "\n  token: " + planted},
		"in front of a syntax error":             {"{env: TWOKEY_SLACK_TOKEN}", planted + "\n  ]"},
		"as the password":                        {"{file: /run/secrets/twokey/dc1}", "hunter2"},
		"as the password, on its own line":       {"{file: /run/secrets/twokey/dc1}", "\n          hunter2"},
		"as the password, as a list":             {"{file: /run/secrets/twokey/dc1}", "\n          - hunter2"},
		"as the passfile":                        {"passfile: /etc/twokey/passfile", "passfile: hunter2"},
		"in a key that doesn't exist":            {"passfile: /etc/twokey/passfile", "pasword: hunter2"},
		"in another key that doesn't exist":      {"passfile: /etc/twokey/passfile", "pgpass: hunter2"},
		"in the address of the API":              {"https://slack.com/api/", "https://bot:hunter2@slack.com/api/"},
		"as the team":                            {"team: T0123ABCD", "team: " + planted},
		"a signing secret as the channel":        {"channel: C0123ABCD", "channel: 8142231101112131aabbccdd14151617"},
		"a token as the listening address":       {"listen: 127.0.0.1:8080", "listen: " + planted},
		"in a block before a syntax error there": {"{file: /run/secrets/twokey/dc1}", "|\n          hunter2\n  ]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wrong := refused(t, changed(t, edit[0], edit[1]))
			for _, secret := range []string{"hunter2", "8142231101112131"} {
				if all := wrong.Error() + fmt.Sprintf("%+v", wrong); strings.Contains(all, secret) {
					t.Errorf("it shows %s:\n%s", secret, all)
				}
			}
		})
	}
}

func TestSecretsReadsEnvironmentAndFiles(t *testing.T) {
	t.Parallel()
	f := newFiles(t)
	c := parsed(t, f.config())
	env := map[string]string{"TOKEN": planted, "SECRET": "s3cret\n"}
	secrets, err := c.Secrets(lookup(env))
	if err != nil {
		t.Fatal(err)
	}
	got := []string{secrets.SlackToken.Reveal(), secrets.SigningSecret.Reveal(), secrets.Password("orders", "dc1").Reveal()}
	if diff := cmp.Diff([]string{planted, "s3cret", "pass word"}, got); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
	if !secrets.Password("orders", "dc2").Empty() || !secrets.Password("orders", "nowhere").Empty() {
		t.Error("a node with a password file has no password here")
	}
	if printed := fmt.Sprintf("%v %+v %#v", secrets, secrets, secrets); strings.Contains(printed, "hunter2") || strings.Contains(printed, "pass word") {
		t.Errorf("printed as %s", printed)
	}
}

// TestSecretsOfOneTransport: the other one's secret need not be there.
func TestSecretsOfOneTransport(t *testing.T) {
	t.Parallel()
	text := strings.Replace(newFiles(t).config(), "signing_secret: {env: SECRET}", "signing_secret: {env: SECRET}\n  transport: socket\n  app_token: {env: APP}", 1)
	c := parsed(t, text)
	secrets, err := c.Secrets(lookup(map[string]string{"TOKEN": "t", "APP": planted}))
	if err != nil {
		t.Fatal(err)
	}
	if secrets.AppToken.Reveal() != planted || !secrets.SigningSecret.Empty() {
		t.Errorf("read %v", secrets)
	}
	if printed := fmt.Sprintf("%v %+v %#v", secrets, secrets, secrets); strings.Contains(printed, "hunter2") {
		t.Errorf("printed as %s", printed)
	}
	if _, err := c.Secrets(lookup(map[string]string{"TOKEN": "t"})); err == nil || err.Error() != "slack.app_token: environment variable APP is not set" {
		t.Errorf("without it: %v", err)
	}
}

func TestSecretsNamesEveryMissingOne(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		prepare func(*files)
		env     map[string]string
		want    []string // key and why, %f is the folder
	}{
		"no variable":                 {nil, map[string]string{"SECRET": "s"}, []string{"slack.token: environment variable TOKEN is not set"}},
		"an empty variable":           {nil, map[string]string{"TOKEN": " \n", "SECRET": "s"}, []string{"slack.token: environment variable TOKEN is empty"}},
		"a variable of two lines":     {nil, map[string]string{"TOKEN": "a\nb", "SECRET": "s"}, []string{"slack.token: environment variable TOKEN holds more than one line"}},
		"no variable at all":          {nil, nil, []string{"slack.token: environment variable TOKEN is not set", "slack.signing_secret: environment variable SECRET is not set"}},
		"no password":                 {func(f *files) { f.remove("password") }, good(), []string{"pairs[0].nodes[0].password: file %f/password can't be read: no such file or directory"}},
		"a password that is empty":    {func(f *files) { f.write("password", "\n", 0o600) }, good(), []string{"pairs[0].nodes[0].password: file %f/password is empty"}},
		"a password that is huge":     {func(f *files) { f.write("password", strings.Repeat("a", 70_000), 0o600) }, good(), []string{"pairs[0].nodes[0].password: file %f/password is too large for a secret"}},
		"a password that is binary":   {func(f *files) { f.write("password", "a\x00b", 0o600) }, good(), []string{"pairs[0].nodes[0].password: file %f/password holds more than one line"}},
		"a password that is a folder": {func(f *files) { f.remove("password"); f.mkdir("password") }, good(), []string{"pairs[0].nodes[0].password: file %f/password can't be read: is a directory"}},
		"no password file":            {func(f *files) { f.remove("passfile") }, good(), []string{"pairs[0].nodes[1].passfile: file %f/passfile can't be read: no such file or directory"}},
		"a password file for all":     {func(f *files) { f.write("passfile", "*:*:*:*:p", 0o640) }, good(), []string{"pairs[0].nodes[1].passfile: file %f/passfile can be read by other users, and then libpq ignores it: chmod 600"}},
		"a folder as password file":   {func(f *files) { f.remove("passfile"); f.mkdir("passfile") }, good(), []string{"pairs[0].nodes[1].passfile: file %f/passfile is no ordinary file"}},
		"no root certificate":         {func(f *files) { f.remove("ca") }, good(), []string{"pairs[0].nodes[0].sslrootcert: file %f/ca can't be read: no such file or directory"}},
		"no file of the replication":  {func(f *files) { f.remove("replication") }, good(), []string{"pairs[0].nodes[1].driver.local.replication.passfile: file %f/replication can't be read: no such file or directory"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFiles(t)
			if row.prepare != nil {
				row.prepare(f)
			}
			secrets, err := parsed(t, f.config()).Secrets(lookup(row.env))
			if err == nil {
				t.Fatal("nothing was missed")
			}
			want := strings.ReplaceAll(strings.Join(row.want, "\n"), "%f", f.folder)
			if diff := cmp.Diff(want, err.Error()); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
			if !secrets.SlackToken.Empty() || !secrets.SigningSecret.Empty() {
				t.Error("what was found is given out although something is missing")
			}
		})
	}
}

func TestSecretsErrorsCanBeToldApart(t *testing.T) {
	t.Parallel()
	f := newFiles(t)
	f.remove("password")
	_, err := parsed(t, f.config()).Secrets(lookup(good()))
	missing, ok := errors.AsType[*config.MissingError](err)
	if !ok || missing.Key != "pairs[0].nodes[0].password" || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v (%+v)", err, missing)
	}
}

func good() map[string]string { return map[string]string{"TOKEN": planted, "SECRET": "s"} }

func lookup(env map[string]string) func(string) (string, bool) {
	env = maps.Clone(env)
	return func(name string) (string, bool) { v, ok := env[name]; return v, ok }
}

// files is a folder with every file that a configuration can refer to.
type files struct {
	t      *testing.T
	folder string
}

func newFiles(t *testing.T) *files {
	t.Helper()
	f := &files{t, t.TempDir()}
	f.write("password", "pass word\r\n", 0o600)
	for _, name := range []string{"ca", "ca2", "cert"} {
		f.write(name, "certificate", 0o644)
	}
	for _, name := range []string{"passfile", "replication", "key"} {
		f.write(name, "*:*:*:*:p", 0o600)
	}
	return f
}

func (f *files) config() string {
	nodes := slices.Values([]string{
		"pairs:", "  - name: orders", "    database: orders", "    nodes:",
		"      - {name: dc1, host: 192.0.2.1, password: {file: %f/password}, sslrootcert: %f/ca}",
		"      - name: dc2", "        host: 192.0.2.2", "        passfile: %f/passfile", "        sslcert: %f/cert", "        sslkey: %f/key",
		"        driver: {local: {data_dir: /data, log_file: /log, replication: {passfile: %f/replication, sslrootcert: %f/ca2}}}",
	})
	head, _, _ := strings.Cut(least, "pairs:")
	return strings.ReplaceAll(head+strings.Join(slices.Collect(nodes), "\n"), "%f", f.folder)
}

func (f *files) write(name, text string, mode os.FileMode) {
	f.t.Helper()
	path := filepath.Join(f.folder, name)
	if err := errors.Join(os.WriteFile(path, []byte(text), mode), os.Chmod(path, mode)); err != nil {
		f.t.Fatal(err)
	}
}

func (f *files) remove(name string) {
	f.t.Helper()
	if err := os.Remove(filepath.Join(f.folder, name)); err != nil {
		f.t.Fatal(err)
	}
}

func (f *files) mkdir(name string) {
	f.t.Helper()
	if err := os.Mkdir(filepath.Join(f.folder, name), 0o700); err != nil {
		f.t.Fatal(err)
	}
}
