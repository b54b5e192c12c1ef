package pgbin_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"twokey/actions/local/pgbin"
)

func TestNothingToFetchWith(t *testing.T) {
	t.Parallel()
	root := sharedDir(t)
	_, err := pgbin.FindOrFetch(t.Context(), options(root, "PATH", root))
	var notFound *pgbin.NotFoundError
	if !errors.As(err, &notFound) || !errors.Is(err, pgbin.ErrNoFetch) {
		t.Errorf("got %v, want NotFoundError and ErrNoFetch", err)
	}
	if _, err := os.Stat(root + "/cache"); err == nil {
		t.Error("a cache folder was made for nothing")
	}
}

// TestFetchWithBrew runs a stand-in for brew that installs what it is asked for, as slowly as it likes: of
// several processes that want PostgreSQL at once only one may run it.
func TestFetchWithBrew(t *testing.T) {
	t.Parallel()
	root := sharedDir(t)
	installation(t, root+"/bottle/bin", "17.5")
	script(t, root+"/bin/brew", fmt.Sprintf(`
[ "$*" = "install --quiet postgresql@17" ] || { echo "unexpected: $*" >&2; exit 1; }
mkdir %[1]s/ran || { echo "run twice" >&2; exit 1; }
mkdir -p %[1]s/usual/17 && cp -R %[1]s/bottle/bin %[1]s/usual/17/bin`, root))

	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			o := options(root, "PATH", root+"/bin")
			p, err := pgbin.FindOrFetch(t.Context(), o)
			if err != nil || p.Version != "17.5" {
				t.Errorf("got %v, %v; want 17.5", p, err)
			}
		})
	}
	wg.Wait()
}

func TestFetchTellsWhatTheClientSaid(t *testing.T) {
	t.Parallel()
	root := sharedDir(t)
	script(t, root+"/bin/brew", "echo 'No network' >&2; exit 1")
	_, err := pgbin.FindOrFetch(t.Context(), options(root, "PATH", root+"/bin"))
	if err == nil || !strings.Contains(err.Error(), "fetching it did not work: brew: exit status 1: No network") {
		t.Errorf("got %v", err)
	}
}

func TestFetchedProgramsThatDoNotDo(t *testing.T) {
	t.Parallel()
	root := sharedDir(t)
	installation(t, root+"/bottle/bin", "17.5")
	remove(t, root+"/bottle/bin/pg_rewind")
	script(t, root+"/bin/brew", fmt.Sprintf("mkdir -p %[1]s/usual/17 && cp -R %[1]s/bottle/bin %[1]s/usual/17/bin", root))
	_, err := pgbin.FindOrFetch(t.Context(), options(root, "PATH", root+"/bin"))
	want := "fetching it did not work: what was fetched can't be used: " + root + "/usual/17/bin: pg_rewind is missing"
	if err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v, want at its end %s", err, want)
	}
}

// TestFetchWithApt runs the system's real apt against an archive in a folder, so that it needs no network.
// The archive's server is a stand-in of a major that the system's own sources don't hold.
func TestFetchWithApt(t *testing.T) {
	aptGet, err := exec.LookPath("apt-get")
	if err != nil {
		t.Skip("this system has no apt: nothing to test")
	}
	root := sharedDir(t)
	archive(t, root)
	mkdir(t, root+"/bin")
	symlink(t, aptGet, root+"/bin/apt-get")

	p, err := pgbin.FindOrFetch(t.Context(), options(root, "PATH", root+"/bin"))
	if err != nil {
		t.Fatal(err)
	}
	installed := filepath.Join(root, "cache", "postgresql-18")
	if want := installed + "/usr/lib/postgresql/18/bin"; p.Folder != want || p.Version != "18.99" {
		t.Errorf("got %v, want 18.99 in %s", p, want)
	}
	if want := installed + "/usr/lib/some-arch"; p.Libraries != want {
		t.Errorf("libraries in %q, want %q", p.Libraries, want)
	}
	if entries, _ := filepath.Glob(root + "/cache/fetching-*"); len(entries) > 0 {
		t.Errorf("left behind: %v", entries)
	}
	if _, err := os.Stat(installed + "/usr/share/perl-thing"); err == nil {
		t.Error("a dependency was unpacked that no server program needs")
	}
}

