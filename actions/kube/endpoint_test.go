package kube_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"twokey/actions"
	"twokey/actions/kube"
	"twokey/actions/kube/kubefake"
)

func targets() map[string]kube.Target {
	conn := func(first, second string) actions.ConnString {
		return actions.ConnString{URI: "postgresql://" + first + "," + second + "/orders", Keywords: "host=" + first + "," + second}
	}
	return map[string]kube.Target{
		"dc1": {IP: "192.0.2.11", Port: 5432, Conn: conn("dc1", "dc2")},
		"dc2": {IP: "192.0.2.12", Port: 5433, Conn: conn("dc2", "dc1")},
	}
}

func (c *cluster) endpoint() *kube.Endpoint {
	c.Helper()
	e, err := c.site().Endpoint(kube.EndpointOptions{Slice: "postgres-primary", Connection: "postgres-connection", Targets: targets()})
	c.must(err)
	return e
}

func (c *cluster) slice() discoveryv1.EndpointSlice {
	c.Helper()
	var s discoveryv1.EndpointSlice
	c.do("GET", c.in("discovery.k8s.io", "endpointslices/postgres-primary"), nil, &s)
	return s
}

func (c *cluster) leadsTo(e *kube.Endpoint, want, why string) {
	c.Helper()
	node, err := e.Read(c.ctx())
	if node != want || (err == nil) != (why == "") || err != nil && !strings.Contains(err.Error(), why) {
		c.Errorf("it leads to %q, %v; want %q, %q", node, err, want, why)
	}
}

// Clients are led to one node and then to the other, whatever they go by.
func TestEndpointIsPointed(t *testing.T) {
	t.Parallel()
	everywhere(t, func(c *cluster) {
		e := c.endpoint()
		c.leadsTo(e, "", "")
		for _, node := range []string{"dc1", "dc2", "dc2"} {
			c.must(e.Point(c.ctx(), node))
			c.leadsTo(e, node, "")
			s, want := c.slice(), targets()[node]
			if len(s.Endpoints) != 1 || s.Endpoints[0].Addresses[0] != want.IP || *s.Ports[0].Port != want.Port || *s.Ports[0].Name != "postgres" || !*s.Endpoints[0].Conditions.Ready {
				c.Errorf("%+v, %+v", s.Endpoints, s.Ports)
			}
			if cm := c.configMap("postgres-connection").Data; cm["primary"] != node || cm["uri"] != want.Conn.URI || cm["keywords"] != want.Conn.Keywords {
				c.Errorf("%q", cm)
			}
		}
	})
}

// Pointing where it points already writes nothing; other keys and port names stay.
func TestEndpointChangesWhatItMust(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	e := c.endpoint()
	cm := c.configMap("postgres-connection")
	cm.Data = map[string]string{"pool": "20"}
	c.do("PUT", c.in("", "configmaps/postgres-connection"), cm, nil)
	s, name, port := c.slice(), "sql", int32(1)
	s.Ports = []discoveryv1.EndpointPort{{Name: &name, Port: &port}}
	c.do("PUT", c.in("discovery.k8s.io", "endpointslices/postgres-primary"), s, nil)
	c.must(e.Point(c.ctx(), "dc2"))
	if cm := c.configMap("postgres-connection").Data; cm["pool"] != "20" || *c.slice().Ports[0].Name != "sql" {
		t.Errorf("%q, %q", cm, *c.slice().Ports[0].Name)
	}
	writes := c.fake.Count("update configmaps") + c.fake.Count("update endpointslices")
	c.must(e.Point(c.ctx(), "dc2"))
	if now := c.fake.Count("update configmaps") + c.fake.Count("update endpointslices"); now != writes {
		t.Errorf("%d more writes", now-writes)
	}
}

// Many at once: whoever is last has both lead to one node.
func TestEndpointConflicts(t *testing.T) {
	t.Parallel()
	everywhere(t, func(c *cluster) {
		var group sync.WaitGroup
		for range 3 {
			e := c.endpoint()
			group.Go(func() { c.must(e.Point(c.ctx(), "dc2")) })
		}
		group.Wait()
		c.leadsTo(c.endpoint(), "dc2", "")
	})
}

