package kube_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"twokey/actions/kube/kubefake"
)

// answer is how a request ended: its status, and the reason where it failed.
func (c *cluster) answer(client *kubefake.Client, method, path string, body any) (string, []byte) {
	c.Helper()
	status, text, err := client.Do(c.ctx(), method, path, body, nil)
	c.must(err)
	var s metav1.Status
	if status >= 300 {
		_ = json.Unmarshal(text, &s) // not every failure is one
	}
	return strings.TrimSpace(strconv.Itoa(status) + " " + string(s.Reason)), text
}

// ends compares it.
func (c *cluster) ends(want, what, method, path string, body any) []byte {
	c.Helper()
	got, text := c.answer(c.admin, method, path, body)
	if got != want {
		c.Errorf("%s: %s, want %s: %s", what, got, want, text)
	}
	return text
}

func number(c *cluster, version string) uint64 {
	c.Helper()
	n, err := strconv.ParseUint(version, 10, 64)
	c.must(err)
	return n
}

// TestFakeIsAsReal holds the fake API server to what a real one answers, wherever
// the driver or its tests rely on it.
func TestFakeIsAsReal(t *testing.T) {
	t.Parallel()
	for name, story := range map[string]func(c *cluster){
		"objects": objectsAreVersioned, "scale": scaleIsVersioned, "logins": loginsAreChecked, "pods": podsEndGracefully,
		"watch": watchTellsTheHistory, "lists": listsAreVersioned, "slices": slicesKeepTheirType, "controller": controllerSaysWhatItKnows,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			everywhere(t, story)
		})
	}
}

func objectsAreVersioned(c *cluster) {
	path := c.in("", "configmaps")
	c.ends("404 NotFound", "a read of nothing", "GET", path+"/none", nil)
	c.ends("404 NotFound", "a change of nothing", "PUT", path+"/none", corev1.ConfigMap{TypeMeta: typ("ConfigMap", "v1"), ObjectMeta: metav1.ObjectMeta{Name: "none", ResourceVersion: "1"}})
	c.ends("409 AlreadyExists", "a second one of that name", "POST", path, corev1.ConfigMap{TypeMeta: typ("ConfigMap", "v1"), ObjectMeta: metav1.ObjectMeta{Name: "postgres-order"}})
	first := c.configMap("postgres-order")
	if first.UID == "" || first.ResourceVersion == "" || first.Kind != "ConfigMap" || first.APIVersion != "v1" {
		c.Errorf("read as %+v", first)
	}
	next := first
	next.Data = map[string]string{"order": "x"}
	c.ends("200", "a change", "PUT", path+"/postgres-order", next)
	second := c.configMap("postgres-order")
	if second.UID != first.UID || number(c, second.ResourceVersion) <= number(c, first.ResourceVersion) {
		c.Errorf("version %s, then %s", first.ResourceVersion, second.ResourceVersion)
	}
	c.ends("409 Conflict", "a change of what it was before", "PUT", path+"/postgres-order", next)
	c.ends("200", "a change to what it is", "PUT", path+"/postgres-order", second)
	if third := c.configMap("postgres-order"); third.ResourceVersion != second.ResourceVersion {
		c.Errorf("a change to what it is made version %s of %s", third.ResourceVersion, second.ResourceVersion)
	}
	next.ResourceVersion, next.Data = "", map[string]string{"order": "y"}
	c.ends("200", "a change whatever it is", "PUT", path+"/postgres-order", next)
	next.UID = "00000000-0000-0000-0000-000000000000"
	c.ends("409 Conflict", "a change of another one of that name", "PUT", path+"/postgres-order", next)
}

