package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"twokey/actions"
	"twokey/approvals"
)

var memberID = regexp.MustCompile(`^[UW][A-Z0-9]{2,}$`)

func refusal(format string, args ...any) error {
	return &approvals.Refusal{Code: approvals.CodeInput, Message: fmt.Sprintf(format, args...)}
}

// askFlags are what the asking subcommands take.
type askFlags struct {
	file, format, as, to, reason string
	dryRun                       bool
}

const askLong = `Opens a request with the running bot, as the command in Slack does, and says
where it waits. Nothing is done until two approvers have approved it there; there
is no way to approve from here. Whoever asks (--as) can't approve.`

func newAsks() []*cobra.Command {
	return []*cobra.Command{
		newAsk("failover", actions.KindAuto, "Ask for a switchover, or a disaster failover if the primary is gone"),
		newAsk("switchover", actions.KindSwitchover, "Ask for a planned switchover, nothing else"),
		newAsk("rejoin", actions.KindRejoin, "Ask to make the old primary the new standby"),
	}
}

func newAsk(name string, kind actions.Kind, short string) *cobra.Command {
	var f askFlags
	cmd := &cobra.Command{
		Use: name + " [pair]", Short: short, Long: short + ".\n\n" + askLong, Args: cobra.MaximumNArgs(1),
		Example: "  bot " + name + " orders -c twokey.yaml --as dba-1 --reason 'kernel upgrade on dc1'",
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd, kind, args)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.file, "config", "c", "", "configuration file")
	flags.StringVarP(&f.format, "output", "o", "table", "table or json")
	flags.StringVar(&f.as, "as", "", "who asks: an approver's name or a Slack member id")
	flags.StringVar(&f.reason, "reason", "", "why, for those who approve")
	flags.BoolVar(&f.dryRun, "dry-run", false, "show the plan and ask nobody")
	if kind != actions.KindRejoin {
		flags.StringVar(&f.to, "to", "", "node that becomes the primary; default: by the evidence")
	}
	return cmd
}

// adminSocketOf checks the format and gives the running bot's admin socket.
func adminSocketOf(file, format string) (string, error) {
	if !slices.Contains([]string{"table", "json"}, format) {
		return "", fmt.Errorf("-o %s: the formats are table, json", format)
	}
	cfg, _, err := loadConfig(file)
	return cfg.AdminSocket, err
}

func (f askFlags) run(cmd *cobra.Command, kind actions.Kind, args []string) error {
	socket, err := adminSocketOf(f.file, f.format)
	if err != nil {
		return err
	}
	v := url.Values{"kind": {string(kind)}, "as": {f.as}, "to": {f.to}, "reason": {f.reason}, "pair": args}
	if f.dryRun {
		a, err := callFor[planned](cmd.Context(), socket, http.MethodGet, "plan", v)
		return answered(cmd, f.format, a, errors.Join(asked{Error: a.Error}.err(), botMissing(err)), func(w io.Writer) error {
			_, err := fmt.Fprint(w, a.Plan.Text()+"\nNobody was asked.\n")
			return err
		})
	}
	a, err := callFor[asked](cmd.Context(), socket, http.MethodPost, "ask", v)
	return answered(cmd, f.format, a, errors.Join(a.err(), botMissing(err)), a.print)
}

// botMissing says what to do about a bot that doesn't run.
func botMissing(err error) error {
	if errors.Is(err, errNoBot) {
		return fmt.Errorf("%w: run this where the bot runs, with its configuration; only the running bot can ask", err)
	}
	return err
}

// answered prints an answer, or gives its error.
func answered(cmd *cobra.Command, format string, answer any, err error, print func(io.Writer) error) error {
	if err != nil {
		return err
	}
	if format == "json" {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	return print(cmd.OutOrStdout())
}

func (a asked) err() error {
	if a.Error == "" {
		return nil
	}
	return errors.New(a.Error)
}

func (a asked) print(w io.Writer) error {
	r := a.Request
	where := a.Link
	if where == "" {
		where = fmt.Sprintf("Slack has not taken the message yet; it appears in channel %s of team %s", a.Channel, a.Team)
	}
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tab, "Asked for a %s of %s, from %s to %s. Nothing was done yet.\n", a.Plan.Kind, a.Plan.Pair, a.Plan.From, a.Plan.To)
	fmt.Fprintf(tab, "  verdict\t%s\n  writers\t%s\n", a.Plan.Verdict, a.Plan.Pause)
	fmt.Fprintf(tab, "  approve\t%s\n  by\t%d of %s, until %s\n", where, approvals.Required, eligible(r), r.ExpiresAt.UTC().Format("2006-01-02 15:04:05 UTC"))
	fmt.Fprintf(tab, "  request\t%s, digest %s\n", r.ID, r.Digest().Short())
	return tab.Flush()
}

