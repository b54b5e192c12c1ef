package kubefake

import (
	"fmt"
	"maps"
	"reflect"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// control is the StatefulSet controller, as far as a set of one pod goes.
func (s *Server) control() {
	defer close(s.ended)
	for range s.controller {
		s.mu.Lock()
		for at, rec := range maps.Clone(s.objects) {
			if set, ok := rec.now.(*appsv1.StatefulSet); ok && !s.paused {
				s.reconcile(at, set)
			}
		}
		s.mu.Unlock()
		time.Sleep(settle) // others have a turn
	}
}

// reconcile makes the pod that is missing and deletes the one that is not wanted,
// and says which generation that is for.
func (s *Server) reconcile(at key, set *appsv1.StatefulSet) {
	pod := key{"pods", at.namespace, at.name + "-0"}
	rec := s.objects[pod]
	var is *corev1.Pod
	if rec != nil {
		is = rec.now.(*corev1.Pod) //nolint:forcetypeassert // pods are pods
	}
	final := is != nil && (is.Status.Phase == corev1.PodFailed || is.Status.Phase == corev1.PodSucceeded)
	switch {
	case is == nil && *set.Spec.Replicas > 0:
		s.makePod(pod, set)
	case is != nil && is.DeletionTimestamp == nil && (*set.Spec.Replicas == 0 || final):
		s.removePod(pod, is, nil)
	}
	next := set.DeepCopy()
	next.Status.ObservedGeneration, next.Status.Replicas = set.Generation, 0
	if s.objects[pod] != nil {
		next.Status.Replicas = 1
	}
	if !reflect.DeepEqual(set.Status, next.Status) {
		s.put(at, next, "MODIFIED")
	}
}

func (s *Server) makePod(at key, set *appsv1.StatefulSet) {
	yes := true
	p := &corev1.Pod{ObjectMeta: *set.Spec.Template.ObjectMeta.DeepCopy(), Spec: *set.Spec.Template.Spec.DeepCopy()}
	p.Name = at.name
	p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: set.Name, UID: set.UID, Controller: &yes, BlockOwnerDeletion: &yes}}
	if _, _, err := s.add(at, kinds["pods"], p); err != nil { // it isn't there, that was looked
		panic(fmt.Sprint(err))
	}
}
