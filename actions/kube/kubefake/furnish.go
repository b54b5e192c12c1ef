package kubefake

import (
	"context"
	"net/http"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func typ(kind, version string) metav1.TypeMeta {
	return metav1.TypeMeta{Kind: kind, APIVersion: version}
}

// Furnish makes in a cluster's namespace what the manifests would for one server,
// under their names, and a node on which its pod runs. The client is closed with
// the node.
func Furnish(ctx context.Context, c *Client, namespace string, onRun func(pod string, runs bool)) (*Node, error) {
	at := func(group, resource string) string { return group + "/namespaces/" + namespace + "/" + resource }
	type made struct {
		path string
		body any
		also int
	}
	objects := []made{
		{"/api/v1/namespaces", corev1.Namespace{TypeMeta: typ("Namespace", "v1"), ObjectMeta: metav1.ObjectMeta{Name: namespace}}, http.StatusConflict},
		{"/api/v1/namespaces", corev1.Namespace{TypeMeta: typ("Namespace", "v1"), ObjectMeta: metav1.ObjectMeta{Name: "kube-node-lease"}}, http.StatusConflict},
		{at("/api/v1", "configmaps"), corev1.ConfigMap{TypeMeta: typ("ConfigMap", "v1"), ObjectMeta: metav1.ObjectMeta{Name: "postgres-order"}}, 0},
		{at("/api/v1", "configmaps"), corev1.ConfigMap{TypeMeta: typ("ConfigMap", "v1"), ObjectMeta: metav1.ObjectMeta{Name: "postgres-connection"}}, 0},
		{at("/apis/discovery.k8s.io/v1", "endpointslices"), discoveryv1.EndpointSlice{
			TypeMeta: typ("EndpointSlice", "discovery.k8s.io/v1"), AddressType: discoveryv1.AddressTypeIPv4,
			ObjectMeta: metav1.ObjectMeta{Name: "postgres-primary", Labels: map[string]string{discoveryv1.LabelServiceName: "postgres"}},
		}, 0},
	}
	for _, o := range objects {
		if err := c.must(ctx, "POST", o.path, o.body, nil, o.also); err != nil {
			return nil, err
		}
	}
	n, err := NewNode(context.WithoutCancel(ctx), c, "node-"+namespace, namespace, onRun)
	if err != nil {
		return nil, err
	}
	err = c.must(ctx, "POST", at("/apis/apps/v1", "statefulsets"), statefulSet(n.Name), nil)
	for err == nil && !n.Runs() {
		select {
		case <-ctx.Done():
			err = context.Cause(ctx)
		case <-time.After(2 * time.Millisecond):
		}
	}
	if err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// statefulSet is one whose pod no real scheduler takes.
func statefulSet(node string) appsv1.StatefulSet {
	labels, grace := map[string]string{"app": "postgres"}, int64(20)
	return appsv1.StatefulSet{
		TypeMeta: typ("StatefulSet", "apps/v1"), ObjectMeta: metav1.ObjectMeta{Name: "postgres"},
		Spec: appsv1.StatefulSetSpec{
			ServiceName: "postgres", Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
				TerminationGracePeriodSeconds: &grace, NodeSelector: map[string]string{"twokey": node},
				Containers: []corev1.Container{{Name: "postgres", Image: "localhost/none", Ports: []corev1.ContainerPort{{ContainerPort: 5432}}}},
			}},
		},
	}
}
