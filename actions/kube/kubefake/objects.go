package kubefake

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
)

// object is what every object of the API is.
type object interface {
	runtime.Object
	metav1.Object
}

// kind is one resource.
type kind struct {
	group, version, name string // of its kind
	make                 func() object
}

// kinds are the resources that are known.
var kinds = map[string]kind{
	"pods":            {"", "v1", "Pod", func() object { return &corev1.Pod{} }},
	"configmaps":      {"", "v1", "ConfigMap", func() object { return &corev1.ConfigMap{} }},
	"secrets":         {"", "v1", "Secret", func() object { return &corev1.Secret{} }},
	"services":        {"", "v1", "Service", func() object { return &corev1.Service{} }},
	"serviceaccounts": {"", "v1", "ServiceAccount", func() object { return &corev1.ServiceAccount{} }},
	"nodes":           {"", "v1", "Node", func() object { return &corev1.Node{} }},
	"namespaces":      {"", "v1", "Namespace", func() object { return &corev1.Namespace{} }},
	"events":          {"", "v1", "Event", func() object { return &corev1.Event{} }},
	"statefulsets":    {"apps", "v1", "StatefulSet", func() object { return &appsv1.StatefulSet{} }},
	"endpointslices":  {"discovery.k8s.io", "v1", "EndpointSlice", func() object { return &discoveryv1.EndpointSlice{} }},
	"leases":          {"coordination.k8s.io", "v1", "Lease", func() object { return &coordinationv1.Lease{} }},
	"roles":           {"rbac.authorization.k8s.io", "v1", "Role", func() object { return &rbacv1.Role{} }},
	"rolebindings":    {"rbac.authorization.k8s.io", "v1", "RoleBinding", func() object { return &rbacv1.RoleBinding{} }},
}

type key struct{ resource, namespace, name string }

// record is an object as it is and as it was.
type record struct{ now, before object }

// change is one entry of the history.
type change struct {
	revision int64
	resource string
	kind     string // ADDED, MODIFIED, DELETED
	object   object // as it was then
}

func (r request) key() key { return key{r.resource, r.namespace, r.name} }

// do carries a request out. old answers a reading with what was before.
func (s *Server) do(r request, old bool) (int, any, *apierrors.StatusError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := kinds[r.resource]
	if r.resource == "selfsubjectaccessreviews" && r.verb == "create" {
		return s.review(r)
	}
	switch r.verb + "/" + r.sub {
	case "get/":
		return s.get(r, old)
	case "list/":
		return s.list(r, k, old)
	case "create/":
		return s.create(r, k)
	case "update/":
		return s.update(r, k, false)
	case "update/status":
		return s.update(r, k, true)
	case "delete/":
		return s.remove(r)
	case "get/scale", "update/scale":
		return s.scale(r)
	case "create/binding":
		return s.bind(r)
	case "create/token":
		return s.tokenFor(r)
	}
	return 0, nil, apierrors.NewMethodNotSupported(r.gr(), r.verb)
}

func (s *Server) find(r request) (object, *apierrors.StatusError) {
	rec := s.objects[r.key()]
	if rec == nil {
		return nil, apierrors.NewNotFound(r.gr(), r.name)
	}
	return rec.now, nil
}

func copied(o object) object { return o.DeepCopyObject().(object) } //nolint:forcetypeassert // what it was is what it is

func (s *Server) get(r request, old bool) (int, any, *apierrors.StatusError) {
	o, err := s.find(r)
	if err != nil {
		return 0, nil, err
	}
	if before := s.objects[r.key()].before; old && before != nil {
		o = before
	}
	return http.StatusOK, o, nil
}

