package kube_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"twokey/actions"
	"twokey/actions/kube"
	"twokey/actions/kube/kubefake"
)

// world is what SQL says of a node and its partner, and what its guard leaves.
type world struct {
	mu           sync.Mutex
	own, partner actions.Observation
	report       actions.GuardReport
	reportErr    error
	orders       int
}

func (w *world) set(change func(*world)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(w)
}

// options ask this world.
func (w *world) options(o *kube.MachineOptions) {
	o.Observe = func(context.Context) actions.Observation { w.mu.Lock(); defer w.mu.Unlock(); return at(w.own) }
	o.Partner = func(context.Context) actions.Observation { w.mu.Lock(); defer w.mu.Unlock(); return at(w.partner) }
	o.Report = func(context.Context) (actions.GuardReport, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.report, w.reportErr
	}
	o.NewID = func() string {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.orders++
		return fmt.Sprintf("order-%d", w.orders)
	}
}

func at(o actions.Observation) actions.Observation {
	o.At = time.Now()
	return o
}

func newWorld() *world { return &world{own: silent, partner: silent} }

func primaryOn(timeline uint32, standbys ...string) actions.Observation {
	s := &actions.Server{Timeline: timeline}
	for _, name := range standbys {
		s.Standbys = append(s.Standbys, actions.Standby{Name: name, State: "streaming"})
	}
	return actions.Observation{Server: s}
}

func standbyOn(timeline uint32) actions.Observation {
	return actions.Observation{Server: &actions.Server{InRecovery: true, Timeline: timeline, StartedAt: noon}}
}

// order is what stands in the ConfigMap.
func (c *cluster) order() actions.StartOrder {
	c.Helper()
	var o actions.StartOrder
	if text := c.configMap("postgres-order").Data["order"]; text != "" {
		c.must(json.Unmarshal([]byte(text), &o))
	}
	return o
}

// down is the cluster with its server stopped.
func (c *cluster) down() {
	c.Helper()
	c.scale(0)
	c.wait("no pod is left", func() bool { return c.phase() == "" })
}

// A standby is not stopped: whoever wants that has slept while the roles changed.
func TestStopRefusesAStandby(t *testing.T) {
	t.Parallel()
	c, w := newCluster(t), newWorld()
	w.own = standbyOn(3)
	err := c.machine(w.options).Stop(c.ctx())
	if !errors.Is(err, kube.ErrNotPrimary) || *c.set().Spec.Replicas != 1 {
		t.Errorf("got %v, %d pods wanted", err, *c.set().Spec.Replicas)
	}
}

// A server that doesn't answer is stopped all the same: it was seen a moment ago.
func TestStopDoesNotWaitForAServerThatHangs(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	m := c.machine(func(o *kube.MachineOptions) {
		o.Observe = func(ctx context.Context) actions.Observation { <-ctx.Done(); return silent }
	})
	c.must(m.Stop(c.ctx()))
	if got := *c.set().Spec.Replicas; got != 0 {
		t.Errorf("%d pods wanted", got)
	}
}

// Sealed as soon as the kubelet has taken the end over, and so before the pod is
// gone; stopped only after that.
func TestSealedBeforeItHasEnded(t *testing.T) {
	t.Parallel()
	everywhere(t, func(c *cluster) {
		c.node.Dies(time.Hour)
		w := newWorld()
		w.own = primaryOn(3)
		m := c.machine(w.options)
		short, cancel := context.WithTimeout(c.ctx(), 3*time.Second)
		defer cancel()
		if err := m.Sealed(short); err == nil || !strings.Contains(err.Error(), "a pod is wanted") {
			c.Errorf("sealed while it serves: %v", err)
		}
		c.must(m.Stop(c.ctx()))
		c.must(m.Sealed(c.ctx()))
		if !c.node.Runs() {
			c.Error("it had ended before")
		}
		short, cancel = context.WithTimeout(c.ctx(), 3*time.Second)
		defer cancel()
		if err := m.Stopped(short); err == nil || !strings.Contains(err.Error(), "its pod runs") {
			c.Errorf("stopped while it runs: %v", err)
		}
		c.node.Dies(0)
		c.must(m.Stopped(c.ctx()))
		if c.node.Runs() {
			c.Error("stopped while it runs")
		}
	})
}

