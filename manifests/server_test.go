package manifests_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"twokey/actions/local/pgbin"
)

// TestServerTakesTheConfiguration: a real one reads it, so that no setting is
// misspelt or of another version.
func TestServerTakesTheConfiguration(t *testing.T) {
	t.Parallel()
	programs, err := pgbin.FindOrFetch(t.Context(), pgbin.Options{})
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`(?m)^include.*$`).ReplaceAllString(read(t, "base/postgresql.conf"), "")
	_, node, _ := configured(t, nil)
	path := filepath.Join(t.TempDir(), "postgresql.conf")
	if err := os.WriteFile(path, []byte(text+node), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"wal_log_hints": "on", "synchronous_standby_names": "dc2", "max_slot_wal_keep_size": "8192", "ssl": "on"} {
		out, err := exec.CommandContext(t.Context(), programs.Path("postgres"), "-C", name, "-c", "config_file="+path, "-D", t.TempDir()).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || !strings.HasSuffix(got, want) {
			t.Errorf("%s: %v, %s", name, err, got)
		}
	}
}
