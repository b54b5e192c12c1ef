package config_test

import (
	"math"
	"regexp"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twokey/config"
)

func TestParseDuration(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"30s": 30 * time.Second, "15m": 15 * time.Minute, "2h": 2 * time.Hour, "7d": 7 * day, "1d12h": 36 * time.Hour,
		"1h30m": 90 * time.Minute, "1.5h": 90 * time.Minute, "250ms": 250 * time.Millisecond, "0s": 0, "0": 0, "0d": 0,
		"-5m": -5 * time.Minute, "-1d1h": -25 * time.Hour, "50000d": 50_000 * day,
	} {
		if got, err := config.ParseDuration(text); err != nil || got.Std() != want {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "-", "d", "7", "7 d", " 7d", "7D", "1d-2h", "1d+2h", "--1h", "-+1h", "1w", "h", "1h1d", "1.5d", "50001d",
		"99999999999999999999d", "9999999999h", "50000d2000000h", "٣d", "NaN", "1e3s",
	} {
		if got, err := config.ParseDuration(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

func TestDurationPrintsWhatItReads(t *testing.T) {
	t.Parallel()
	pattern := regexp.MustCompile(config.Duration(0).JSONSchema().Pattern)
	rapid.Check(t, func(t *rapid.T) {
		d := config.Duration(rapid.Int64Range(-int64(40_000*24*time.Hour), int64(40_000*24*time.Hour)).Draw(t, "d"))
		again, err := config.ParseDuration(d.String())
		if err != nil || again != d {
			t.Fatalf("%d prints as %s, which reads as %d, %v", d, d, again, err)
		}
		if d >= 0 && !pattern.MatchString(d.String()) {
			t.Fatalf("the schema refuses %s", d)
		}
	})
}

func TestParseSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]config.Size{
		"0": 0, "16777216": 16 << 20, "16MiB": 16 << 20, "16 MiB": 16 << 20, "512KiB": 512 << 10, "1GiB": 1 << 30,
		"2TiB": 2 << 40, "10B": 10, "18446744073709551615": math.MaxUint64,
	} {
		if got, err := config.ParseSize(text); err != nil || got != want {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "+1", "1.5MiB", "16MB", "16mib", "1  MiB", "1e3", "18446744073709551616", "16777216TiB", "1_000"} {
		if got, err := config.ParseSize(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

func TestSizePrintsWhatItReads(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := config.Size(rapid.Uint64().Draw(t, "s"))
		if again, err := config.ParseSize(s.String()); err != nil || again != s {
			t.Fatalf("%d prints as %s, which reads as %d, %v", uint64(s), s, uint64(again), err)
		}
	})
}
