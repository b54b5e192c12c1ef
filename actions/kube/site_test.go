package kube_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"twokey/actions/kube"
	"twokey/actions/kube/kubefake"
)

// kubeconfig is one with a cluster and a user as given, and one context.
func kubeconfig(cluster, user string) string {
	return "apiVersion: v1\nkind: Config\ncurrent-context: dc1\n" +
		"contexts: [{name: dc1, context: {cluster: c, user: u}}, {name: other, context: {cluster: c, user: u}}]\n" +
		"clusters: [{name: c, cluster: " + cluster + "}]\nusers: [{name: u, user: " + user + "}]\n"
}

func TestWaysThatAreRefused(t *testing.T) {
	t.Parallel()
	const good, token = "{server: https://127.0.0.1:1}", "{token: PLANTEDTOKEN7}"
	for name, row := range map[string]struct {
		text, context, says string
	}{
		"a context that isn't there":         {kubeconfig(good, token), "dc3", `has no context "dc3"; it has: dc1, other`},
		"no context at all":                  {"apiVersion: v1\nkind: Config\n", "", "has no current context"},
		"a current context that isn't there": {strings.Replace(kubeconfig(good, token), "current-context: dc1", "current-context: gone", 1), "", `has no context "gone"`},
		"plain HTTP":                         {kubeconfig("{server: 'http://192.0.2.1:8080'}", token), "", "is not https"},
		"certificates that nobody checks":    {kubeconfig("{server: 'https://192.0.2.1', insecure-skip-tls-verify: true}", token), "", "insecure-skip-tls-verify"},
		"a program for the login":            {kubeconfig(good, "{exec: {apiVersion: client.authentication.k8s.io/v1, command: sh, interactiveMode: Never}}"), "", "logs in by a program"},
		"no YAML":                            {"{{{", "", "can't be read"},
		"an authority that is none":          {kubeconfig("{server: 'https://127.0.0.1:1', certificate-authority-data: aGVsbG8=}", token), "", "certificate"},
		"a cluster that isn't there":         {strings.Replace(kubeconfig(good, token), "{cluster: c,", "{cluster: d,", 1), "", "cluster"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &cluster{T: t}
			path := c.file(row.text)
			s, err := kube.Open(kube.Options{Kubeconfig: path, Context: row.context, Namespace: "twokey"})
			if err == nil {
				s.Close()
				t.Fatal("it was taken")
			}
			if !strings.Contains(err.Error(), row.says) || !strings.Contains(err.Error(), "kubeconfig "+path) || strings.Contains(err.Error(), "PLANTED") {
				t.Errorf("it says %q, want in it %q and the file", err, row.says)
			}
		})
	}
}

func TestFileThatIsNotThere(t *testing.T) {
	t.Parallel()
	_, err := kube.Open(kube.Options{Kubeconfig: "/nowhere/kubeconfig", Namespace: "twokey"})
	if err == nil || !strings.Contains(err.Error(), "kubeconfig /nowhere/kubeconfig") || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("got %v", err)
	}
}

// The environment says whether this is a pod.
func TestInClusterOutsideOfOne(t *testing.T) { //nolint:paralleltest // it changes the environment
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	t.Setenv("KUBERNETES_SERVICE_PORT", "")
	_, err := kube.Open(kube.Options{InCluster: true, Namespace: "twokey"})
	if err == nil || !strings.Contains(err.Error(), "doesn't run as a pod; give a kubeconfig") {
		t.Errorf("got %v", err)
	}
}

