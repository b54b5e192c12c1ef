package pgbin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// debianWrapper is the program behind the symbolic links that Debian puts on PATH. It chooses among
// installed clusters and can't stand in for the programs themselves.
const debianWrapper = "pg_wrapper"

var versionPattern = regexp.MustCompile(`\(PostgreSQL\) ((\d+)(?:\.\d+|beta\d+|rc\d+|devel)*)`)

// inspect checks one folder. An error says, for a person, why the folder doesn't do; the second result tells
// whether the folder holds any of the programs at all, that is whether the reason is worth showing.
func inspect(ctx context.Context, folder string, forOthers bool) (Programs, bool, error) {
	folder, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return Programs{}, false, err
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return Programs{}, false, err
	}
	present, err := presentPrograms(folder)
	if err != nil {
		return Programs{}, present > 0, err
	}
	p := Programs{Folder: folder, Libraries: unpackedLibraries(folder)}
	if forOthers {
		if err := reachable(p); err != nil {
			return Programs{}, true, err
		}
	}
	p, err = withVersion(ctx, p)
	return p, true, err
}

// presentPrograms counts the required programs in the folder; the error names those that are missing.
func presentPrograms(folder string) (int, error) {
	var missing []string
	present := 0
	for _, name := range Required() {
		if err := isProgram(filepath.Join(folder, name)); err != nil {
			missing = append(missing, fmt.Sprintf("%s %v", name, err))
			continue
		}
		present++
	}
	if len(missing) > 0 {
		return present, errors.New(strings.Join(missing, ", "))
	}
	return present, nil
}

func isProgram(path string) error {
	target, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("is missing")
	}
	if err != nil {
		return fmt.Errorf("can't be read: %w", err)
	}
	if filepath.Base(target) == debianWrapper {
		return errors.New("is only Debian's wrapper")
	}
	info, err := os.Stat(target)
	if err != nil {
		return fmt.Errorf("can't be read: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		return errors.New("is not executable")
	}
	return nil
}

// withVersion asks every program for its version and demands that all are of one supported major.
func withVersion(ctx context.Context, p Programs) (Programs, error) {
	for _, name := range Required() {
		version, major, err := programVersion(ctx, p, name)
		if err != nil {
			return p, err
		}
		if p.Major == 0 {
			p.Version, p.Major = version, major
		}
		if major != p.Major {
			return p, fmt.Errorf("%s is of version %d, %s of version %d", Required()[0], p.Major, name, major)
		}
	}
	if p.Major < OldestMajor || p.Major > NewestMajor {
		return p, fmt.Errorf("it is PostgreSQL %s, wanted is %d to %d", p.Version, OldestMajor, NewestMajor)
	}
	return p, nil
}

func programVersion(ctx context.Context, p Programs, name string) (string, int, error) {
	out, err := p.Command(ctx, name, "--version").Output()
	if err != nil {
		return "", 0, fmt.Errorf("%s does not run: %w", name, err)
	}
	match := versionPattern.FindSubmatch(out)
	if match == nil {
		return "", 0, fmt.Errorf("%s --version says %q, which is not PostgreSQL", name, strings.TrimSpace(string(out)))
	}
	major, err := strconv.Atoi(string(match[2]))
	return string(match[1]), major, err
}

// reachable demands that users other than the owner can run the programs.
func reachable(p Programs) error {
	for _, name := range Required() {
		target, err := filepath.EvalSymlinks(p.Path(name))
		if err != nil {
			return err
		}
		if err := othersCan(target, 0o005); err != nil {
			return err
		}
	}
	return nil
}

// othersCan checks the bits for others: want on the path itself, search on each folder above it.
func othersCan(path string, want fs.FileMode) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&want != want {
		return fmt.Errorf("only some users can use %s, and as root servers run as another user", path)
	}
	if parent := filepath.Dir(path); parent != path {
		return othersCan(parent, 0o001)
	}
	return nil
}

// unpackedLibraries returns the folder of the libraries that were unpacked beside the programs, where that
// folder is none that the system searches. Libraries that come with their own C library are left alone: such
// programs were patched to find them, and the system's shell, which the server runs, must not load them.
func unpackedLibraries(folder string) string {
	root := filepath.Clean(filepath.Join(folder, "../../../../.."))
	if root == "/" {
		return ""
	}
	found, _ := filepath.Glob(filepath.Join(root, "usr/lib/*/libpq.so.5")) // the pattern is well-formed
	if len(found) == 0 {
		return ""
	}
	libraries := filepath.Dir(found[0])
	if _, err := os.Stat(filepath.Join(libraries, "libc.so.6")); err == nil {
		return ""
	}
	return libraries
}
