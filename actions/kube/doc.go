// Package kube gives the power over a server that is the one pod of a
// StatefulSet, and leads the clients of a cluster to one node, through the API
// server of its site's cluster.
//
// # What is trusted
//
// An API server knows what was wanted and what it was told, not what runs. Only a
// kubelet knows that, and what a kubelet said last may be long over. So:
//
//   - on is a pod whose container runs, by the word of a kubelet that is alive:
//     of its heartbeats, the lease in kube-node-lease, no two are missing;
//   - off is a StatefulSet of which no pod is wanted, which its controller has
//     taken over, and all of whose pods have ended by their kubelet's word: a final
//     phase, every container terminated, the deletion seen, the kubelet alive then;
//   - anything else is unknown. A pod that vanished without that word was deleted by
//     force, by a person or the cluster itself, and may run on. Nothing here ever
//     deletes a pod.
//
// A pod is gone a moment after its kubelet's last word. What pods there are is
// noted before the order (an annotation of the order's ConfigMap, and here), and
// the API server's history since then is read again: it has the last state of each.
// What was proven so is noted, too, and counts until anybody wants something else
// of the StatefulSet, by its generation.
//
// Reads are the API server's own present state, never its cache's of some earlier
// time; an answer that is older than what this driver has written, or that is about
// another object, is none.
//
// # How it fails
//
// Every failure is an *[Error] that says what failed, why, and what to do. Each
// request is sent once; what only reads is repeated here. Every change carries the
// version that was read, so it is made at most once, never late behind another
// one, and never to another object of the same name; after a conflict it is made
// anew on a fresh read. A change whose answer never came is looked at, and an
// *actions.Uncertain where that doesn't tell.
//
// # Orders
//
// What a server is started as is decided by its guard, in its pod. The bot writes
// an order into a ConfigMap that the pod mounts, each with an id, for one start:
// to take a stop back, to follow, to rejoin. A new pod sees it, one that runs only
// after a minute or two; so a pod that is there is stopped first. What the guard
// has done is asked from the server by SQL.
package kube
