package pgbin_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"twokey/actions/local/pgbin"
)

// sharedDir is a temporary folder that every user can enter, which t.TempDir's is not: as root, programs must
// be reachable for the user whom servers run as.
func sharedDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "twokey-pgbin-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func script(t *testing.T, path, body string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// installation makes a folder of programs that say they are of that version.
func installation(t *testing.T, folder, version string) {
	t.Helper()
	for _, name := range pgbin.Required() {
		program(t, folder, name, version)
	}
}

func program(t *testing.T, folder, name, version string) {
	t.Helper()
	script(t, filepath.Join(folder, name), fmt.Sprintf("echo '%s (PostgreSQL) %s'", name, version))
}

// environment returns a Getenv that knows nothing but these variables.
func environment(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func options(root string, env ...string) pgbin.Options {
	return pgbin.Options{
		Getenv:  environment(env...),
		Folders: []string{filepath.Join(root, "usual", "*", "bin")},
		Cache:   filepath.Join(root, "cache"),
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		prepare func(t *testing.T, root string) pgbin.Options
		folder  string
		version string
	}{
		"takes the newest of the usual folders": {
			func(t *testing.T, root string) pgbin.Options {
				installation(t, root+"/usual/15/bin", "15.18 (Debian 15.18-1)")
				installation(t, root+"/usual/17/bin", "17.11")
				installation(t, root+"/usual/14/bin", "14.9")
				return options(root)
			}, "usual/17/bin", "17.11",
		},
		"takes the wanted major although a newer one is there": {
			func(t *testing.T, root string) pgbin.Options {
				installation(t, root+"/usual/15/bin", "15.18")
				installation(t, root+"/usual/17/bin", "17.11")
				o := options(root)
				o.Major = 15
				return o
			}, "usual/15/bin", "15.18",
		},
		"takes a folder on PATH": {
			func(t *testing.T, root string) pgbin.Options {
				installation(t, root+"/own", "16.2")
				return options(root, "PATH", "/nowhere:"+root+"/own")
			}, "own", "16.2",
		},
		"follows a symbolic link on PATH to where the programs are": {
			func(t *testing.T, root string) pgbin.Options {
				installation(t, root+"/cellar/postgresql@17/bin", "17.2")
				mkdir(t, root+"/bin")
				symlink(t, root+"/cellar/postgresql@17/bin/postgres", root+"/bin/postgres")
				return options(root, "PATH", root+"/bin")
			}, "cellar/postgresql@17/bin", "17.2",
		},
		"sees through Debian's wrappers on PATH to the programs themselves": {
			func(t *testing.T, root string) pgbin.Options {
				installation(t, root+"/usual/15/bin", "15.18")
				script(t, root+"/share/pg_wrapper", "echo 'postgres (PostgreSQL) 18.1'")
				mkdir(t, root+"/bin")
				for _, name := range pgbin.Required() {
					symlink(t, root+"/share/pg_wrapper", filepath.Join(root, "bin", name))
				}
				return options(root, "PATH", root+"/bin")
			}, "usual/15/bin", "15.18",
		},
		"asks pg_config on PATH": {
			func(t *testing.T, root string) pgbin.Options {
				installation(t, root+"/store/pg/bin", "18.1")
				script(t, root+"/bin/pg_config", "echo "+root+"/store/pg/bin")
				return options(root, "PATH", root+"/bin")
			}, "store/pg/bin", "18.1",
		},
		"prefers the folder that TWOKEY_PGBIN names to newer ones": {
			func(t *testing.T, root string) pgbin.Options {
				installation(t, root+"/named", "15.4")
				installation(t, root+"/usual/17/bin", "17.11")
				return options(root, "TWOKEY_PGBIN", root+"/named")
			}, "named", "15.4",
		},
		"finds what was fetched earlier": {
			func(t *testing.T, root string) pgbin.Options {
				installation(t, root+"/cache/postgresql-16/usr/lib/postgresql/16/bin", "16.4")
				return options(root)
			}, "cache/postgresql-16/usr/lib/postgresql/16/bin", "16.4",
		},
		"passes over an installation without pg_rewind": {
			func(t *testing.T, root string) pgbin.Options {
				installation(t, root+"/usual/17/bin", "17.11")
				remove(t, root+"/usual/17/bin/pg_rewind")
				installation(t, root+"/usual/15/bin", "15.18")
				return options(root)
			}, "usual/15/bin", "15.18",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := sharedDir(t)
			got, err := pgbin.Find(t.Context(), tt.prepare(t, root))
			if err != nil {
				t.Fatal(err)
			}
			if want := filepath.Join(root, tt.folder); got.Folder != want || got.Version != tt.version {
				t.Errorf("got %v, want %s in %s", got, tt.version, want)
			}
		})
	}
}

func TestFindRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		prepare func(t *testing.T, root string) pgbin.Options
		reason  string
	}{
		"a folder with a missing program, which it names": {
			func(t *testing.T, root string) pgbin.Options {
				installation(t, root+"/usual/15/bin", "15.18")
				remove(t, root+"/usual/15/bin/pg_rewind")
				return options(root)
			}, "usual/15/bin: pg_rewind is missing\n",
		},
		"programs of two majors in one folder": {
			func(t *testing.T, root string) pgbin.Options {
				installation(t, root+"/usual/x/bin", "15.18")
				program(t, root+"/usual/x/bin", "pg_rewind", "17.11")
				return options(root)
			}, "usual/x/bin: initdb is of version 15, pg_rewind of version 17\n",
		},
		"a major that is too old": {
			func(t *testing.T, root string) pgbin.Options {
				installation(t, root+"/usual/x/bin", "13.4")
				return options(root)
			}, "usual/x/bin: it is PostgreSQL 13.4, wanted is 15 to 18\n",
		},
		"a program that does not run": {
			func(t *testing.T, root string) pgbin.Options {
				installation(t, root+"/usual/x/bin", "15.1")
				script(t, root+"/usual/x/bin/pg_ctl", "exit 3")
				return options(root)
			}, "usual/x/bin: pg_ctl does not run: exit status 3\n",
		},
		"a file that is not executable": {
			func(t *testing.T, root string) pgbin.Options {
				installation(t, root+"/usual/x/bin", "15.1")
				if err := os.Chmod(root+"/usual/x/bin/pg_ctl", 0o644); err != nil {
					t.Fatal(err)
				}
				return options(root)
			}, "usual/x/bin: pg_ctl is not executable\n",
		},
		"a program that is something else": {
			func(t *testing.T, root string) pgbin.Options {
				installation(t, root+"/usual/x/bin", "15.1")
				script(t, root+"/usual/x/bin/initdb", "echo busybox")
				return options(root)
			}, `usual/x/bin: initdb --version says "busybox", which is not PostgreSQL` + "\n",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := sharedDir(t)
			_, err := pgbin.Find(t.Context(), tt.prepare(t, root))
			if _, ok := errors.AsType[*pgbin.NotFoundError](err); !ok {
				t.Fatalf("got error %v, want NotFoundError", err)
			}
			if want := "  not used: " + root + "/" + tt.reason; !strings.Contains(err.Error(), want) {
				t.Errorf("the error is\n%v\nwithout the line\n%s", err, want)
			}
		})
	}
}

func TestFindSaysWhatToInstall(t *testing.T) {
	t.Parallel()
	_, err := pgbin.Find(t.Context(), options(sharedDir(t), "PATH", "", "HOME", ""))
	const want = `PostgreSQL 15 to 18 was not found on this machine.
Install it:
  Debian, Ubuntu:  sudo apt-get install postgresql
  Fedora, RHEL:    sudo dnf install postgresql-server postgresql-contrib
  macOS:           brew install postgresql@17
  anywhere else:   set TWOKEY_PGBIN to the folder that holds initdb, postgres, pg_ctl, pg_basebackup, pg_rewind, pg_controldata, pg_waldump`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestNamedFolderIsNeverPassedOver(t *testing.T) {
	t.Parallel()
	root := sharedDir(t)
	installation(t, root+"/usual/17/bin", "17.11")
	mkdir(t, root+"/named")
	_, err := pgbin.FindOrFetch(t.Context(), options(root, "TWOKEY_PGBIN", root+"/named"))
	var named *pgbin.NamedFolderError
	if !errors.As(err, &named) || !strings.Contains(err.Error(), "initdb is missing") {
		t.Errorf("got %v, want NamedFolderError that names initdb", err)
	}
}

func TestFindStopsWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	root := sharedDir(t)
	installation(t, root+"/usual/17/bin", "17.11")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := pgbin.Find(ctx, options(root)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestRootRefusesProgramsThatOthersCannotReach(t *testing.T) {
	t.Parallel()
	root := sharedDir(t)
	installation(t, root+"/home/bin", "17.11")
	if err := os.Chmod(root+"/home", 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := pgbin.Find(t.Context(), options(root, "PATH", root+"/home/bin"))
	if os.Geteuid() != 0 {
		if err != nil {
			t.Fatalf("a user's own servers may use the user's own programs: %v", err)
		}
		return
	}
	if want := "only some users can use " + root + "/home"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want an error with %q", err, want)
	}
}

func TestRealProgramsAreFoundWithAnEmptyHome(t *testing.T) {
	env := environment("PATH", os.Getenv("PATH"), "TWOKEY_PGBIN", os.Getenv("TWOKEY_PGBIN"))
	t.Setenv("HOME", "")
	t.Setenv("XDG_CACHE_HOME", "")
	p, err := pgbin.Find(t.Context(), pgbin.Options{Getenv: env})
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.Command(t.Context(), "pg_rewind", "--version").Output()
	if err != nil || !strings.Contains(string(out), p.Version) {
		t.Errorf("pg_rewind says %q, %v; want version %s", out, err, p.Version)
	}
}

func TestServersInheritNoSecretsAndNoServerSettings(t *testing.T) {
	t.Setenv("SLACK_BOT_TOKEN", "planted")
	t.Setenv("PGHOST", "planted")
	for _, entry := range (pgbin.Programs{}).Env() {
		if strings.Contains(entry, "planted") {
			t.Errorf("the environment holds %s", entry)
		}
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

func symlink(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}
