package kube_test

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"twokey/actions"
	"twokey/actions/kube"
)

// read reads the power; why is a part of the error, "" for none.
func (c *cluster) read(m *kube.Machine, want actions.Power, why string) {
	c.Helper()
	power, err := m.Read(c.ctx())
	switch {
	case power != want || (err == nil) != (why == ""):
		c.Errorf("read as %q, %v; want %q and why: %q", power, err, want, why)
	case err != nil && !strings.Contains(err.Error(), why):
		c.Errorf("it says %q, want in it %q", err, why)
	}
}

// becomes reads until the power is that.
func (c *cluster) becomes(m *kube.Machine, want actions.Power) {
	c.Helper()
	var last error
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		power, err := m.Read(c.ctx())
		if power == want {
			return
		}
		if last = err; time.Now().After(deadline) {
			c.Fatalf("never read as %q, at last as %q, %v", want, power, last)
		}
	}
}

// The server is told to stop, and off once its kubelet has ended it; that is
// still so when nothing is left to be seen, for another bot, too.
func TestFenceIsProvenByTheKubelet(t *testing.T) {
	t.Parallel()
	everywhere(t, func(c *cluster) {
		m := c.machine()
		c.read(m, actions.PowerOn, "")
		c.node.Dies(300 * time.Millisecond)
		c.must(m.Off(c.ctx()))
		c.becomes(m, actions.PowerOff)
		if c.node.Runs() {
			c.Error("it runs")
		}
		c.wait("no pod is left", func() bool { return c.phase() == "" })
		c.read(m, actions.PowerOff, "")
		c.read(c.machine(), actions.PowerOff, "")
		if got := *c.set().Spec.Replicas; got != 0 {
			c.Errorf("%d pods are wanted", got)
		}
	})
}

// The pod is gone before anybody has read its end: the history tells.
func TestFenceIsProvenByTheHistory(t *testing.T) {
	t.Parallel()
	everywhere(t, func(c *cluster) {
		c.must(c.machine().Off(c.ctx()))
		c.wait("no pod is left", func() bool { return c.phase() == "" })
		c.read(c.machine(), actions.PowerOff, "") // a bot that was started anew
	})
}

func TestFenceIsNotProvenByTheHistoryThatIsForgotten(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	m := c.machine()
	c.must(m.Off(c.ctx()))
	c.wait("no pod is left", func() bool { return c.phase() == "" })
	c.fake.Compact()
	c.read(m, actions.PowerUnknown, "history no longer reaches back")
}

// A pod that was deleted by force may run on.
func TestFenceIsNotProvenByForce(t *testing.T) {
	t.Parallel()
	everywhere(t, func(c *cluster) {
		m := c.machine()
		c.node.Kill(true)
		c.must(m.Off(c.ctx()))
		c.wait("the pod is to be ended", func() bool { return c.pods()[0].DeletionTimestamp != nil })
		c.force()
		c.wait("no pod is left", func() bool { return c.phase() == "" })
		c.read(m, actions.PowerUnknown, "by force")
		c.read(c.machine(), actions.PowerUnknown, "by force")
		if !c.node.Runs() {
			c.Error("the test shows nothing: it doesn't run")
		}
	})
}

// Nobody has seen what became of the pod: somebody else scaled to 0.
func TestFenceIsNotProvenByAbsence(t *testing.T) {
	t.Parallel()
	everywhere(t, func(c *cluster) {
		c.scale(0)
		c.wait("no pod is left", func() bool { return c.phase() == "" })
		m := c.machine()
		c.must(m.Off(c.ctx()))
		c.read(m, actions.PowerUnknown, "nobody saw its kubelet end it")
	})
}

// The kubelet is silent: what it said last counts neither as on nor as off.
func TestSilentKubeletIsUnknown(t *testing.T) {
	t.Parallel()
	everywhere(t, func(c *cluster) {
		m := c.machine()
		c.node.Kill(true)
		c.must(c.node.Beat(time.Now().Add(-time.Hour)))
		c.read(m, actions.PowerUnknown, "was last said to run, but the kubelet of node "+c.node.Name+" was last heard")
		c.must(m.Off(c.ctx()))
		c.wait("the pod is to be ended", func() bool { return c.pods()[0].DeletionTimestamp != nil })
		c.read(m, actions.PowerUnknown, "is to be ended, but the kubelet of node")
		c.node.Kill(false)
		c.becomes(m, actions.PowerOff)
	})
}

