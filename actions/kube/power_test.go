package kube_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"twokey/actions"
	"twokey/actions/kube"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// podIn changes a pod; the beginning is one that runs on node n1, whose kubelet
// was heard 5 s ago.
type podIn func(*corev1.Pod)

func aPod(changes ...podIn) corev1.Pod {
	p := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "postgres-0", UID: "u1", Generation: 1},
		Spec:       corev1.PodSpec{NodeName: "n1"},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, ObservedGeneration: 1, ContainerStatuses: []corev1.ContainerStatus{
			{Name: "postgres", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
		}},
	}
	for _, c := range changes {
		c(&p)
	}
	return p
}

var (
	deleting podIn = func(p *corev1.Pod) {
		at := metav1.NewTime(noon.Add(30 * time.Second))
		p.DeletionTimestamp, p.Generation = &at, 2
	}
	takenOver  podIn = func(p *corev1.Pod) { p.Status.ObservedGeneration = p.Generation }
	succeeded  podIn = func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }
	failed     podIn = func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }
	terminated       = endedAt(noon)
	lost       podIn = func(p *corev1.Pod) {
		container(p).State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "ContainerStatusUnknown", ExitCode: 137}}
	}
	waiting podIn = func(p *corev1.Pod) {
		container(p).State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
		container(p).LastTerminationState = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 3, Message: "the partner's address is missing"}}
	}
	sidecar podIn = func(p *corev1.Pod) {
		p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "sidecar", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
	}
	givenUp podIn = func(p *corev1.Pod) {
		p.Status.Phase = corev1.PodFailed
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "DeletionByPodGC"}}
	}
	unplaced podIn = func(p *corev1.Pod) {
		p.Spec.NodeName, p.Status.Phase, p.Status.ContainerStatuses = "", corev1.PodPending, nil
	}
	pending  podIn = func(p *corev1.Pod) { p.Status.Phase, p.Status.ContainerStatuses = corev1.PodPending, nil }
	before34 podIn = func(p *corev1.Pod) { p.Generation, p.Status.ObservedGeneration = 0, 0 } // clusters that don't count them
)

// container is the pod's one, which may not have been begun yet.
func container(p *corev1.Pod) *corev1.ContainerStatus {
	if len(p.Status.ContainerStatuses) == 0 {
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "postgres"}}
	}
	return &p.Status.ContainerStatuses[0]
}

func endedAt(at time.Time) podIn {
	return func(p *corev1.Pod) {
		container(p).State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: metav1.NewTime(at)}}
	}
}

// seen is what the API shows, with one pod wanted or none.
func seen(wanted int32, pods ...corev1.Pod) kube.Seen {
	return kube.Seen{Wanted: wanted, Generation: 2, Observed: 2, Pods: pods, Beats: map[string]time.Time{"n1": noon.Add(-5 * time.Second)}, Now: noon}
}

func silentFor(s kube.Seen, d time.Duration) kube.Seen {
	s.Beats = map[string]time.Time{"n1": noon.Add(-d)}
	return s
}

