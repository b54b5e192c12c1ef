package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"twokey/config"
	"twokey/store"
)

func newAudit() *cobra.Command {
	cmd := &cobra.Command{Use: "audit", Short: "Verify or export the audit log"}
	cmd.AddCommand(newAuditVerify(), newAuditExport())
	return cmd
}

const auditVerifyLong = `verify walks the audit log from its first entry and names the first one that
doesn't fit: to the chain of hashes, to the rules by which a request moves (none
runs without two approvals), or to a head that was posted.

Whoever can write the bot's file can also compute a new chain from any entry on.
That, and an end that was cut off, shows only against a head that stands where he
can't reach it. The bot posts one with every result; give it with --head.

The log comes from the running bot, else straight from its file, which is not
changed; with --file from an export.

Exit codes: 0 it fits; 1 it could not be read, so nothing is known; 2 it doesn't fit.`

func newAuditVerify() *cobra.Command {
	var from auditSource
	var heads []string
	cmd := &cobra.Command{
		Use:     "verify",
		Short:   "Say whether the audit log is as it was written",
		Long:    auditVerifyLong,
		Example: "  bot audit verify -c twokey.yaml --head 57:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			marks, err := marksOf(heads)
			if err != nil {
				return err
			}
			from.in = cmd.InOrStdin()
			return verifyAudit(cmd.Context(), from, marks, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVarP(&from.config, "config", "c", "", "configuration file")
	cmd.Flags().StringVar(&from.export, "file", "", "verify this export instead; - is standard input")
	cmd.Flags().StringArrayVar(&heads, "head", nil, "a head that was posted, SEQ:HASH; can be given again")
	return cmd
}

func newAuditExport() *cobra.Command {
	var from auditSource
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Print the audit log as JSON lines",
		Long: `export prints one entry a line: {"seq", "prev", "hash", "event"}. hash is the
SHA-256, in hex, of prev, a line feed, and the very text of event.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := bufio.NewWriter(cmd.OutOrStdout())
			err := from.read(cmd.Context(), func(e store.AuditEntry) error {
				_, err := out.Write(e.Line())
				return err
			})
			return errors.Join(err, out.Flush())
		},
	}
	cmd.Flags().StringVarP(&from.config, "config", "c", "", "configuration file")
	cmd.Flags().Uint64Var(&from.after, "after", 0, "leave out the entries up to this number")
	return cmd
}

func marksOf(heads []string) ([]store.Mark, error) {
	var marks []store.Mark
	for _, text := range heads {
		m, err := store.ParseMark(text)
		if err != nil {
			return nil, fmt.Errorf("--head: %w", err)
		}
		marks = append(marks, m)
	}
	return marks, nil
}

// auditSource is where the audit log is read from.
type auditSource struct {
	config string // names the socket and the file
	export string // instead of those: a file of JSON lines, "-" for in
	in     io.Reader
	after  uint64
}

func (a auditSource) read(ctx context.Context, visit func(store.AuditEntry) error) error {
	switch a.export {
	case "":
		return a.ofBot(ctx, visit)
	case "-":
		return store.ReadAudit(a.in, visit)
	}
	file, err := os.Open(a.export)
	if err != nil {
		return fmt.Errorf("--file: %w", err)
	}
	defer func() { _ = file.Close() }() // only read from
	return store.ReadAudit(file, visit)
}

// filePatience is how long a bot that no longer answers may take to let go of
// its file.
const filePatience = 2 * time.Second

// ofBot asks the running bot, or reads the file when none runs.
func (a auditSource) ofBot(ctx context.Context, visit func(store.AuditEntry) error) error {
	if a.config == "" {
		return errors.New("--config FILE is missing; it names the bot's socket and its file")
	}
	cfg, err := config.Load(a.config)
	if err != nil {
		return err
	}
	err = auditFromBot(ctx, cfg.AdminSocket, a.after, visit)
	if !errors.Is(err, errNoBot) {
		return err
	}
	return store.AuditFile(cfg.Store, filePatience, func(e store.AuditEntry) error {
		if e.Seq <= a.after {
			return nil
		}
		return visit(e)
	})
}

func verifyAudit(ctx context.Context, from auditSource, marks []store.Mark, out io.Writer) error {
	v := store.NewVerifier(marks...)
	v.Late = from.export != "" // the rest of a log can be exported
	sum, err := store.AuditSummary{}, from.read(ctx, v.Add)
	if err == nil {
		sum, err = v.End()
	}
	if _, broken := errors.AsType[*store.ChainError](err); broken || errors.Is(err, store.ErrDamaged) {
		return &exitError{code: 2, err: err}
	}
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, describeAudit(sum, marks))
	return err
}

func describeAudit(sum store.AuditSummary, marks []store.Mark) string {
	if sum.Last == 0 {
		return "The audit log has no entries.\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d entries fit, %d to %d, %s to %s.\n", sum.Last-sum.First+1, sum.First, sum.Last, second(sum.From), second(sum.To))
	if sum.Before != "" {
		fmt.Fprintf(&b, "It follows %s, whose entries are not here: what they hold is not known.\n", store.Mark{Seq: sum.First - 1, Hash: sum.Before})
	}
	fmt.Fprintf(&b, "head %s\n", sum.Head())
	for _, m := range marks {
		fmt.Fprintf(&b, "fits the posted head %s\n", m)
	}
	if len(marks) == 0 {
		b.WriteString("No posted head was given (--head SEQ:HASH), so this does not show that nothing was cut off at the end, or that nobody who can write the file made the whole chain anew.\n")
	}
	return b.String()
}

func second(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
