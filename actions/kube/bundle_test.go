package kube_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"twokey/actions"
	"twokey/actions/kube"
	"twokey/actions/kube/kubefake"
)

// cluster is one namespace of a cluster with a server in it, seen by somebody
// who may do everything, and by the bot, which may do what manifests/ grants.
type cluster struct {
	*testing.T

	fake      *kubefake.Server // nil: a real one
	url       string
	ca        []byte
	admin     *kubefake.Client
	namespace string
	token     string // the bot's
	node      *kubefake.Node
}

// everywhere runs a test in a fake cluster, and in a real one where its programs
// are given.
func everywhere(t *testing.T, test func(c *cluster)) {
	t.Helper()
	t.Run("fake", func(t *testing.T) {
		t.Parallel()
		test(newCluster(t))
	})
	t.Run("real", func(t *testing.T) {
		t.Parallel()
		r, err := realServer()
		if err != nil {
			t.Fatal(err)
		}
		if r == nil {
			t.Skip("LEFT OUT: no real API server; set TWOKEY_KUBE_PROGRAMS to a folder with etcd, kube-apiserver and kube-controller-manager")
		}
		c := &cluster{T: t, url: r.URL, ca: r.CA, admin: kubefake.NewClient(r.URL, r.CA, r.Token, nil)}
		c.furnish()
		test(c)
	})
}

// newCluster is a fake one.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	fake := kubefake.New()
	t.Cleanup(fake.Close)
	c := &cluster{T: t, fake: fake, url: fake.URL, ca: fake.CA, admin: fake.Client()}
	c.furnish()
	return c
}

var serial atomic.Int64

// patience ends what hangs.
const patience = time.Minute

func (c *cluster) ctx() context.Context {
	ctx, cancel := context.WithTimeout(c.Context(), patience)
	c.Cleanup(cancel)
	return ctx
}

func (c *cluster) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// do asks as the admin, and wants success.
func (c *cluster) do(method, path string, body, out any) {
	c.Helper()
	status, answer, err := c.admin.Do(c.ctx(), method, path, body, out)
	if err != nil || status >= 300 {
		c.Fatalf("%s %s: %d %s %v", method, path, status, answer, err)
	}
}

func (c *cluster) in(group, resource string) string {
	if group == "" {
		return "/api/v1/namespaces/" + c.namespace + "/" + resource
	}
	return "/apis/" + group + "/v1/namespaces/" + c.namespace + "/" + resource
}

// furnish makes the namespace, what manifests/ would, the bot's account and a node.
func (c *cluster) furnish() {
	c.Helper()
	c.namespace = fmt.Sprintf("twokey-%d-%d", os.Getpid(), serial.Add(1))
	c.Cleanup(c.admin.Close)
	var err error
	c.node, err = kubefake.Furnish(c.ctx(), kubefake.NewClient(c.url, c.ca, c.admin.Token, nil), c.namespace, nil)
	c.must(err)
	c.Cleanup(func() {
		c.node.Close()
		for _, err := range c.node.Errors() {
			c.Errorf("the node: %v", err)
		}
	})
	c.grant()
	c.wait("the pod runs", func() bool { return c.phase() == corev1.PodRunning })
}

// grant gives the bot's account what manifests/ grants it, in this namespace.
func (c *cluster) grant() {
	c.Helper()
	text, err := os.ReadFile("../../manifests/bot/rbac.yaml")
	c.must(err)
	for i, doc := range strings.Split(string(text), "\n---\n") {
		doc = strings.ReplaceAll(doc+"\n", "namespace: twokey\n", "namespace: "+c.namespace+"\n")
		doc = strings.ReplaceAll(doc, "name: twokey-bot\n", "name: "+c.namespace+"\n")
		var o struct {
			APIVersion string `yaml:"apiVersion"`
			Kind       string
			Metadata   struct{ Namespace string }
		}
		c.must(yaml.Unmarshal([]byte(doc), &o))
		body, err := yaml.YAMLToJSON([]byte(doc))
		c.must(err)
		resource := map[string]string{"ServiceAccount": "serviceaccounts", "Role": "roles", "RoleBinding": "rolebindings"}[o.Kind]
		group := "/apis/" + o.APIVersion
		if o.APIVersion == "v1" {
			group = "/api/v1"
		}
		if resource == "" {
			c.Fatalf("document %d of the roles is a %s", i, o.Kind)
		}
		c.do("POST", group+"/namespaces/"+o.Metadata.Namespace+"/"+resource, json.RawMessage(body), nil)
	}
	var t authenticationv1.TokenRequest
	c.do("POST", c.in("", "serviceaccounts")+"/bot/token", authenticationv1.TokenRequest{TypeMeta: typ("TokenRequest", "authentication.k8s.io/v1")}, &t)
	c.token = t.Status.Token
}

