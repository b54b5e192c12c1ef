package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"twokey/actions"
	"twokey/config"
)

const doctorLong = `doctor tries everything that the bot depends on, with the bot's own configuration and
logins, and says of each whether it works and how to mend it: the secrets, Slack, the
store, both nodes of every pair with each right of the bot's role, the logins between
the nodes, the platforms that can fence them, and what leads clients. It changes
nothing and asks nobody.

✓ works · ✗ doesn't · ! works, but read this · ? could not be tried from here

Exit codes: 0 nothing is wrong; 1 the configuration can't be read; 2 something is wrong.`

// finding is what the doctor says of one thing.
type finding struct {
	Area   string         `json:"area"` // slack, store, orders dc1, …
	What   string         `json:"what"`
	Status actions.Status `json:"status"`
	Detail string         `json:"detail"`
	Fix    string         `json:"fix,omitempty"`
}

func newDoctor() *cobra.Command {
	var file, format string
	cmd := &cobra.Command{
		Use: "doctor", Short: "Try everything that the bot depends on, and say how to mend what doesn't work", Long: doctorLong, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !slices.Contains([]string{"table", "json"}, format) {
				return fmt.Errorf("-o %s: the formats are table, json", format)
			}
			cfg, secrets, err := loadConfig(file)
			missing := &config.MissingError{}
			if err != nil && !errors.As(err, &missing) {
				return err
			}
			found := examine(cmd.Context(), cfg, secrets, err)
			return errors.Join(printFindings(cmd.OutOrStdout(), format, found), verdictOf(found))
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration file")
	cmd.Flags().StringVarP(&format, "output", "o", "table", "table or json")
	return cmd
}

// verdictOf is an error when something is wrong. What could not be tried isn't.
func verdictOf(found []finding) error {
	if slices.ContainsFunc(found, func(f finding) bool { return f.Status == actions.Bad }) {
		return &exitError{code: 2}
	}
	return nil
}

// doctor is one examination.
type doctor struct {
	cfg     config.Config
	secrets config.Secrets
}

// doctorPatience bounds each area, so that one that hangs hides none of the others.
const doctorPatience = 30 * time.Second

// examine tries all areas at once and gives their findings in a fixed order.
// missing is what kept secrets from being read, nil for nothing.
func examine(ctx context.Context, cfg config.Config, secrets config.Secrets, missing error) []finding {
	d := doctor{cfg, secrets}
	areas := []func(context.Context) []finding{
		func(context.Context) []finding { return secretsFound(missing) },
		d.slack, d.people, d.store,
	}
	for _, p := range cfg.Pairs {
		areas = append(areas, func(ctx context.Context) []finding { return d.pair(ctx, p) })
	}
	results := make([][]finding, len(areas))
	var all sync.WaitGroup
	for i, area := range areas {
		all.Go(func() {
			ctx, cancel := context.WithTimeoutCause(ctx, doctorPatience, fmt.Errorf("it took longer than %s", doctorPatience))
			defer cancel()
			results[i] = area(ctx)
		})
	}
	all.Wait()
	return slices.Concat(results...)
}

// secretsFound names every reference of the file that leads nowhere.
func secretsFound(missing error) []finding {
	if missing == nil {
		return []finding{works("configuration", "what the file refers to", "every secret, password file and certificate is there")}
	}
	var found []finding
	for _, err := range unjoin(missing) {
		found = append(found, broken("configuration", "what the file refers to", err.Error(), "Put it there for the account that the bot runs as, or correct the key."))
	}
	return found
}

// unjoin is the errors that were joined.
func unjoin(err error) []error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return many.Unwrap()
	}
	return []error{err}
}

func works(area, what, detail string) finding {
	return finding{area, what, actions.OK, detail, ""}
}

func broken(area, what, detail, fix string) finding {
	return finding{area, what, actions.Bad, detail, fix}
}

func untried(area, what, detail, fix string) finding {
	return finding{area, what, actions.Unclear, detail, fix}
}

func warned(area, what, detail, fix string) finding {
	return finding{area, what, actions.Warn, detail, fix}
}

func printFindings(w io.Writer, format string, found []finding) error {
	if format == "json" {
		return printJSON(w, found)
	}
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range found {
		fmt.Fprintf(tab, "%s %s\t%s\t%s\n", marks[f.Status], f.Area, f.What, f.Detail)
		if f.Fix != "" {
			fmt.Fprintf(tab, "\t\t→ %s\n", f.Fix)
		}
	}
	fmt.Fprintln(tab, summaryOf(found))
	return tab.Flush()
}

func summaryOf(found []finding) string {
	count := map[actions.Status]int{}
	for _, f := range found {
		count[f.Status]++
	}
	var words []string
	for _, s := range []struct {
		status actions.Status
		words  string
	}{{actions.OK, "work"}, {actions.Bad, "don't"}, {actions.Warn, "to be read"}, {actions.Unclear, "could not be tried"}} {
		if count[s.status] > 0 {
			words = append(words, fmt.Sprintf("%d %s", count[s.status], s.words))
		}
	}
	return strings.Join(words, ", ") + "."
}
