package manifests_test

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// pods are the pods that a folder makes.
func (b built) pods() map[string]corev1.PodTemplateSpec {
	out := map[string]corev1.PodTemplateSpec{}
	for name, object := range b.all {
		switch o := object.(type) {
		case *appsv1.StatefulSet:
			out[name] = o.Spec.Template
		case *appsv1.Deployment:
			out[name] = o.Spec.Template
		}
	}
	return out
}

// TestPodsAreRestricted: the namespace enforces it, and each pod fits.
func TestPodsAreRestricted(t *testing.T) {
	t.Parallel()
	seen := 0
	for _, folder := range []string{"dc1", "dc2", "bot"} {
		b := build(t, folder)
		namespace, ok := b.all["Namespace /twokey"].(*corev1.Namespace)
		if !ok || namespace.Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
			t.Errorf("%s: the namespace doesn't enforce anything", folder)
		}
		for name, template := range b.pods() {
			seen++
			restricted(t, folder+" "+name, template.Spec)
		}
	}
	if seen != 3 {
		t.Errorf("%d pods were looked at", seen)
	}
}

// restricted is the Pod Security Standard of that name, in our own words.
func restricted(t *testing.T, name string, pod corev1.PodSpec) {
	t.Helper()
	if pod.HostNetwork || pod.HostPID || pod.HostIPC {
		t.Errorf("%s shares something with its machine", name)
	}
	c := pod.SecurityContext
	if c == nil || c.RunAsNonRoot == nil || !*c.RunAsNonRoot || c.RunAsUser == nil || *c.RunAsUser == 0 ||
		c.SeccompProfile == nil || c.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("%s: %+v", name, c)
	}
	if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
		t.Errorf("%s has a token that it doesn't use", name)
	}
	for _, container := range slices.Concat(pod.InitContainers, pod.Containers) {
		least(t, name+" "+container.Name, container)
	}
	for _, v := range pod.Volumes {
		if v.HostPath != nil {
			t.Errorf("%s: volume %s is a folder of its machine", name, v.Name)
		}
	}
}

func least(t *testing.T, name string, c corev1.Container) {
	t.Helper()
	s := c.SecurityContext
	if s == nil || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem ||
		s.Capabilities == nil || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(s.Capabilities.Add) > 0 || s.Privileged != nil && *s.Privileged {
		t.Errorf("%s: %+v", name, s)
	}
	for _, p := range c.Ports {
		if p.HostPort != 0 {
			t.Errorf("%s has a port of its machine", name)
		}
	}
	if c.Resources.Requests.Cpu().IsZero() || c.Resources.Limits.Memory().IsZero() {
		t.Errorf("%s: %+v", name, c.Resources)
	}
}

// TestSecretsAreReferencesAlone: none is in a manifest, none is a variable, and
// each container sees only those that it needs.
func TestSecretsAreReferencesAlone(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"dc1", "bot"} {
		b := build(t, folder)
		for name := range b.all {
			if strings.HasPrefix(name, "Secret ") {
				t.Errorf("%s makes %s", folder, name)
			}
		}
		for name, template := range b.pods() {
			for _, c := range slices.Concat(template.Spec.InitContainers, template.Spec.Containers) {
				for _, v := range c.Env {
					if v.ValueFrom != nil && v.ValueFrom.SecretKeyRef != nil {
						t.Errorf("%s %s: %s is a secret in a variable", name, c.Name, v.Name)
					}
				}
				if slices.ContainsFunc(c.EnvFrom, func(e corev1.EnvFromSource) bool { return e.SecretRef != nil }) {
					t.Errorf("%s %s: a whole Secret in variables", name, c.Name)
				}
			}
		}
	}
	pod := get[*appsv1.StatefulSet](build(t, "dc1"), "postgres").Spec.Template.Spec
	for _, v := range pod.Volumes {
		if v.Name != "passwords" {
			continue
		}
		var keys []string
		for _, item := range v.Secret.Items {
			keys = append(keys, item.Key)
		}
		if !slices.Equal(keys, []string{"superuser", "replication"}) || *v.Secret.DefaultMode != 0o440 {
			t.Errorf("the server's pod sees %v, mode %o", keys, *v.Secret.DefaultMode)
		}
	}
}

// TestOneBot: its store is locked, so a second one must never wait beside it.
func TestOneBot(t *testing.T) {
	t.Parallel()
	b := build(t, "bot")
	d := get[*appsv1.Deployment](b, "bot")
	if d.Spec.Replicas == nil || *d.Spec.Replicas != 1 || d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
		t.Errorf("%+v", d.Spec)
	}
	pod := d.Spec.Template.Spec
	if pod.ServiceAccountName != "bot" {
		t.Errorf("it runs as %s", pod.ServiceAccountName)
	}
	claim := get[*corev1.PersistentVolumeClaim](b, "bot-store")
	if !slices.Equal(claim.Spec.AccessModes, []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}) {
		t.Errorf("%+v", claim.Spec)
	}
	if !mounted(pod.Containers[0], "store", "/var/lib/twokey", false) {
		t.Error("the store isn't on the volume")
	}
	if g := pod.TerminationGracePeriodSeconds; g == nil || *g < 90 {
		t.Error("a bot in the middle of a switchover must have the time to finish it")
	}
}
