package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"twokey/config"
)

func newConfig() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Check the configuration file, or print a sample or its schema"}
	cmd.AddCommand(newConfigCheck(), newConfigSample(), newConfigSchema())
	return cmd
}

func newConfigCheck() *cobra.Command {
	var elsewhere bool
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Say whether the bot would start with this file",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := config.Load(args[0])
			if err != nil {
				return err
			}
			if err := findsAll(cfg); err != nil && !elsewhere {
				return fmt.Errorf("%s is well written, but refers to what is not there:\n%w", args[0], err)
			}
			who := fmt.Sprintf("%d approvers", len(cfg.Policy.Approvers))
			if group := cfg.Policy.ApproverGroup; group != "" {
				who = "approvers from user group " + group
			}
			said := "fine"
			if elsewhere {
				said = "well written"
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is %s: %d pairs, %s.\n", args[0], said, len(cfg.Pairs), who)
			return err
		},
	}
	cmd.Flags().BoolVar(&elsewhere, "elsewhere", false, "the bot runs elsewhere: don't look for what the file refers to")
	return cmd
}

// findsAll looks for what the file refers to, as a start would: secrets, and
// what the drivers need. It connects to nothing.
func findsAll(cfg config.Config) error {
	secrets, err := cfg.Secrets(os.LookupEnv)
	if err != nil {
		return err
	}
	if _, _, err := codesOf(secrets); err != nil {
		return err
	}
	_, closeAll, err := handsOf(cfg, secrets, nil)
	if err == nil {
		closeAll()
	}
	return err
}

func newConfigSample() *cobra.Command {
	return &cobra.Command{
		Use:   "sample",
		Short: "Print a commented configuration file to start from",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), config.Sample())
			return err
		},
	}
}

func newConfigSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the configuration file's JSON schema",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			schema, err := config.Schema()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), string(schema))
			return err
		},
	}
}

// loadConfig reads the file that --config names.
func loadConfig(path string) (config.Config, config.Secrets, error) {
	if path == "" {
		return config.Config{}, config.Secrets{}, errors.New("--config FILE is missing; `bot config sample` prints a file to start from")
	}
	cfg, err := config.Load(path)
	if err != nil {
		return config.Config{}, config.Secrets{}, err
	}
	secrets, err := cfg.Secrets(os.LookupEnv)
	return cfg, secrets, err
}
