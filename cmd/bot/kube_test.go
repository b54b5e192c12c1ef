package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"twokey/actions"
	"twokey/actions/kube/kubefake"
	"twokey/actions/local/sandbox"
	"twokey/actions/vultr/vultrfake"
	"twokey/approvals"
	"twokey/config"
)

// podded is a pair whose servers are the pods of two clusters: real ones, started
// by real guards as the clusters' nodes are told, with a bot that reaches the
// clusters' API servers.
type podded struct {
	guarded

	pods map[string]*pod
}

// pod is one node's server and cluster.
type pod struct {
	*sandbox.Node

	g    guarded
	api  *kubefake.Server
	node *kubefake.Node
	dir  string // what the pod mounts of the ConfigMap

	mu   sync.Mutex
	runs *program // nil: it doesn't
}

func newPodded(t *testing.T, edit func(p *podded)) *podded {
	t.Helper()
	p := &podded{guarded: newGuarded(t), pods: map[string]*pod{}}
	p.drivers, p.settings = map[string]string{}, "    endpoint: {kube: {}}\n"
	for _, n := range []*sandbox.Node{p.a, p.b} {
		p.must(n.Server.StopFast(p.ctx()))
		p.pods[n.Name] = &pod{Node: n, g: p.guarded, api: kubefake.New(), dir: filepath.Join(n.Dir, "mounted")}
		t.Cleanup(p.pods[n.Name].api.Close)
	}
	for _, n := range []*sandbox.Node{p.a, p.b} {
		p.pods[n.Name].open()
		p.drivers[n.Name] = p.pods[n.Name].driver()
	}
	p.until(p.a, synchronousOnes, "1")
	if edit != nil {
		edit(p)
	}
	for _, step := range []stepFunc{p.openSlack, p.openService, p.openLoad} {
		p.must(step(p.ctx()))
	}
	p.run()
	return p
}

// open makes the cluster, whose node starts the server.
func (d *pod) open() {
	d.g.t.Helper()
	d.g.must(os.MkdirAll(d.dir, 0o755))
	var err error
	d.node, err = kubefake.Furnish(d.g.ctx(), d.api.Client(), "twokey", func(_ string, runs bool) {
		if runs {
			d.begin()
		} else {
			d.end(syscall.SIGINT)
		}
	})
	d.g.must(err)
	d.g.t.Cleanup(func() { d.node.Close(); d.end(syscall.SIGINT) })
}

// begin mounts what stands in the ConfigMap and starts the guard.
func (d *pod) begin() {
	var c struct{ Data map[string]string }
	admin := d.api.Client()
	defer admin.Close()
	if _, _, err := admin.Do(context.Background(), "GET", "/api/v1/namespaces/twokey/configmaps/postgres-order", nil, &c); err != nil {
		d.g.t.Error(err)
	}
	for _, name := range []string{"order", "alone"} {
		path := filepath.Join(d.dir, name)
		if text, there := c.Data[name]; !there {
			_ = os.Remove(path)
		} else if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			d.g.t.Error(err)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.runs = d.g.start(d.Node, "--platform-dir", d.dir, "--rejoin", "ordered")
}

// end is what a kubelet does: it signals, and kills what doesn't end.
func (d *pod) end(sig syscall.Signal) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.runs == nil {
		return
	}
	_ = d.runs.cmd.Process.Signal(sig) // it may have ended
	select {
	case <-d.runs.gone:
	case <-time.After(5 * time.Second):
	}
	if err := d.Server.Kill(context.Background()); err != nil {
		d.g.t.Error(err)
	}
	<-d.runs.gone
	d.runs = nil
}

func (d *pod) driver() string {
	d.g.t.Helper()
	path := filepath.Join(d.Dir, "kubeconfig")
	bot := d.api.Token(kubefake.User{Name: "bot", Groups: []string{"system:masters"}})
	d.g.must(os.WriteFile(path, []byte(d.api.Kubeconfig(d.Name, bot)), 0o600))
	return fmt.Sprintf("        driver: {kube: {kubeconfig: %q, context: %s}}\n", path, d.Name)
}

