package kube_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"twokey/actions"
	"twokey/actions/kube"
	"twokey/actions/kube/kubefake"
)

// trouble is one way in which the API server fails.
type trouble struct {
	name   string
	faults []kubefake.Fault // one for each request
	// reads and orders say how it ends: "" well, else a piece of the error.
	reads, orders string
	uncertain     bool // of an order: whether it was taken is not known
	times         int  // the order is sent
}

// times of f.
func times(n int, f kubefake.Fault) []kubefake.Fault {
	var all []kubefake.Fault
	for range n {
		all = append(all, f)
	}
	return all
}

func troubles() []trouble {
	const login, rights, busy, theirs = "Its token or certificate has expired", "manifests/bot/rbac.yaml has all that it uses", "The API server is busy", "It is the cluster's trouble"
	status := func(code int) kubefake.Fault { return kubefake.Fault{Status: code} }
	return []trouble{
		{"an expired token", times(9, status(401)), login, login, false, 2},
		{"a token that is renewed meanwhile", times(1, status(401)), "", "", false, 2},
		{"a right that is missing", times(9, status(403)), rights, rights, false, 1},
		{"an object that is missing", times(9, status(404)), "Check the names in the configuration", "Check the names in the configuration", false, 1},
		{"a request that is refused", times(9, status(422)), "takes no such request", "takes no such request", false, 1},
		{"busy once", []kubefake.Fault{{Status: 429, RetryAfter: "0"}}, "", "", false, 2},
		{"busy on", times(9, kubefake.Fault{Status: 429}), busy, busy, false, 3},
		{"in trouble once", times(1, status(500)), "", "", false, 2},
		{"in trouble on", times(9, status(503)), theirs, theirs, true, 3},
		{"a proxy's page", times(9, kubefake.Fault{Status: 502, Body: "<html>Bad Gateway</html>"}), "502", "502", true, 3},
		{"cut off once", times(1, kubefake.Fault{Cut: true}), "", "", false, 2},
		{"cut off on", times(9, kubefake.Fault{Cut: true}), "Check this machine's way to the API server", "Check this machine's way to the API server", true, 3},
		{"no answer once", times(1, kubefake.Fault{Hang: true}), "", "", false, 2},
		{"no answer at all", times(9, kubefake.Fault{Hang: true}), "gave no answer within", "gave no answer within", true, 3},
		{"gibberish", times(9, kubefake.Fault{Status: 200, Body: "{{{"}), "could be understood", "could be understood", true, 3},
		{"another kind of answer", times(9, kubefake.Fault{Status: 200, Body: `{"kind":"Status","apiVersion":"v1","status":"Success"}`}), "", "", true, 3},
		{"an answer about nothing", times(9, kubefake.Fault{Status: 200, Body: `{}`}), "", "", true, 3},
	}
}

// Every kind of trouble with the reading: unknown, and why; never off.
func TestTroubleWhileReading(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"get statefulsets", "list pods"} {
		for _, row := range troubles() {
			t.Run(op+"/"+row.name, func(t *testing.T) {
				t.Parallel()
				c := newCluster(t)
				m := c.quick()
				c.fake.Next(op, row.faults...)
				power, err := m.Read(c.ctx())
				if len(row.faults) == 1 {
					if power != actions.PowerOn || err != nil {
						t.Errorf("read as %s, %v", power, err)
					}
					return
				}
				if power != actions.PowerUnknown || err == nil || !strings.Contains(err.Error(), row.reads) {
					t.Fatalf("read as %s, %v, want %q in it", power, err, row.reads)
				}
				if strings.Contains(err.Error(), c.token) {
					t.Error("the token is shown")
				}
			})
		}
	}
}