type list struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`

	Items []object `json:"items"`
}

func (s *Server) list(r request, k kind, old bool) (int, any, *apierrors.StatusError) {
	selector, err := labels.Parse(r.http.URL.Query().Get("labelSelector"))
	if err != nil {
		return 0, nil, apierrors.NewBadRequest(err.Error())
	}
	out := list{Items: []object{}}
	out.Kind, out.APIVersion = k.name+"List", versionOf(k)
	out.ResourceVersion = strconv.FormatInt(s.revision, 10)
	if old {
		out.ResourceVersion = "1"
		return http.StatusOK, out, nil
	}
	for at, rec := range s.objects {
		if at.resource == r.resource && (r.namespace == "" || at.namespace == r.namespace) && selector.Matches(labels.Set(rec.now.GetLabels())) {
			out.Items = append(out.Items, rec.now)
		}
	}
	slices.SortFunc(out.Items, func(a, b object) int { return compare(a.GetName(), b.GetName()) })
	return http.StatusOK, out, nil
}

func compare(a, b string) int {
	if a < b {
		return -1
	}
	return 1
}

func versionOf(k kind) string {
	if k.group == "" {
		return k.version
	}
	return k.group + "/" + k.version
}

func decode(r request, into any) *apierrors.StatusError {
	text, err := io.ReadAll(r.http.Body)
	if err == nil && len(text) > 0 {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	return nil
}

// put stores an object under a new revision and tells whoever watches.
func (s *Server) put(at key, o object, what string) {
	s.revision++
	o.SetResourceVersion(strconv.FormatInt(s.revision, 10))
	rec := s.objects[at]
	if rec == nil {
		rec = &record{}
		s.objects[at] = rec
	}
	rec.before, rec.now = rec.now, o
	s.history = append(s.history, change{s.revision, at.resource, what, copied(o)})
	s.changed.Broadcast()
}

func (s *Server) create(r request, k kind) (int, any, *apierrors.StatusError) {
	o := k.make()
	if err := decode(r, o); err != nil {
		return 0, nil, err
	}
	if o.GetName() == "" && o.GetGenerateName() != "" {
		o.SetName(o.GetGenerateName() + strconv.FormatInt(s.revision, 36))
	}
	return s.add(key{r.resource, r.namespace, o.GetName()}, k, o)
}

func (s *Server) add(at key, k kind, o object) (int, any, *apierrors.StatusError) {
	if s.objects[at] != nil {
		return 0, nil, apierrors.NewAlreadyExists(request{group: k.group, resource: at.resource}.gr(), at.name)
	}
	o.GetObjectKind().SetGroupVersionKind(schemaOf(k))
	o.SetNamespace(at.namespace)
	o.SetUID(uuid.NewUUID())
	o.SetCreationTimestamp(metav1.NewTime(time.Now().UTC().Truncate(time.Second)))
	switch it := o.(type) {
	case *corev1.Pod:
		it.Generation, it.Status = 1, corev1.PodStatus{Phase: corev1.PodPending}
	case *appsv1.StatefulSet:
		it.Generation, it.Status = 1, appsv1.StatefulSetStatus{}
		if it.Spec.Replicas == nil {
			one := int32(1)
			it.Spec.Replicas = &one
		}
	}
	s.put(at, o, "ADDED")
	return http.StatusCreated, o, nil
}

// update is optimistic: a version or a uid that is sent must be the present one.
func (s *Server) update(r request, k kind, status bool) (int, any, *apierrors.StatusError) {
	next := k.make()
	if err := decode(r, next); err != nil {
		return 0, nil, err
	}
	if err := named(r, next.GetName()); err != nil {
		return 0, nil, err
	}
	now, err := s.find(r)
	if err != nil {
		return 0, nil, err
	}
	if err := matches(r, now, next.GetResourceVersion(), next.GetUID()); err != nil {
		return 0, nil, err
	}
	if next, err = merged(r, now, next, status); err != nil {
		return 0, nil, err
	}
	if reflect.DeepEqual(now, next) {
		return http.StatusOK, now, nil
	}
	s.put(r.key(), next, "MODIFIED")
	return http.StatusOK, next, nil
}

const modified = "the object has been modified; please apply your changes to the latest version and try again"

// named fails where an object's name is not the one that is asked for.
func named(r request, name string) *apierrors.StatusError {
	if name != r.name {
		return apierrors.NewBadRequest(fmt.Sprintf("the name of the object (%s) does not match the name on the URL (%s)", name, r.name))
	}
	return nil
}

func matches(r request, now object, version string, uid types.UID) *apierrors.StatusError {
	if uid != "" && uid != now.GetUID() {
		return apierrors.NewConflict(r.gr(), r.name, fmt.Errorf("Precondition failed: UID in precondition: %v, UID in object meta: %v", uid, now.GetUID())) //nolint:staticcheck // the API server's own words
	}
	if version != "" && version != now.GetResourceVersion() {
		return apierrors.NewConflict(r.gr(), r.name, errors.New(modified))
	}
	return nil
}

// merged keeps of a new object what a request of its kind may change.
func merged(r request, now, next object, status bool) (object, *apierrors.StatusError) {
	next.GetObjectKind().SetGroupVersionKind(now.GetObjectKind().GroupVersionKind())
	next.SetUID(now.GetUID())
	next.SetResourceVersion(now.GetResourceVersion())
	next.SetCreationTimestamp(now.GetCreationTimestamp())
	next.SetGeneration(now.GetGeneration())
	next.SetDeletionTimestamp(now.GetDeletionTimestamp())
	next.SetDeletionGracePeriodSeconds(now.GetDeletionGracePeriodSeconds())
	switch to := next.(type) {
	case *corev1.Pod:
		from := copied(now).(*corev1.Pod) //nolint:forcetypeassert // of one resource
		if status {
			from.Status = to.Status
			return from, nil
		}
		to.Status = from.Status
	case *appsv1.StatefulSet:
		from := copied(now).(*appsv1.StatefulSet) //nolint:forcetypeassert // of one resource
		if status {
			from.Status = to.Status
			return from, nil
		}
		to.Status = from.Status
		if !reflect.DeepEqual(from.Spec, to.Spec) {
			to.Generation++
		}
	case *discoveryv1.EndpointSlice:
		if from := now.(*discoveryv1.EndpointSlice); from.AddressType != to.AddressType { //nolint:forcetypeassert // of one resource
			return nil, apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "update", r.gr(), r.name, "addressType: Invalid value: field is immutable", 0, true)
		}
	}
	return next, nil
}

// remove deletes at once, but a pod that has a node: that one is asked first,
// unless no time is given to it.
func (s *Server) remove(r request) (int, any, *apierrors.StatusError) {
	o, err := s.find(r)
	if err != nil {
		return 0, nil, err
	}
	var opt metav1.DeleteOptions
	if err := decode(r, &opt); err != nil {
		return 0, nil, err
	}
	if opt.Preconditions != nil && opt.Preconditions.UID != nil {
		if err := matches(r, o, "", *opt.Preconditions.UID); err != nil {
			return 0, nil, err
		}
	}
	if p, ok := o.(*corev1.Pod); ok {
		return http.StatusOK, s.removePod(r.key(), p, opt.GracePeriodSeconds), nil
	}
	s.drop(r.key(), o)
	return http.StatusOK, metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusSuccess}, nil
}

func (s *Server) removePod(at key, p *corev1.Pod, seconds *int64) object {
	grace := int64(30)
	if p.Spec.TerminationGracePeriodSeconds != nil {
		grace = *p.Spec.TerminationGracePeriodSeconds
	}
	if seconds != nil {
		grace = *seconds
	}
	final := p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded
	if grace == 0 || p.Spec.NodeName == "" || final {
		return s.drop(at, p)
	}
	if p.DeletionGracePeriodSeconds != nil && *p.DeletionGracePeriodSeconds <= grace {
		return p
	}
	next := p.DeepCopy()
	when := metav1.NewTime(time.Now().UTC().Truncate(time.Second).Add(time.Duration(grace) * time.Second))
	next.DeletionTimestamp, next.DeletionGracePeriodSeconds = &when, &grace
	next.Generation++
	s.put(at, next, "MODIFIED")
	return next
}

func (s *Server) drop(at key, o object) object {
	last := copied(o)
	s.revision++
	last.SetResourceVersion(strconv.FormatInt(s.revision, 10))
	delete(s.objects, at)
	s.history = append(s.history, change{s.revision, at.resource, "DELETED", last})
	s.changed.Broadcast()
	return last
}

// scale reads or writes how many pods a StatefulSet wants.
func (s *Server) scale(r request) (int, any, *apierrors.StatusError) {
	var want autoscalingv1.Scale
	if r.verb == "update" {
		if err := decode(r, &want); err != nil {
			return 0, nil, err
		}
		if err := named(r, want.Name); err != nil {
			return 0, nil, err
		}
	}
	o, err := s.find(r)
	if err != nil {
		return 0, nil, err
	}
	set, ok := o.(*appsv1.StatefulSet)
	if !ok {
		return 0, nil, apierrors.NewMethodNotSupported(r.gr(), r.verb)
	}
	if r.verb == "update" {
		if err := matches(r, set, want.ResourceVersion, want.UID); err != nil {
			return 0, nil, err
		}
		if *set.Spec.Replicas != want.Spec.Replicas {
			set = set.DeepCopy()
			set.Spec.Replicas = &want.Spec.Replicas
			set.Generation++
			s.put(r.key(), set, "MODIFIED")
		}
	}
	selector, _ := metav1.LabelSelectorAsSelector(set.Spec.Selector) // nothing, where it is none
	return http.StatusOK, autoscalingv1.Scale{
		TypeMeta:   metav1.TypeMeta{Kind: "Scale", APIVersion: "autoscaling/v1"},
		ObjectMeta: metav1.ObjectMeta{Name: set.Name, Namespace: set.Namespace, UID: set.UID, ResourceVersion: set.ResourceVersion, CreationTimestamp: set.CreationTimestamp},
		Spec:       autoscalingv1.ScaleSpec{Replicas: *set.Spec.Replicas},
		Status:     autoscalingv1.ScaleStatus{Replicas: set.Status.Replicas, Selector: selector.String()},
	}, nil
}

// bind gives a pod its node, as a scheduler does.
func (s *Server) bind(r request) (int, any, *apierrors.StatusError) {
	var b corev1.Binding
	if err := decode(r, &b); err != nil {
		return 0, nil, err
	}
	o, err := s.find(r)
	if err != nil {
		return 0, nil, err
	}
	p := copied(o).(*corev1.Pod) //nolint:forcetypeassert // pods alone are bound
	if p.Spec.NodeName != "" {
		return 0, nil, apierrors.NewConflict(r.gr(), r.name, fmt.Errorf("pod %s is already assigned to node %q", r.name, p.Spec.NodeName))
	}
	p.Spec.NodeName = b.Target.Name
	s.put(r.key(), p, "MODIFIED")
	return http.StatusCreated, metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusSuccess}, nil
}

// tokenFor makes a token of a service account.
func (s *Server) tokenFor(r request) (int, any, *apierrors.StatusError) {
	if _, err := s.find(r); err != nil {
		return 0, nil, err
	}
	var t authenticationv1.TokenRequest
	if err := decode(r, &t); err != nil {
		return 0, nil, err
	}
	t.Status.Token = string(uuid.NewUUID())
	s.tokens[t.Status.Token] = serviceAccount(r.namespace, r.name)
	return http.StatusCreated, t, nil
}

func serviceAccount(namespace, name string) User {
	return User{"system:serviceaccount:" + namespace + ":" + name, []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace}}
}

// review answers what the asking user may do.
func (s *Server) review(r request) (int, any, *apierrors.StatusError) {
	var v authorizationv1.SelfSubjectAccessReview
	if err := decode(r, &v); err != nil {
		return 0, nil, err
	}
	if a := v.Spec.ResourceAttributes; a != nil {
		v.Status.Allowed = s.grants(request{verb: a.Verb, group: a.Group, resource: a.Resource, sub: a.Subresource, namespace: a.Namespace, name: a.Name, user: r.user})
	}
	if v.Status.Allowed {
		v.Status.Reason = "RBAC: allowed by a RoleBinding"
	}
	return http.StatusCreated, v, nil
}
