package kube

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"twokey/actions"
)

// EndpointOptions say what leads clients in one cluster, and where to.
type EndpointOptions struct {
	Slice      string // the EndpointSlice
	Connection string // the ConfigMap with the connection string
	Targets    map[string]Target
	// Own is the node whose server is a pod of this cluster, "" for none, and Address
	// where that pod is reached here. A cluster leads its clients to an address of its
	// own machine's, a NodePort's say, only when they ask for it themselves, and not
	// through a Service: so the pod itself is led to. While it has no address, its
	// target stands in.
	Own     string
	Address func(ctx context.Context) (ip string, port int32, err error)
}

// Target is where clients are led when a node is the primary.
type Target struct {
	IP   string // that the EndpointSlice leads to
	Port int32
	Conn actions.ConnString
}

// Endpoint leads the clients of one cluster: an EndpointSlice behind a Service
// without a selector, and a ConfigMap with the connection string.
type Endpoint struct {
	site *Site
	opt  EndpointOptions
	kind discoveryv1.AddressType
}

var _ actions.Endpoint = (*Endpoint)(nil)

// Endpoint with these options. It is not looked at yet.
func (s *Site) Endpoint(o EndpointOptions) (*Endpoint, error) {
	kinds, places := map[discoveryv1.AddressType]bool{}, map[string]bool{}
	for node, t := range o.Targets {
		addr, err := netip.ParseAddr(t.IP)
		if err != nil || t.Port <= 0 || t.Conn.URI == "" {
			return nil, fmt.Errorf("an endpoint needs an IP address, a port and a connection string of each node; %s has %q, %d", node, t.IP, t.Port)
		}
		kinds[kindOf(addr)], places[fmt.Sprint(t.IP, t.Port)] = true, true
	}
	if len(kinds) != 1 || len(places) != len(o.Targets) || len(o.Targets) < 2 || o.Slice == "" || o.Connection == "" {
		return nil, errors.New("an endpoint needs an EndpointSlice, a ConfigMap, and two nodes with different addresses of one kind")
	}
	if _, known := o.Targets[o.Own]; o.Own != "" && (!known || o.Address == nil) {
		return nil, fmt.Errorf("an endpoint needs to know where %s, which is a pod of its cluster, is reached", o.Own)
	}
	o.Targets = maps.Clone(o.Targets)
	return &Endpoint{s, o, slices.Collect(maps.Keys(kinds))[0]}, nil
}

func kindOf(a netip.Addr) discoveryv1.AddressType {
	if a.Unmap().Is4() {
		return discoveryv1.AddressTypeIPv4
	}
	return discoveryv1.AddressTypeIPv6
}

// Describe implements [actions.Endpoint].
func (e *Endpoint) Describe() string {
	return fmt.Sprintf("EndpointSlice %s and ConfigMap %s in namespace %s (%s), which new connections there follow at once, and programs that took the ConfigMap as variables once they are started anew",
		e.opt.Slice, e.opt.Connection, e.site.opt.Namespace, e.site.who)
}

// Read implements [actions.Endpoint]. Two objects that lead to different nodes,
// and a slice that no Service uses, are an error.
func (e *Endpoint) Read(ctx context.Context) (string, error) {
	slice, err := e.slice(ctx)
	if err != nil {
		return "", err
	}
	conn, err := e.site.configMap(ctx, e.opt.Connection)
	if err != nil {
		return "", err
	}
	targets, err := e.targets(ctx)
	if err != nil {
		return "", err
	}
	led, named := ledTo(slice, targets), e.namedIn(conn)
	if led != named {
		return "", fmt.Errorf("EndpointSlice %s leads to %s, but ConfigMap %s names %s: the next promotion or rejoin points both at the primary", e.opt.Slice, either(led, "neither node"), e.opt.Connection, either(named, "neither node"))
	}
	if slice.Labels[discoveryv1.LabelServiceName] == "" {
		return led, fmt.Errorf("EndpointSlice %s belongs to no Service: give it the label %s", e.opt.Slice, discoveryv1.LabelServiceName)
	}
	return led, nil
}

// Point implements [actions.Endpoint]. Each of the two is changed with
// optimistic locking and read back.
//
// Errors: *[Error] when nothing was changed, *[actions.Uncertain] when something
// may have been.
func (e *Endpoint) Point(ctx context.Context, node string) error {
	targets, err := e.targets(ctx)
	if err != nil {
		return err
	}
	target, known := targets[node]
	if !known {
		return fmt.Errorf("EndpointSlice %s: nothing says where %s is", e.opt.Slice, node)
	}
	err = errors.Join(e.pointSlice(ctx, target, always), e.pointConn(ctx, node, target)) // clients that use one must not wait for the other
	if err != nil {
		return err
	}
	is, err := e.Read(ctx)
	if err == nil && is != node {
		err = errAnswer("read the endpoint back", "it leads to "+either(is, "neither node"))
	}
	if err != nil {
		return &actions.Uncertain{Err: err}
	}
	return nil
}

func (e *Endpoint) slice(ctx context.Context) (*discoveryv1.EndpointSlice, error) {
	what := fmt.Sprintf("read EndpointSlice %s/%s", e.site.opt.Namespace, e.opt.Slice)
	var got discoveryv1.EndpointSlice
	err := e.site.read(ctx, what, func(ctx context.Context) error {
		return e.site.in(discoveryv1.SchemeGroupVersion, "GET").Namespace(e.site.opt.Namespace).Resource("endpointslices").Name(e.opt.Slice).Do(ctx).Into(&got)
	})
	if err == nil {
		err = sameObject(what, &got.ObjectMeta, e.site.opt.Namespace, e.opt.Slice)
	}
	if err == nil && got.AddressType != e.kind {
		err = &Error{
			What: what, Status: 200, Why: fmt.Sprintf("it holds addresses of type %s, and the nodes' are of type %s", got.AddressType, e.kind),
			Fix: "Its type can't be changed: delete it and make it anew, manifests/ has it.",
		}
	}
	if err != nil {
		return nil, err
	}
	return &got, nil
}