// quick is a machine that loses its patience soon.
func (c *cluster) quick() *kube.Machine {
	c.Helper()
	s, err := kube.Open(kube.Options{
		Kubeconfig: c.file(kubefake.Kubeconfig(c.url, c.ca, "here", c.token)), Namespace: c.namespace,
		Timeout: 300 * time.Millisecond, LongestWait: 100 * time.Millisecond, Pace: time.Millisecond,
	})
	c.must(err)
	c.Cleanup(s.Close)
	m, err := s.Machine(c.options())
	c.must(err)
	return m
}

// Every kind of trouble with the order: it says whether it may have been taken.
func TestTroubleWhileOrdering(t *testing.T) {
	t.Parallel()
	for _, row := range troubles() {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			m := c.quick()
			c.fake.Next("update statefulsets/scale", row.faults...)
			err := m.Off(c.ctx())
			_, perhaps := errors.AsType[*actions.Uncertain](err)
			switch {
			case len(row.faults) == 1 && err != nil:
				t.Errorf("it came to nothing: %v", err)
			case len(row.faults) > 1 && (err == nil || !strings.Contains(err.Error(), row.orders) || perhaps != row.uncertain):
				t.Errorf("got %v (uncertain: %t), want %q in it (uncertain: %t)", err, perhaps, row.orders, row.uncertain)
			}
			if got := c.fake.Count("update statefulsets/scale"); got != row.times {
				t.Errorf("ordered %d times, want %d", got, row.times)
			}
			if err != nil && strings.Contains(err.Error(), c.token) {
				t.Error("the token is shown")
			}
		})
	}
}

// An order whose answer is lost is looked at, and found to have been taken.
func TestOrderWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]kubefake.Fault{
		"cut off": {Cut: true, Does: true}, "no answer": {Hang: true, Does: true}, "in trouble": {Status: 500, Does: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			m := c.quick()
			c.fake.Next("update statefulsets/scale", f)
			c.must(m.Off(c.ctx()))
			if got := c.fake.Count("update statefulsets/scale"); got != 1 {
				t.Errorf("ordered %d times", got)
			}
			c.becomes(m, actions.PowerOff)
		})
	}
}

// Somebody else changes the StatefulSet between the look and the order: the order
// is given again on a fresh read, and not for ever.
func TestConflicts(t *testing.T) {
	t.Parallel()
	touch := func(c *cluster) kubefake.Fault {
		return kubefake.Fault{Before: func() {
			s := c.set()
			s.Annotations = map[string]string{"touched": time.Now().String()}
			c.do("PUT", c.in("apps", "statefulsets/postgres"), s, nil)
		}}
	}
	t.Run("some", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t)
		c.fake.Next("update statefulsets/scale", times(4, touch(c))...)
		c.must(c.machine().Off(c.ctx()))
		if got := c.fake.Count("update statefulsets/scale"); got != 5 {
			t.Errorf("ordered %d times", got)
		}
	})
	t.Run("no end of them", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t)
		c.fake.Always("update statefulsets/scale", touch(c))
		err := c.machine().Off(c.ctx())
		if _, perhaps := errors.AsType[*actions.Uncertain](err); perhaps || err == nil || !strings.Contains(err.Error(), "409 Conflict") || !strings.Contains(err.Error(), "Somebody else changes it") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("another StatefulSet of that name", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t)
		c.fake.Next("update statefulsets/scale", kubefake.Fault{Before: func() {
			s := c.set()
			c.do("DELETE", c.in("apps", "statefulsets/postgres"), nil, nil)
			s.UID, s.ResourceVersion = "", ""
			c.do("POST", c.in("apps", "statefulsets"), s, nil)
		}})
		c.must(c.machine().Off(c.ctx()))
		if got := c.fake.Count("update statefulsets/scale"); got < 2 {
			t.Errorf("ordered %d times", got)
		}
	})
}

