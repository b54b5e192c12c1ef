package config

import (
	"fmt"
	"net/netip"
	"path/filepath"
)

// Kube is a server that runs as the one pod of a StatefulSet, and the way to
// its cluster: a kubeconfig, or the pod's own account where the bot runs there.
type Kube struct {
	Kubeconfig  string `yaml:"kubeconfig,omitempty" validate:"omitempty,abspath" jsonschema_description:"File that says how the node's cluster is reached and who the bot is there. Left out where in_cluster is true."`
	Context     string `yaml:"context,omitempty" validate:"omitempty,kubecontext" jsonschema_description:"The file's context for this cluster; the file's current one when left out."`
	InCluster   bool   `yaml:"in_cluster,omitempty" jsonschema_description:"The bot is a pod of this cluster and uses its own service account."`
	Namespace   string `yaml:"namespace,omitempty" validate:"required,kubelabel" jsonschema_description:"Namespace of everything that the bot uses there; twokey when left out."`
	StatefulSet string `yaml:"statefulset,omitempty" validate:"required,kubelabel" jsonschema_description:"The StatefulSet whose one pod is the server; postgres when left out."`
	Order       string `yaml:"order_configmap,omitempty" validate:"required,kubename" jsonschema_description:"The ConfigMap by which the bot gives orders to the server's guard; postgres-order when left out."`
}

// KubeEndpoint is what leads clients in Kubernetes to the primary, of one name
// in each of the pair's clusters.
type KubeEndpoint struct {
	Slice      string `yaml:"endpoint_slice,omitempty" validate:"required,kubename" jsonschema_description:"The EndpointSlice behind a Service without a selector; postgres-primary when left out."`
	Connection string `yaml:"connection_configmap,omitempty" validate:"required,kubename" jsonschema_description:"The ConfigMap that holds the connection string; postgres-connection when left out."`
}

const fenceKube = "kube"

// Names that manifests/ gives.
const (
	defaultNamespace   = "twokey"
	defaultStatefulSet = "postgres"
	defaultOrder       = "postgres-order"
	defaultSlice       = "postgres-primary"
	defaultConnection  = "postgres-connection"
)

func (k *Kube) fill() {
	k.Namespace = either(k.Namespace, defaultNamespace)
	k.StatefulSet = either(k.StatefulSet, defaultStatefulSet)
	k.Order = either(k.Order, defaultOrder)
}

func (e *KubeEndpoint) fill() {
	e.Slice = either(e.Slice, defaultSlice)
	e.Connection = either(e.Connection, defaultConnection)
}

// Cluster tells two ways to one namespace from ways to two, as far as the file
// can: two files may lead to one cluster.
func (k Kube) Cluster() string {
	if k.InCluster {
		return "in_cluster/" + k.Namespace
	}
	return fmt.Sprintf("%s/%s/%s", filepath.Clean(k.Kubeconfig), k.Context, k.Namespace)
}

// IP is the address that an EndpointSlice leads to, "" where nothing gives one.
func (n Node) IP() string {
	addr, err := netip.ParseAddr(bareHost(either(n.Address, n.Host)))
	if err != nil {
		return ""
	}
	return addr.Unmap().String()
}

// judgeKube refuses what would stop the wrong server, or the bot.
func (s *source) judgeKube(c Config) {
	owners := map[string]string{}
	for i, p := range c.Pairs {
		key := fmt.Sprintf("pairs[%d]", i)
		for j, n := range p.Nodes {
			s.judgeKubeNode(fmt.Sprintf("%s.nodes[%d].driver", key, j), n.Driver, owners)
		}
		if p.Endpoint != nil && p.Endpoint.Kube != nil {
			s.judgeKubeEndpoint(key+".endpoint.kube", p, owners)
		}
	}
}

// judgeKubeNode: owners holds the key of whatever has claimed an object before.
func (s *source) judgeKubeNode(key string, d Driver, owners map[string]string) {
	k := d.Kube
	if k == nil {
		return
	}
	switch {
	case k.Kubeconfig == "" && !k.InCluster:
		s.reportKey(key+".kube", "doesn't say how the cluster is reached", "give kubeconfig, or in_cluster: true where the bot is a pod there")
	case k.InCluster && k.Kubeconfig+k.Context != "":
		s.reportKey(key+".kube.in_cluster", "stands beside kubeconfig or context: which of them holds?", "remove one of the two")
	}
	if d.Local != nil {
		s.reportKey(key+".kube", "stands beside local: a server has one of them", "remove the one that doesn't run it")
	}
	if k.InCluster && k.Kubeconfig+k.Context == "" && d.Vultr != nil {
		s.reportKey(key+".vultr", "stands beside in_cluster: the bot is a pod of the cluster on that machine, and would halt itself", "run the bot elsewhere and give a kubeconfig, or leave vultr out")
	}
	s.claim(key+".kube.statefulset", "StatefulSet", k.StatefulSet, *k, owners)
	s.claim(key+".kube.order_configmap", "ConfigMap", k.Order, *k, owners)
}

func (s *source) claim(key, kind, name string, k Kube, owners map[string]string) {
	object := kind + " " + name + " in " + k.Cluster()
	if other, dup := owners[object]; dup && other != key {
		s.reportKey(key, fmt.Sprintf("is that of %s too: what is done to one would be done to the other", other), "give each its own name or namespace")
		return
	}
	owners[object] = key
}

func (s *source) judgeKubeEndpoint(key string, p Pair, owners map[string]string) {
	clusters := 0
	for _, n := range p.Nodes {
		if k := n.Driver.Kube; k != nil {
			clusters++
			s.claim(key+".endpoint_slice", "EndpointSlice", p.Endpoint.Kube.Slice, *k, owners)
			s.claim(key+".connection_configmap", "ConfigMap", p.Endpoint.Kube.Connection, *k, owners)
		}
	}
	if clusters == 0 {
		s.reportKey(key, "stands in no cluster: neither node has the driver kube", "give a node driver.kube, or leave the endpoint out")
	}
	first, second := p.Nodes[0], p.Nodes[1]
	switch {
	case first.IP() == "" || second.IP() == "":
		s.reportKey(key, "needs an address of each node, and a host that is a name gives none", "add address: to the node, an IP address")
	case hostKind(first.IP()) != hostKind(second.IP()):
		s.reportKey(key, fmt.Sprintf("can't lead to either node: %s's address is %s, %s's is %s", first.Name, hostKind(first.IP()), second.Name, hostKind(second.IP())), "give both nodes addresses of one kind")
	case first.IP() == second.IP() && first.Port == second.Port:
		s.reportKey(key, "can't tell the nodes apart: they have one address and port", "")
	}
}