// Refresh follows the pod of this cluster's own node to a new address, where the
// ConfigMap says that clients are led to it already. It never leads them from one
// node to the other.
func (e *Endpoint) Refresh(ctx context.Context) error {
	if e.opt.Own == "" {
		return nil
	}
	conn, err := e.site.configMap(ctx, e.opt.Connection)
	if err != nil || e.namedIn(conn) != e.opt.Own {
		return err
	}
	targets, err := e.targets(ctx)
	if err != nil {
		return err
	}
	return e.pointSlice(ctx, targets[e.opt.Own], func(s *discoveryv1.EndpointSlice) bool {
		led := ledTo(s, targets)
		return led == "" || led == e.opt.Own // else a promotion has just led them away
	})
}

// targets are where each node is reached from this cluster now.
func (e *Endpoint) targets(ctx context.Context) (map[string]Target, error) {
	if e.opt.Own == "" {
		return e.opt.Targets, nil
	}
	ip, port, err := e.opt.Address(ctx)
	if err != nil {
		return nil, fmt.Errorf("where the pod of %s is reached: %w", e.opt.Own, err)
	}
	targets := maps.Clone(e.opt.Targets)
	if addr, err := netip.ParseAddr(ip); err == nil && kindOf(addr) == e.kind {
		own := targets[e.opt.Own]
		own.IP, own.Port = ip, port
		targets[e.opt.Own] = own
	}
	return targets, nil
}

// ledTo is the node that a slice leads to, "" for neither or several.
func ledTo(s *discoveryv1.EndpointSlice, targets map[string]Target) string {
	for node, t := range targets {
		if leads(s, t) {
			return node
		}
	}
	return ""
}

// leads says whether a slice leads to one target and nothing else.
func leads(s *discoveryv1.EndpointSlice, t Target) bool {
	if len(s.Endpoints) != 1 || len(s.Endpoints[0].Addresses) != 1 || len(s.Ports) != 1 {
		return false
	}
	ready, port := s.Endpoints[0].Conditions.Ready, s.Ports[0].Port
	return sameIP(s.Endpoints[0].Addresses[0], t.IP) && port != nil && *port == t.Port && (ready == nil || *ready)
}

func sameIP(a, b string) bool {
	x, err1 := netip.ParseAddr(a)
	y, err2 := netip.ParseAddr(b)
	return err1 == nil && err2 == nil && x.Unmap() == y.Unmap()
}

func always(*discoveryv1.EndpointSlice) bool { return true }

// pointSlice leads a slice to a target, if may lets it.
func (e *Endpoint) pointSlice(ctx context.Context, t Target, may func(*discoveryv1.EndpointSlice) bool) error {
	what := fmt.Sprintf("lead EndpointSlice %s/%s to %s", e.site.opt.Namespace, e.opt.Slice, t.IP)
	var s *discoveryv1.EndpointSlice
	return e.site.change(ctx, func(ctx context.Context) (bool, error) {
		var err error
		if s, err = e.slice(ctx); err != nil {
			return false, err
		}
		return may(s) && !leads(s, t), nil
	}, func(ctx context.Context) error {
		lead(s, t)
		return e.site.once(ctx, what, func(ctx context.Context) error {
			return e.site.in(discoveryv1.SchemeGroupVersion, "PUT").Namespace(e.site.opt.Namespace).Resource("endpointslices").Name(e.opt.Slice).Body(s).Do(ctx).Error()
		})
	})
}

// lead makes a slice lead to one target. A port keeps its name, by which the
// Service knows it.
func lead(s *discoveryv1.EndpointSlice, t Target) {
	ready, tcp, name := true, corev1.ProtocolTCP, "postgres"
	port := discoveryv1.EndpointPort{Name: &name, Protocol: &tcp, Port: &t.Port}
	if len(s.Ports) == 1 && s.Ports[0].Name != nil {
		port.Name = s.Ports[0].Name
	}
	s.Ports = []discoveryv1.EndpointPort{port}
	s.Endpoints = []discoveryv1.Endpoint{{Addresses: []string{t.IP}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}}
}

// Keys of the connection's ConfigMap.
const (
	primaryKey  = "primary"  // the node
	uriKey      = "uri"      // as URI
	keywordsKey = "keywords" // in libpq's other notation
)

func connData(node string, t Target) map[string]string {
	return map[string]string{primaryKey: node, uriKey: t.Conn.URI, keywordsKey: t.Conn.Keywords}
}

func (e *Endpoint) namedIn(c *corev1.ConfigMap) string {
	for node, t := range e.opt.Targets {
		if holds(c, connData(node, t)) {
			return node
		}
	}
	return ""
}

func holds(c *corev1.ConfigMap, data map[string]string) bool {
	for key, value := range data {
		if c.Data[key] != value {
			return false
		}
	}
	return true
}

// pointConn leaves other keys of the ConfigMap alone.
func (e *Endpoint) pointConn(ctx context.Context, node string, t Target) error {
	var c *corev1.ConfigMap
	return e.site.change(ctx, func(ctx context.Context) (bool, error) {
		var err error
		if c, err = e.site.configMap(ctx, e.opt.Connection); err != nil {
			return false, err
		}
		return !holds(c, connData(node, t)), nil
	}, func(ctx context.Context) error {
		if c.Data == nil {
			c.Data = map[string]string{}
		}
		maps.Copy(c.Data, connData(node, t))
		return e.site.putConfigMap(ctx, c)
	})
}
