package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"twokey/bot"
	"twokey/config"
)

func newSlack() *cobra.Command {
	cmd := &cobra.Command{Use: "slack", Short: "Prepare the Slack app"}
	cmd.AddCommand(newManifest())
	return cmd
}

func newManifest() *cobra.Command {
	var o bot.ManifestOptions
	var transport, format string
	cmd := &cobra.Command{
		Use:   "manifest",
		Short: "Print the Slack app's manifest",
		Long: `manifest prints what Slack needs to know to make the app: its command, its
scopes, the events that it wants, and where they go. Paste it into "From a
manifest" on https://api.slack.com/apps. It asks for exactly what the bot uses.
docs/slack-setup.md goes from there to the first /pg status.`,
		Example: `  bot slack manifest --transport http --url https://twokey.example.com
  bot slack manifest --transport socket -o yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Socket = transport == config.TransportSocket
			if transport != config.TransportHTTP && !o.Socket {
				return fmt.Errorf("--transport %q: it is %s or %s, as slack.transport in the bot's configuration", transport, config.TransportHTTP, config.TransportSocket)
			}
			return printManifest(cmd.OutOrStdout(), o, format)
		},
	}
	cmd.Flags().StringVar(&transport, "transport", "", "how Slack's deliveries come: http or socket")
	cmd.Flags().StringVar(&o.URL, "url", "", "with http: address under which Slack reaches the bot")
	cmd.Flags().StringVar(&o.Name, "name", "", `name of the app (default "twokey")`)
	cmd.Flags().BoolVar(&o.Private, "private", false, "the operations channel is a private one")
	cmd.Flags().BoolVar(&o.Group, "user-group", false, "the approvers are a Slack user group")
	cmd.Flags().StringVarP(&format, "output", "o", "json", "json or yaml")
	return cmd
}

func printManifest(to io.Writer, o bot.ManifestOptions, format string) error {
	m, err := o.Manifest()
	if err != nil {
		return err
	}
	switch format {
	case "json":
		enc := json.NewEncoder(to)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(m)
	case "yaml":
		raw, err := yaml.Marshal(m)
		if err == nil {
			_, err = to.Write(raw)
		}
		return err
	}
	return fmt.Errorf("-o %s: the formats are json, yaml", format)
}
