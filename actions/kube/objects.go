package kube

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// set is the StatefulSet as it was read.
type set struct {
	uid        types.UID
	version    string // resourceVersion
	generation int64  // of what is wanted
	observed   int64  // the generation that its controller has taken over
	wanted     int32  // pods
	selector   string // of its pods
}

// takenOver says whether the controller makes no pods for an older wish any more.
func (s set) takenOver() bool { return s.observed >= s.generation }

// pod is one pod of the server's.
type pod struct {
	uid      types.UID
	name     string
	node     string // "" before it has one
	deleting bool
	deadline time.Time     // of the deletion, by the API server's clock
	grace    time.Duration // that it gets
	seen     bool          // by its kubelet: the deletion, too, where one is under way
	phase    corev1.PodPhase
	running  []string  // containers
	waiting  []string  // containers that are begun, or begun again
	finished time.Time // when the last of its containers ended, by the node's clock; zero: none was begun, or it was lost
	orphaned bool      // the cluster gave it up without its kubelet
	message  string    // the last words of a container that ended
	address  string    // its IP address in the cluster; "" before it has one
	port     int32     // that its server listens on there; 0 where its container names none
}

// ended says whether its kubelet has told that all of it has ended for good: a
// kubelet gives a pod that it may begin again no final phase. What the cluster
// itself gives up gets that phase, too, but no word on its containers.
func (p pod) ended() bool {
	final := p.phase == corev1.PodSucceeded || p.phase == corev1.PodFailed
	return final && !p.orphaned && p.seen && len(p.running) == 0 && len(p.waiting) == 0
}

func (p pod) String() string { return fmt.Sprintf("pod %s (%s)", p.name, p.uid) }

// podOf takes what matters from a pod.
func podOf(p *corev1.Pod) pod {
	out := pod{
		uid: p.UID, name: p.Name, node: p.Spec.NodeName, phase: p.Status.Phase, deleting: p.DeletionTimestamp != nil,
		// Clusters before 1.34 don't count generations of pods.
		seen:    p.Generation == 0 || p.Status.ObservedGeneration == 0 || p.Status.ObservedGeneration >= p.Generation,
		address: p.Status.PodIP, port: portOf(p),
	}
	if out.deleting {
		out.deadline = p.DeletionTimestamp.Time
	}
	if g := p.Spec.TerminationGracePeriodSeconds; g != nil {
		out.grace = time.Duration(*g) * time.Second
	}
	for _, c := range p.Status.Conditions {
		gone := c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue
		out.orphaned = out.orphaned || gone && c.Reason == "DeletionByPodGC"
	}
	for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses, p.Status.EphemeralContainerStatuses) {
		out.add(c)
	}
	return out
}

// portOf is the first port that a container of the pod names.
func portOf(p *corev1.Pod) int32 {
	for _, c := range p.Spec.Containers {
		if len(c.Ports) > 0 {
			return c.Ports[0].ContainerPort
		}
	}
	return 0
}

func (p *pod) add(c corev1.ContainerStatus) {
	last := c.LastTerminationState.Terminated
	switch {
	case c.State.Running != nil:
		p.running = append(p.running, c.Name)
	case c.State.Terminated != nil:
		last = c.State.Terminated
		if at := last.FinishedAt.Time; at.After(p.finished) {
			p.finished = at
		}
	default:
		p.waiting = append(p.waiting, c.Name)
	}
	if last != nil && (last.ExitCode != 0 || last.Message != "") {
		p.message = fmt.Sprintf("container %s ended with code %d: %s", c.Name, last.ExitCode, short(either(last.Message, last.Reason)))
	}
}

// beat is a node's heartbeat.
type beat struct {
	at      time.Time // by the node's clock; zero: it has none
	problem error     // why it could not be read
	lasts   time.Duration
}

// readSet reads the StatefulSet. A version older than what this driver has
// written itself is no answer: something between keeps old ones.
func (m *Machine) readSet(ctx context.Context) (set, error) {
	what := "read StatefulSet " + m.name()
	var got appsv1.StatefulSet
	err := m.site.read(ctx, what, func(ctx context.Context) error {
		return m.site.in(appsv1.SchemeGroupVersion, "GET").Namespace(m.site.opt.Namespace).Resource("statefulsets").Name(m.opt.StatefulSet).Do(ctx).Into(&got)
	})
	if err != nil {
		return set{}, err
	}
	if err := sameObject(what, &got.ObjectMeta, m.site.opt.Namespace, m.opt.StatefulSet); err != nil {
		return set{}, err
	}
	if wrote := m.lastWritten(); older(got.ResourceVersion, wrote) {
		return set{}, errAnswer(what, fmt.Sprintf("the answer is of version %s, older than %s, which the bot has written itself", got.ResourceVersion, wrote))
	}
	selector, err := metav1.LabelSelectorAsSelector(got.Spec.Selector)
	if err != nil || selector.Empty() {
		return set{}, errAnswer(what, "it has no selector that tells its pods from others")
	}
	out := set{
		uid: got.UID, version: got.ResourceVersion, generation: got.Generation, observed: got.Status.ObservedGeneration,
		wanted: 1, selector: selector.String(),
	}
	if got.Spec.Replicas != nil {
		out.wanted = *got.Spec.Replicas
	}
	if out.wanted > 1 {
		return out, &Error{
			What: what, Status: 200, Why: fmt.Sprintf("it wants %d pods, but a node is one server", out.wanted),
			Fix: "Scale it to 1: further pods of it would be servers that nobody watches.",
		}
	}
	return out, nil
}

