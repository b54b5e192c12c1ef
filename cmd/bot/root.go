package main

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newRoot(io streams, test seams) *cobra.Command {
	root := &cobra.Command{
		Use:   "bot",
		Short: "Two-person PostgreSQL failover from Slack",
		Long: `twokey lets two named people, and never one, fail a PostgreSQL pair over from
an ops channel, and proves before it acts that no acknowledged write is lost.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetIn(io.in)
	root.SetOut(io.out)
	root.SetErr(io.err)
	root.AddCommand(newServe(test), newDemo(), newStatus(), newVerify(), newDoctor(), newInsertTest(), newVerifyData(), newPoint(), newAudit(), newOTP(), newHealth(), newGuard(), newInstall(), newSQL(), newConfig(), newSlack(), newVersion())
	root.AddCommand(newAsks()...)
	return root
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "twokey", version())
			return err
		},
	}
}

// version comes from the build: the module's version and the commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	text := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			text += " " + s.Value
		}
	}
	return text + " " + info.GoVersion
}
