package pgbin

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	serverPackage  = regexp.MustCompile(`(?m)^postgresql-(\d+)$`)
	planned        = regexp.MustCompile(`(?m)^Inst (\S+) `)
	wantedPackages = regexp.MustCompile(`^(postgresql-(client-)?\d+|lib.*|tzdata)$`)
	// unwanted are dependencies that no server program needs to run: perl for the wrappers, LLVM for jit,
	// which the servers here have switched off and which would be most of the download.
	unwanted = regexp.MustCompile(`^lib(llvm|perl|.*-perl$)`)
)

// apt runs the tools of apt without root: state and cache are private folders, only the sources, keys and
// proxies are the system's, and so is the list of installed packages, so that what is there isn't fetched.
type apt struct {
	get  string // path of apt-get; apt-cache lies beside it
	work string
}

// fetchApt unpacks the newest supported PostgreSQL (or the wanted major) of the configured sources into a
// folder below the cache. Nothing is installed.
func fetchApt(ctx context.Context, program, cache string, major int) error {
	work, err := os.MkdirTemp(cache, "fetching-")
	if err != nil {
		return fmt.Errorf("make a working folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }()                      // rubbish at worst; the next fetch works beside it
	if program, err = filepath.EvalSymlinks(program); err != nil { // apt-cache lies beside the real one
		return err
	}
	a := apt{get: program, work: work}
	if err := a.prepare(ctx); err != nil {
		return err
	}
	server, err := a.choose(ctx, major)
	if err != nil {
		return err
	}
	if err := a.unpack(ctx, server); err != nil {
		return err
	}
	return moveInto(filepath.Join(work, "root"), filepath.Join(cache, server))
}

func (a apt) options() []string {
	in := func(name string) string { return filepath.Join(a.work, name) }
	return []string{
		"-qq",
		"-o", "Dir::State=" + in("state"), "-o", "Dir::State::status=/var/lib/dpkg/status",
		"-o", "Dir::Cache=" + in("cache"),
		"-o", "Debug::NoLocking=true",
		"-o", "Acquire::Retries=3",
		// Started as root apt would download as a user of its own, who can't enter this folder.
		"-o", "APT::Sandbox::User=root",
	}
}

func (a apt) run(ctx context.Context, program string, args ...string) ([]byte, error) {
	path := filepath.Join(filepath.Dir(a.get), program)
	cmd := exec.CommandContext(ctx, path, append(a.options(), args...)...)
	cmd.Dir = filepath.Join(a.work, "debs")
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	return run(cmd)
}

func (a apt) prepare(ctx context.Context) error {
	for _, folder := range []string{"state/lists/partial", "cache/archives/partial", "debs", "root"} {
		if err := os.MkdirAll(filepath.Join(a.work, folder), 0o755); err != nil {
			return err
		}
	}
	_, err := a.run(ctx, "apt-get", "update")
	return err
}

// choose returns the name of the server's package.
func (a apt) choose(ctx context.Context, major int) (string, error) {
	names, err := a.run(ctx, "apt-cache", "pkgnames", "postgresql-")
	if err != nil {
		return "", err
	}
	best := 0
	for _, match := range serverPackage.FindAllSubmatch(names, -1) {
		offered, err := strconv.Atoi(string(match[1]))
		if err != nil || offered < OldestMajor || offered > NewestMajor || (major != 0 && offered != major) {
			continue
		}
		best = max(best, offered)
	}
	if best == 0 {
		want := (&NotFoundError{Major: major}).wanted()
		return "", fmt.Errorf("the package sources of this system don't offer %s", want)
	}
	return fmt.Sprintf("postgresql-%d", best), nil
}

// unpack downloads the server and those of its dependencies that are missing, and unpacks them.
func (a apt) unpack(ctx context.Context, server string) error {
	plan, err := a.run(ctx, "apt-get", "--simulate", "--no-install-recommends", "install", server)
	if err != nil {
		return err
	}
	// The client package is named because on a system that has it, it is not among what is missing.
	packages := []string{"download", server, strings.Replace(server, "postgresql", "postgresql-client", 1)}
	for _, match := range planned.FindAllSubmatch(plan, -1) {
		name := string(match[1])
		if wantedPackages.MatchString(name) && !unwanted.MatchString(name) && !slices.Contains(packages, name) {
			packages = append(packages, name)
		}
	}
	if _, err := a.run(ctx, "apt-get", packages...); err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(a.work, "debs", "*.deb"))
	if err != nil {
		return err
	}
	for _, deb := range debs {
		cmd := exec.CommandContext(ctx, "dpkg-deb", "--extract", deb, filepath.Join(a.work, "root"))
		if _, err := run(cmd); err != nil {
			return fmt.Errorf("unpack %s: %w", strings.TrimSuffix(filepath.Base(deb), ".deb"), err)
		}
	}
	return nil
}

// moveInto replaces an unfit earlier installation. Between its two steps there is none; the lock keeps others
// from looking, and a crash there only means that the next call fetches again.
func moveInto(from, to string) error {
	if err := os.RemoveAll(to); err != nil {
		return fmt.Errorf("remove an unfit installation: %w", err)
	}
	if err := os.Chmod(from, 0o755); err != nil {
		return err
	}
	return os.Rename(from, to)
}
