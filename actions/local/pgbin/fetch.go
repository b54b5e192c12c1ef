package pgbin

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"

	"twokey/actions/local/internal/cachedir"
	"twokey/actions/local/internal/filelock"
)

// FindOrFetch is [Find], and where nothing is found it fetches PostgreSQL for this user: through apt, unpacked
// into the cache without installing anything, or through Homebrew. It always uses the package client as it is
// configured. Only one process of this machine fetches at a time; the others wait and then find.
//
// Errors: those of [Find], where [*NotFoundError] then also wraps why fetching didn't work, [ErrNoFetch] for
// one; [*NamedFolderError] stops it before it fetches anything.
func FindOrFetch(ctx context.Context, o Options) (Programs, error) {
	found, err := Find(ctx, o)
	var notFound *NotFoundError
	if !errors.As(err, &notFound) {
		return found, err
	}
	if found, err = fetch(ctx, o); err != nil {
		return Programs{}, fmt.Errorf("%w\nfetching it did not work: %w", notFound, err)
	}
	return found, nil
}

func fetch(ctx context.Context, o Options) (Programs, error) {
	client, err := o.client()
	if err != nil {
		return Programs{}, err
	}
	cache, err := o.cache()
	if err != nil {
		return Programs{}, err
	}
	if err := cachedir.Make(cache); err != nil {
		return Programs{}, err
	}
	unlock, err := filelock.Lock(ctx, filepath.Join(cache, "lock"))
	if err != nil {
		return Programs{}, err
	}
	defer unlock()
	if found, err := Find(ctx, o); err == nil { // another process has fetched it while this one waited
		return found, nil
	}
	o.log().Info("no PostgreSQL found, fetching it", "with", client.path, "into", cache)
	if err := client.fetch(ctx, client.path, cache, o.Major); err != nil {
		return Programs{}, err
	}
	found, err := Find(ctx, o)
	if notFound, ok := errors.AsType[*NotFoundError](err); ok {
		return Programs{}, fmt.Errorf("what was fetched can't be used: %s", notFound.refusals())
	}
	return found, err
}

// client is a package client of this machine.
type client struct {
	path  string
	fetch func(ctx context.Context, program, cache string, major int) error
}

func (o Options) client() (client, error) {
	if path, ok := o.onPath("apt-get"); ok {
		return client{path, fetchApt}, nil
	}
	if path, ok := o.onPath("brew"); ok {
		return client{path, fetchBrew}, nil
	}
	return client{}, ErrNoFetch
}

func (o Options) onPath(program string) (string, bool) {
	for _, dir := range filepath.SplitList(o.getenv("PATH")) {
		if path := filepath.Join(dir, program); filepath.IsAbs(dir) && isProgram(path) == nil {
			return path, true
		}
	}
	return "", false
}

// cache returns the folder for fetched programs.
func (o Options) cache() (string, error) {
	if o.Cache != "" {
		return o.Cache, nil
	}
	return cachedir.Path("postgresql")
}

// run runs a package client; the error carries what it printed.
func run(cmd *exec.Cmd) ([]byte, error) {
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil, fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, lastLines(exit.Stderr))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(cmd.Path), err)
	}
	return out, nil
}

// lastLines shortens what a client printed to what a person can take in.
func lastLines(out []byte) string {
	const most = 600
	if len(out) > most {
		out = out[len(out)-most:]
	}
	return string(out)
}