// Each context is its own cluster.
func TestContextsLeadToTheirClusters(t *testing.T) {
	t.Parallel()
	first, second := newCluster(t), newCluster(t)
	path := first.file("apiVersion: v1\nkind: Config\ncurrent-context: dc1\n" +
		"contexts: [{name: dc1, context: {cluster: dc1, user: dc1}}, {name: dc2, context: {cluster: dc2, user: dc2}}]\n" +
		"clusters: [{name: dc1, cluster: " + clusterOf(first) + "}, {name: dc2, cluster: " + clusterOf(second) + "}]\n" +
		"users: [{name: dc1, user: {token: " + first.token + "}}, {name: dc2, user: {token: " + second.token + "}}]\n")
	for context, c := range map[string]*cluster{"": first, "dc1": first, "dc2": second} {
		s, err := kube.Open(kube.Options{Kubeconfig: path, Context: context, Namespace: c.namespace})
		c.must(err)
		t.Cleanup(s.Close)
		if _, err := s.Probe(c.ctx(), []kube.Need{{Verb: "get", Resource: "pods", Namespace: c.namespace}}); err != nil {
			t.Errorf("context %q: %v", context, err)
		}
		if context != "" && !strings.Contains(s.Way(), "context "+context) {
			t.Errorf("the way is %q", s.Way())
		}
	}
	if a, b := len(first.fake.Asked()), len(second.fake.Asked()); a == 0 || b == 0 {
		t.Errorf("asked %d and %d times", a, b)
	}
}

func clusterOf(c *cluster) string {
	c.Helper()
	path := c.file(string(c.ca))
	return "{server: '" + c.url + "', certificate-authority: '" + path + "'}"
}

// A stranger's certificate is trusted by nobody, and nothing was sent to it.
func TestStrangerIsNotTrusted(t *testing.T) {
	t.Parallel()
	c, stranger := newCluster(t), newCluster(t)
	s, err := kube.Open(kube.Options{Kubeconfig: c.file(kubefake.Kubeconfig(stranger.url, []byte(otherCA(t)), "here", c.token)), Namespace: c.namespace})
	c.must(err)
	t.Cleanup(s.Close)
	before := len(stranger.fake.Asked())
	_, err = s.Probe(c.ctx(), []kube.Need{{Verb: "get", Resource: "pods", Namespace: c.namespace}})
	if err == nil || !strings.Contains(err.Error(), "can be trusted") || !strings.Contains(err.Error(), "certificate-authority") {
		t.Errorf("got %v", err)
	}
	if strings.Contains(err.Error(), c.token) {
		t.Error("the token is shown")
	}
	for _, a := range stranger.fake.Asked()[before:] {
		if a.User.Name != kubefake.Admin.Name {
			t.Errorf("asked: %s", a)
		}
	}
}

// A token that expires is read anew from its file, as a pod's is.
func TestTokenIsReadAnewFromItsFile(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	file := filepath.Join(t.TempDir(), "token")
	c.must(os.WriteFile(file, []byte(c.token), 0o600))
	path := c.file(kubeconfig(clusterOf(c), "{tokenFile: '"+file+"'}"))
	s, err := kube.Open(kube.Options{Kubeconfig: path, Namespace: c.namespace})
	c.must(err)
	t.Cleanup(s.Close)
	_, err = s.Probe(c.ctx(), c.needs())
	c.must(err)
	c.fake.Revoke(c.token)
	if _, err := s.Probe(c.ctx(), c.needs()); err == nil || !strings.Contains(err.Error(), "Its token or certificate has expired") {
		t.Errorf("with a token that has expired: %v", err)
	}
	c.must(os.WriteFile(file, []byte(c.tokenOf("bot")), 0o600))
	if _, err := s.Probe(c.ctx(), c.needs()); err != nil {
		t.Errorf("with a new token: %v", err)
	}
}

// The clock of the API server is known from its answers.
func TestSkewIsKnown(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	s := c.site()
	if _, known := s.Skew(); known {
		t.Error("it is known before any answer")
	}
	_, err := s.Probe(c.ctx(), []kube.Need{{Verb: "get", Resource: "pods", Namespace: c.namespace}})
	c.must(err)
	if skew, known := s.Skew(); !known || skew < -5*time.Second || skew > 5*time.Second {
		t.Errorf("%s, %t", skew, known)
	}
}

// otherCA is an authority that has signed nothing here.
func otherCA(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