func typ(kind, version string) metav1.TypeMeta {
	return metav1.TypeMeta{Kind: kind, APIVersion: version}
}

// wait polls for what is meant, with a deadline.
func (c *cluster) wait(what string, done func() bool) {
	c.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.Fatalf("never: %s", what)
		}
	}
}

func (c *cluster) set() appsv1.StatefulSet {
	c.Helper()
	var s appsv1.StatefulSet
	c.do("GET", c.in("apps", "statefulsets/postgres"), nil, &s)
	return s
}

func (c *cluster) pods() []corev1.Pod {
	c.Helper()
	var l corev1.PodList
	c.do("GET", c.in("", "pods"), nil, &l)
	return l.Items
}

// phase of the one pod, "" without one.
func (c *cluster) phase() corev1.PodPhase {
	c.Helper()
	pods := c.pods()
	if len(pods) == 0 {
		return ""
	}
	return pods[0].Status.Phase
}

func (c *cluster) configMap(name string) corev1.ConfigMap {
	c.Helper()
	var m corev1.ConfigMap
	c.do("GET", c.in("", "configmaps/"+name), nil, &m)
	return m
}

// scale is what a person does with kubectl.
func (c *cluster) scale(n int32) {
	c.Helper()
	for {
		s := c.set()
		s.Spec.Replicas = &n
		if status, _, err := c.admin.Do(c.ctx(), "PUT", c.in("apps", "statefulsets/postgres"), s, nil); err == nil && status < 300 {
			return
		}
	}
}

// force deletes the pod as kubectl delete --force does.
func (c *cluster) force() {
	c.Helper()
	none := int64(0)
	c.do("DELETE", c.in("", "pods/postgres-0"), metav1.DeleteOptions{TypeMeta: typ("DeleteOptions", "v1"), GracePeriodSeconds: &none}, nil)
}

// file writes one that the test's end removes.
func (c *cluster) file(text string) string {
	c.Helper()
	path := filepath.Join(c.TempDir(), "kubeconfig")
	c.must(os.WriteFile(path, []byte(text), 0o600))
	return path
}

// site is the bot's access.
func (c *cluster) site() *kube.Site {
	c.Helper()
	return c.siteAs(c.token)
}

func (c *cluster) siteAs(token string) *kube.Site {
	c.Helper()
	s, err := kube.Open(kube.Options{
		Kubeconfig: c.file(kubefake.Kubeconfig(c.url, c.ca, "here", token)), Namespace: c.namespace, Timeout: 2 * time.Second, Pace: 10 * time.Millisecond,
	})
	c.must(err)
	c.Cleanup(s.Close)
	return s
}

// server is what SQL says of both nodes.
type server struct {
	own, partner actions.Observation
	report       actions.GuardReport
	reportErr    error
}

var silent = actions.Observation{Failure: &actions.Failure{Reach: actions.Unreachable, Text: "connection refused"}}

// options are of a server that doesn't answer SQL.
func (c *cluster) options() kube.MachineOptions {
	return kube.MachineOptions{
		Node: "dc1", StatefulSet: "postgres", Order: "postgres-order",
		Observe: func(context.Context) actions.Observation { return silent },
		Partner: func(context.Context) actions.Observation { return silent },
		Report:  func(context.Context) (actions.GuardReport, error) { return actions.GuardReport{}, nil },
	}
}

// machine is the driver under test.
func (c *cluster) machine(change ...func(*kube.MachineOptions)) *kube.Machine {
	c.Helper()
	o := c.options()
	for _, f := range change {
		f(&o)
	}
	m, err := c.site().Machine(o)
	c.must(err)
	return m
}

func ended(at time.Time) corev1.ContainerState {
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed", FinishedAt: metav1.NewTime(at)}}
}

func fault(status int) kubefake.Fault { return kubefake.Fault{Status: status} }
