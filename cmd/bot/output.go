package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/goccy/go-yaml"

	"twokey/actions"
)

var formats = []string{"table", "json", "yaml", "tsv"}

// printReports writes reports in one of the formats; what people read besides
// (the verdict, what failed) goes with the table alone.
func printReports(w io.Writer, format string, reports []actions.Report, checks bool) error {
	switch format {
	case "json":
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(reports)
	case "yaml":
		raw, err := yaml.MarshalWithOptions(reports, yaml.UseJSONMarshaler())
		if err != nil {
			return err
		}
		_, err = w.Write(raw)
		return err
	case "tsv":
		return printTSV(w, reports)
	}
	return printTables(w, reports, checks)
}

func printTSV(w io.Writer, reports []actions.Report) error {
	lines := []string{"PAIR\t" + strings.Join(actions.RowTitles(), "\t")}
	for _, rep := range reports {
		for _, row := range rep.Rows() {
			lines = append(lines, rep.Evidence.Pair.Name+"\t"+strings.Join(row.Cells(), "\t"))
		}
	}
	_, err := fmt.Fprintln(w, strings.Join(lines, "\n"))
	return err
}

func printTables(w io.Writer, reports []actions.Report, checks bool) error {
	var b strings.Builder
	for i, rep := range reports {
		if i > 0 {
			b.WriteString("\n")
		}
		printTable(&b, rep)
		if checks {
			printChecks(&b, rep.Verdict.Checks)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func printTable(b *strings.Builder, rep actions.Report) {
	fmt.Fprintf(b, "%s: %s\n%s\n", rep.Evidence.Pair.Name, rep.Verdict.Health, rep.Verdict.Headline)
	if off := rep.Evidence.Memory.Unprotected; !off.IsZero() {
		fmt.Fprintf(b, "THE ZERO-LOSS GUARANTEE IS OFF since %s\n", off.Format("2006-01-02 15:04:05 MST"))
	}
	tab := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, strings.Join(actions.RowTitles(), "\t"))
	for _, row := range rep.Rows() {
		fmt.Fprintln(tab, strings.Join(row.Cells(), "\t"))
	}
	_ = tab.Flush() // a strings.Builder takes everything
	for _, o := range rep.Evidence.Nodes {
		if o.Failure != nil {
			fmt.Fprintf(b, "%s is %s: %s\n", o.Node, o.Failure.Reach, o.Failure.Text)
		}
	}
	fmt.Fprintf(b, "connect: %s\n", rep.Conn.URI)
}

var marks = map[actions.Status]string{actions.OK: "✓", actions.Bad: "✗", actions.Warn: "!", actions.Unclear: "?"}

func printChecks(b *strings.Builder, checks []actions.Check) {
	for _, c := range checks {
		detail := c.Detail
		if c.Status == actions.Unclear {
			detail = "unknown, " + detail
		}
		fmt.Fprintf(b, "%s %s: %s\n", marks[c.Status], c.Title, detail)
		if c.Fix != "" {
			fmt.Fprintf(b, "    → %s\n", c.Fix)
		}
	}
}
