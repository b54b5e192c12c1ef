package store

import "errors"

// What Open refuses, and leaves untouched.
var (
	// ErrLocked: another process has the file open.
	ErrLocked = errors.New("the store is in use by another bot")
	// ErrNewer: a newer version of this program wrote the file.
	ErrNewer = errors.New("the store was written by a newer version")
	// ErrDamaged: the file was a store, and a part of it is missing or overwritten.
	ErrDamaged = errors.New("the store is damaged")
	// ErrForeign: the file is something else.
	ErrForeign = errors.New("the file is not a store of twokey")
)

// What a method refuses later.
var (
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("the store is closed")
	// ErrFailed: the disk failed in the middle of a commit, so it isn't known
	// whether that transaction is durable. Only opening the store again finds out.
	ErrFailed = errors.New("the store has failed and must be opened again")
	// ErrAttempt: the caller's attempt isn't the one that claimed the request,
	// so what it knows is old.
	ErrAttempt = errors.New("the request was claimed by another attempt")
)
