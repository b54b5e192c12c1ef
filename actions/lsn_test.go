package actions_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"twokey/actions"
)

func TestParseLSN(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]actions.LSN{
		"0/0": 0, "0/3000148": 0x3000148, "16/B374D848": 0x16B374D848, "a/b": 0xA0000000B, "FFFFFFFF/FFFFFFFF": math.MaxUint64,
	} {
		if got, err := actions.ParseLSN(text); err != nil || got != want {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	for _, bad := range []string{"", "/", "0/", "/0", "0", "0/0/0", " 0/0", "0/0 ", "+1/0", "0/-1", "0x1/0", "1_0/0", "g/0", "100000000/0", "0/100000000", "0/0\n", "٣/0", "null"} {
		if got, err := actions.ParseLSN(bad); err == nil {
			t.Errorf("%q was taken for %s", bad, got)
		} else if !strings.Contains(err.Error(), "no WAL position") {
			t.Errorf("%q: the error doesn't say what was expected: %v", bad, err)
		}
	}
}

func TestLSNBehind(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		at, other actions.LSN
		want      uint64
	}{{100, 164, 64}, {164, 164, 0}, {165, 164, 0}, {0, math.MaxUint64, math.MaxUint64}} {
		if got := row.at.Behind(row.other); got != row.want {
			t.Errorf("%s behind %s: %d, want %d", row.at, row.other, got, row.want)
		}
	}
}

func TestLSNInJSON(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]actions.LSN{`"0/3000148"`: 0x3000148, `null`: 0, `"0/0"`: 0} {
		l := actions.LSN(7)
		if err := json.Unmarshal([]byte(text), &l); err != nil || l != want {
			t.Errorf("%s reads as %v, %v; want %v", text, l, err, want)
		}
	}
	for _, bad := range []string{`""`, `"0"`, `50332008`, `true`, `["0/0"]`, `{}`} {
		var l actions.LSN
		if err := json.Unmarshal([]byte(bad), &l); err == nil {
			t.Errorf("%s was taken for %s", bad, l)
		}
	}
	if raw, err := json.Marshal([]actions.LSN{0, 1}); err != nil || string(raw) != `[null,"0/1"]` {
		t.Errorf("written as %s, %v", raw, err)
	}
}

// FuzzLSN: whatever is read as a position is written so that it reads the same,
// in text and in JSON.
func FuzzLSN(f *testing.F) {
	for _, seed := range []string{"0/0", "16/B374D848", "FFFFFFFF/FFFFFFFF", "0/", "x", "00000001/1", "1/0000000000000001"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, err := actions.ParseLSN(text)
		if err != nil {
			if l != 0 {
				t.Fatalf("%q gave %s with the error %v", text, l, err)
			}
			return
		}
		if again, err := actions.ParseLSN(l.String()); err != nil || again != l {
			t.Fatalf("%q is %s, which reads as %s, %v", text, l, again, err)
		}
		raw, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		var back actions.LSN
		if err := json.Unmarshal(raw, &back); err != nil || back != l {
			t.Fatalf("%s is written as %s, which reads as %s, %v", l, raw, back, err)
		}
	})
}
