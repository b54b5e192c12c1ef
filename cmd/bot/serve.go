package main

import (
	"errors"
	"log/slog"
	"os"

	"github.com/spf13/cobra"
)

func newServe(test seams) *cobra.Command {
	var file string
	var debug bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the bot",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, secrets, err := loadConfig(file)
			if err != nil {
				return err
			}
			level := slog.LevelInfo
			if debug {
				level = slog.LevelDebug
			}
			log := newLogger(os.Stderr, level)
			s, err := newService(cfg, secrets, log, test)
			if err != nil {
				return err
			}
			return errors.Join(s.run(cmd.Context()), s.close())
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration file")
	cmd.Flags().BoolVar(&debug, "debug", false, "log more")
	return cmd
}
