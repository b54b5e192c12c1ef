package kube_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"twokey/actions/kube"
	"twokey/actions/kube/kubefake"
)

// needs are the rights that machine and endpoint say they use.
func (c *cluster) needs() []kube.Need {
	m := kube.MachineOptions{StatefulSet: "postgres", Order: "postgres-order"}
	e := kube.EndpointOptions{Slice: "postgres-primary", Connection: "postgres-connection"}
	return append(m.Needs(c.namespace), e.Needs(c.namespace)...)
}

// Everything that the driver says it uses is granted, by the API server's word.
func TestRolesGrantWhatIsUsed(t *testing.T) {
	t.Parallel()
	everywhere(t, func(c *cluster) {
		answers, err := c.site().Probe(c.ctx(), c.needs())
		c.must(err)
		if len(answers) != len(c.needs()) || len(answers) < 11 {
			c.Fatalf("%d answers", len(answers))
		}
		for _, a := range answers {
			if !a.Allowed || a.For == "" {
				c.Errorf("%s: %+v", a.Need, a)
			}
		}
	})
}

// Whoever has no role is told so of each, and why.
func TestProbeOfAStranger(t *testing.T) {
	t.Parallel()
	everywhere(t, func(c *cluster) {
		c.do("POST", c.in("", "serviceaccounts"), corev1.ServiceAccount{TypeMeta: typ("ServiceAccount", "v1"), ObjectMeta: metav1.ObjectMeta{Name: "stranger"}}, nil)
		answers, err := c.siteAs(c.tokenOf("stranger")).Probe(c.ctx(), c.needs())
		c.must(err)
		for _, a := range answers {
			if a.Allowed || a.Why == "" {
				c.Errorf("%s: %+v", a.Need, a)
			}
		}
	})
}

func TestProbeThatIsNotAnswered(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	if _, err := c.siteAs("nobody's").Probe(c.ctx(), c.needs()); err == nil || !strings.Contains(err.Error(), "401 Unauthorized") || !strings.Contains(err.Error(), "renew it") {
		t.Errorf("got %v", err)
	}
}

// What the driver really asks for, in all that it can do, is what it says that it
// uses: no more, and no less.
func TestNeedsAreWhatIsAsked(t *testing.T) {
	t.Parallel()
	c, w := newCluster(t), newWorld()
	m, e := c.machine(w.options), c.endpoint()
	_, err := m.Read(c.ctx())
	c.must(err)
	c.must(m.Stop(c.ctx()))
	c.must(m.Sealed(c.ctx()))
	c.must(m.Stopped(c.ctx()))
	c.must(m.Start(c.ctx()))
	c.must(m.Off(c.ctx()))
	c.wait("no pod is left", func() bool { return c.phase() == "" })
	_, err = c.machine().Read(c.ctx()) // looks back
	c.must(err)
	c.must(m.NoteAlone(c.ctx(), 1))
	c.must(m.Follow(c.ctx(), "dc1"))
	c.must(e.Point(c.ctx(), "dc1"))
	asked := map[string]bool{}
	for _, a := range c.fake.Asked() {
		if strings.HasPrefix(a.User.Name, "system:serviceaccount:") {
			asked[strings.TrimSpace(fmt.Sprintf("%s %s %s", a.Op, a.Group, a.Namespace))] = true
		}
	}
	said := map[string]bool{}
	for _, n := range c.needs() {
		op := n.Verb + " " + n.Resource
		if n.Subresource != "" {
			op += "/" + n.Subresource
		}
		said[strings.TrimSpace(fmt.Sprintf("%s %s %s", op, n.Group, n.Namespace))] = true
	}
	for op := range asked {
		if !said[op] {
			t.Errorf("it asks to %s, and doesn't say so", op)
		}
	}
	for op := range said {
		if !asked[op] {
			t.Errorf("it says that it needs to %s, and nothing here did", op)
		}
	}
}

