package actions_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"twokey/actions"
)

// fence is one link's platform, as a test wants it.
type fence struct {
	name  string
	off   func(ctx context.Context) error
	read  func(ctx context.Context) (actions.Power, error)
	mu    sync.Mutex
	tried []time.Time
}

func (f *fence) Describe() string { return "fence " + f.name }

func (f *fence) Off(ctx context.Context) error {
	f.mu.Lock()
	f.tried = append(f.tried, time.Now())
	f.mu.Unlock()
	if f.off == nil {
		return nil
	}
	return f.off(ctx)
}

func (f *fence) Read(ctx context.Context) (actions.Power, error) { return f.read(ctx) }

func (f *fence) orders() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.tried)
}

func always(p actions.Power) func(context.Context) (actions.Power, error) {
	return func(context.Context) (actions.Power, error) { return p, nil }
}

func hangs(ctx context.Context) (actions.Power, error) {
	<-ctx.Done()
	return actions.PowerUnknown, context.Cause(ctx)
}

func chainOf(t testing.TB, links ...actions.Link) *actions.Chain {
	t.Helper()
	c, err := actions.NewChain(links...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func serverLink(f *fence) actions.Link  { return actions.Link{Name: f.name, Fencer: f} }
func machineLink(f *fence) actions.Link { return actions.Link{Name: f.name, Fencer: f, Machine: true} }

// What a server's fence and its machine's say together.
func TestChainReads(t *testing.T) {
	t.Parallel()
	const on, off, unknown = actions.PowerOn, actions.PowerOff, actions.PowerUnknown
	for title, row := range map[string]struct {
		server, machine actions.Power
		want            actions.Power
		says            string // of the error, "" for none
	}{
		"the server is off, its machine runs":          {off, on, off, ""},
		"both are off":                                 {off, off, off, ""},
		"the server is off, its machine can't tell":    {off, unknown, off, ""},
		"the server can't tell, its machine is off":    {unknown, off, off, ""},
		"the server runs on a machine without power":   {on, off, on, "contradict"},
		"the server runs":                              {on, on, on, ""},
		"the server runs, its machine can't tell":      {on, unknown, on, ""},
		"a running machine says nothing of its server": {unknown, on, unknown, "kube can't tell"},
		"nobody can tell":                              {unknown, unknown, unknown, "kube can't tell"},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			kube, vultr := &fence{name: "kube", read: always(row.server)}, &fence{name: "vultr", read: always(row.machine)}
			for _, c := range []*actions.Chain{
				chainOf(t, serverLink(kube), machineLink(vultr)), chainOf(t, machineLink(vultr), serverLink(kube)),
			} {
				power, err := c.Read(t.Context())
				if power != row.want || (err == nil) != (row.says == "") || err != nil && !strings.Contains(err.Error(), row.says) {
					t.Errorf("%s, %v; want %s and an error with %q", power, err, row.want, row.says)
				}
			}
		})
	}
}

func TestChainOfTwoMachinesThatContradict(t *testing.T) {
	t.Parallel()
	c := chainOf(t, machineLink(&fence{name: "vultr", read: always(actions.PowerOff)}), machineLink(&fence{name: "ipmi", read: always(actions.PowerOn)}))
	if power, err := c.Read(t.Context()); power != actions.PowerOn || err == nil || !strings.Contains(err.Error(), "check the driver's settings") {
		t.Errorf("%s, %v", power, err)
	}
}

