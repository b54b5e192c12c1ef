package main

import (
	"bufio"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// BenchmarkStart is the time from starting `bot serve` until it takes
// deliveries, beside the time that the same program needs to print its version
// (the floor: loading and starting a process).
func BenchmarkStart(b *testing.B) {
	d := &demo{flags: demoFlags{listen: "127.0.0.1:0"}, say: io.Discard, out: io.Discard, log: slog.New(slog.DiscardHandler)}
	b.Cleanup(func() {
		if err := d.close(); err != nil {
			b.Error(err)
		}
	})
	for _, step := range []stepFunc{d.openKeeper, d.openPair, d.openSlack} {
		if err := step(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	path, err := d.writeConfig()
	if err != nil {
		b.Fatal(err)
	}
	var ready, floor time.Duration
	for b.Loop() {
		ready += startToReady(b, path)
		floor += runFor(b, "version")
	}
	n := float64(b.N)
	b.ReportMetric(float64(ready.Microseconds())/1000/n, "ready-ms")
	b.ReportMetric(float64(floor.Microseconds())/1000/n, "process-ms")
	b.ReportMetric(0, "ns/op")
}

func self(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

func runFor(b *testing.B, args ...string) time.Duration {
	b.Helper()
	began := time.Now()
	if err := self(args...).Run(); err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}

func startToReady(b *testing.B, config string) time.Duration {
	b.Helper()
	cmd := self("serve", "-c", config)
	out, err := cmd.StderrPipe()
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), `"ready"`) {
	}
	took := time.Since(began)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		b.Fatal(err)
	}
	for lines.Scan() {
	}
	if err := cmd.Wait(); err != nil {
		b.Fatal(err)
	}
	return took
}
