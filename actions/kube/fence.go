package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"twokey/actions"
)

// Describe implements [actions.Fencer].
func (m *Machine) Describe() string {
	return fmt.Sprintf("scales StatefulSet %s to 0 (%s), never by force; proof: its kubelet, alive, said that every container has ended, read again", m.name(), m.site.who)
}

// Off implements [actions.Fencer]: it scales to 0, with optimistic locking. What
// pods there are is noted first, so that their end can be told from a deletion
// by force; a note that can't be left doesn't keep the server on.
//
// Errors: *[Error] when no order was taken, *[actions.Uncertain] when one may
// have been.
func (m *Machine) Off(ctx context.Context) error {
	return m.order0(ctx, func(ctx context.Context, s set) error {
		pods, version, err := m.pods(ctx, s)
		if err != nil {
			m.log().Warn("the server is stopped without a look at its pods, so their end may not be provable", logSet, m.name(), "error", err)
			return ctx.Err()
		}
		brief, cancel := context.WithTimeout(ctx, noteTime)
		defer cancel()
		m.keep(brief, func(old *witness) *witness { return old.with(s, pods, version) })
		return ctx.Err()
	})
}

// noteTime is how long an order waits for the note that comes before it.
const noteTime = 2 * time.Second

// order0 scales to 0; before is done before each try.
func (m *Machine) order0(ctx context.Context, before func(context.Context, set) error) error {
	var s set
	return m.site.change(ctx, func(ctx context.Context) (bool, error) {
		var err error
		if s, err = m.readSet(ctx); err != nil && s.wanted <= 1 { // more than one pod must go all the more
			return false, err
		}
		if err := before(ctx, s); err != nil {
			return false, err
		}
		return s.wanted != 0, nil
	}, func(ctx context.Context) error { return m.scale(ctx, s, 0) })
}

// Read implements [actions.Fencer].
func (m *Machine) Read(ctx context.Context) (actions.Power, error) {
	if err := m.pace.Wait(ctx); err != nil {
		return actions.PowerUnknown, fmt.Errorf("read StatefulSet %s: no time is left for another reading: %w", m.name(), errors.Join(context.Cause(ctx), err))
	}
	power, err := m.power(ctx)
	if err != nil {
		err = fmt.Errorf("StatefulSet %s: %w", m.name(), err)
	}
	return power, err
}

func (m *Machine) power(ctx context.Context) (actions.Power, error) {
	v, err := m.look(ctx)
	if err != nil {
		return actions.PowerUnknown, err
	}
	power, settled, err := v.judge()
	switch {
	case settled:
		return m.settled(ctx, v)
	case power == actions.PowerOff:
		m.prove(ctx, v.set, v.pods)
	}
	return power, err
}

// look reads everything that the power is judged from, but for the witness.
func (m *Machine) look(ctx context.Context) (v view, err error) {
	if v.set, err = m.readSet(ctx); err != nil {
		return v, err
	}
	if v.pods, _, err = m.pods(ctx, v.set); err != nil {
		return v, err
	}
	m.listen(ctx, &v)
	return v, nil
}

// listen adds the heartbeats of the pods' nodes.
func (m *Machine) listen(ctx context.Context, v *view) {
	v.beats = map[string]beat{}
	for _, p := range v.pods {
		if _, known := v.beats[p.node]; p.node != "" && !known {
			v.beats[p.node] = m.heartbeat(ctx, p.node)
		}
	}
	v.now = m.site.now()
}

// settled: no pod is left and none can come. It is off if the end of the last
// one was seen, now or by an earlier reading.
func (m *Machine) settled(ctx context.Context, v view) (actions.Power, error) {
	w, err := m.recall(ctx, v.set)
	switch {
	case err != nil:
		return actions.PowerUnknown, fmt.Errorf("its pod is gone, and what is noted about its end can't be read: %w", err)
	case w.proves(v.set):
		return actions.PowerOff, nil
	case !w.speaks(v.set):
		return actions.PowerUnknown, errUnseen
	}
	last, err := m.replay(ctx, v.set, w)
	if err != nil {
		return actions.PowerUnknown, err
	}
	v.pods = last
	m.listen(ctx, &v)
	for _, p := range last {
		if p.node == "" { // it never had a kubelet that could have begun it
			continue
		}
		if !p.ended() {
			return actions.PowerUnknown, fmt.Errorf("%s on node %s: %w", p, p.node, errForced)
		}
		if err := v.endedBy(p); err != nil {
			return actions.PowerUnknown, err
		}
	}
	m.prove(ctx, v.set, last)
	return actions.PowerOff, nil
}

