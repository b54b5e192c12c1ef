package kube

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"twokey/actions"
)

// view is everything that the power is judged from, read in this order: what is
// wanted, then the pods, then their nodes' heartbeats.
type view struct {
	set   set
	pods  []pod
	beats map[string]beat // by node
	now   time.Time       // the API server's clock
}

// judge says what a view shows. settled: no pod is left, and none can come, but
// how the last one ended is not in the view. It is pure.
//
//	a container is said to run, its kubelet is alive          on
//	a container is said to run, its kubelet is silent         unknown
//	a pod neither runs nor has ended                          unknown
//	every pod has ended, none is wanted, and that is known    off
//	no pod, none is wanted, and that is known                 settled: off if their end was seen
//	anything else                                             unknown
func (v view) judge() (power actions.Power, settled bool, err error) {
	var unclear []error
	for _, p := range v.pods {
		switch {
		case p.ended():
			unclear = append(unclear, v.endedBy(p))
		case len(p.running) > 0 && v.alive(p.node) == nil:
			return actions.PowerOn, false, nil
		default:
			unclear = append(unclear, v.unclear(p))
		}
	}
	unclear = append(unclear, v.canComeBack())
	if err := errors.Join(unclear...); err != nil {
		return actions.PowerUnknown, false, err
	}
	if len(v.pods) == 0 {
		return actions.PowerUnknown, true, nil
	}
	return actions.PowerOff, false, nil
}

// canComeBack says why a pod could be made without anybody's order.
func (v view) canComeBack() error {
	switch {
	case v.set.wanted != 0 && len(v.pods) == 0:
		return errors.New("there is no pod now, but one is wanted: it can come at any moment")
	case v.set.wanted != 0:
		return errors.New("a pod is wanted")
	case !v.set.takenOver():
		return errors.New("its controller has not taken over yet that no pod is wanted, and could still make one; if that lasts, look whether it runs")
	}
	return nil
}

// unclear says why a pod that has not ended is not known to run either.
func (v view) unclear(p pod) error {
	silent := v.alive(p.node)
	switch {
	case p.node == "":
		return fmt.Errorf("%s has no node yet", p)
	case silent != nil && p.deleting:
		return fmt.Errorf("%s is to be ended, but %w. It may run on: only whoever can see or cut the power of that machine knows", p, silent)
	case silent != nil:
		return fmt.Errorf("%s was last said to run, but %w. Nobody knows whether it still does", p, silent)
	case p.orphaned:
		return fmt.Errorf("%s was given up by the cluster without its kubelet's word", p)
	case len(p.waiting) > 0:
		return fmt.Errorf("%s is between two runs: its kubelet begins %s again (%s)", p, strings.Join(p.waiting, ", "), either(p.message, "no reason is known"))
	}
	return fmt.Errorf("%s is %s, and neither runs nor has ended", p, strings.ToLower(either(string(p.phase), "of no phase")))
}

// alive returns nil while a node's kubelet is heard. It has four heartbeats in the
// time after which the cluster gives it up; once two of them are missing its last
// word counts for nothing here. That is sooner, so that what a machine's own
// platform says of its power is not contradicted for long by a dead kubelet.
func (v view) alive(node string) error {
	b, known := v.beats[node]
	switch {
	case !known:
		return fmt.Errorf("nothing is known of node %s", node)
	case b.problem != nil:
		return fmt.Errorf("whether the kubelet of node %s is alive can't be read: %w", node, b.problem)
	case b.at.IsZero():
		return fmt.Errorf("the kubelet of node %s has never been heard", node)
	case v.now.Sub(b.at) > b.lasts/2:
		return fmt.Errorf("the kubelet of node %s was last heard %s ago", node, v.now.Sub(b.at).Round(time.Second))
	}
	return nil
}

// endedBy returns nil if the kubelet that told a pod's end was alive then: its
// last heartbeat is later than that end, or hardly earlier. Both are of the
// node's own clock.
func (v view) endedBy(p pod) error {
	b := v.beats[p.node]
	switch {
	case b.problem != nil:
		return fmt.Errorf("%s is said to have ended, but whether its kubelet was alive can't be read: %w", p, b.problem)
	case b.at.IsZero():
		return fmt.Errorf("%s is said to have ended, but node %s has no heartbeat", p, either(p.node, "of no name"))
	case p.finished.IsZero():
		return v.alive(p.node)
	case p.finished.Sub(b.at) > b.lasts:
		return fmt.Errorf("%s is said to have ended at %s, but the last heartbeat of node %s is of %s", p, clockOf(p.finished), p.node, clockOf(b.at))
	}
	return nil
}

func clockOf(t time.Time) string { return t.UTC().Format("15:04:05 UTC") }

// witness is what is known about the end of the pods that there were when the
// server was to be stopped. It stands with the guard's order, so that a bot that
// was started anew can go on from it.
type witness struct {
	Set types.UID `json:"statefulset"`
	// Pods that there were, and since which version their end must be looked for.
	Pods  map[types.UID]string `json:"pods"` // the node of each
	Since string               `json:"since"`
	// Generation is that of the StatefulSet when all of them had ended; 0: not yet
	// known. It rises whenever somebody wants something else of the StatefulSet.
	Generation int64  `json:"generation,omitempty"`
	Proof      string `json:"proof,omitempty"` // in words
}

// proves says whether the witness shows that no pod runs, where none is left and
// none is wanted.
func (w *witness) proves(s set) bool {
	return w != nil && w.Set == s.uid && w.Generation != 0 && w.Generation == s.generation
}

// speaks says whether the witness is about this StatefulSet, and saw a pod.
func (w *witness) speaks(s set) bool {
	return w != nil && w.Set == s.uid && len(w.Pods) > 0 && w.Since != ""
}

// with is what is known once these pods were seen, at that version. While a pod
// was wanted the pods before are nobody's business. Since none is, all of them
// have to be shown to have ended; what still is there needs no older history.
func (w *witness) with(s set, pods []pod, version string) *witness {
	if len(pods) == 0 {
		return w
	}
	next := &witness{Set: s.uid, Pods: map[types.UID]string{}, Since: version}
	for _, p := range pods {
		next.Pods[p.uid] = p.node
	}
	if s.wanted != 0 || !w.speaks(s) {
		return next
	}
	for uid, node := range w.Pods {
		if _, there := next.Pods[uid]; !there {
			next.Pods[uid], next.Since = node, w.Since
		}
	}
	return next
}

var (
	errUnseen = errors.New("its pod is gone, and nobody saw its kubelet end it: it may have been deleted by force, and run on. Look at the machine, or cut its power")
	errForced = errors.New("its pod was deleted without its kubelet's word that it had ended: by force, or by the cluster itself. It may run on: look at the machine, or cut its power")
)