// older says whether one resourceVersion is surely older than another.
func older(a, b string) bool {
	x, err1 := strconv.ParseUint(a, 10, 64)
	y, err2 := strconv.ParseUint(b, 10, 64)
	return err1 == nil && err2 == nil && x < y
}

// scale orders how many pods are wanted, if the StatefulSet is still what was read.
func (m *Machine) scale(ctx context.Context, s set, wanted int32) error {
	what := fmt.Sprintf("scale StatefulSet %s to %d", m.name(), wanted)
	order := autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Name: m.opt.StatefulSet, Namespace: m.site.opt.Namespace, UID: s.uid, ResourceVersion: s.version},
		Spec:       autoscalingv1.ScaleSpec{Replicas: wanted},
	}
	var got autoscalingv1.Scale
	err := m.site.once(ctx, what, func(ctx context.Context) error {
		return m.site.in(appsv1.SchemeGroupVersion, "PUT").Namespace(m.site.opt.Namespace).Resource("statefulsets").Name(m.opt.StatefulSet).SubResource("scale").Body(&order).Do(ctx).Into(&got)
	})
	if err != nil {
		return err
	}
	if got.UID != s.uid || got.Spec.Replicas != wanted {
		return errAnswer(what, fmt.Sprintf("the order was answered with %d pods of %s", got.Spec.Replicas, got.UID))
	}
	m.wrote(got.ResourceVersion)
	return nil
}

// pods lists the server's pods as they are now, and the version of the list.
func (m *Machine) pods(ctx context.Context, s set) (pods []pod, version string, err error) {
	what := "list the pods of StatefulSet " + m.name()
	var got corev1.PodList
	err = m.site.read(ctx, what, func(ctx context.Context) error {
		return m.site.in(corev1.SchemeGroupVersion, "GET").Namespace(m.site.opt.Namespace).Resource("pods").Param("labelSelector", s.selector).Do(ctx).Into(&got)
	})
	if err != nil {
		return nil, "", err
	}
	if older(got.ResourceVersion, s.version) {
		return nil, "", errAnswer(what, fmt.Sprintf("the answer is of version %s, older than %s, which was read before", got.ResourceVersion, s.version))
	}
	for i := range got.Items {
		if got.Items[i].Namespace != m.site.opt.Namespace {
			return nil, "", errAnswer(what, "the answer is about another namespace")
		}
		pods = append(pods, podOf(&got.Items[i]))
	}
	return pods, got.ResourceVersion, nil
}

// heartbeat reads when a node's kubelet was last heard.
func (m *Machine) heartbeat(ctx context.Context, node string) beat {
	what := "read the heartbeat of node " + node
	var got coordinationv1.Lease
	err := m.site.read(ctx, what, func(ctx context.Context) error {
		return m.site.in(coordinationv1.SchemeGroupVersion, "GET").Namespace(heartbeats).Resource("leases").Name(node).Do(ctx).Into(&got)
	})
	if err == nil {
		err = sameObject(what, &got.ObjectMeta, heartbeats, node)
	}
	if err != nil {
		return beat{problem: err}
	}
	b := beat{lasts: defaultBeat}
	if got.Spec.RenewTime != nil {
		b.at = got.Spec.RenewTime.Time
	}
	if got.Spec.LeaseDurationSeconds != nil {
		b.lasts = time.Duration(*got.Spec.LeaseDurationSeconds) * time.Second
	}
	return b
}

// defaultBeat is how long a kubelet counts as alive after a heartbeat, as
// kubelets themselves have it.
const defaultBeat = 40 * time.Second

// configMap reads one; it changes nothing.
func (s *Site) configMap(ctx context.Context, name string) (*corev1.ConfigMap, error) {
	what := fmt.Sprintf("read ConfigMap %s/%s", s.opt.Namespace, name)
	var got corev1.ConfigMap
	err := s.read(ctx, what, func(ctx context.Context) error {
		return s.in(corev1.SchemeGroupVersion, "GET").Namespace(s.opt.Namespace).Resource("configmaps").Name(name).Do(ctx).Into(&got)
	})
	if err == nil {
		err = sameObject(what, &got.ObjectMeta, s.opt.Namespace, name)
	}
	if err != nil {
		return nil, err
	}
	return &got, nil
}

// putConfigMap writes one, if it is still of the version that it holds.
func (s *Site) putConfigMap(ctx context.Context, c *corev1.ConfigMap) error {
	what := fmt.Sprintf("write ConfigMap %s/%s", s.opt.Namespace, c.Name)
	return s.once(ctx, what, func(ctx context.Context) error {
		return s.in(corev1.SchemeGroupVersion, "PUT").Namespace(s.opt.Namespace).Resource("configmaps").Name(c.Name).Body(c).Do(ctx).Error()
	})
}