func TestPower(t *testing.T) {
	t.Parallel()
	const on, off, unknown, settled = actions.PowerOn, actions.PowerOff, actions.PowerUnknown, actions.Power("settled")
	behind := seen(0, aPod(deleting, takenOver, succeeded, terminated))
	behind.Observed = 1
	behindNothing := seen(0)
	behindNothing.Observed = 1
	unheardOf := seen(1, aPod())
	unheardOf.Beats = map[string]time.Time{"n1": {}}
	unheard := seen(0, aPod(deleting, takenOver, succeeded, terminated))
	unheard.Beats, unheard.Unheard = nil, map[string]error{"n1": errors.New("403 Forbidden")}
	unheardOn := seen(1, aPod())
	unheardOn.Beats, unheardOn.Unheard = nil, map[string]error{"n1": errors.New("403 Forbidden")}
	for _, row := range []struct {
		name string
		s    kube.Seen
		want actions.Power
		why  string
	}{
		{"a pod that runs is on", seen(1, aPod()), on, ""},
		{"so is one that nobody wants any more", seen(0, aPod()), on, ""},
		{"so is one that is being ended", seen(0, aPod(deleting, takenOver)), on, ""},
		{"so is one whose side container alone runs", seen(0, aPod(deleting, takenOver, terminated, sidecar)), on, ""},
		{"a kubelet that misses one heartbeat is alive", silentFor(seen(1, aPod()), 19*time.Second), on, ""},
		{"one that misses two is not", silentFor(seen(1, aPod()), 21*time.Second), unknown, "last heard 21s ago"},
		{"the last word of a silent kubelet is not on", silentFor(seen(1, aPod()), time.Minute), unknown, "last heard 1m0s ago"},
		{"nor is it off when it was told to end the pod", silentFor(seen(0, aPod(deleting)), time.Minute), unknown, "It may run on"},
		{"a kubelet that was never heard", unheardOf, unknown, "has never been heard"},
		{"a heartbeat that can't be read", unheardOn, unknown, "403 Forbidden"},
		{"a heartbeat of the future is one", silentFor(seen(1, aPod()), -time.Minute), on, ""},

		{"a pod that has ended, and none is wanted", seen(0, aPod(deleting, takenOver, succeeded, terminated)), off, ""},
		{"the same with an exit code", seen(0, aPod(deleting, takenOver, failed, terminated)), off, ""},
		{"the same before its deletion", seen(0, aPod(failed, terminated)), off, ""},
		{"the same in an older cluster", seen(0, aPod(deleting, before34, succeeded, terminated)), off, ""},
		{"the same with a container that could not be found", seen(0, aPod(deleting, takenOver, failed, lost)), off, ""},
		{"its kubelet fell silent later", silentFor(seen(0, aPod(deleting, takenOver, succeeded, endedAt(noon.Add(-time.Hour)))), time.Hour), off, ""},
		{"a container that could not be found, by a kubelet that is silent", silentFor(seen(0, aPod(deleting, takenOver, failed, lost)), time.Minute), unknown, "last heard 1m0s ago"},
		{"an end that was told long after the last heartbeat", silentFor(seen(0, aPod(deleting, takenOver, succeeded, terminated)), time.Minute), unknown, "the last heartbeat of node n1 is of"},
		{"an end whose node's heartbeat can't be read", unheard, unknown, "403 Forbidden"},
		{"an end that came, while a pod is wanted", seen(1, aPod(deleting, takenOver, succeeded, terminated)), unknown, "a pod is wanted"},
		{"an end that the controller has not taken over", behind, unknown, "has not taken over"},

		{"a container that crashed is begun again", seen(0, aPod(terminated)), unknown, "neither runs nor has ended"},
		{"the same, with its deletion under way that its kubelet has not seen", seen(0, aPod(deleting, terminated)), unknown, "neither runs nor has ended"},
		{"the same, with a final phase from elsewhere", seen(0, aPod(deleting, succeeded, terminated)), unknown, "neither runs nor has ended"},
		{"a container between two runs", seen(1, aPod(waiting)), unknown, "container postgres ended with code 3: the partner's address is missing"},
		{"a pod that the cluster gave up", seen(0, aPod(deleting, takenOver, terminated, givenUp)), unknown, "without its kubelet's word"},
		{"a pod that the cluster gave up while it was said to run", seen(0, aPod(deleting, givenUp)), on, ""},
		{"a pod without a node", seen(1, aPod(unplaced)), unknown, "has no node yet"},
		{"a pod that is being made", seen(1, aPod(pending)), unknown, "neither runs nor has ended"},

		{"no pod, and none is wanted", seen(0), settled, ""},
		{"no pod, and one is wanted", seen(1), unknown, "it can come at any moment"},
		{"no pod, and the controller is behind", behindNothing, unknown, "has not taken over"},
		{"two pods, one of them runs", seen(0, aPod(deleting, takenOver, succeeded, terminated), aPod()), on, ""},
		{"two pods, one of them nobody knows", seen(0, aPod(deleting, takenOver, succeeded, terminated), aPod(waiting)), unknown, "between two runs"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			power, done, err := row.s.Judge()
			if done {
				power = settled
			}
			if power != row.want || (err == nil) != (row.why == "") || err != nil && !strings.Contains(err.Error(), row.why) {
				t.Errorf("%s, %v; want %s, %q", power, err, row.want, row.why)
			}
		})
	}
}

// Whatever is drawn: off, or settled, is never said while a pod's container was
// last said to run, while a pod is wanted, or before the controller knows that
// none is; and never on the word of a kubelet that was silent.
func TestPowerIsNeverOffInVain(t *testing.T) {
	t.Parallel()
	all := []podIn{deleting, succeeded, failed, takenOver, terminated, lost, waiting, sidecar, givenUp, unplaced, pending, before34, endedAt(noon.Add(-time.Hour))}
	rapid.Check(t, func(r *rapid.T) {
		s := seen(rapid.Int32Range(0, 1).Draw(r, "wanted"))
		s.Observed = rapid.Int64Range(1, 2).Draw(r, "observed")
		for range rapid.IntRange(0, 2).Draw(r, "pods") {
			var changes []podIn
			for i, c := range all {
				if rapid.Bool().Draw(r, string(rune('a'+i))) {
					changes = append(changes, c)
				}
			}
			s.Pods = append(s.Pods, aPod(changes...))
		}
		quiet := time.Duration(rapid.IntRange(0, 7200).Draw(r, "silent")) * time.Second
		s = silentFor(s, quiet)
		power, settled, err := s.Judge()
		if power != actions.PowerOff && !settled {
			return
		}
		if err != nil || s.Wanted != 0 || s.Observed < s.Generation {
			r.Fatalf("%s with %d wanted, observed %d, %v", power, s.Wanted, s.Observed, err)
		}
		for _, p := range s.Pods {
			for _, c := range append(p.Status.InitContainerStatuses, p.Status.ContainerStatuses...) {
				if c.State.Running != nil || c.State.Waiting != nil {
					r.Fatalf("off while container %s is %v", c.Name, c.State)
				}
			}
			if p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed {
				r.Fatalf("off while the pod is %s", p.Status.Phase)
			}
			if quiet > time.Hour+time.Minute {
				r.Fatalf("off on the word of a kubelet that had been silent for %s", quiet)
			}
		}
	})
}