// Whatever the links say and in whichever order they stand: off needs one that
// says so, is never said against a server that is seen to run, and doesn't get
// less proven when a link is lost from sight.
func TestChainIsSafeWhateverItsLinksSay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		powers := []actions.Power{actions.PowerOn, actions.PowerOff, actions.PowerUnknown, ""}
		n := rapid.IntRange(1, 5).Draw(t, "links")
		said, machine, failing := make([]actions.Power, n), make([]bool, n), make([]bool, n)
		links := make([]actions.Link, n)
		for i := range n {
			said[i] = rapid.SampledFrom(powers).Draw(t, "said")
			machine[i], failing[i] = rapid.Bool().Draw(t, "machine"), rapid.Bool().Draw(t, "failing")
			var err error
			if failing[i] {
				err = errors.New("503")
			}
			f := &fence{name: string(rune('a' + i)), read: func(context.Context) (actions.Power, error) { return said[i], err }}
			links[i] = actions.Link{Name: f.name, Fencer: f, Machine: machine[i]}
		}
		tells := func(p actions.Power, m bool) bool {
			for i := range n {
				if said[i] == p && machine[i] == m && !failing[i] {
					return true
				}
			}
			return false
		}
		power, err := mustChain(links).Read(context.Background())
		proven := tells(actions.PowerOff, false) || tells(actions.PowerOff, true) && !tells(actions.PowerOn, true)
		if want := proven && !tells(actions.PowerOn, false); (power == actions.PowerOff && err == nil) != want {
			t.Fatalf("read as %s (%v), off should be %t", power, err, want)
		}
		if power == actions.PowerOff && err != nil {
			t.Fatalf("off with an error: %v", err)
		}
		slices.Reverse(links)
		if turned, _ := mustChain(links).Read(context.Background()); turned != power {
			t.Fatalf("the other way round it is %s, not %s", turned, power)
		}
	})
}

func mustChain(links []actions.Link) *actions.Chain {
	c, err := actions.NewChain(links...)
	if err != nil {
		panic(err)
	}
	return c
}

func TestChainRefusesWhatCantBeToldApart(t *testing.T) {
	t.Parallel()
	f := &fence{name: "kube", read: always(actions.PowerOn)}
	for title, links := range map[string][]actions.Link{
		"no link": nil, "no name": {{Fencer: f}}, "no driver": {{Name: "kube"}}, "a name twice": {serverLink(f), serverLink(f)},
	} {
		if _, err := actions.NewChain(links...); err == nil {
			t.Errorf("%s: taken", title)
		}
	}
}

func TestChainDescribesItsOrderAndItsProof(t *testing.T) {
	t.Parallel()
	kube, vultr := &fence{name: "kube"}, &fence{name: "vultr"}
	both := chainOf(t, serverLink(kube), machineLink(vultr)).Describe()
	if both != "tried in this order until one is proven: kube (fence kube); then vultr (fence vultr); any one's proof is enough, unless another sees the server run" {
		t.Error(both)
	}
	if one := chainOf(t, machineLink(vultr)).Describe(); one != "vultr (fence vultr)" {
		t.Error(one)
	}
}

// offAfter is a platform on which the power goes some time after the order.
func offAfter(name string, takes time.Duration) *fence {
	f := &fence{name: name}
	f.read = func(context.Context) (actions.Power, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(f.tried) > 0 && time.Since(f.tried[0]) >= takes {
			return actions.PowerOff, nil
		}
		return actions.PowerOn, nil
	}
	return f
}

// In which order links are tried, for how long, and what becomes of it.
func TestChainTriesItsLinksInOrder(t *testing.T) {
	t.Parallel()
	gone := errors.New("connection refused")
	failing := func(err error) func(context.Context) error { return func(context.Context) error { return err } }
	hanging := func(ctx context.Context) error {
		<-ctx.Done()
		return &actions.Uncertain{Err: context.Cause(ctx)}
	}
	for title, row := range map[string]struct {
		kube, vultr *fence
		tried       bool          // vultr is tried
		within      time.Duration // of a minute
		says        string        // the error
		uncertain   bool
		off         bool
	}{
		"the first one is proven":                          {offAfter("kube", 2*time.Second), offAfter("vultr", 0), false, 3 * time.Second, "", false, true},
		"the first one refuses":                            {&fence{name: "kube", off: failing(gone), read: hangs}, offAfter("vultr", 0), true, time.Second, "kube: connection refused", true, true},
		"the first one hangs":                              {&fence{name: "kube", off: hanging, read: hangs}, offAfter("vultr", 0), true, 31 * time.Second, "the fence by kube took longer than 30s", true, true},
		"the first one is never proven":                    {&fence{name: "kube", read: always(actions.PowerUnknown)}, offAfter("vultr", 0), true, 31 * time.Second, "", false, true},
		"the first one may have been taken, and was":       {&fence{name: "kube", off: failing(&actions.Uncertain{Err: gone}), read: always(actions.PowerOff)}, offAfter("vultr", 0), false, time.Second, "", false, true},
		"no order is taken":                                {&fence{name: "kube", off: failing(gone), read: hangs}, &fence{name: "vultr", off: failing(gone), read: hangs}, true, time.Second, "vultr: connection refused", false, false},
		"the server is still seen when the machine is off": {&fence{name: "kube", off: failing(gone), read: always(actions.PowerOn)}, offAfter("vultr", 0), true, time.Second, "kube: connection refused", true, false},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				began := time.Now()
				c := chainOf(t, serverLink(row.kube), machineLink(row.vultr))
				err := c.Off(ctx)
				if took := time.Since(began); took > row.within {
					t.Errorf("it took %s", took)
				}
				if _, perhaps := errors.AsType[*actions.Uncertain](err); perhaps != row.uncertain || (err == nil) != (row.says == "") || err != nil && !strings.Contains(err.Error(), row.says) {
					t.Errorf("got %v (uncertain %t), want %q (uncertain %t)", err, perhaps, row.says, row.uncertain)
				}
				if tried := row.vultr.orders() > 0; tried != row.tried || row.kube.orders() != 1 {
					t.Errorf("kube was ordered %d times, vultr: %t", row.kube.orders(), tried)
				}
				if power, err := c.Read(ctx); (power == actions.PowerOff) != row.off {
					t.Errorf("afterwards it reads %s, %v", power, err)
				}
			})
		})
	}
}