func scaleIsVersioned(c *cluster) {
	path := c.in("apps", "statefulsets/postgres")
	var scale autoscalingv1.Scale
	c.do("GET", path+"/scale", nil, &scale)
	before := c.set()
	if scale.Kind != "Scale" || scale.APIVersion != "autoscaling/v1" || scale.UID != before.UID || scale.Spec.Replicas != 1 || scale.Status.Selector != "app=postgres" {
		c.Errorf("read as %+v", scale)
	}
	order := func(replicas int32, version, uid string) autoscalingv1.Scale {
		var s autoscalingv1.Scale
		s.TypeMeta, s.Name, s.Namespace, s.ResourceVersion, s.Spec.Replicas = typ("Scale", "autoscaling/v1"), "postgres", c.namespace, version, replicas
		s.UID = before.UID
		if uid != "" {
			s.UID = "00000000-0000-0000-0000-000000000000"
		}
		return s
	}
	c.ends("409 Conflict", "an order on an old read", "PUT", path+"/scale", order(0, "1", ""))
	c.ends("409 Conflict", "an order to another one of that name", "PUT", path+"/scale", order(0, "", "other"))
	c.ends("400 BadRequest", "an order to another name", "PUT", c.in("apps", "statefulsets/none/scale"), order(0, "", ""))
	nothing := order(0, "", "")
	nothing.Name = "none"
	c.ends("404 NotFound", "an order to nothing", "PUT", c.in("apps", "statefulsets/none/scale"), nothing)
	if now := c.set(); now.Generation != before.Generation {
		c.Errorf("generation %d, then %d", before.Generation, now.Generation)
	}
	var got autoscalingv1.Scale
	c.do("PUT", path+"/scale", order(0, "", ""), &got)
	if after := c.set(); after.Generation != before.Generation+1 || *after.Spec.Replicas != 0 || number(c, after.ResourceVersion) < number(c, got.ResourceVersion) || got.Spec.Replicas != 0 {
		c.Errorf("generation %d of version %s, answered with %s", after.Generation, after.ResourceVersion, got.ResourceVersion)
	}
	c.ends("200", "the same order again", "PUT", path+"/scale", order(0, "", ""))
	if after := c.set(); after.Generation != before.Generation+1 {
		c.Errorf("the same order again made generation %d", after.Generation)
	}
}

func loginsAreChecked(c *cluster) {
	path := c.in("apps", "statefulsets/postgres")
	for what, token := range map[string]string{"a token of nobody's": "nobody's", "no token": ""} {
		stranger := kubefake.NewClient(c.url, c.ca, token, nil)
		c.Cleanup(stranger.Close)
		if got, text := c.answer(stranger, "GET", path, nil); got != "401 Unauthorized" {
			c.Errorf("%s: %s: %s", what, got, text)
		}
	}
	bot := kubefake.NewClient(c.url, c.ca, c.token, nil)
	c.Cleanup(bot.Close)
	got, text := c.answer(bot, "GET", c.in("", "secrets/x"), nil)
	want := fmt.Sprintf(`secrets \"x\" is forbidden: User \"system:serviceaccount:%s:bot\" cannot get resource \"secrets\" in API group \"\" in the namespace \"%s\"`, c.namespace, c.namespace)
	if got != "403 Forbidden" || !strings.Contains(string(text), want) {
		c.Errorf("%s: %s", got, text)
	}
	if got, text := c.answer(bot, "GET", path, nil); got != "200" {
		c.Errorf("%s: %s", got, text)
	}
}

func podsEndGracefully(c *cluster) {
	pod := c.in("", "pods/postgres-0")
	c.node.Kill(true)
	first := c.pods()[0]
	if first.Generation != 1 || first.Status.ObservedGeneration != 1 || first.Spec.NodeName != c.node.Name {
		c.Errorf("begun as %+v", first.ObjectMeta)
	}
	other := metav1.DeleteOptions{TypeMeta: typ("DeleteOptions", "v1"), Preconditions: metav1.NewUIDPreconditions("00000000-0000-0000-0000-000000000000")}
	c.ends("409 Conflict", "the end of another one of that name", "DELETE", pod, other)
	c.ends("200", "its end", "DELETE", pod, nil)
	ending := c.pods()[0]
	if ending.UID != first.UID || ending.DeletionTimestamp == nil || *ending.DeletionGracePeriodSeconds != 20 || ending.Generation != 2 || ending.Status.ObservedGeneration != 1 {
		c.Errorf("ending as %+v, %+v", ending.ObjectMeta, ending.Status.ObservedGeneration)
	}
	ending.TypeMeta, ending.Status.ObservedGeneration = typ("Pod", "v1"), 2
	c.ends("200", "its kubelet's word", "PUT", pod+"/status", ending)
	if p := c.pods()[0]; p.Status.ObservedGeneration != 2 {
		c.Errorf("its kubelet's word: %d", p.Status.ObservedGeneration)
	}
	c.force()
	c.wait("another pod", func() bool { pods := c.pods(); return len(pods) == 1 && pods[0].UID != first.UID })
	if p := c.pods()[0]; p.Spec.NodeName != "" || p.Status.Phase != corev1.PodPending {
		c.Errorf("the next one is %s on %q", p.Status.Phase, p.Spec.NodeName)
	}
	second := c.pods()[0].UID
	c.ends("200", "the end of one that has no node", "DELETE", pod, nil)
	c.wait("a third one", func() bool { pods := c.pods(); return len(pods) == 1 && pods[0].UID != second })
	c.ends("404 NotFound", "the end of none", "DELETE", c.in("", "pods/none"), nil)
	c.node.Kill(false)
}

