package manifests_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// settings of a postgresql.conf, without the quotes.
func settings(text string) map[string]string {
	out := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^([a-z_]+) = ('[^']*'|[^ #\n]+)`).FindAllStringSubmatch(text, -1) {
		out[m[1]] = strings.Trim(m[2], "'")
	}
	return out
}

// TestServerIsConfiguredForThePromise.
func TestServerIsConfiguredForThePromise(t *testing.T) {
	t.Parallel()
	text := read(t, "base/postgresql.conf")
	got := settings(text)
	for name, want := range map[string]string{
		"ssl": "on", "password_encryption": "scram-sha-256", "ssl_min_protocol_version": "TLSv1.3",
		"synchronous_commit": "on", "fsync": "on", "full_page_writes": "on", "wal_log_hints": "on", "hot_standby": "on", "wal_level": "replica",
		"max_slot_wal_keep_size": "8GB", "hba_file": "/run/twokey/pg_hba.conf",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	for _, absent := range []string{"synchronous_standby_names", "primary_conninfo", "primary_slot_name", "restore_command", "archive_command"} {
		if value, given := got[absent]; given {
			t.Errorf("%s is given, %q: the guard and the bot write it, or nobody", absent, value)
		}
	}
	for _, include := range []string{"include '/run/twokey/node.conf'", "include_if_exists '/var/lib/postgresql/data/pgdata.upstream.conf'"} {
		if !strings.Contains(text, include) {
			t.Errorf("there is no %s", include)
		}
	}
}

// TestNobodyComesInButByTLSAndFromTheTunnel.
func TestNobodyComesInButByTLSAndFromTheTunnel(t *testing.T) {
	t.Parallel()
	text, _, _ := configured(t, nil)
	rules := 0
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		rules++
		switch {
		case f[0] == "local" && strings.Join(f[1:], " ") == "all postgres peer":
		case f[0] != "hostssl":
			t.Errorf("without TLS: %s", line)
		case f[4] == "reject":
		case f[4] != "scram-sha-256":
			t.Errorf("not by SCRAM: %s", line)
		case f[2] == "twokey_replication" && f[3] != "10.99.0.2/32":
			t.Errorf("replication from elsewhere than the partner: %s", line)
		case f[3] != "10.99.0.0/24" && f[3] != "10.99.0.2/32":
			t.Errorf("from elsewhere than the tunnel: %s", line)
		}
	}
	if rules != 7 {
		t.Errorf("%d rules:\n%s", rules, text)
	}
}

// configured runs configure.sh with dc1's node.env and gives what it made.
func configured(t *testing.T, edit map[string]string) (hba, node, passfile string) {
	t.Helper()
	to, err := configure(t, edit, "b0t-Secret_1")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pg_hba.conf", "node.conf", "passfile"} {
		info, err := os.Stat(filepath.Join(to, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	return read(t, filepath.Join(to, "pg_hba.conf")), read(t, filepath.Join(to, "node.conf")), read(t, filepath.Join(to, "passfile"))
}

func configure(t *testing.T, edit map[string]string, password string) (to string, err error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "replication"), []byte(password), 0o600); err != nil {
		t.Fatal(err)
	}
	to = t.TempDir()
	cmd := exec.CommandContext(t.Context(), "bash", "base/configure.sh")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "CONFIG_FOLDER=base", "SECRETS_FOLDER=" + dir, "CONFIGURED_FOLDER=" + to}
	for line := range strings.Lines(read(t, "dc1/node.env")) {
		name, _, assigns := strings.Cut(strings.TrimSpace(line), "=")
		if _, changed := edit[name]; assigns && !changed && !strings.HasPrefix(name, "#") {
			cmd.Env = append(cmd.Env, strings.TrimSpace(line))
		}
	}
	for name, value := range edit {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), err
	}
	return to, nil
}

func TestConfigureMakesWhatDependsOnTheNode(t *testing.T) {
	t.Parallel()
	hba, node, passfile := configured(t, map[string]string{"POD_NETWORK": "10.42.0.0/16"})
	if node != "cluster_name = 'dc1'\nsynchronous_standby_names = 'dc2'\n" {
		t.Errorf("node.conf: %s", node)
	}
	if passfile != "10.99.0.2:30432:*:twokey_replication:b0t-Secret_1\n" {
		t.Errorf("passfile: %s", passfile)
	}
	if strings.Contains(hba, "@PARTNER") || !strings.HasSuffix(hba, "hostssl twokey twokey_bot 10.42.0.0/16 scram-sha-256\nhostssl orders all 10.42.0.0/16 scram-sha-256\n") {
		t.Errorf("pg_hba.conf:\n%s", hba)
	}
}

// TestConfigureRefusesWhatWouldBeSomethingElse: a value is one word of a file, or
// nothing is made of it.
func TestConfigureRefusesWhatWouldBeSomethingElse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, variable, value, want string }{
		{"a name that would end the quotes", "TWOKEY_GUARD_PARTNER", "dc2'", "the other node's name"},
		{"no name", "TWOKEY_GUARD_NODE", "", "this node's name"},
		{"the star, which lets any standby count", "TWOKEY_GUARD_PARTNER", "*", "the other node's name"},
		{"itself as its partner", "TWOKEY_GUARD_PARTNER", "dc1", "this node itself"},
		{"everybody as the partner", "TWOKEY_GUARD_PARTNER_HOST", "0.0.0.0/0", "address in the tunnel"},
		{"a host name", "TWOKEY_GUARD_PARTNER_HOST", "dc2.example.com", "address in the tunnel"},
		{"two networks", "NETWORK", "10.0.0.0/8 trust", "the tunnel's network"},
		{"a line of its own", "DATABASE", "all\nhost all all 0.0.0.0/0 trust", "the application's database"},
		{"a network of pods that is a word", "POD_NETWORK", "all", "network of pods"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			out, err := configure(t, map[string]string{c.variable: c.value}, "secret")
			if err == nil || !strings.Contains(out, c.want) || !strings.Contains(out, c.variable) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	for _, password := range []string{"", "a:b", "a\\b", "a b"} {
		if out, err := configure(t, nil, password); err == nil || strings.Contains(out, "a:b") {
			t.Errorf("the password %q: %v %s", password, err, out)
		}
	}
}
