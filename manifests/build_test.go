package manifests_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// built is what one folder comes out as: every object, decoded into its own type,
// by kind, namespace and name.
type built struct {
	t    *testing.T
	text string
	all  map[string]runtime.Object
}

// build is kubectl kustomize: nothing from outside of a folder but other
// kustomizations.
func build(t *testing.T, folder string) built {
	t.Helper()
	m, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		t.Fatalf("%s: %v", folder, err)
	}
	text, err := m.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, text)
}

func knownTypes(t *testing.T) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, corev1.AddToScheme, discoveryv1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme, rbacv1.AddToScheme,
	} {
		if err := add(s); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// decode fails on fields that the types don't have: one that is misspelt would
// silently do nothing.
func decode(t *testing.T, text []byte) built {
	t.Helper()
	scheme := knownTypes(t)
	strict := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true})
	b := built{t, string(text), map[string]runtime.Object{}}
	reader := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		doc, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return b
		}
		if err != nil {
			t.Fatal(err)
		}
		object, kind, err := strict.Decode(doc, nil, nil)
		if err != nil {
			t.Fatalf("%v in\n%s", err, doc)
		}
		meta, ok := object.(metav1.Object)
		if !ok {
			t.Fatalf("%s has no metadata", kind)
		}
		name := kind.Kind + " " + meta.GetNamespace() + "/" + meta.GetName()
		if _, twice := b.all[name]; twice {
			t.Errorf("%s stands twice", name)
		}
		b.all[name] = object
	}
}

// get is one object of namespace twokey.
func get[T runtime.Object](b built, name string) T {
	b.t.Helper()
	var zero T
	kind := ""
	for key, object := range b.all {
		if found, ok := object.(T); ok {
			kind = key
			if meta, ok := object.(metav1.Object); ok && meta.GetName() == name && meta.GetNamespace() == "twokey" {
				return found
			}
		}
	}
	b.t.Fatalf("there is no %T twokey/%s (seen: %q)", zero, name, kind)
	return zero
}