// An order on what was read before somebody else's is refused by the API server,
// so one that was slow to arrive undoes nothing; it is given anew on a fresh read.
func TestOrderOnAnOldReadIsRefused(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.down()
	m := c.machine()
	c.fake.Next("update statefulsets/scale", kubefake.Fault{Before: func() { c.scale(1); c.scale(0) }})
	c.must(m.Follow(c.ctx(), "dc1"))
	var answers []int
	for _, a := range c.fake.Asked() {
		if a.Op == "update statefulsets/scale" {
			answers = append(answers, a.Status)
		}
	}
	if len(answers) < 2 || answers[0] != 409 || answers[len(answers)-1] != 200 {
		t.Errorf("answered %v", answers)
	}
}

// An answer that is older than what the bot itself has written is none, nor is a
// list that is older than what was read before it.
func TestStaleAnswerIsUnknown(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	m := c.machine()
	c.fake.Pause(true)
	c.must(m.Off(c.ctx()))
	c.fake.Next("get statefulsets", kubefake.Fault{Old: true})
	c.read(m, actions.PowerUnknown, "which the bot has written itself")
	c.fake.Next("list pods", kubefake.Fault{Old: true})
	c.read(m, actions.PowerUnknown, "which was read before")
	c.fake.Pause(false)
	c.becomes(m, actions.PowerOff)
}

// The Retry-After that the API server asks for is kept to, up to a cap.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	s, err := kube.Open(kube.Options{
		Kubeconfig: c.file(kubefake.Kubeconfig(c.url, c.ca, "here", c.token)), Namespace: c.namespace, LongestWait: 300 * time.Millisecond,
	})
	c.must(err)
	t.Cleanup(s.Close)
	for after, least := range map[string]time.Duration{"3600": 300 * time.Millisecond, "": 100 * time.Millisecond, "nonsense": 100 * time.Millisecond} {
		c.fake.Next("create selfsubjectaccessreviews", kubefake.Fault{Status: 429, RetryAfter: after})
		began := time.Now()
		if _, err := s.Probe(c.ctx(), []kube.Need{{Verb: "get", Resource: "pods", Namespace: c.namespace}}); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took < least || took > 20*time.Second {
			t.Errorf("after %q it waited %s", after, took)
		}
	}
}

// The API server is gone: the error says so, and that nothing was sent.
func TestServerAway(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	m := c.quick()
	c.node.Kill(true)
	c.fake.Always("*", kubefake.Fault{Cut: true})
	c.read(m, actions.PowerUnknown, "Check this machine's way to the API server")
	c.fake.Always("*", kubefake.Fault{})
	gone := c.gone()
	power, err := gone.Read(c.ctx())
	if power != actions.PowerUnknown || err == nil || !strings.Contains(err.Error(), "can't be reached") {
		t.Errorf("read as %s, %v", power, err)
	}
	err = gone.Off(c.ctx())
	if _, perhaps := errors.AsType[*actions.Uncertain](err); err == nil || perhaps {
		t.Errorf("got %v", err)
	}
}

// gone is a machine whose API server doesn't listen.
func (c *cluster) gone() *kube.Machine {
	c.Helper()
	s, err := kube.Open(kube.Options{Kubeconfig: c.file(kubefake.Kubeconfig("https://127.0.0.1:1", c.ca, "here", c.token)), Namespace: c.namespace})
	c.must(err)
	c.Cleanup(s.Close)
	m, err := s.Machine(c.options())
	c.must(err)
	return m
}

// A caller that gives up is not kept.
func TestHangingServerDoesNotKeepItsCaller(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	m := c.machine()
	c.fake.Always("*", kubefake.Fault{Hang: true})
	c.node.Kill(true)
	ctx, cancel := context.WithTimeoutCause(c.ctx(), 100*time.Millisecond, errors.New("the fence took too long"))
	defer cancel()
	began := time.Now()
	power, err := m.Read(ctx)
	if power != actions.PowerUnknown || err == nil || !strings.Contains(err.Error(), "the fence took too long") {
		t.Errorf("read as %s, %v", power, err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}