// replay has the API server tell again what became of the pods since they were
// noted, of those that came and went meanwhile, too. It gives the last state of
// each. The whole stream is read: that something came last shows only at its end.
func (m *Machine) replay(ctx context.Context, s set, w *witness) ([]pod, error) {
	what := "look back how the pods of StatefulSet " + m.name() + " ended"
	h := history{last: map[types.UID]pod{}, alive: maps.Clone(w.Pods)}
	err := m.site.readWithin(ctx, m.site.opt.Timeout+time.Second, what, func(ctx context.Context) error {
		stream, err := m.site.in(corev1.SchemeGroupVersion, "GET").Namespace(m.site.opt.Namespace).Resource("pods").
			Param("labelSelector", s.selector).Param("resourceVersion", w.Since).Param("watch", "true").Param("timeoutSeconds", "1").Stream(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = stream.Close() }()
		return h.follow(stream)
	})
	switch {
	case expired(err):
		return nil, fmt.Errorf("%w (the API server's history no longer reaches back to it)", errUnseen)
	case err != nil:
		return nil, err
	case len(h.alive) > 0:
		return nil, &Error{What: what, Status: 200, Why: fmt.Sprintf("it is gone from the list, and the history doesn't say so: %s", strings.Join(uids(h.alive), ", ")), Fix: fixTheirs}
	}
	return slices.Collect(maps.Values(h.last)), nil
}

func uids(pods map[types.UID]string) []string {
	var out []string
	for uid := range pods {
		out = append(out, string(uid))
	}
	slices.Sort(out)
	return out
}

// history is what became of pods.
type history struct {
	last  map[types.UID]pod    // the last state of each
	alive map[types.UID]string // those that have not been deleted, with their nodes
}

// follow reads a stream of changes to its end. One that is cut off is an error.
func (h history) follow(stream io.Reader) error {
	for lines := json.NewDecoder(stream); ; {
		var event metav1.WatchEvent
		if err := lines.Decode(&event); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if event.Type == string(watch.Error) {
			var status metav1.Status
			if err := json.Unmarshal(event.Object.Raw, &status); err != nil {
				return err
			}
			return &apierrors.StatusError{ErrStatus: status}
		}
		var p corev1.Pod
		if err := json.Unmarshal(event.Object.Raw, &p); err != nil {
			return err
		}
		h.saw(&p, event.Type == string(watch.Deleted))
	}
}

func (h history) saw(p *corev1.Pod, gone bool) {
	h.last[p.UID] = podOf(p)
	if gone {
		delete(h.alive, p.UID)
	} else {
		h.alive[p.UID] = p.Spec.NodeName
	}
}

// expired says whether the history of the API server is too short.
func expired(err error) bool {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	return ok && (apierrors.IsResourceExpired(status) || apierrors.IsGone(status))
}

// fenceNote is the order ConfigMap's annotation with the witness. It is none of
// the files that the guard sees.
const fenceNote = "twokey/fence"

// prove notes that the pods have ended, for readings after they are gone.
func (m *Machine) prove(ctx context.Context, s set, pods []pod) {
	if m.noted().proves(s) {
		return
	}
	w := &witness{Set: s.uid, Pods: map[types.UID]string{}, Generation: s.generation}
	var words []string
	for _, p := range pods {
		w.Pods[p.uid] = p.node
		words = append(words, fmt.Sprintf("%s ended on node %s at %s", p, either(p.node, "none"), clockOf(p.finished)))
	}
	w.Proof = strings.Join(words, "; ")
	m.keep(ctx, func(*witness) *witness { return w })
}

// keep notes what becomes of the witness, here and with the order. One that can't
// be noted there is lost with this process, which is no reason not to go on.
func (m *Machine) keep(ctx context.Context, next func(old *witness) *witness) {
	m.note(next(m.noted()))
	err := m.changeOrder(ctx, func(c *corev1.ConfigMap) bool {
		old := witnessIn(c)
		w := next(old)
		m.note(w)
		if reflect.DeepEqual(old, w) {
			return false
		}
		text, err := json.Marshal(w)
		if err != nil { // only strings and numbers
			panic(err)
		}
		if c.Annotations == nil {
			c.Annotations = map[string]string{}
		}
		c.Annotations[fenceNote] = string(text)
		return true
	})
	if err != nil {
		m.log().Warn("what was seen of the server's pods could not be noted; a bot that is started anew won't know it", logSet, m.name(), "error", err)
	}
}

// logSet is the log's key for the StatefulSet.
const logSet = "statefulset"

// recall gives the witness: this process's own where that knows the StatefulSet,
// else what was noted with the order.
func (m *Machine) recall(ctx context.Context, s set) (*witness, error) {
	if own := m.noted(); own.proves(s) || own.speaks(s) {
		return own, nil
	}
	c, err := m.site.configMap(ctx, m.opt.Order)
	if err != nil {
		return nil, err
	}
	w := witnessIn(c)
	m.note(w)
	return w, nil
}

// witnessIn reads the note; one that can't be understood is none.
func witnessIn(c *corev1.ConfigMap) *witness {
	var w *witness
	if json.Unmarshal([]byte(c.Annotations[fenceNote]), &w) != nil {
		return nil
	}
	return w
}
