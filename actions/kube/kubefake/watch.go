package kubefake

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

type event struct {
	Type   string `json:"type"`
	Object any    `json:"object"`
}

// watch tells what has changed since a revision, and what changes from then on,
// until the time is over. A revision that is forgotten is an error in the stream,
// as it is of a real API server.
func (s *Server) watch(w http.ResponseWriter, r request) int {
	q := r.http.URL.Query()
	selector, err := labels.Parse(q.Get("labelSelector"))
	from, err2 := strconv.ParseInt(q.Get("resourceVersion"), 10, 64)
	if err != nil || err2 != nil {
		writeStatus(w, apierrors.NewBadRequest("a watch here needs a resourceVersion and a selector that can be read"))
		return http.StatusBadRequest
	}
	seconds, err := strconv.Atoi(q.Get("timeoutSeconds"))
	if err != nil {
		seconds = 60
	}
	deadline := time.Now().Add(time.Duration(seconds) * time.Second)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	tell := func(e event) {
		text, err := json.Marshal(e)
		if err != nil { // only the libraries' own types
			panic(err)
		}
		_, _ = w.Write(append(text, '\n'))
		w.(http.Flusher).Flush() //nolint:forcetypeassert // every server's writer is one
	}
	stop := time.AfterFunc(time.Until(deadline), func() { s.mu.Lock(); s.changed.Broadcast(); s.mu.Unlock() })
	defer stop.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	if from < s.compacted {
		status := apierrors.NewResourceExpired("too old resource version: " + q.Get("resourceVersion") + " (" + strconv.FormatInt(s.compacted, 10) + ")").ErrStatus
		status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
		tell(event{"ERROR", status})
		return http.StatusOK
	}
	for !s.closed && r.http.Context().Err() == nil {
		for _, c := range s.history {
			if c.revision <= from || c.resource != r.resource {
				continue
			}
			from = c.revision
			if c.object.GetNamespace() == r.namespace && selector.Matches(labels.Set(c.object.GetLabels())) {
				tell(event{c.kind, c.object})
			}
		}
		if time.Now().After(deadline) {
			break
		}
		s.changed.Wait()
	}
	return http.StatusOK
}
