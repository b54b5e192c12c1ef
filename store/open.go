package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"twokey/actions"
)

// Options of a store; every zero value has a default.
type Options struct {
	Now         func() time.Time // default time.Now
	Log         *slog.Logger     // default: nothing is logged
	LockTimeout time.Duration    // how long Open waits for another process to let go; default 2 s
	SampleAge   time.Duration    // samples older than this are pruned; default 90 days
	SampleFull  time.Duration    // samples older than this are merged; default actions.MergeAfter
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.LockTimeout <= 0 {
		o.LockTimeout = 2 * time.Second
	}
	if o.SampleFull <= 0 {
		o.SampleFull = actions.MergeAfter
	}
	if o.SampleAge <= 0 {
		o.SampleAge = 90 * 24 * time.Hour
	}
	return o
}

// Store is an open store. Its methods may be called from several goroutines.
type Store struct {
	db     *bbolt.DB
	opt    Options
	path   string
	failed atomic.Bool

	mu     sync.Mutex
	next   int
	wake   map[int]chan struct{} // of subscribers
	pruned []byte                // the pair whose samples were pruned last; where to go on
}

const (
	fileMode = 0o600
	// batchDelay is how long a small write waits for others to share its fsync.
	batchDelay = 2 * time.Millisecond
)

// Open opens the store in the file at path, and makes it when there is none.
// See the package's documentation for its errors; each reads as one sentence.
func Open(path string, opt Options) (*Store, error) {
	opt = opt.withDefaults()
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("the store's path %q can't be made absolute: %w", path, err)
	}
	if err := ensure(path, opt); err != nil {
		return nil, err
	}
	db, err := openChecked(path, opt)
	if err != nil {
		return nil, err
	}
	s := &Store{db: db, opt: opt, path: path, wake: map[int]chan struct{}{}}
	if err := s.migrate(migrations()); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// Close waits for running transactions and releases the file.
func (s *Store) Close() error {
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("closing the store %s: %w", s.path, err)
	}
	return nil
}

// Path of the store's file, absolute.
func (s *Store) Path() string { return s.path }

// ensure makes the file when there is none, and explains what stands in the way.
func ensure(path string, opt Options) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return create(path)
	case err != nil:
		return fmt.Errorf("the store %s can't be looked at: %w", path, err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%w: %s is no regular file", ErrForeign, path)
	case info.Mode().Perm()&0o007 != 0:
		opt.Log.Warn("every user of this machine can open the store; set its mode to 0600", "path", path, "mode", info.Mode().Perm())
	}
	return nil
}

// create builds an empty store beside path and gives it the name only when it
// is complete, so that a half-made one is never opened. When another process
// was faster, its store is the store.
func create(path string) error {
	dir := filepath.Dir(path)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the folder %s for the store doesn't exist; create it: %w", dir, err)
	}
	temp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("the store %s can't be created: %w", path, err)
	}
	defer os.Remove(temp.Name())
	if err := errors.Join(temp.Close(), initialise(temp.Name())); err != nil {
		return fmt.Errorf("the store %s can't be created: %w", path, err)
	}
	if err := os.Link(temp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("the store %s can't be created (its file system must know hard links): %w", path, err)
	}
	return syncDir(dir)
}

func initialise(temp string) error {
	db, err := bbolt.Open(temp, fileMode, boltOptions())
	if err != nil {
		return err
	}
	return errors.Join(db.Update(found), db.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("the store's folder can't be opened: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("the store's folder %s can't be synced: %w", dir, err)
	}
	return nil
}

func boltOptions() *bbolt.Options {
	return &bbolt.Options{FreelistType: bbolt.FreelistMapType, NoStatistics: true}
}

// openChecked lets bbolt have the file only after it was locked and checked.
// bbolt then locks the same open file once more, which changes nothing.
func openChecked(path string, opt Options) (*bbolt.DB, error) {
	options := boltOptions()
	options.Timeout = opt.LockTimeout
	options.OpenFile = func(string, int, os.FileMode) (*os.File, error) { return openLocked(path, opt) }
	db, err := bbolt.Open(path, fileMode, options)
	if err != nil {
		return nil, err
	}
	db.MaxBatchDelay = batchDelay
	return db, nil
}

func openLocked(path string, opt Options) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("the store %s can't be opened: %w", path, err)
	}
	if err := lock(file, opt.LockTimeout); err != nil {
		return nil, errors.Join(fmt.Errorf("the store %s can't be locked: %w", path, err), file.Close())
	}
	if err := inspect(file); err != nil {
		return nil, errors.Join(fmt.Errorf("the store %s is refused: %w", path, err), file.Close())
	}
	return file, nil
}

// write runs change in one durable transaction of its own.
func (s *Store) write(ctx context.Context, change func(*bbolt.Tx) error) error {
	return s.commit(ctx, s.db.Update, change)
}

// share is write for small things that nobody waits for at once: callers at
// the same time share one fsync. change may run more than once.
func (s *Store) share(ctx context.Context, change func(*bbolt.Tx) error) error {
	return s.commit(ctx, s.db.Batch, change)
}

func (s *Store) commit(ctx context.Context, run func(func(*bbolt.Tx) error) error, change func(*bbolt.Tx) error) error {
	if s.failed.Load() {
		return ErrFailed
	}
	var own error // what change itself said; anything else is bbolt's
	var id int
	err := run(func(tx *bbolt.Tx) error {
		id = tx.ID()
		own = guarded(ctx, tx, change)
		return own
	})
	switch {
	case err == nil:
		s.notify()
		return nil
	case own != nil:
		return own
	}
	return s.commitFailed(id, err)
}

// guarded keeps work from being committed whose authority ended while it
// waited for its turn.
func guarded(ctx context.Context, tx *bbolt.Tx, change func(*bbolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := change(tx); err != nil {
		return err
	}
	return ctx.Err()
}

// commitFailed finds out what a failed commit left: mostly nothing. But when
// its header page was written and only the fsync failed, readers see the
// transaction and the disk may not have it: then nothing more is answered.
func (s *Store) commitFailed(id int, cause error) error {
	if errors.Is(cause, bolterrors.ErrDatabaseNotOpen) {
		return ErrClosed
	}
	err := s.db.View(func(tx *bbolt.Tx) error {
		if tx.ID() >= id {
			return ErrFailed
		}
		return nil
	})
	if err != nil {
		s.failed.Store(true)
		return fmt.Errorf("writing the store %s: %w (%w)", s.path, cause, ErrFailed)
	}
	return fmt.Errorf("writing the store %s failed and nothing was changed; look at the disk's free space and state: %w", s.path, cause)
}

func (s *Store) read(ctx context.Context, look func(*bbolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.failed.Load() {
		return ErrFailed
	}
	err := s.db.View(look)
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return ErrClosed
	}
	return err
}
