// Package kube reaches servers that run as pods of a StatefulSet, through the
// API server of their site's cluster.
package kube
