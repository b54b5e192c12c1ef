package kube

import (
	"context"
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
)

// Need is one right that the driver uses.
type Need struct {
	Verb        string `json:"verb"`
	Group       string `json:"group"` // "" for the core group
	Resource    string `json:"resource"`
	Subresource string `json:"subresource,omitempty"`
	Namespace   string `json:"namespace"`
	Name        string `json:"name,omitempty"` // "": any
	For         string `json:"for"`            // what it is used for
}

// String is the right as kubectl auth can-i would be asked for it.
func (n Need) String() string {
	resource := n.Resource
	if n.Group != "" {
		resource += "." + n.Group
	}
	if n.Name != "" {
		resource += "/" + n.Name
	}
	if n.Subresource != "" {
		resource += " --subresource=" + n.Subresource
	}
	return fmt.Sprintf("%s %s -n %s", n.Verb, resource, n.Namespace)
}

// Access is what the API server says of one right.
type Access struct {
	Need

	Allowed bool   `json:"allowed"`
	Why     string `json:"why"` // the authorizer's reason, where it gives one
}

// heartbeats is where each kubelet renews its lease.
const heartbeats = "kube-node-lease"

// Needs are the rights that a [Machine] uses.
func (o MachineOptions) Needs(namespace string) []Need {
	return []Need{
		{"get", "apps", "statefulsets", "", namespace, o.StatefulSet, "reading how many pods are wanted"},
		{"update", "apps", "statefulsets", "scale", namespace, o.StatefulSet, "stopping, starting and fencing the server"},
		{"list", "", "pods", "", namespace, "", "reading whether the server runs"},
		{"watch", "", "pods", "", namespace, "", "seeing that its kubelet ended it"},
		{"get", "coordination.k8s.io", "leases", "", heartbeats, "", "telling a live kubelet from a dead one"},
		{"get", "", "configmaps", "", namespace, o.Order, "reading the guard's order"},
		{"update", "", "configmaps", "", namespace, o.Order, "ordering a start, a follow or a rejoin"},
	}
}

// Needs are the rights that an [Endpoint] uses.
func (o EndpointOptions) Needs(namespace string) []Need {
	return []Need{
		{"get", "discovery.k8s.io", "endpointslices", "", namespace, o.Slice, "reading where clients are led"},
		{"update", "discovery.k8s.io", "endpointslices", "", namespace, o.Slice, "leading clients to the new primary"},
		{"get", "", "configmaps", "", namespace, o.Connection, "reading the connection string"},
		{"update", "", "configmaps", "", namespace, o.Connection, "writing the connection string"},
	}
}

// Probe asks the API server about each right. Asking needs none itself, and
// changes nothing. The error is that of the question: then nothing is known.
func (s *Site) Probe(ctx context.Context, needs []Need) ([]Access, error) {
	out := make([]Access, len(needs))
	for i, n := range needs {
		var err error
		if out[i], err = s.probe(ctx, n); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *Site) probe(ctx context.Context, n Need) (Access, error) {
	what := fmt.Sprintf("ask whether the bot may %s", n)
	review := authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: n.Verb, Group: n.Group, Resource: n.Resource, Subresource: n.Subresource, Namespace: n.Namespace, Name: n.Name,
		},
	}}
	var answer authorizationv1.SelfSubjectAccessReview
	err := s.read(ctx, what, func(ctx context.Context) error {
		return s.in(authorizationv1.SchemeGroupVersion, "POST").Resource("selfsubjectaccessreviews").Body(&review).Do(ctx).Into(&answer)
	})
	if err != nil {
		return Access{}, err
	}
	a := Access{Need: n, Allowed: answer.Status.Allowed && !answer.Status.Denied, Why: short(answer.Status.Reason)}
	if problem := answer.Status.EvaluationError; problem != "" && !a.Allowed {
		a.Why = short(problem)
	}
	if !a.Allowed && a.Why == "" {
		a.Why = "nothing grants it; manifests/bot/rbac.yaml has all that the bot uses"
	}
	return a, nil
}
