package kubefake

import (
	"errors"
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func schemaOf(k kind) schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: k.group, Version: k.version, Kind: k.name}
}

// forbidden is the answer to what no role grants.
func forbidden(r request) *apierrors.StatusError {
	resource := r.resource
	if r.sub != "" {
		resource += "/" + r.sub
	}
	where := "at the cluster scope"
	if r.namespace != "" {
		where = fmt.Sprintf("in the namespace %q", r.namespace)
	}
	why := fmt.Sprintf("User %q cannot %s resource %q in API group %q %s", r.user.Name, r.verb, resource, r.group, where)
	return apierrors.NewForbidden(r.gr(), r.name, errors.New(why))
}

func (s *Server) allowed(r request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.grants(r)
}

// grants says whether a role that is bound to the user grants a request. Whoever
// logs in may ask what it may do.
func (s *Server) grants(r request) bool {
	if slices.Contains(r.user.Groups, "system:masters") || r.resource == "selfsubjectaccessreviews" {
		return true
	}
	for at, rec := range s.objects {
		binding, ok := rec.now.(*rbacv1.RoleBinding)
		if !ok || at.namespace != r.namespace || r.namespace == "" || !binds(binding, r.user) {
			continue
		}
		role := s.objects[key{"roles", at.namespace, binding.RoleRef.Name}]
		if role != nil && binding.RoleRef.Kind == "Role" && slices.ContainsFunc(role.now.(*rbacv1.Role).Rules, r.grantedBy) { //nolint:forcetypeassert // roles are roles
			return true
		}
	}
	return false
}

func binds(b *rbacv1.RoleBinding, u User) bool {
	return slices.ContainsFunc(b.Subjects, func(s rbacv1.Subject) bool {
		switch s.Kind {
		case rbacv1.ServiceAccountKind:
			return u.Name == "system:serviceaccount:"+s.Namespace+":"+s.Name
		case rbacv1.GroupKind:
			return slices.Contains(u.Groups, s.Name)
		}
		return s.Kind == rbacv1.UserKind && u.Name == s.Name
	})
}

// grantedBy evaluates one rule as RBAC does: an empty list of names is all of
// them, and a request without a name has none that could be in a list.
func (r request) grantedBy(rule rbacv1.PolicyRule) bool {
	resource := r.resource
	if r.sub != "" {
		resource += "/" + r.sub
	}
	return has(rule.Verbs, r.verb) && has(rule.APIGroups, r.group) && (has(rule.Resources, resource) || r.sub != "" && slices.Contains(rule.Resources, "*/"+r.sub)) &&
		(len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, r.name))
}

func has(list []string, word string) bool {
	return slices.Contains(list, word) || slices.Contains(list, "*")
}
