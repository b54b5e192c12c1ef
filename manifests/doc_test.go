// Package manifests_test builds the kustomizations as kubectl would and holds what
// comes out to what the deployment rests on. It needs no cluster.
package manifests_test
