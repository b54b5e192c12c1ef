package manifests_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
)

var nodes = []string{"dc1", "dc2"}

// TestBothNodesRunTheSame: what differs is node.env and nothing else.
func TestBothNodesRunTheSame(t *testing.T) {
	t.Parallel()
	one, two := build(t, "dc1"), build(t, "dc2")
	for name, object := range one.all {
		if diff := cmp.Diff(object, two.all[name]); diff != "" && name != "ConfigMap twokey/postgres-node" {
			t.Errorf("%s differs:\n%s", name, diff)
		}
	}
	if len(one.all) != len(two.all) {
		t.Errorf("%d objects and %d", len(one.all), len(two.all))
	}
	a, b := get[*corev1.ConfigMap](one, "postgres-node").Data, get[*corev1.ConfigMap](two, "postgres-node").Data
	for _, same := range []string{"NETWORK", "DATABASE", "POD_NETWORK", "TWOKEY_GUARD_PARTNER_PORT"} {
		if a[same] != b[same] {
			t.Errorf("%s is %q and %q", same, a[same], b[same])
		}
	}
	if a["TWOKEY_GUARD_NODE"] != b["TWOKEY_GUARD_PARTNER"] || b["TWOKEY_GUARD_NODE"] != a["TWOKEY_GUARD_PARTNER"] ||
		a["ADDRESS"] != b["TWOKEY_GUARD_PARTNER_HOST"] || b["ADDRESS"] != a["TWOKEY_GUARD_PARTNER_HOST"] {
		t.Errorf("they don't speak of each other: %v and %v", a, b)
	}
}

// TestApplyingAgainStartsMovesAndRestartsNothing: what the bot owns is in no
// manifest, so that nobody takes it back by applying them.
func TestApplyingAgainStartsMovesAndRestartsNothing(t *testing.T) {
	t.Parallel()
	b := build(t, "dc1")
	set := get[*appsv1.StatefulSet](b, "postgres")
	if set.Spec.Replicas != nil {
		t.Error("the number of replicas is given: to apply it would start a server that was fenced")
	}
	if set.Spec.UpdateStrategy.Type != appsv1.OnDeleteStatefulSetStrategyType {
		t.Error("a new manifest would restart the server")
	}
	keep := set.Spec.PersistentVolumeClaimRetentionPolicy
	if keep == nil || keep.WhenDeleted != appsv1.RetainPersistentVolumeClaimRetentionPolicyType || keep.WhenScaled != appsv1.RetainPersistentVolumeClaimRetentionPolicyType {
		t.Error("the data would go with the StatefulSet")
	}
	if slice := get[*discoveryv1.EndpointSlice](b, "postgres-primary"); len(slice.Endpoints)+len(slice.Ports) > 0 {
		t.Error("where clients are led is given")
	}
	if strings.Contains(b.text, "endpoints:") {
		t.Error("an empty list of endpoints would take clients from the primary")
	}
	for _, name := range []string{"postgres-order", "postgres-connection"} {
		if c := get[*corev1.ConfigMap](b, name); len(c.Data)+len(c.BinaryData) > 0 {
			t.Errorf("what the bot wrote into %s is given", name)
		}
	}
}

// TestGuardIsTheServersCommand: at every start, also of the container alone.
func TestGuardIsTheServersCommand(t *testing.T) {
	t.Parallel()
	pod := get[*appsv1.StatefulSet](build(t, "dc1"), "postgres").Spec.Template.Spec
	server := pod.Containers[0]
	want := []string{"/opt/twokey/bot", "guard", "--", "docker-entrypoint.sh", "postgres", "-c", "config_file=/etc/twokey/config/postgresql.conf"}
	if !slices.Equal(server.Command, want) || len(server.Args) > 0 {
		t.Errorf("the command is %q %q", server.Command, server.Args)
	}
	program := pod.InitContainers[0]
	if !slices.Equal(program.Args, []string{"install", "/opt/twokey/bot"}) || len(program.Command) > 0 {
		t.Errorf("the program comes by %q %q", program.Command, program.Args)
	}
	if !mounted(program, "program", "/opt/twokey", false) || !mounted(server, "program", "/opt/twokey", true) {
		t.Error("the program isn't shared, or the server's container may change it")
	}
	if !mounted(server, "order", "/etc/twokey/order", true) {
		t.Error("the guard doesn't see what the bot orders")
	}
	if slices.ContainsFunc(server.VolumeMounts, func(m corev1.VolumeMount) bool { return m.SubPath != "" || m.SubPathExpr != "" }) {
		t.Error("a mount by subPath never sees a change")
	}
	for _, v := range pod.Volumes {
		if v.Name == "order" && (v.ConfigMap == nil || v.ConfigMap.Name != "postgres-order") {
			t.Errorf("orders come from %+v", v.VolumeSource)
		}
	}
	for name, value := range map[string]string{
		"TWOKEY_GUARD_SSLMODE": "verify-full", "TWOKEY_GUARD_REJOIN": "fitting", "TWOKEY_GUARD_CONFIG_FILE": "/etc/twokey/config/postgresql.conf",
		"TWOKEY_GUARD_PASSFILE": "/run/twokey/passfile", "TWOKEY_GUARD_PLATFORM_DIR": "/etc/twokey/order", "TWOKEY_GUARD_TERMINATION_LOG": "/dev/termination-log", "PGDATA": "/var/lib/postgresql/data/pgdata",
	} {
		if got := variable(server, name); got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
	if !slices.ContainsFunc(server.EnvFrom, func(e corev1.EnvFromSource) bool {
		return e.ConfigMapRef != nil && e.ConfigMapRef.Name == "postgres-node"
	}) {
		t.Error("the guard doesn't know which node it is")
	}
}

func mounted(c corev1.Container, volume, path string, readOnly bool) bool {
	return slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool {
		return m.Name == volume && m.MountPath == path && m.ReadOnly == readOnly
	})
}