// eligible are those whose approval counts.
func eligible(r approvals.Request) string {
	var words []string
	for _, who := range r.Approvers {
		if who != r.Requester || r.AllowRequester {
			words = append(words, string(who))
		}
	}
	return strings.Join(words, ", ")
}

func newInsertTest() *cobra.Command {
	var f askFlags
	cmd := &cobra.Command{
		Use: "insert-test [pair]", Short: "Commit a test row on the primary, with the wait that every commit has", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			socket, err := adminSocketOf(f.file, f.format)
			if err != nil {
				return err
			}
			a, err := callFor[inserted](cmd.Context(), socket, http.MethodPost, "insert-test", url.Values{"as": {f.as}, "pair": args})
			return answered(cmd, f.format, a, errors.Join(asked{Error: a.Error}.err(), botMissing(err)), func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "%s: test row %d was committed on %s in %s.\n", a.Pair, a.Row.ID, a.Node, a.Row.Took.Round(time.Microsecond))
				return err
			})
		},
	}
	cmd.Flags().StringVarP(&f.file, "config", "c", "", "configuration file")
	cmd.Flags().StringVarP(&f.format, "output", "o", "table", "table or json")
	cmd.Flags().StringVar(&f.as, "as", "", "who asks: an approver's name or a Slack member id")
	return cmd
}

func newPoint() *cobra.Command {
	var f askFlags
	cmd := &cobra.Command{
		Use: "point [pair]", Short: "Lead clients to the primary that is seen: records, Services, their connection strings", Args: cobra.MaximumNArgs(1),
		Long: `point makes the endpoints of the configuration lead to the node that is seen to be
the primary: for a new pair, and after people have mended what kept a failover from
doing so. It changes no server, and is refused while anything is carried out.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			socket, err := adminSocketOf(f.file, f.format)
			if err != nil {
				return err
			}
			a, err := callFor[pointed](cmd.Context(), socket, http.MethodPost, "point", url.Values{"pair": args})
			return answered(cmd, f.format, a, errors.Join(asked{Error: a.Error}.err(), botMissing(err)), func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "%s: clients are led to %s.\n", a.Pair, a.Node)
				return err
			})
		},
	}
	cmd.Flags().StringVarP(&f.file, "config", "c", "", "configuration file")
	cmd.Flags().StringVarP(&f.format, "output", "o", "table", "table or json")
	return cmd
}

func newVerifyData() *cobra.Command {
	var f askFlags
	cmd := &cobra.Command{
		Use: "verify-data [pair]", Short: "Compare the application's rows on both nodes", Args: cobra.MaximumNArgs(1),
		Long: `verify-data compares every table of the application's schemas on both nodes, by
count and checksum. Exit codes: 0 the same, 1 it could not be done, 2 they differ.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			socket, err := adminSocketOf(f.file, f.format)
			if err != nil {
				return err
			}
			a, err := callFor[compared](cmd.Context(), socket, http.MethodGet, "verify-data", url.Values{"pair": args})
			err = answered(cmd, f.format, a, errors.Join(asked{Error: a.Error}.err(), botMissing(err)), a.print)
			if err == nil && !a.Identical {
				return &exitError{code: 2}
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&f.file, "config", "c", "", "configuration file")
	cmd.Flags().StringVarP(&f.format, "output", "o", "table", "table or json")
	return cmd
}

func (c compared) print(w io.Writer) error {
	verdict := "hold the same rows."
	if !c.Identical {
		verdict = "differ. Under writes a difference can pass; ask again."
	}
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tab, "%s: %s and %s %s\nTABLE\t%s\t%s\tCHECKSUM\n", c.Pair, c.Primary, c.Standby, verdict, c.Primary, c.Standby)
	for _, t := range c.Tables {
		same := "same"
		if !t.SumsEqual {
			same = "DIFFERS"
		}
		fmt.Fprintf(tab, "%s\t%s\t%s\t%s\n", t.Table, rowsOf(t.PrimaryRows), rowsOf(t.StandbyRows), same)
	}
	return tab.Flush()
}

func rowsOf(n int64) string {
	if n < 0 {
		return "missing"
	}
	return strconv.FormatInt(n, 10)
}