// A kubelet that has not seen the deletion could begin the container again.
func TestNotSealedByASilentKubelet(t *testing.T) {
	t.Parallel()
	everywhere(t, func(c *cluster) {
		c.node.Kill(true)
		m := c.machine()
		c.must(m.Stop(c.ctx()))
		c.wait("the pod is to be ended", func() bool { return c.pods()[0].DeletionTimestamp != nil })
		short, cancel := context.WithTimeout(c.ctx(), 3*time.Second)
		defer cancel()
		if err := m.Sealed(short); err == nil || !strings.Contains(err.Error(), "has not taken the end of pod") {
			c.Errorf("got %v", err)
		}
	})
}

// A stop is taken back by an order for one start.
func TestStartOrdersToResume(t *testing.T) {
	t.Parallel()
	everywhere(t, func(c *cluster) {
		w := newWorld()
		m := c.machine(w.options)
		c.must(m.StopHard(c.ctx()))
		if c.node.Runs() {
			c.Fatal("it runs")
		}
		c.must(m.Start(c.ctx()))
		if want := (actions.StartOrder{Kind: actions.OrderResume, ID: "order-1"}); c.order() != want {
			c.Errorf("the order is %+v", c.order())
		}
		if !c.node.Runs() {
			c.Error("it doesn't run")
		}
		w.set(func(w *world) { w.own = primaryOn(3) })
		c.must(m.Start(c.ctx()))
		if c.order().ID != "order-1" {
			c.Errorf("a server that runs got another order: %+v", c.order())
		}
	})
}

func TestStopHardSaysWhenItsKubeletWillKill(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.node.Dies(time.Hour)
	short, cancel := context.WithTimeout(c.ctx(), 3*time.Second)
	defer cancel()
	m := c.machine()
	if left, err := m.Lingers(c.ctx()); left != 20*time.Second || err != nil {
		t.Errorf("it may linger for %s, %v", left, err)
	}
	err := m.StopHard(short)
	if left, err := m.Lingers(c.ctx()); left <= 0 || left > 21*time.Second || err != nil {
		t.Errorf("it may linger for %s more, %v", left, err)
	}
	if err == nil || !strings.Contains(err.Error(), "terminationGracePeriodSeconds") || !strings.Contains(err.Error(), "its pod runs") {
		t.Errorf("got %v", err)
	}
}

// Follow waits for the old pod, gives its order, and starts.
func TestFollow(t *testing.T) {
	t.Parallel()
	everywhere(t, func(c *cluster) {
		w := newWorld()
		w.own = primaryOn(3)
		m := c.machine(w.options)
		if err := m.Follow(c.ctx(), "dc1"); !errors.Is(err, kube.ErrStillPrimary) || c.order().Kind != actions.OrderNone {
			c.Errorf("beside a primary: %v, ordered %+v", err, c.order())
		}
		c.node.Dies(200 * time.Millisecond)
		c.must(m.Stop(c.ctx()))
		first := c.pods()[0].UID
		w.set(func(w *world) { w.own = silent })
		c.must(m.Follow(c.ctx(), "dc1"))
		if want := (actions.StartOrder{Kind: actions.OrderFollow, ID: "order-1"}); c.order() != want {
			c.Errorf("the order is %+v", c.order())
		}
		c.wait("another pod runs", func() bool {
			pods := c.pods()
			return len(pods) == 1 && pods[0].UID != first && pods[0].Status.Phase == corev1.PodRunning
		})
		w.set(func(w *world) { w.own = standbyOn(3) })
		c.must(m.Follow(c.ctx(), "dc1"))
		if c.order().ID != "order-1" {
			c.Errorf("a standby got another order: %+v", c.order())
		}
	})
}

func TestFollowUnderAnotherName(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	if err := c.machine().Follow(c.ctx(), "dc9"); err == nil || !strings.Contains(err.Error(), "not as dc9") {
		t.Errorf("got %v", err)
	}
}

// A pod that doesn't go keeps the server from being started.
func TestFollowWaitsForTheOldPod(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.node.Dies(time.Hour)
	m := c.machine()
	c.must(m.Stop(c.ctx()))
	short, cancel := context.WithTimeout(c.ctx(), 3*time.Second)
	defer cancel()
	err := m.Follow(short, "dc1")
	if err == nil || !strings.Contains(err.Error(), "its old pod has not gone") || *c.set().Spec.Replicas != 0 {
		t.Errorf("got %v, %d wanted", err, *c.set().Spec.Replicas)
	}
}