// tokenOf asks for a token of an account.
func (c *cluster) tokenOf(account string) string {
	c.Helper()
	var t struct{ Status struct{ Token string } }
	c.do("POST", c.in("", "serviceaccounts")+"/"+account+"/token", map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}, &t)
	return t.Status.Token
}

// forbidden are requests that the bot's account must not be granted: each is one
// that would have an effect, or show something, if it were.
func (c *cluster) forbidden() []struct{ what, method, path, body string } {
	pod, none := c.in("", "pods/postgres-0"), `{"kind":"DeleteOptions","apiVersion":"v1","gracePeriodSeconds":0}`
	set := c.in("apps", "statefulsets/postgres")
	return []struct{ what, method, path, body string }{
		{"exec in the database's pod", "POST", pod + "/exec?command=id&stdout=true", ""},
		{"attach to it", "POST", pod + "/attach?stdout=true", ""},
		{"forward a port to it", "POST", pod + "/portforward?ports=5432", ""},
		{"read its log", "GET", pod + "/log", ""},
		{"put a container into it", "PATCH", pod + "/ephemeralcontainers", `{}`},
		{"delete it", "DELETE", pod, ""},
		{"delete it by force", "DELETE", pod, none},
		{"delete all pods", "DELETE", c.in("", "pods"), none},
		{"evict it", "POST", pod + "/eviction", `{"kind":"Eviction","apiVersion":"policy/v1","metadata":{"name":"postgres-0"}}`},
		{"make a pod", "POST", c.in("", "pods"), `{"kind":"Pod","apiVersion":"v1","metadata":{"name":"mine"},"spec":{"containers":[{"name":"c","image":"i"}]}}`},
		{"say that it has ended", "PUT", pod + "/status", `{}`},
		{"list secrets", "GET", c.in("", "secrets"), ""},
		{"read a secret", "GET", c.in("", "secrets/postgres"), ""},
		{"change what the database's pod is", "PATCH", set, `{"spec":{"template":{"spec":{"hostPID":true}}}}`},
		{"replace the StatefulSet", "PUT", set, `{}`},
		{"delete the StatefulSet", "DELETE", set, ""},
		{"scale another StatefulSet", "PUT", c.in("apps", "statefulsets/other/scale"), `{}`},
		{"list StatefulSets", "GET", c.in("apps", "statefulsets"), ""},
		{"read another ConfigMap", "GET", c.in("", "configmaps/other"), ""},
		{"list ConfigMaps", "GET", c.in("", "configmaps"), ""},
		{"make a ConfigMap", "POST", c.in("", "configmaps"), `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"mine"}}`},
		{"delete the order", "DELETE", c.in("", "configmaps/postgres-order"), ""},
		{"lead another Service", "PUT", c.in("discovery.k8s.io", "endpointslices/other"), `{}`},
		{"see pods of another namespace", "GET", "/api/v1/namespaces/kube-system/pods", ""},
		{"see pods of all namespaces", "GET", "/api/v1/pods", ""},
		{"read a node", "GET", "/api/v1/nodes/" + c.node.Name, ""},
		{"forge a heartbeat", "PUT", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/" + c.node.Name, `{}`},
		{"list heartbeats", "GET", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", ""},
		{"get a token of its own account", "POST", c.in("", "serviceaccounts") + "/bot/token", `{"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1"}`},
		{"widen its role", "PUT", c.in("rbac.authorization.k8s.io", "roles/bot"), `{}`},
		{"bind itself to another role", "POST", c.in("rbac.authorization.k8s.io", "rolebindings"), `{"kind":"RoleBinding","apiVersion":"rbac.authorization.k8s.io/v1","metadata":{"name":"mine"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"cluster-admin"}}`},
		{"act as somebody else", "GET", set, "as system:admin"},
	}
}

// The bot's account is refused whatever it must not do. Against the fake API
// server this shows what the rules in the file say, by an evaluator of its own;
// against a real one that RBAC says so.
func TestRolesRefuseTheRest(t *testing.T) {
	t.Parallel()
	everywhere(t, func(c *cluster) {
		bot := kubefake.NewClient(c.url, c.ca, c.token, nil)
		c.Cleanup(bot.Close)
		for _, f := range c.forbidden() {
			if f.body == "as system:admin" {
				c.impersonates(f.path)
				continue
			}
			var body any
			if f.body != "" {
				body = json.RawMessage(f.body)
			}
			status, answer, err := bot.Do(c.ctx(), f.method, f.path, body, nil)
			if err != nil || status != http.StatusForbidden {
				c.Errorf("%s: %d %s %v", f.what, status, answer, err)
			}
		}
		if n := len(c.forbidden()); n < 15 {
			c.Errorf("only %d are tried", n)
		}
	})
}

// impersonates tries to act as an admin.
func (c *cluster) impersonates(path string) {
	c.Helper()
	if c.fake != nil { // which knows nobody else's name
		return
	}
	bot := kubefake.NewClient(c.url, c.ca, c.token, nil)
	c.Cleanup(bot.Close)
	r, err := http.NewRequestWithContext(c.ctx(), http.MethodGet, c.url+path, nil)
	c.must(err)
	r.Header.Set("Authorization", "Bearer "+c.token)
	r.Header.Set("Impersonate-User", "admin")
	r.Header.Set("Impersonate-Group", "system:masters")
	resp, err := bot.HTTP.Do(r)
	c.must(err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		c.Errorf("acting as an admin: %d", resp.StatusCode)
	}
}

// Each right is needed: without it the API server refuses what the driver uses it
// for, and Probe says so of that one alone.
func TestEveryRightIsNeeded(t *testing.T) {
	t.Parallel()
	everywhere(t, func(c *cluster) {
		for i, need := range c.needs() {
			c.without(need, func() {
				answers, err := c.site().Probe(c.ctx(), c.needs())
				c.must(err)
				for j, a := range answers {
					if a.Allowed != (i != j) {
						c.Errorf("without %q: %q is allowed: %t", need, a.Need, a.Allowed)
					}
				}
			})
		}
	})
}

// without takes one right away while do runs.
func (c *cluster) without(n kube.Need, do func()) {
	c.Helper()
	name := "bot"
	if n.Namespace != c.namespace {
		name = c.namespace
	}
	path := "/apis/rbac.authorization.k8s.io/v1/namespaces/" + n.Namespace + "/roles/" + name
	var role struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata"`

		Rules []map[string][]string `json:"rules"`
	}
	c.do("GET", path, nil, &role)
	role.TypeMeta = typ("Role", "rbac.authorization.k8s.io/v1")
	before := role.Rules
	resource := n.Resource
	if n.Subresource != "" {
		resource += "/" + n.Subresource
	}
	role.Rules = nil
	for _, rule := range before {
		if !slices.Contains(rule["resources"], resource) {
			role.Rules = append(role.Rules, rule)
			continue
		}
		for _, verb := range rule["verbs"] { // split up, less the one
			names := rule["resourceNames"]
			if verb == n.Verb {
				names = slices.DeleteFunc(slices.Clone(names), func(x string) bool { return x == n.Name })
				if len(names) == 0 {
					continue
				}
			}
			role.Rules = append(role.Rules, map[string][]string{"apiGroups": rule["apiGroups"], "resources": rule["resources"], "resourceNames": names, "verbs": {verb}})
		}
	}
	put := func() {
		role.ResourceVersion = ""
		c.do("PUT", path, role, nil)
		c.wait("the roles are as they were written", func() bool {
			return c.may(n) == (len(role.Rules) == len(before) && role.Rules[0]["verbs"] != nil && sameRules(role.Rules, before))
		})
	}
	put()
	do()
	role.Rules = before
	put()
}

func sameRules(a, b []map[string][]string) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

// may asks for one right: a real API server takes new roles over a moment later.
func (c *cluster) may(n kube.Need) bool {
	c.Helper()
	answers, err := c.site().Probe(c.ctx(), []kube.Need{n})
	c.must(err)
	return answers[0].Allowed
}