// TestPG17Script covers what needs no network; CI installs with it for real.
func TestPG17Script(t *testing.T) {
	t.Parallel()
	root := sharedDir(t)
	script17, err := filepath.Abs("pg17.sh")
	if err != nil {
		t.Fatal(err)
	}
	bin := root + "/there/usr/lib/postgresql/17/bin"
	installation(t, bin, "17.3 (Debian)")
	out, err := exec.CommandContext(t.Context(), script17, root+"/there").CombinedOutput()
	if err != nil || string(out) != bin+"\n" {
		t.Errorf("an installation that works: got %q, %v", out, err)
	}
	if out, err := exec.CommandContext(t.Context(), script17).CombinedOutput(); err == nil || !strings.Contains(string(out), "usage") {
		t.Errorf("without a folder: got %q, %v", out, err)
	}
	cmd := exec.CommandContext(t.Context(), "/bin/sh", script17, root+"/new")
	cmd.Env = []string{"PATH=" + root}
	mkdir(t, root+"/bin")
	for _, name := range []string{"dirname", "basename", "mkdir"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		symlink(t, path, filepath.Join(root, name))
	}
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "needs apt-get: run it on Debian") {
		t.Errorf("without apt: got %q, %v", out, err)
	}
}

// archive makes a package archive below root and points the system's apt at it alone.
func archive(t *testing.T, root string) {
	t.Helper()
	server, client := root+"/pkg/server", root+"/pkg/client"
	bin := "/usr/lib/postgresql/18/bin"
	installation(t, server+bin, "18.99")
	program(t, client+bin, "pg_basebackup", "18.99")
	remove(t, server+bin+"/pg_basebackup")
	script(t, root+"/pkg/lib/usr/lib/some-arch/libpq.so.5", "")
	script(t, root+"/pkg/perl/usr/share/perl-thing", "")
	mkdir(t, root+"/archive")
	var index strings.Builder
	index.WriteString(pack(t, root, "server", "postgresql-18", "postgresql-client-18, libtwokey-test, libtwokey-test-perl"))
	index.WriteString(pack(t, root, "client", "postgresql-client-18", ""))
	index.WriteString(pack(t, root, "lib", "libtwokey-test", ""))
	index.WriteString(pack(t, root, "perl", "libtwokey-test-perl", ""))
	write(t, root+"/archive/Packages", index.String())
	write(t, root+"/sources.list", "deb [trusted=yes] file:"+root+"/archive ./\n")
	write(t, root+"/apt.conf", fmt.Sprintf(
		"Dir::Etc::sourcelist \"%s/sources.list\";\nDir::Etc::sourceparts \"/dev/null\";\n", root))
	t.Setenv("APT_CONFIG", root+"/apt.conf")
}

// pack builds one package into the archive and returns its entry in the index.
func pack(t *testing.T, root, folder, name, depends string) string {
	t.Helper()
	control := "Package: " + name + "\nVersion: 99:1\nArchitecture: all\nMaintainer: nobody <nobody@example.com>\nDescription: stand-in\n"
	if depends != "" {
		control += "Depends: " + depends + "\n"
	}
	dir := filepath.Join(root, "pkg", folder)
	mkdir(t, dir+"/DEBIAN")
	write(t, dir+"/DEBIAN/control", control)
	deb := filepath.Join(root, "archive", name+".deb")
	if out, err := exec.CommandContext(t.Context(), "dpkg-deb", "--build", dir, deb).CombinedOutput(); err != nil {
		t.Fatalf("dpkg-deb: %v: %s", err, out)
	}
	info, err := os.Stat(deb)
	if err != nil {
		t.Fatal(err)
	}
	sum, err := exec.CommandContext(t.Context(), "sha256sum", deb).Output()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%sFilename: ./%s.deb\nSize: %d\nSHA256: %.64s\n\n", control, name, info.Size(), sum)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