func variable(c corev1.Container, name string) string {
	for _, v := range c.Env {
		if v.Name == name {
			return v.Value
		}
	}
	return ""
}

// TestServerIsStoppedFastAndNeverKilledForBeingSlow.
func TestServerIsStoppedFastAndNeverKilledForBeingSlow(t *testing.T) {
	t.Parallel()
	pod := get[*appsv1.StatefulSet](build(t, "dc1"), "postgres").Spec.Template.Spec
	server := pod.Containers[0]
	if server.Lifecycle == nil || server.Lifecycle.StopSignal == nil || *server.Lifecycle.StopSignal != corev1.SIGINT {
		t.Error("it isn't stopped by SIGINT, the fast shutdown")
	}
	if pod.OS == nil || pod.OS.Name != corev1.Linux {
		t.Error("a stop signal needs the system to be named")
	}
	if server.Lifecycle.PreStop != nil {
		t.Error("a hook before the stop would lengthen every write pause")
	}
	if g := pod.TerminationGracePeriodSeconds; g == nil || *g < 30 || *g >= 60 {
		t.Error("a stop must have its time, and must be over before the bot's timeouts.stop, a minute in what terraform/ and docs/ give")
	}
	if server.LivenessProbe != nil || server.StartupProbe != nil {
		t.Error("a probe can kill it")
	}
	if server.ReadinessProbe == nil || server.ReadinessProbe.Exec == nil {
		t.Error("nothing says whether it is ready")
	}
	if _, limited := server.Resources.Limits[corev1.ResourceCPU]; limited {
		t.Error("its CPU is limited: it would be slow when it matters")
	}
	if server.Resources.Requests.Cpu().IsZero() || server.Resources.Requests.Memory().IsZero() || server.Resources.Limits.Memory().IsZero() {
		t.Errorf("resources: %+v", server.Resources)
	}
}

// TestNodeIsReachedWhetherReadyOrNot, with the address that a connection comes from.
func TestNodeIsReachedWhetherReadyOrNot(t *testing.T) {
	t.Parallel()
	b := build(t, "dc1")
	s := get[*corev1.Service](b, "postgres-node").Spec
	if s.Type != corev1.ServiceTypeNodePort || s.ExternalTrafficPolicy != corev1.ServiceExternalTrafficPolicyLocal || !s.PublishNotReadyAddresses {
		t.Errorf("postgres-node: %+v", s)
	}
	if len(s.Ports) != 1 || s.Ports[0].NodePort != 30432 || s.Selector["app.kubernetes.io/name"] != "postgres" {
		t.Errorf("postgres-node: %+v", s)
	}
	if port := get[*corev1.ConfigMap](b, "postgres-node").Data["TWOKEY_GUARD_PARTNER_PORT"]; port != "30432" {
		t.Errorf("the guard looks for its partner on port %s", port)
	}
	endpoint := get[*corev1.Service](b, "postgres").Spec
	if len(endpoint.Selector) > 0 || len(endpoint.Ports) != 1 {
		t.Errorf("postgres: %+v", endpoint)
	}
	slice := get[*discoveryv1.EndpointSlice](b, "postgres-primary")
	if slice.Labels[discoveryv1.LabelServiceName] != "postgres" || slice.AddressType != discoveryv1.AddressTypeIPv4 || endpoint.Ports[0].Name != "postgres" {
		t.Errorf("the slice %+v doesn't belong to the Service %+v", slice, endpoint)
	}
}