// A platform that hangs costs no other its answer.
func TestChainReadsPastOneThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		c := chainOf(t, serverLink(&fence{name: "kube", read: hangs}), machineLink(&fence{name: "vultr", read: always(actions.PowerOff)}))
		power, err := c.Read(t.Context())
		if power != actions.PowerOff || err != nil || time.Since(began) > 3*time.Second {
			t.Errorf("%s, %v after %s", power, err, time.Since(began))
		}
	})
}

// Power that comes back between two readings is no proof, nor are two witnesses
// that each show it only now and then.
func TestFenceIsProvenByOneWitnessInARow(t *testing.T) {
	t.Parallel()
	flapping := func(name string, pattern string) *fence {
		i := -1
		return &fence{name: name, read: func(context.Context) (actions.Power, error) {
			if i++; pattern[i%len(pattern)] == '0' {
				return actions.PowerOff, nil
			}
			return actions.PowerUnknown, nil
		}}
	}
	for title, row := range map[string]struct {
		links  []actions.Link
		proven bool
	}{
		"off all the time":               {[]actions.Link{machineLink(flapping("vultr", "0"))}, true},
		"off twice, then not":            {[]actions.Link{machineLink(flapping("vultr", "001"))}, false},
		"off three times once":           {[]actions.Link{machineLink(flapping("vultr", "1010001"))}, true},
		"two that take turns":            {[]actions.Link{serverLink(flapping("kube", "0011")), machineLink(flapping("vultr", "1100"))}, false},
		"one that is steady beside that": {[]actions.Link{serverLink(flapping("kube", "0011")), machineLink(flapping("vultr", "0"))}, true},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				_, proof, err := actions.TakePower(ctx, "dc1", chainOf(t, row.links...))
				if (err == nil) != row.proven {
					t.Errorf("%q, %v", proof, err)
				}
				if row.proven && !strings.Contains(proof, "dc1 is off (vultr (fence vultr)), read back 3 times") {
					t.Errorf("the proof is %q", proof)
				}
			})
		})
	}
}

// An order whose effect may have happened is looked at; one that was refused
// proves nothing, and people are asked at once.
func TestFenceLooksAfterAnUncertainOrder(t *testing.T) {
	t.Parallel()
	refused := errors.New("401")
	for title, row := range map[string]struct {
		ordered error
		proven  bool
	}{"uncertain": {&actions.Uncertain{Err: refused}, true}, "refused": {refused, false}} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				f := &fence{name: "vultr", off: func(context.Context) error { return row.ordered }, read: always(actions.PowerOff)}
				_, _, err := actions.TakePower(t.Context(), "dc1", f)
				if (err == nil) != row.proven || err != nil && !errors.Is(err, refused) || time.Since(began) > time.Second {
					t.Errorf("got %v after %s", err, time.Since(began))
				}
			})
		})
	}
}
