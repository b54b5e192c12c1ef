package pgbin

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Options say where and what to look for. The zero value is what the demo uses.
type Options struct {
	// Major is the only one wanted, 0 for the newest that is found.
	Major int
	// Getenv reads TWOKEY_PGBIN and PATH; nil is os.Getenv.
	Getenv func(string) string
	// Folders replaces the usual folders of the distributions. Entries may be patterns of filepath.Glob.
	Folders []string
	// Cache is where fetched programs are kept. Empty is twokey/postgresql in the user's cache folder, for
	// root in /var/cache.
	Cache string
	// Log is told what is fetched, because that takes a while; nil tells nobody.
	Log *slog.Logger
}

func (o Options) getenv(name string) string {
	if o.Getenv != nil {
		return o.Getenv(name)
	}
	return os.Getenv(name)
}

func (o Options) log() *slog.Logger {
	if o.Log != nil {
		return o.Log
	}
	return slog.New(slog.DiscardHandler)
}

func usualFolders() []string {
	return []string{
		"/usr/lib/postgresql/*/bin",          // Debian, Ubuntu
		"/usr/pgsql-*/bin",                   // RHEL, packages of the PostgreSQL project
		"/usr/bin",                           // Fedora, RHEL, Arch
		"/usr/libexec/postgresql*",           // Alpine
		"/opt/homebrew/opt/postgresql@*/bin", // Homebrew on Apple silicon
		"/usr/local/opt/postgresql@*/bin",    // Homebrew on Intel
		"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
		"/usr/local/pgsql/bin", // built from source
	}
}

// Find looks for PostgreSQL programs and changes nothing.
//
// Errors: [*NamedFolderError] when TWOKEY_PGBIN is set and unfit, [*NotFoundError] when there are none, ctx's
// when it ended meanwhile.
func Find(ctx context.Context, o Options) (Programs, error) {
	forOthers := os.Geteuid() == 0
	if named := o.getenv("TWOKEY_PGBIN"); named != "" {
		return findNamed(ctx, named, o.Major, forOthers)
	}
	var best Programs
	var refused []Refusal
	for _, folder := range o.candidates(ctx) {
		p, relevant, err := inspect(ctx, folder, forOthers)
		if err == nil {
			err = rightMajor(p, o.Major)
		}
		if err == nil && p.Major > best.Major {
			best = p
		}
		if err != nil && relevant {
			refused = append(refused, Refusal{Folder: folder, Reason: err.Error()})
		}
	}
	if err := ctx.Err(); err != nil {
		return Programs{}, fmt.Errorf("look for PostgreSQL programs: %w", err)
	}
	if best.Major == 0 {
		return Programs{}, &NotFoundError{Major: o.Major, Refused: refused}
	}
	return best, nil
}

func findNamed(ctx context.Context, folder string, major int, forOthers bool) (Programs, error) {
	p, _, err := inspect(ctx, folder, forOthers)
	if ctx.Err() != nil {
		return Programs{}, fmt.Errorf("look for PostgreSQL programs: %w", ctx.Err())
	}
	if err == nil {
		err = rightMajor(p, major)
	}
	if err != nil {
		return Programs{}, &NamedFolderError{Refusal{Folder: folder, Reason: err.Error()}}
	}
	return p, nil
}

func rightMajor(p Programs, want int) error {
	if want != 0 && p.Major != want {
		return fmt.Errorf("it is PostgreSQL %s, wanted is %d", p.Version, want)
	}
	return nil
}

// candidates lists existing folders, each once, in the order of preference.
func (o Options) candidates(ctx context.Context) []string {
	var all []string
	for _, dir := range filepath.SplitList(o.getenv("PATH")) {
		if filepath.IsAbs(dir) { // an empty or relative entry means the working folder: not trusted
			all = append(all, behindLinks(dir)...)
			all = append(all, bindir(ctx, dir)...)
		}
	}
	patterns := o.Folders
	if patterns == nil {
		patterns = usualFolders()
	}
	if cache, err := o.cache(); err == nil {
		patterns = append(slices.Clip(patterns), filepath.Join(cache, "*", "usr/lib/postgresql/*/bin"))
	}
	for _, pattern := range patterns {
		found, _ := filepath.Glob(pattern) // a malformed pattern finds nothing
		all = append(all, found...)
	}
	return unique(all)
}

// behindLinks returns the folder itself and those that its programs really lie in.
func behindLinks(dir string) []string {
	folders := []string{dir}
	for _, name := range Required() {
		target, err := filepath.EvalSymlinks(filepath.Join(dir, name))
		if err != nil || filepath.Base(target) == debianWrapper {
			continue
		}
		folders = append(folders, filepath.Dir(target))
	}
	return folders
}

// bindir asks the pg_config in the folder, if there is one, where its programs are.
func bindir(ctx context.Context, dir string) []string {
	config := filepath.Join(dir, "pg_config")
	if _, err := os.Stat(config); err != nil {
		return nil
	}
	out, err := exec.CommandContext(ctx, config, "--bindir").Output()
	if err != nil {
		return nil // a broken pg_config only means one hint less
	}
	return []string{strings.TrimSpace(string(out))}
}

// unique resolves links and keeps the first of each existing folder.
func unique(folders []string) []string {
	var kept []string
	seen := map[string]bool{}
	for _, folder := range folders {
		real, err := filepath.EvalSymlinks(folder)
		if err != nil || seen[real] {
			continue
		}
		seen[real] = true
		kept = append(kept, real)
	}
	return kept
}
