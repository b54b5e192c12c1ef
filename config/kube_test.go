package config_test

import (
	"slices"
	"strings"
	"testing"

	"twokey/config"
)

// Parts of the sample.
const (
	sampleKubeEndpoint = "    endpoint:\n      kube: # in the cluster of each node that has the driver kube\n" +
		"        endpoint_slice: postgres-primary # default; behind a Service without a selector\n" +
		"        connection_configmap: postgres-connection # default; holds the connection string\n"
	sampleKubeconfig = "            kubeconfig: /etc/twokey/dc1.kubeconfig # or in_cluster: true, where the bot is a pod there\n"
	sampleContext    = "            context: dc1 # default: the file's current one\n"
)

func wrongKube() []refusal {
	const driver = "pairs[0].nodes[0].driver."
	return []refusal{
		{"a kubeconfig with a short path", "kubeconfig: /etc/twokey/dc1.kubeconfig", "kubeconfig: dc1.kubeconfig", driver + "kube.kubeconfig", "kubeconfig: dc1", "must be a whole path", ""},
		{"no way to the cluster", sampleKubeconfig, "", driver + "kube", "kube: # the server", "doesn't say how the cluster is reached", "in_cluster: true"},
		{"two ways to the cluster", sampleContext, "            in_cluster: true\n", driver + "kube.in_cluster", "in_cluster: true\n", "which of them holds", "remove one"},
		{"a context beside in_cluster", sampleKubeconfig, "            in_cluster: true\n", driver + "kube.in_cluster", "in_cluster: true\n", "which of them holds", "remove one"},
		{"a bot that would halt itself", sampleKubeconfig + sampleContext, "            in_cluster: true\n", driver + "vultr", "vultr: # the server's machine", "would halt itself", "give a kubeconfig"},
		{"a context of two lines", "context: dc1 #", `context: "a\nb" #`, driver + "kube.context", "context: \"a", "can't be the name of a context", "get-contexts"},
		{"a namespace in capitals", "namespace: twokey #", "namespace: Twokey #", driver + "kube.namespace", "namespace: Two", "can't be a name in Kubernetes", "lower-case"},
		{"a StatefulSet with a path", "statefulset: postgres #", "statefulset: postgres/scale #", driver + "kube.statefulset", "statefulset: postgres/", "can't be a name in Kubernetes", "lower-case"},
		{"a ConfigMap with a path", "order_configmap: postgres-order #", "order_configmap: ../secrets/x #", driver + "kube.order_configmap", "order_configmap: ..", "can't be a name in Kubernetes", ""},
		{"one ConfigMap for two things", "order_configmap: postgres-order #", "order_configmap: postgres-connection #", "pairs[0].endpoint.kube.connection_configmap", "connection_configmap: postgres-connection", "is that of pairs[0].nodes[0].driver.kube.order_configmap too", "own name"},
		{"a slice with an address for a name", "endpoint_slice: postgres-primary #", "endpoint_slice: 10.0.0.1:5432 #", "pairs[0].endpoint.kube.endpoint_slice", "endpoint_slice: 10", "can't be a name in Kubernetes", ""},
		{"a name for an address", "        address: 192.0.2.12\n", "        address: dc2.example.com\n", "pairs[0].nodes[1].address", "address: dc2", "must be an IP address", ""},
		{"a node without an address", "        address: 192.0.2.12\n", "", "pairs[0].endpoint.kube", "kube: # in the cluster", "needs an address of each node", "address:"},
		{"addresses of two kinds", "        address: 192.0.2.12\n", "        address: 2001:db8::2\n", "pairs[0].endpoint.kube", "kube: # in the cluster", "dc2's is an IPv6 address", "one kind"},
		{"one address for both", "        address: 192.0.2.12\n", "        address: 192.0.2.11\n", "pairs[0].endpoint.kube", "kube: # in the cluster", "can't tell the nodes apart", ""},
		{"two drivers for one server", "          local: #", "          kube: {in_cluster: true, statefulset: other, order_configmap: other}\n          local: #", "pairs[0].nodes[1].driver.kube", "kube: {in_cluster", "stands beside local", "remove"},
	}
}

const kubeDriver = "driver: {kube: {kubeconfig: /etc/twokey/kubeconfig, context: "

// One StatefulSet for two nodes: fencing one would stop the other.
func TestKubeServerBelongsToOneNode(t *testing.T) {
	t.Parallel()
	text := strings.ReplaceAll(least, "passfile: /etc/twokey/passfile}", "passfile: /etc/twokey/passfile, "+kubeDriver+"dc1}}}")
	wrong := refused(t, text)
	var keys []string
	for _, p := range wrong.Problems {
		keys = append(keys, p.Key)
	}
	if want := []string{"pairs[0].nodes[1].driver.kube.statefulset", "pairs[0].nodes[1].driver.kube.order_configmap"}; !slices.Equal(keys, want) || !strings.Contains(wrong.Error(), "done to the other") {
		t.Error(wrong)
	}
}

func TestKubeEndpointNeedsACluster(t *testing.T) {
	t.Parallel()
	text := strings.Replace(least, `host: "[2001:db8::2]"`, "host: 192.0.2.12", 1)
	wrong := refused(t, strings.Replace(text, "    nodes:", "    endpoint: {kube: {}}\n    nodes:", 1))
	if len(wrong.Problems) != 1 || wrong.Problems[0].Key != "pairs[0].endpoint.kube" || !strings.Contains(wrong.Error(), "stands in no cluster") {
		t.Error(wrong)
	}
}

func TestKubeDefaults(t *testing.T) {
	t.Parallel()
	text := strings.Replace(least, "host: 192.0.2.11, passfile: /etc/twokey/passfile}", "host: 192.0.2.11, passfile: /etc/twokey/passfile, "+kubeDriver+"dc1}}}", 1)
	text = strings.Replace(text, `host: "[2001:db8::2]"`, "host: 192.0.2.12", 1)
	c := parsed(t, strings.Replace(text, "    nodes:", "    endpoint: {kube: {}}\n    nodes:", 1))
	driver, endpoint := c.Pairs[0].Nodes[0].Driver, *c.Pairs[0].Endpoint.Kube
	want := config.Kube{Kubeconfig: "/etc/twokey/kubeconfig", Context: "dc1", Namespace: "twokey", StatefulSet: "postgres", Order: "postgres-order"}
	if *driver.Kube != want || !slices.Equal(driver.Fence, []string{"kube"}) || endpoint != (config.KubeEndpoint{Slice: "postgres-primary", Connection: "postgres-connection"}) {
		t.Errorf("%+v, %q, %+v", *driver.Kube, driver.Fence, endpoint)
	}
	if ip := c.Pairs[0].Nodes[0].IP(); ip != "192.0.2.11" {
		t.Errorf("the address is %q", ip)
	}
	_, err := c.Secrets(lookup(map[string]string{"TOKEN": "t", "SECRET": "s"}))
	if err == nil || !strings.Contains(err.Error(), "pairs[0].nodes[0].driver.kube.kubeconfig: file /etc/twokey/kubeconfig") {
		t.Errorf("a kubeconfig that isn't there: %v", err)
	}
}