// A pod that vanished while its node was silent is not proven to have ended, even
// with a kubelet's word on it: that word is older than its silence.
func TestEndWithoutAHeartbeatIsUnknown(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	m := c.machine()
	c.node.Dies(time.Hour)
	c.must(m.Off(c.ctx()))
	c.wait("the kubelet has seen it", func() bool { return c.pods()[0].Status.ObservedGeneration == 2 })
	c.node.Kill(true)
	c.must(c.node.Beat(time.Now().Add(-time.Hour)))
	p := c.pods()[0]
	p.Kind, p.APIVersion, p.Status.Phase = "Pod", "v1", corev1.PodSucceeded
	p.Status.ContainerStatuses[0].State = ended(time.Now())
	c.do("PUT", c.in("", "pods/postgres-0/status"), p, nil)
	c.read(m, actions.PowerUnknown, "but the last heartbeat of node")
	c.force()
	c.read(m, actions.PowerUnknown, "but the last heartbeat of node")
}

// The controller that is behind could still make a pod.
func TestFenceWaitsForTheController(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	m := c.machine()
	c.fake.Pause(true)
	c.must(m.Off(c.ctx()))
	c.do("DELETE", c.in("", "pods/postgres-0"), nil, nil)
	c.wait("no pod is left", func() bool { return c.phase() == "" })
	c.read(m, actions.PowerUnknown, "its controller has not taken over yet")
	c.fake.Pause(false)
	c.becomes(m, actions.PowerOff)
}

// Somebody starts the server again: the proof is none any more, not even once he
// has stopped it.
func TestProofEndsWithTheNextStart(t *testing.T) {
	t.Parallel()
	everywhere(t, func(c *cluster) {
		m := c.machine()
		c.must(m.Off(c.ctx()))
		c.becomes(m, actions.PowerOff)
		c.wait("no pod is left", func() bool { return c.phase() == "" })
		c.scale(1)
		c.becomes(m, actions.PowerOn)
		c.scale(0)
		c.wait("no pod is left", func() bool { return c.phase() == "" })
		c.read(m, actions.PowerUnknown, "nobody saw its kubelet end it")
		c.read(c.machine(), actions.PowerUnknown, "nobody saw its kubelet end it")
	})
}

// A pod that is wanted can come at any moment.
func TestAbsentPodThatIsWantedIsUnknown(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.fake.Pause(true)
	c.do("DELETE", c.in("", "pods/postgres-0"), nil, nil)
	c.wait("no pod is left", func() bool { return c.phase() == "" })
	c.read(c.machine(), actions.PowerUnknown, "one is wanted")
}

// Two servers of one StatefulSet are none that a node could be; both are fenced.
func TestSeveralPodsAreRefusedAndFenced(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.fake.Pause(true) // the fake's controller knows one pod
	c.scale(2)
	m := c.machine()
	c.read(m, actions.PowerUnknown, "it wants 2 pods")
	c.must(m.Off(c.ctx()))
	if got := *c.set().Spec.Replicas; got != 0 {
		c.Errorf("%d pods are wanted", got)
	}
}

// The end was told, and the bot that read it can't write it down: it still knows.
func TestProofThatCantBeNotedCounts(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	m := c.machine()
	c.fake.Always("update configmaps", fault(403))
	c.must(m.Off(c.ctx()))
	c.becomes(m, actions.PowerOff)
	c.wait("no pod is left", func() bool { return c.phase() == "" })
	c.read(m, actions.PowerOff, "")
	c.read(c.machine(), actions.PowerUnknown, "nobody saw its kubelet end it")
}

func TestReadingIsPaced(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	m := c.machine()
	ctx, cancel := context.WithCancel(c.ctx())
	c.must(func() error { _, err := m.Read(ctx); return err }())
	cancel()
	if power, err := m.Read(ctx); power != actions.PowerUnknown || err == nil || !strings.Contains(err.Error(), "no time is left") {
		t.Errorf("read as %s, %v", power, err)
	}
}