// TestDataLiesInAFolderOfItsOwn and isn't gone through at every start.
func TestDataLiesInAFolderOfItsOwn(t *testing.T) {
	t.Parallel()
	set := get[*appsv1.StatefulSet](build(t, "dc1"), "postgres")
	pod := set.Spec.Template.Spec
	if c := pod.SecurityContext; c.FSGroupChangePolicy == nil || *c.FSGroupChangePolicy != corev1.FSGroupChangeOnRootMismatch || c.FSGroup == nil || *c.FSGroup != 999 {
		t.Errorf("fsGroup: %+v", c)
	}
	server := pod.Containers[0]
	if !mounted(server, "data", "/var/lib/postgresql/data", false) || !strings.HasPrefix(variable(server, "PGDATA"), "/var/lib/postgresql/data/") {
		t.Error("the data folder is the volume's own root, where the file system may keep things of its own")
	}
	if len(set.Spec.VolumeClaimTemplates) != 1 || set.Spec.VolumeClaimTemplates[0].Name != "data" {
		t.Errorf("claims: %+v", set.Spec.VolumeClaimTemplates)
	}
	args := variable(server, "POSTGRES_INITDB_ARGS")
	for _, want := range []string{"--data-checksums", "--locale-provider=builtin"} {
		if !strings.Contains(args, want) {
			t.Errorf("initdb has no %s: %s", want, args)
		}
	}
}

// TestDrainStopsAtTheServer.
func TestDrainStopsAtTheServer(t *testing.T) {
	t.Parallel()
	b := build(t, "dc2").all["PodDisruptionBudget twokey/postgres"]
	budget, ok := b.(*policyv1.PodDisruptionBudget)
	if !ok || budget.Spec.MaxUnavailable == nil || budget.Spec.MaxUnavailable.IntValue() != 0 || budget.Spec.Selector.MatchLabels["app.kubernetes.io/name"] != "postgres" {
		t.Errorf("%+v", b)
	}
}

// TestNetworkIsDeniedUnlessNamed, and the tunnel's is the overlay's.
func TestNetworkIsDeniedUnlessNamed(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"dc1", "bot"} {
		deny := get[*networkingv1.NetworkPolicy](build(t, folder), "default-deny").Spec
		if len(deny.PodSelector.MatchLabels) > 0 || len(deny.Ingress)+len(deny.Egress) > 0 || len(deny.PolicyTypes) != 2 {
			t.Errorf("%s: %+v", folder, deny)
		}
	}
	other := overlay(t, "dc1", func(env string) string { return strings.Replace(env, "10.99.0.0/24", "10.77.0.0/24", 1) })
	for folder, network := range map[string]string{"dc1": "10.99.0.0/24", other: "10.77.0.0/24"} {
		p := get[*networkingv1.NetworkPolicy](build(t, folder), "postgres").Spec
		if len(p.Ingress) != 1 || p.Ingress[0].From[0].IPBlock.CIDR != network || p.Ingress[0].Ports[0].Port.StrVal != "postgres" {
			t.Errorf("%s lets in %+v", folder, p.Ingress)
		}
		if len(p.Egress) != 1 || p.Egress[0].To[0].IPBlock.CIDR != network || p.Egress[0].Ports[0].Port.IntValue() != 30432 {
			t.Errorf("%s reaches %+v", folder, p.Egress)
		}
	}
}

// overlay copies the manifests, so that node.env can be another.
func overlay(t *testing.T, node string, edit func(string) string) string {
	t.Helper()
	dir := t.TempDir()
	for _, folder := range []string{"namespace", "base", "node", node} {
		if err := os.CopyFS(filepath.Join(dir, folder), os.DirFS(folder)); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, node, "node.env")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(edit(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, node)
}

// TestPostgresIsPinnedInOnePlace, by patch and by base, and is the same for every
// container that uses it.
func TestPostgresIsPinnedInOnePlace(t *testing.T) {
	t.Parallel()
	pinned := regexp.MustCompile(`^docker\.io/library/postgres:17\.\d+-[a-z]+(@sha256:[0-9a-f]{64})?$`)
	images := map[string]bool{}
	for _, node := range nodes {
		pod := get[*appsv1.StatefulSet](build(t, node), "postgres").Spec.Template.Spec
		for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
			images[c.Image] = true
			if c.ImagePullPolicy != corev1.PullIfNotPresent {
				t.Errorf("%s is pulled %s", c.Name, c.ImagePullPolicy)
			}
		}
	}
	delete(images, "docker.io/library/twokey:latest")
	for image := range images {
		if !pinned.MatchString(image) || len(images) != 1 {
			t.Errorf("images: %v", images)
		}
	}
	files, err := filepath.Glob("*/*")
	if err != nil {
		t.Fatal(err)
	}
	places := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		places += strings.Count(string(text), "newName: docker.io/library/postgres")
	}
	if places != 1 {
		t.Errorf("PostgreSQL's image is named in %d places", places)
	}
}
