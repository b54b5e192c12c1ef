package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"twokey/secret"
	"twokey/totp"
)

func newOTP() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "otp",
		Short: "Give or take somebody's second factor, or list them",
		Long: `otp asks the bot that runs with this configuration, over its admin socket. A
second factor never goes through Slack, and every change of one is posted in the
ops channel with the account that made it.`,
	}
	cmd.AddCommand(
		newOTPChange("enroll", "Make a second factor for somebody, instead of any former one, and show it once", printEnrolled),
		newOTPChange("remove", "Take somebody's second factor away", printRemoved),
		newOTPList(),
	)
	return cmd
}

func newOTPChange(what, short string, show func(io.Writer, otpEnrolled) error) *cobra.Command {
	var file, format string
	cmd := &cobra.Command{
		Use:   what + " PERSON",
		Short: short,
		Long:  short + ". PERSON is an approver's name, or a Slack member id.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			socket, err := adminSocketOf(file, format)
			if err != nil {
				return err
			}
			a, err := callFor[otpEnrolled](cmd.Context(), socket, http.MethodPost, "otp/"+what, url.Values{"person": args})
			return answered(cmd, format, a, errors.Join(asked{Error: a.Error}.err(), botMissing(err)), func(w io.Writer) error { return show(w, a) })
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration file")
	cmd.Flags().StringVarP(&format, "output", "o", "table", "table or json")
	return cmd
}

func printEnrolled(w io.Writer, a otpEnrolled) error {
	code, err := totp.QR(secret.New(a.URI))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, `The second factor of %s. Let them scan it with their authenticator, now and
here: it can't be shown again, and whoever has seen it has it.

%s
%s

From now on an approval of theirs needs its code, unless policy.otp is off. The
ops channel is told.
`, a.Person, code, a.URI)
	return err
}

func printRemoved(w io.Writer, a otpEnrolled) error {
	_, err := fmt.Fprintf(w, "%s has no second factor any more. The ops channel is told.\n", a.Person)
	return err
}

func newOTPList() *cobra.Command {
	var file, format string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show who has a second factor, and whose can't be used",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			socket, err := adminSocketOf(file, format)
			if err != nil {
				return err
			}
			a, err := callFor[otpList](cmd.Context(), socket, http.MethodGet, "otp", nil)
			return answered(cmd, format, a, errors.Join(asked{Error: a.Error}.err(), botMissing(err)), a.print)
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration file")
	cmd.Flags().StringVarP(&format, "output", "o", "table", "table or json")
	return cmd
}

func (a otpList) print(w io.Writer) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tab, "One-time codes are %s.\n\nPERSON\tENROLLED\tLAST-CODE\tSTATE\n", a.Rule)
	for _, p := range a.People {
		fmt.Fprintf(tab, "%s\t%s\t%s\t%s\n", p.Person, dateOr(p.EnrolledAt, "no"), dateOr(p.LastCode, "-"), p.state())
	}
	return tab.Flush()
}

func (p otpPerson) state() string {
	switch {
	case !p.Enrolled:
		return "-"
	case p.Problem != "":
		return "unusable: " + p.Problem
	case !p.LockedUntil.IsZero():
		return "locked until " + second(p.LockedUntil)
	}
	return "ok"
}

func dateOr(t time.Time, none string) string {
	if t.IsZero() {
		return none
	}
	return second(t)
}
