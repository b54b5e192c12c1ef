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
		return printJSON(w, reports)
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

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
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
			printChecks(&b, rep)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func printTable(b *strings.Builder, rep actions.Report) {
	first := string(rep.Verdict.Health)
	if off := rep.GuaranteeOff(); off != "" {
		first += "; " + off
	}
	if paused := rep.Paused(); paused != "" {
		first += "; " + paused
	}
	fmt.Fprintf(b, "%s: %s\n%s\n", rep.Evidence.Pair.Name, first, rep.Verdict.Headline)
	if !strings.Contains(rep.Verdict.Headline, rep.Verdict.Why) {
		fmt.Fprintln(b, rep.Verdict.Why)
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

func printChecks(b *strings.Builder, rep actions.Report) {
	for _, c := range rep.Verdict.Checks {
		detail := c.Detail
		if c.Status == actions.Unclear {
			detail = "unknown, " + detail
		}
		if old := c.Age(rep.Evidence.At); old != "" {
			detail += " (" + old + ")"
		}
		fmt.Fprintf(b, "%s %s: %s\n", marks[c.Status], c.Title, detail)
		if c.Fix != "" {
			fmt.Fprintf(b, "    → %s\n", c.Fix)
		}
	}
	fmt.Fprintf(b, "observed at %s; what is older says so\nnot to be seen from here: %s\n",
		rep.Evidence.At.UTC().Format("2006-01-02 15:04:05 UTC"), strings.Join(actions.NotVisible(), "; "))
}
