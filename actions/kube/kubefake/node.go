package kubefake

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Client asks an API server, fake or real, as itself and nobody else: it shares
// no code with what is tested.
type Client struct {
	URL   string
	Token string
	HTTP  *http.Client
}

// NewClient trusts one authority. A certificate logs in beside the token, or in
// place of it.
func NewClient(url string, ca []byte, token string, cert *tls.Certificate) *Client {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	config := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	if cert != nil {
		config.Certificates = []tls.Certificate{*cert}
	}
	return &Client{url, token, &http.Client{Transport: &http.Transport{TLSClientConfig: config}}}
}

// Client asks this server as its Admin.
func (s *Server) Client() *Client { return NewClient(s.URL, s.CA, "admin", nil) }

// Close ends idle connections.
func (c *Client) Close() { c.HTTP.CloseIdleConnections() }

// Do sends one request, body as JSON, and reads the answer into out, where that
// isn't nil and the status means success.
func (c *Client) Do(ctx context.Context, method, path string, body, out any) (int, []byte, error) {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return 0, nil, err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, c.URL+path, bytes.NewReader(text))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	if c.Token != "" {
		r.Header.Set("Authorization", "Bearer "+c.Token)
	}
	resp, err := c.HTTP.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && out != nil && resp.StatusCode < 300 {
		err = json.Unmarshal(answer, out)
	}
	return resp.StatusCode, answer, err
}

// must is Do where nothing but success or some other status will do.
func (c *Client) must(ctx context.Context, method, path string, body, out any, also ...int) error {
	status, answer, err := c.Do(ctx, method, path, body, out)
	if err != nil || status >= 300 && !slices.Contains(also, status) {
		return fmt.Errorf("%s %s: %d %s %w", method, path, status, answer, err)
	}
	return nil
}

// Node is a node that begins and ends the pods of one namespace, as far as the
// API can see.
type Node struct {
	Name      string
	Namespace string
	// OnRun is told to begin a pod's containers, and to end them: true and false. It
	// may take its time, as containers do.
	OnRun func(pod string, runs bool)

	client *Client
	ctx    context.Context
	end    context.CancelFunc
	done   chan struct{}

	busy   sync.Mutex // while the kubelet works
	mu     sync.Mutex
	dead   bool          // the kubelet; what runs runs on
	dies   time.Duration // how long until the end of a container is told
	runs   map[string]*corev1.Pod
	ending map[string]time.Time // since when
	errors []error
}

// NewNode joins a cluster; it has no pod yet.
func NewNode(ctx context.Context, c *Client, name, namespace string, onRun func(string, bool)) (*Node, error) {
	ctx, end := context.WithCancel(ctx)
	n := &Node{Name: name, Namespace: namespace, OnRun: onRun, client: c, ctx: ctx, end: end, done: make(chan struct{}), runs: map[string]*corev1.Pod{}, ending: map[string]time.Time{}}
	node := corev1.Node{TypeMeta: metav1.TypeMeta{Kind: "Node", APIVersion: "v1"}, ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{Unschedulable: true}}
	err := c.must(ctx, "POST", "/api/v1/nodes", node, nil, http.StatusConflict)
	if err == nil {
		err = n.beat()
	}
	if err != nil {
		end()
		return nil, err
	}
	go n.work()
	return n, nil
}

// Close ends the node's work; what runs runs on.
func (n *Node) Close() {
	n.end()
	<-n.done
	n.client.Close()
}

// Kill ends the kubelet, and with it every word about the pods, or begins it
// again. When it returns nothing is under way any more.
func (n *Node) Kill(dead bool) {
	n.busy.Lock()
	defer n.busy.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dead = dead
}

// Dies sets how long it takes until the end of containers is told, after OnRun has
// ended them; without one they run until then.
func (n *Node) Dies(d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dies = d
}

// Runs says whether a pod's container really runs.
func (n *Node) Runs() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.runs) > 0
}

// Errors are what went wrong, for a failing test.
func (n *Node) Errors() []error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.errors
}

func (n *Node) work() {
	defer close(n.done)
	tick, beats := time.NewTicker(5*time.Millisecond), time.Now()
	defer tick.Stop()
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-tick.C:
		}
		if time.Since(beats) > 200*time.Millisecond {
			beats = time.Now()
			n.work1(n.beat)
		}
		n.work1(n.round)
	}
}

// work1 does one thing that a live kubelet does.
func (n *Node) work1(do func() error) {
	n.busy.Lock()
	defer n.busy.Unlock()
	n.mu.Lock()
	dead := n.dead
	n.mu.Unlock()
	if dead {
		return
	}
	if err := do(); err != nil && n.ctx.Err() == nil {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.errors = append(n.errors, err)
	}
}

const leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"

// beat renews the node's lease.
func (n *Node) beat() error { return n.Beat(time.Now()) }

