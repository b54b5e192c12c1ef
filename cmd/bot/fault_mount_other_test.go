//go:build !linux

package main

import "errors"

func mountMemory(string, string) error { return errors.New("no small file system can be mounted here") }

func unmount(string) error { return nil }