// told keeps what is told to people.
type told struct {
	mu    sync.Mutex
	lines []string
}

func (p *told) add(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, text)
}

func (p *told) says(part string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.lines, func(line string) bool { return strings.Contains(line, part) })
}

var rejoinTo4 = actions.RejoinOrder{Name: "dc1", Timeline: 4, Fork: 0x3000060}

// A pod that is there is stopped first, so that the next one sees the order; what
// the guard has done is asked from the server.
func TestRejoin(t *testing.T) {
	t.Parallel()
	everywhere(t, func(c *cluster) {
		w, p := newWorld(), &told{}
		m := c.machine(w.options)
		first := c.pods()[0].UID
		done := make(chan error)
		var report actions.RejoinReport
		go func() {
			var err error
			report, err = m.Rejoin(c.ctx(), rejoinTo4, p.add)
			done <- err
		}()
		c.wait("another pod runs", func() bool {
			pods := c.pods()
			return len(pods) == 1 && pods[0].UID != first && pods[0].Status.Phase == corev1.PodRunning
		})
		if want := (actions.StartOrder{Kind: actions.OrderRejoin, ID: "order-1", Timeline: 4, Fork: 0x3000060}); c.order() != want {
			c.Errorf("the order is %+v", c.order())
		}
		c.wait("it is told where the pod is", func() bool { return p.says("its guard is at work") })
		w.set(func(w *world) { w.own, w.partner = standbyOn(4), primaryOn(4, "dc1_rejoin") }) // while it is being rejoined
		w.set(func(w *world) { w.partner = primaryOn(4, "DC1") })
		rewound := actions.RejoinReport{How: actions.RejoinedRewound, Kept: "/kept"}
		w.set(func(w *world) { w.report = actions.GuardReport{Order: "order-1", Rejoin: &rewound} })
		c.must(<-done)
		if report != rewound {
			c.Errorf("reported %+v", report)
		}
		if c.order().Kind != actions.OrderNone {
			c.Errorf("the order stands on: %+v", c.order())
		}
		if !p.says("stopping pod postgres-0") {
			c.Errorf("told %q", p.lines)
		}
	})
}

// A fenced server has no pod: the next one sees the order.
func TestRejoinAfterAFence(t *testing.T) {
	t.Parallel()
	c, w, p := newCluster(t), newWorld(), &told{}
	c.down()
	m := c.machine(w.options)
	w.partner = primaryOn(4, "dc1")
	w.report = actions.GuardReport{Order: "order-1", Decision: "start as it is"}
	go func() {
		c.wait("it runs", func() bool { return c.node.Runs() })
		w.set(func(w *world) { w.own = standbyOn(4) })
	}()
	report, err := m.Rejoin(c.ctx(), rejoinTo4, p.add)
	if err != nil || report.How != actions.RejoinedAsIs || p.says("stopping") {
		t.Errorf("%+v, %v, told %q", report, err, p.lines)
	}
}

