// Package kubefake is a Kubernetes API server for tests, with as much of the API
// as the driver and its tests use: objects with versions and optimistic locking,
// watches with a history, graceful deletion of pods, roles and their evaluation,
// and the controller of StatefulSets. It answers with the types and errors of the
// Kubernetes libraries; a test in actions/kube holds it against a real API server
// where one is given.
//
// [Node] is a node for a fake and a real API server alike: it runs pods as far as
// the API can see.
package kubefake