// One of the two can't be written: the other is, and the error says which.
func TestEndpointHalfWritten(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	e := c.endpoint()
	c.must(e.Point(c.ctx(), "dc1"))
	c.fake.Always("update configmaps", kubefake.Fault{Status: 403})
	err := e.Point(c.ctx(), "dc2")
	if err == nil || !strings.Contains(err.Error(), "write ConfigMap "+c.namespace+"/postgres-connection") {
		t.Errorf("got %v", err)
	}
	c.leadsTo(e, "", "leads to dc2, but ConfigMap postgres-connection names dc1")
	c.fake.Always("update configmaps", kubefake.Fault{})
	c.must(e.Point(c.ctx(), "dc2"))
	c.leadsTo(e, "dc2", "")
}

// An order that was taken, and reads otherwise: nobody knows where clients go.
func TestEndpointThatReadsOtherwise(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	e := c.endpoint()
	c.fake.Next("get endpointslices", kubefake.Fault{}, kubefake.Fault{Old: true})
	err := e.Point(c.ctx(), "dc2")
	if _, perhaps := errors.AsType[*actions.Uncertain](err); !perhaps {
		t.Errorf("got %v", err)
	}
}

func TestEndpointThatIsNone(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		spoil func(c *cluster)
		says  string
	}{
		"no slice": {func(c *cluster) {
			c.do("DELETE", c.in("discovery.k8s.io", "endpointslices/postgres-primary"), nil, nil)
		}, "Check the names in the configuration"},
		"no ConfigMap": {func(c *cluster) { c.do("DELETE", c.in("", "configmaps/postgres-connection"), nil, nil) }, "Check the names in the configuration"},
		"no Service": {func(c *cluster) {
			s := c.slice()
			s.Labels = nil
			c.do("PUT", c.in("discovery.k8s.io", "endpointslices/postgres-primary"), s, nil)
		}, "belongs to no Service: give it the label kubernetes.io/service-name"},
		"another type of addresses": {func(c *cluster) {
			s := c.slice()
			c.do("DELETE", c.in("discovery.k8s.io", "endpointslices/postgres-primary"), nil, nil)
			s.AddressType, s.UID, s.ResourceVersion = discoveryv1.AddressTypeIPv6, "", ""
			c.do("POST", c.in("discovery.k8s.io", "endpointslices"), s, nil)
		}, "delete it and make it anew"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			everywhere(t, func(c *cluster) {
				row.spoil(c)
				c.leadsTo(c.endpoint(), "", row.says)
			})
		})
	}
}

// What leads to both, or to a node at another port, leads to neither.
func TestEndpointThatLeadsToNeither(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	e := c.endpoint()
	c.must(e.Point(c.ctx(), "dc1"))
	s := c.slice()
	s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{"192.0.2.12"}})
	c.do("PUT", c.in("discovery.k8s.io", "endpointslices/postgres-primary"), s, nil)
	c.leadsTo(e, "", "leads to neither node, but ConfigMap")
	c.must(e.Point(c.ctx(), "dc1"))
	s = c.slice()
	other, tcp := int32(6432), corev1.ProtocolTCP
	s.Ports = []discoveryv1.EndpointPort{{Port: &other, Protocol: &tcp}}
	c.do("PUT", c.in("discovery.k8s.io", "endpointslices/postgres-primary"), s, nil)
	c.leadsTo(e, "", "leads to neither node, but ConfigMap")
}