// connection is what clients in the cluster are led to.
func (d *pod) connection() string {
	d.g.t.Helper()
	var c struct{ Data map[string]string }
	var s struct {
		Endpoints []struct{ Addresses []string }
		Ports     []struct{ Port int }
	}
	admin := d.api.Client()
	defer admin.Close()
	_, _, err := admin.Do(d.g.ctx(), "GET", "/api/v1/namespaces/twokey/configmaps/postgres-connection", nil, &c)
	d.g.must(err)
	_, _, err = admin.Do(d.g.ctx(), "GET", "/apis/discovery.k8s.io/v1/namespaces/twokey/endpointslices/postgres-primary", nil, &s)
	d.g.must(err)
	text, err := json.Marshal(s)
	d.g.must(err)
	return c.Data["primary"] + " " + c.Data["uri"] + " " + string(text)
}

// ledTo: clients of both clusters are led to that node.
func (p *podded) ledTo(node string, clusters ...string) {
	p.t.Helper()
	for _, c := range clusters {
		got := p.pods[c].connection()
		if !strings.HasPrefix(got, node+" postgresql://") || !strings.Contains(got, fmt.Sprintf(`"Port":%d`, p.pair.Node(node).Port)) {
			p.t.Errorf("in the cluster of %s clients are led to %s", c, got)
		}
	}
}

func (p *podded) approved(text string) {
	p.t.Helper()
	ts := p.ask(text)
	p.press(dba1, ts, "approve")
	p.press(dba2, ts, "approve")
}

// TestSwitchoverBetweenClusters: there and back, under load, without a lost row;
// nobody waits for the pod to be tidied up.
func TestSwitchoverBetweenClusters(t *testing.T) {
	t.Parallel()
	p := newPodded(t, nil)
	const told = 5 * time.Second
	p.health(actions.HealthOK)
	for _, step := range []struct{ from, to string }{{"dc1", "dc2"}, {"dc2", "dc1"}} {
		p.must(p.load.Until(p.ctx(), 100))
		p.pods[step.from].node.Dies(told) // its container ends at once, and its kubelet says so later
		p.approved("switchover orders -- kernel upgrade")
		r, out := p.ended()
		if r.State != approvals.Succeeded || out.NewPrimary != step.to || out.Clearance != actions.ClearStopped || len(out.Todo) > 0 {
			t.Fatalf("ended %s, promoted %q on %q: %s; left to do: %q", r.State, out.NewPrimary, out.Clearance, r.Why, out.Todo)
		}
		if out.Synchronous.IsZero() {
			t.Error("it is not synchronous")
		}
		if t.Logf("the write pause was %s", out.WritePause); out.WritePause >= told {
			t.Error("writers waited for the pod to be tidied up")
		}

		p.ledTo(step.to, "dc1", "dc2")
		p.health(actions.HealthOK)
	}
	p.noLoss()
}

// TestFailoverFencedByScaling: the primary hangs; its StatefulSet is scaled to 0,
// its kubelet says that it has ended, and it comes back rewound.
func TestFailoverFencedByScaling(t *testing.T) {
	t.Parallel()
	p := newPodded(t, func(p *podded) { p.timeouts = "timeouts: {observe: 1s}\n" })
	p.health(actions.HealthOK)
	p.must(p.load.Until(p.ctx(), 100))
	p.must(p.a.Server.Freeze(p.ctx()))
	ts := p.ask("failover orders -- dc1 hangs")
	if asked := p.request(func(approvals.Request) bool { return true }).Subject.Text; !strings.Contains(asked, "fence dc1: scales StatefulSet twokey/postgres to 0") ||
		!strings.Contains(asked, "proof: its kubelet, alive, said that every container has ended") || !strings.Contains(asked, "point clients at dc2: EndpointSlice postgres-primary") {
		t.Errorf("the plan doesn't say how:\n%s", asked)
	}
	p.press(dba1, ts, "approve")
	p.press(dba2, ts, "approve")
	held := p.request(in(approvals.Held)) // a server that hangs is seen to lose its standby only later
	_, err := p.service.desk.Answer(p.ctx(), held.ID, approvals.Ballot{Person: "dba-1", Place: held.Place}, approvals.Accept, "orders")
	p.must(err)
	r, out := p.ended()
	if r.State != approvals.Succeeded || out.NewPrimary != "dc2" || out.Clearance != actions.ClearOff || len(out.Todo) > 0 {
		t.Fatalf("ended %s, promoted %q on %q: %s; left to do: %q", r.State, out.NewPrimary, out.Clearance, r.Why, out.Todo)
	}
	if !strings.Contains(out.Proof, "dc1 is off (scales StatefulSet twokey/postgres to 0") || out.Rejoin == nil {
		t.Errorf("the proof is %q, the rejoin %+v", out.Proof, out.Rejoin)
	}
	p.ledTo("dc2", "dc1", "dc2")
	p.health(actions.HealthOK)
	p.noLoss()
}