func watchTellsTheHistory(c *cluster) {
	var before metav1.List
	c.do("GET", c.in("", "pods"), nil, &before)
	c.scale(0)
	c.wait("no pod is left", func() bool { return c.phase() == "" })
	text := c.ends("200", "the history", "GET", c.in("", "pods")+"?watch=true&timeoutSeconds=1&labelSelector=app%3Dpostgres&resourceVersion="+before.ResourceVersion, nil)
	var events []string
	var last corev1.Pod
	version := number(c, before.ResourceVersion)
	for lines := json.NewDecoder(bytes.NewReader(text)); lines.More(); {
		var e struct {
			Type   string
			Object corev1.Pod
		}
		c.must(lines.Decode(&e))
		if n := number(c, e.Object.ResourceVersion); n <= version {
			c.Errorf("version %d after %d", n, version)
		} else {
			version = n
		}
		if e.Type != "MODIFIED" || len(events) == 0 {
			events = append(events, e.Type)
		}
		last = e.Object
	}
	if fmt.Sprint(events) != "[MODIFIED DELETED]" || last.Status.Phase != corev1.PodSucceeded || last.Status.ContainerStatuses[0].State.Terminated == nil {
		c.Errorf("%v, the last one %+v", events, last.Status)
	}
	text = c.ends("200", "the history of others", "GET", c.in("", "pods")+"?watch=true&timeoutSeconds=1&labelSelector=app%3Dother&resourceVersion="+before.ResourceVersion, nil)
	if len(bytes.TrimSpace(text)) > 0 {
		c.Errorf("others: %s", text)
	}
}

func listsAreVersioned(c *cluster) {
	var l corev1.PodList
	c.do("GET", c.in("", "pods")+"?labelSelector=app%3Dpostgres", nil, &l)
	if len(l.Items) != 1 || l.Kind != "PodList" || l.APIVersion != "v1" || number(c, l.ResourceVersion) < number(c, l.Items[0].ResourceVersion) {
		c.Errorf("%s of version %s with %d", l.Kind, l.ResourceVersion, len(l.Items))
	}
	var none corev1.PodList
	c.do("GET", c.in("", "pods")+"?labelSelector=app%3Dother", nil, &none)
	if len(none.Items) != 0 || number(c, none.ResourceVersion) < number(c, l.ResourceVersion) {
		c.Errorf("%d others, version %s", len(none.Items), none.ResourceVersion)
	}
	c.ends("400 BadRequest", "a selector that is none", "GET", c.in("", "pods")+"?labelSelector=%2C%3D%2C", nil)
	c.ends("404", "a path that leads nowhere", "GET", "/apis/nobody.example.com/v1/namespaces/x/y", nil)
}

func slicesKeepTheirType(c *cluster) {
	s := c.slice()
	s.AddressType = discoveryv1.AddressTypeIPv6
	c.ends("422 Invalid", "another type", "PUT", c.in("discovery.k8s.io", "endpointslices/postgres-primary"), s)
}

func controllerSaysWhatItKnows(c *cluster) {
	known := func(s appsv1.StatefulSet, pods int32) bool {
		return s.Status.ObservedGeneration == s.Generation && s.Status.Replicas == pods
	}
	c.wait("it knows of one pod", func() bool { return known(c.set(), 1) })
	if p := c.pods()[0]; p.Name != "postgres-0" || len(p.OwnerReferences) != 1 || p.OwnerReferences[0].UID != c.set().UID || !*p.OwnerReferences[0].Controller || p.Labels["app"] != "postgres" {
		c.Errorf("the pod is %+v", p.ObjectMeta)
	}
	c.scale(0)
	c.wait("it knows of none", func() bool { return known(c.set(), 0) && c.phase() == "" })
	c.scale(1)
	c.wait("it knows of one again", func() bool { return known(c.set(), 1) && c.phase() == corev1.PodRunning })
}
