// Package janitor cleans up after a program that may die at any moment, also by SIGKILL or a panic.
//
// The janitor is a small process of its own: the same program, started again with a variable in its
// environment that makes [MaybeRun] take it over. It reads from a pipe what there will be to clean up, and
// cleans up when the pipe ends, that is when the last process that could write to it is gone: no signal has to
// be delivered, and nothing has to be noticed by polling. A program that ends in good order closes the pipe
// itself and waits, so there is one path for both, and it is used every time.
//
// It stops servers before it removes folders, whatever the order of registration, and goes on after a failure.
// It lives in a session of its own and takes no notice of the signals that a terminal or a supervisor sends to
// a whole group. What it can't survive is being killed itself, together with its program: then folders and
// servers stay.
package janitor
