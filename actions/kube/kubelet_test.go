package kube_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"twokey/actions"
	"twokey/actions/kube"
	"twokey/actions/kube/kubefake"
)

// TestRealKubelet holds what counts as proof against real kubelets: of each
// cluster that TWOKEY_KUBECONFIG names, in a namespace of its own that is removed
// again. Its node must have the image that TWOKEY_KUBE_IMAGE names, any that has
// a shell.
func TestRealKubelet(t *testing.T) {
	t.Parallel()
	files := filepath.SplitList(os.Getenv("TWOKEY_KUBECONFIG"))
	if len(files) == 0 {
		t.Skip("LEFT OUT: no cluster with a node; set TWOKEY_KUBECONFIG to one kubeconfig or more, separated by colons")
	}
	for _, file := range files {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) {
			t.Parallel()
			c := given(t, file)
			m := c.machine(func(o *kube.MachineOptions) {
				o.Observe = func(context.Context) actions.Observation { return primaryOn(1) }
			})
			c.becomes(m, actions.PowerOn)

			began := time.Now()
			c.must(m.Stop(c.ctx()))
			c.must(m.Sealed(c.ctx()))
			t.Logf("sealed after %s", time.Since(began).Round(time.Millisecond))
			if c.phase() != corev1.PodRunning {
				t.Errorf("sealed, but the pod had ended before: %s", c.phase())
			}
			c.must(m.Stopped(c.ctx()))
			t.Logf("stopped after %s", time.Since(began).Round(time.Millisecond))
			c.read(m, actions.PowerOff, "")

			c.scale(1)
			c.becomes(m, actions.PowerOn)
			c.must(m.Off(c.ctx()))
			c.wait("no pod is left", func() bool { return c.phase() == "" })
			c.read(c.machine(), actions.PowerOff, "") // from the history, by a bot that was started anew

			c.scale(1)
			c.becomes(m, actions.PowerOn)
			c.must(m.Off(c.ctx()))
			c.force()
			c.wait("no pod is left", func() bool { return c.phase() == "" })
			c.becomes(m, actions.PowerUnknown)
			c.read(m, actions.PowerUnknown, "by force")
		})
	}
}

// given is a namespace of a cluster that has nodes, with a server that takes two
// seconds to end.
func given(t *testing.T, kubeconfig string) *cluster {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err == nil {
		err = rest.LoadTLSFiles(config)
	}
	if err != nil {
		t.Fatal(err)
	}
	var cert *tls.Certificate
	if len(config.CertData) > 0 {
		pair, err := tls.X509KeyPair(config.CertData, config.KeyData)
		if err != nil {
			t.Fatal(err)
		}
		cert = &pair
	}
	c := &cluster{T: t, url: config.Host, ca: config.CAData, admin: kubefake.NewClient(config.Host, config.CAData, config.BearerToken, cert)}
	c.namespace = fmt.Sprintf("twokey-%d-%d", os.Getpid(), serial.Add(1))
	c.do("POST", "/api/v1/namespaces", corev1.Namespace{TypeMeta: typ("Namespace", "v1"), ObjectMeta: metav1.ObjectMeta{Name: c.namespace}}, nil)
	c.Cleanup(func() {
		for _, path := range []string{
			"/apis/rbac.authorization.k8s.io/v1/namespaces/kube-node-lease/rolebindings/" + c.namespace,
			"/apis/rbac.authorization.k8s.io/v1/namespaces/kube-node-lease/roles/" + c.namespace, "/api/v1/namespaces/" + c.namespace,
		} {
			if status, answer, err := c.admin.Do(context.Background(), "DELETE", path, nil, nil); err != nil || status >= 300 && status != http.StatusNotFound {
				c.Errorf("tidy up %s: %d %s %v", path, status, answer, err)
			}
		}
		c.admin.Close()
	})
	c.grant()
	for _, name := range []string{"postgres-order", "postgres-connection"} {
		c.do("POST", c.in("", "configmaps"), corev1.ConfigMap{TypeMeta: typ("ConfigMap", "v1"), ObjectMeta: metav1.ObjectMeta{Name: name}}, nil)
	}
	image := os.Getenv("TWOKEY_KUBE_IMAGE")
	if image == "" {
		image = "localhost/busybox:1"
	}
	labels, grace := map[string]string{"app": "postgres"}, int64(20)
	c.do("POST", c.in("apps", "statefulsets"), appsv1.StatefulSet{
		TypeMeta: typ("StatefulSet", "apps/v1"), ObjectMeta: metav1.ObjectMeta{Name: "postgres"},
		Spec: appsv1.StatefulSetSpec{ServiceName: "postgres", Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec: corev1.PodSpec{TerminationGracePeriodSeconds: &grace, Containers: []corev1.Container{{
				Name: "postgres", Image: image, ImagePullPolicy: corev1.PullIfNotPresent,
				Command: []string{"sh", "-c", "trap 'sleep 2; exit 0' TERM; while :; do sleep 0.1; done"},
			}}},
		}},
	}, nil)
	c.wait("the pod runs", func() bool { return c.phase() == corev1.PodRunning })
	return c
}