func TestEndpointOptionsThatAreRefused(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	site := c.site()
	for name, spoil := range map[string]func(o *kube.EndpointOptions){
		"a name for an address": func(o *kube.EndpointOptions) { t := o.Targets["dc1"]; t.IP = "dc1.example.com"; o.Targets["dc1"] = t },
		"no port":               func(o *kube.EndpointOptions) { t := o.Targets["dc1"]; t.Port = 0; o.Targets["dc1"] = t },
		"two kinds":             func(o *kube.EndpointOptions) { t := o.Targets["dc1"]; t.IP = "2001:db8::1"; o.Targets["dc1"] = t },
		"one place":             func(o *kube.EndpointOptions) { o.Targets["dc1"] = o.Targets["dc2"] },
		"one node":              func(o *kube.EndpointOptions) { delete(o.Targets, "dc1") },
		"no slice":              func(o *kube.EndpointOptions) { o.Slice = "" },
	} {
		o := kube.EndpointOptions{Slice: "s", Connection: "c", Targets: targets()}
		spoil(&o)
		if _, err := site.Endpoint(o); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if err := c.endpoint().Point(c.ctx(), "dc3"); err == nil || !strings.Contains(err.Error(), "where dc3 is") {
		t.Errorf("got %v", err)
	}
}

// A cluster's own node is led to by its pod's address, and followed to a new one;
// the other node by its own. Following never leads clients to another node.
func TestEndpointFollowsItsOwnPod(t *testing.T) {
	t.Parallel()
	everywhere(t, func(c *cluster) {
		ip, port, problem := "10.42.0.7", int32(5432), error(nil)
		e, err := c.site().Endpoint(kube.EndpointOptions{
			Slice: "postgres-primary", Connection: "postgres-connection", Targets: targets(), Own: "dc1",
			Address: func(context.Context) (string, int32, error) { return ip, port, problem },
		})
		c.must(err)
		at := func(wantIP string, wantPort int32, why string) {
			c.Helper()
			s := c.slice()
			if len(s.Endpoints) != 1 || s.Endpoints[0].Addresses[0] != wantIP || *s.Ports[0].Port != wantPort {
				c.Errorf("%s: %+v, %+v", why, s.Endpoints, s.Ports)
			}
		}
		c.must(e.Point(c.ctx(), "dc1"))
		at("10.42.0.7", 5432, "its own pod")
		if cm := c.configMap("postgres-connection").Data; cm["uri"] != targets()["dc1"].Conn.URI {
			c.Errorf("the connection string has changed: %q", cm)
		}
		ip = "10.42.0.9" // a new pod
		c.leadsTo(e, "", "leads to neither node, but ConfigMap postgres-connection names dc1")
		c.must(e.Refresh(c.ctx()))
		at("10.42.0.9", 5432, "followed")
		c.leadsTo(e, "dc1", "")
		ip, port = "", 0
		c.must(e.Refresh(c.ctx()))
		at("192.0.2.11", 5432, "without a pod its own address stands in")
		c.must(e.Point(c.ctx(), "dc2"))
		ip, port = "10.42.0.7", 5432
		c.must(e.Refresh(c.ctx()))
		at("192.0.2.12", 5433, "the other node")
		c.leadsTo(e, "dc2", "")
		cm := c.configMap("postgres-connection") // as it is between the two writes of a promotion
		cm.Data["primary"], cm.Data["uri"], cm.Data["keywords"] = "dc1", targets()["dc1"].Conn.URI, targets()["dc1"].Conn.Keywords
		c.do("PUT", c.in("", "configmaps/postgres-connection"), cm, nil)
		c.must(e.Refresh(c.ctx()))
		at("192.0.2.12", 5433, "a promotion that is under way")
		c.must(e.Point(c.ctx(), "dc2"))
		problem = errors.New("the API server is away")
		if err := e.Point(c.ctx(), "dc1"); err == nil || !strings.Contains(err.Error(), "where the pod of dc1 is reached") {
			c.Errorf("got %v", err)
		}
		at("192.0.2.12", 5433, "nothing was changed")
	})
}

// A pod's address is its own, and nobody's while it has none.
func TestMachineKnowsItsPodsAddress(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	m := c.machine()
	is := func(wantIP string, wantPort int32) {
		c.Helper()
		ip, port, err := m.Address(c.ctx())
		if c.must(err); ip != wantIP || port != wantPort {
			c.Errorf("%s:%d, want %s:%d", ip, port, wantIP, wantPort)
		}
	}
	is("", 0)
	var p corev1.Pod
	path := c.in("", "pods/postgres-0")
	c.do("GET", path, nil, &p)
	p.Status.PodIP = "10.42.0.7"
	c.do("PUT", path+"/status", p, nil)
	is("10.42.0.7", 5432)
}