func TestRejoinLeavesAloneWhatFollows(t *testing.T) {
	t.Parallel()
	c, w := newCluster(t), newWorld()
	w.own, w.partner = standbyOn(4), primaryOn(4, "dc1")
	before := c.pods()[0].UID
	report, err := c.machine(w.options).Rejoin(c.ctx(), rejoinTo4, func(text string) { t.Error(text) })
	if err != nil || report.How != actions.RejoinedAsIs || c.pods()[0].UID != before {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestRejoinRefusesAPrimary(t *testing.T) {
	t.Parallel()
	c, w := newCluster(t), newWorld()
	w.own = primaryOn(3)
	_, err := c.machine(w.options).Rejoin(c.ctx(), rejoinTo4, func(string) {})
	if !errors.Is(err, kube.ErrStillPrimary) || c.order().Kind != actions.OrderNone || *c.set().Spec.Replicas != 1 {
		t.Errorf("got %v, ordered %+v", err, c.order())
	}
}

// It must not come up as a primary; if it does, nobody waits for half an hour.
func TestRejoinEndsWhenItComesUpAsAPrimary(t *testing.T) {
	t.Parallel()
	c, w := newCluster(t), newWorld()
	c.down()
	go func() {
		c.wait("it runs", func() bool { return c.node.Runs() })
		w.set(func(w *world) { w.own = primaryOn(3) })
	}()
	_, err := c.machine(w.options).Rejoin(c.ctx(), rejoinTo4, func(string) {})
	if !errors.Is(err, kube.ErrStillPrimary) {
		t.Errorf("got %v", err)
	}
}

// What keeps the guard from it is told, with its last words.
func TestRejoinThatComesToNothingSaysWhere(t *testing.T) {
	t.Parallel()
	c, w := newCluster(t), newWorld()
	c.down()
	m := c.machine(w.options)
	ctx, end := context.WithCancelCause(c.ctx())
	defer end(nil)
	_, err := m.Rejoin(ctx, rejoinTo4, func(text string) {
		if strings.Contains(text, "its log says why") {
			time.AfterFunc(time.Second, func() { end(errors.New("the rejoin of dc1 took longer than it may")) })
		}
	})
	for _, part := range []string{"it doesn't follow yet", "connection refused", "its log says why", "the rejoin of dc1 took longer"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v doesn't say %q", err, part)
		}
	}
}

// A pod whose end can't be proven is not started beside.
func TestRejoinStopsAtAPodThatIsUnknown(t *testing.T) {
	t.Parallel()
	c, w := newCluster(t), newWorld()
	c.node.Kill(true)
	c.must(c.node.Beat(time.Now().Add(-time.Hour)))
	short, cancel := context.WithTimeout(c.ctx(), 3*time.Second)
	defer cancel()
	_, err := c.machine(w.options).Rejoin(short, rejoinTo4, func(string) {})
	if err == nil || !strings.Contains(err.Error(), "It may run on") || *c.set().Spec.Replicas != 0 {
		t.Errorf("got %v", err)
	}
}

// A server without the function that tells is believed once it runs on.
func TestRejoinWithoutAReport(t *testing.T) {
	t.Parallel()
	c, w := newCluster(t), newWorld()
	c.down()
	started := noon
	w.partner, w.reportErr = primaryOn(4, "dc1"), errors.New("no such function")
	var mu sync.Mutex
	m := c.machine(w.options, func(o *kube.MachineOptions) {
		looks := 0
		o.Observe = func(context.Context) actions.Observation { // each look comes four seconds later
			mu.Lock()
			defer mu.Unlock()
			if !c.node.Runs() {
				return silent
			}
			looks++
			s := standbyOn(4)
			s.At, s.Server.StartedAt = noon.Add(time.Duration(looks)*4*time.Second), started
			return s
		}
	})
	report, err := m.Rejoin(c.ctx(), rejoinTo4, func(string) {})
	if err != nil || report.How != actions.RejoinedUntold {
		t.Errorf("%+v, %v", report, err)
	}
}

// The note that a server was left alone, and that it is gone.
func TestAlone(t *testing.T) {
	t.Parallel()
	everywhere(t, func(c *cluster) {
		m := c.machine()
		c.must(m.NoteAlone(c.ctx(), 7))
		c.must(m.NoteAlone(c.ctx(), 7))
		if got := c.configMap("postgres-order").Data["alone"]; got != "alone, timeline 7" {
			c.Errorf("noted %q", got)
		}
		c.must(m.ForgetAlone(c.ctx()))
		c.must(m.ForgetAlone(c.ctx()))
		if _, there := c.configMap("postgres-order").Data["alone"]; there {
			c.Error("it is still there")
		}
	})
}

// What is written is read back; an answer that says otherwise is an error.
func TestOrderIsReadBack(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	m := c.machine()
	c.fake.Next("get configmaps", kubefake.Fault{}, kubefake.Fault{Old: true})
	if err := m.NoteAlone(c.ctx(), 7); err == nil || !strings.Contains(err.Error(), `alone is "", not "alone, timeline 7"`) {
		t.Errorf("got %v", err)
	}
}

// Two writers of the ConfigMap: neither's entry is lost.
func TestOrderKeepsWhatOthersWrite(t *testing.T) {
	t.Parallel()
	everywhere(t, func(c *cluster) {
		var group sync.WaitGroup
		for range 3 {
			m := c.machine(newWorld().options)
			group.Go(func() { c.must(m.NoteAlone(c.ctx(), 7)) })
			group.Go(func() { c.must(m.Off(c.ctx())) })
		}
		group.Wait()
		cm := c.configMap("postgres-order")
		if cm.Data["alone"] != "alone, timeline 7" || cm.Annotations["twokey/fence"] == "" {
			c.Errorf("%q, %q", cm.Data, cm.Annotations)
		}
	})
}
