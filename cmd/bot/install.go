package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

// newInstall copies the program out of an image that holds nothing else: into a
// folder that another container shares, where it then guards that one's server.
func newInstall() *cobra.Command {
	return &cobra.Command{
		Use:     "install FILE",
		Short:   "Copy this program to a file, for images without a cp",
		Args:    cobra.ExactArgs(1),
		Example: "  bot install /twokey/bot",
		RunE: func(_ *cobra.Command, args []string) error {
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this program: %w", err)
			}
			return copyProgram(self, args[0])
		},
	}
}

// copyProgram leaves either the whole program under the name, or what was there.
func copyProgram(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("read this program: %w", err)
	}
	defer func() { _ = in.Close() }() // only read from
	out, err := os.CreateTemp(filepath.Dir(to), ".install-")
	if err != nil {
		return fmt.Errorf("write %s: %w", to, err)
	}
	_, err = io.Copy(out, in)
	err = errors.Join(err, out.Chmod(0o755), out.Sync(), out.Close())
	if err == nil {
		err = os.Rename(out.Name(), to)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", to, errors.Join(err, os.Remove(out.Name())))
	}
	return nil
}