// Beat writes that the node was heard at that time.
func (n *Node) Beat(at time.Time) error {
	var lease coordinationv1.Lease
	status, _, err := n.client.Do(n.ctx, "GET", leases+"/"+n.Name, nil, &lease)
	if err != nil {
		return err
	}
	seconds, now := int32(40), metav1.NewMicroTime(at)
	lease.Kind, lease.APIVersion, lease.Name, lease.Namespace = "Lease", "coordination.k8s.io/v1", n.Name, "kube-node-lease"
	lease.Spec = coordinationv1.LeaseSpec{HolderIdentity: &n.Name, LeaseDurationSeconds: &seconds, RenewTime: &now}
	if status == http.StatusNotFound {
		return n.client.must(n.ctx, "POST", leases, lease, nil, http.StatusConflict)
	}
	return n.client.must(n.ctx, "PUT", leases+"/"+n.Name, lease, nil, http.StatusConflict)
}

func (n *Node) path(pod string) string { return "/api/v1/namespaces/" + n.Namespace + "/pods/" + pod }

// round looks at every pod once.
func (n *Node) round() error {
	var pods corev1.PodList
	if err := n.client.must(n.ctx, "GET", "/api/v1/namespaces/"+n.Namespace+"/pods", nil, &pods); err != nil {
		return err
	}
	there := map[string]bool{}
	for i := range pods.Items {
		p := &pods.Items[i]
		there[string(p.UID)] = true
		if err := n.step(p); err != nil {
			return err
		}
	}
	for uid, p := range n.runs { // deleted without asking: a kubelet ends it all the same, in its time
		if !there[uid] {
			n.stopped(p)
			n.mu.Lock()
			delete(n.runs, uid)
			n.mu.Unlock()
		}
	}
	return nil
}

// step does what is next for a pod.
func (n *Node) step(p *corev1.Pod) error {
	p.Kind, p.APIVersion = "Pod", "v1"
	switch {
	case p.Spec.NodeName == "" && p.DeletionTimestamp == nil:
		b := corev1.Binding{TypeMeta: metav1.TypeMeta{Kind: "Binding", APIVersion: "v1"}, ObjectMeta: metav1.ObjectMeta{Name: p.Name, Namespace: p.Namespace}, Target: corev1.ObjectReference{Kind: "Node", Name: n.Name}}
		return n.client.must(n.ctx, "POST", n.path(p.Name)+"/binding", b, nil, http.StatusConflict, http.StatusNotFound)
	case p.Spec.NodeName != n.Name:
		return nil
	case p.DeletionTimestamp == nil && p.Status.Phase == corev1.PodPending:
		return n.begin(p)
	case p.DeletionTimestamp == nil:
		return nil
	case p.Status.ObservedGeneration < p.Generation:
		p.Status.ObservedGeneration = p.Generation
		return n.status(p)
	case p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed:
		return n.endPod(p)
	}
	none := int64(0)
	return n.client.must(n.ctx, "DELETE", n.path(p.Name), metav1.DeleteOptions{
		TypeMeta: metav1.TypeMeta{Kind: "DeleteOptions", APIVersion: "v1"}, GracePeriodSeconds: &none, Preconditions: &metav1.Preconditions{UID: &p.UID},
	}, nil, http.StatusConflict, http.StatusNotFound)
}

func (n *Node) status(p *corev1.Pod) error {
	return n.client.must(n.ctx, "PUT", n.path(p.Name)+"/status", p, nil, http.StatusConflict, http.StatusNotFound)
}

func (n *Node) begin(p *corev1.Pod) error {
	n.mu.Lock()
	n.runs[string(p.UID)] = p
	n.mu.Unlock()
	if n.OnRun != nil {
		n.OnRun(p.Name, true)
	}
	p.Status.Phase, p.Status.ObservedGeneration = corev1.PodRunning, p.Generation
	p.Status.ContainerStatuses = nil
	for _, c := range p.Spec.Containers {
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}},
		})
	}
	return n.status(p)
}

// stopped ends a pod's containers.
func (n *Node) stopped(p *corev1.Pod) {
	n.mu.Lock()
	_, told := n.ending[string(p.UID)]
	n.mu.Unlock()
	if !told && n.OnRun != nil {
		n.OnRun(p.Name, false)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if !told {
		n.ending[string(p.UID)] = time.Now()
	}
}

func (n *Node) endPod(p *corev1.Pod) error {
	n.stopped(p)
	n.mu.Lock()
	early := time.Since(n.ending[string(p.UID)]) < n.dies
	if !early {
		delete(n.runs, string(p.UID))
	}
	n.mu.Unlock()
	if early {
		return nil
	}
	p.Status.Phase = corev1.PodSucceeded
	for i := range p.Status.ContainerStatuses {
		p.Status.ContainerStatuses[i].Ready = false
		p.Status.ContainerStatuses[i].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed", FinishedAt: metav1.Now()}}
	}
	return n.status(p)
}
