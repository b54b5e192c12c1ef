package kube

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"twokey/actions"
)

// Seen is a view, from what the API shows.
type Seen struct {
	Wanted               int32
	Generation, Observed int64
	Pods                 []corev1.Pod
	Beats                map[string]time.Time
	Unheard              map[string]error // nodes whose heartbeat can't be read
	Now                  time.Time
}

// Judge says what it shows.
func (s Seen) Judge() (actions.Power, bool, error) {
	v := view{set: set{generation: s.Generation, observed: s.Observed, wanted: s.Wanted}, beats: map[string]beat{}, now: s.Now}
	for i := range s.Pods {
		v.pods = append(v.pods, podOf(&s.Pods[i]))
	}
	for node, at := range s.Beats {
		v.beats[node] = beat{at: at, lasts: defaultBeat}
	}
	for node, err := range s.Unheard {
		v.beats[node] = beat{problem: err}
	}
	return v.judge()
}