// TestSiteIsLost: neither the cluster of the primary nor its server answers; the
// machine is halted by its platform. When the site is back its server takes no
// writes, and rejoins by order; the clients of that site are led on then.
func TestSiteIsLost(t *testing.T) {
	t.Parallel()
	fake := newVultr(t)
	p := newPodded(t, func(p *podded) {
		key := filepath.Join(p.a.Dir, "vultr-key")
		p.must(os.WriteFile(key, []byte(vultrKey), 0o600))
		p.timeouts = fmt.Sprintf("timeouts: {observe: 1s, fence: 20s}\nvultr: {api_key: {file: %q}, api_url: %q}\n", key, fake.URL)
		p.drivers["dc1"] = strings.TrimSuffix(p.drivers["dc1"], "}\n") + ", vultr: {instance: " + vultrInstance + "}, fence: [kube, vultr]}\n"
	})
	dc1 := p.pods["dc1"]
	fake.OnPower(vultrInstance, func(power string) {
		if power == vultrfake.Stopped {
			dc1.end(syscall.SIGKILL)
		}
	})
	p.health(actions.HealthOK)
	p.must(p.load.Until(p.ctx(), 100))
	dc1.node.Kill(true)
	dc1.api.Always("*", kubefake.Fault{Cut: true})
	dc1.end(syscall.SIGKILL)
	p.until(p.b, "SELECT count(*)::text FROM pg_stat_wal_receiver WHERE status = 'streaming'", "0")

	ts := p.ask("failover orders -- dc1 is lost")
	if asked := p.request(func(approvals.Request) bool { return true }).Subject.Text; !strings.Contains(asked, "tried in this order until one is proven: kube (scales StatefulSet") || !strings.Contains(asked, "; then vultr (halts") {
		t.Errorf("the plan doesn't say in which order:\n%s", asked)
	}
	p.press(dba1, ts, "approve")
	p.press(dba2, ts, "approve")
	r, out := p.ended()
	if r.State != approvals.Succeeded || out.NewPrimary != "dc2" || out.Clearance != actions.ClearOff || !strings.Contains(out.Proof, "dc1 is off (vultr (halts") {
		t.Fatalf("ended %s, promoted %q on %q (%s): %s", r.State, out.NewPrimary, out.Clearance, out.Proof, r.Why)
	}
	if todo := strings.Join(out.Todo, "\n"); !strings.Contains(todo, "Point clients at dc2 yourself: EndpointSlice postgres-primary") || !strings.Contains(todo, "dc1 is not a synchronous standby yet") {
		t.Errorf("left to do: %q", out.Todo)
	}
	p.ledTo("dc2", "dc2")

	dc1.api.Always("*", kubefake.Fault{})
	dc1.begin() // the same pod, after the power cut
	dc1.runs.await("stay down and ask again")
	if _, err := p.query(p.a, inRecovery); err == nil {
		t.Error("the old primary runs by itself")
	}
	dc1.node.Kill(false)
	p.approved("rejoin orders")
	r, out = p.ended()
	if r.State != approvals.Succeeded || out.Kind != actions.KindRejoin || len(out.Todo) > 0 || out.Rejoin == nil {
		t.Fatalf("ended %s: %s; left to do: %q", r.State, r.Why, out.Todo)
	}
	p.ledTo("dc2", "dc1", "dc2")
	p.health(actions.HealthOK)
	p.noLoss()
}

// The rights that the bot will ask for stand in one list for each node.
func TestKubeNeeds(t *testing.T) {
	t.Parallel()
	k := &config.Kube{Kubeconfig: "/k", Namespace: "ns", StatefulSet: "db", Order: "order"}
	n := config.Node{Name: "dc1", Host: "192.0.2.1", Port: 5432, Driver: config.Driver{Kube: k}}
	p := config.Pair{Name: "orders", Nodes: []config.Node{n, {Name: "dc2", Host: "192.0.2.2", Port: 5432}}}
	alone := kubeNeeds(p, n)
	p.Endpoint = &config.Endpoint{Kube: &config.KubeEndpoint{Slice: "slice", Connection: "conn"}}
	all := kubeNeeds(p, n)
	if len(alone) != 7 || len(all) != 11 {
		t.Errorf("%d, and %d with an endpoint", len(alone), len(all))
	}
	for _, need := range all {
		if need.Namespace != "ns" && need.Resource != "leases" || strings.Contains(need.String(), "-n  ") {
			t.Errorf("%s", need)
		}
	}
}
