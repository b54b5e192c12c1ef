package kubefake

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Fault is a wrong answer, to anybody but an Admin. The zero value is the true one.
type Fault struct {
	Status     int    // in place of the truth
	Body       string // with Status: as it is; else a Status object
	RetryAfter string // the header, beside Status
	Hang       bool   // no answer until the client has gone
	Cut        bool   // the connection ends without an answer
	Does       bool   // the request has its effect nevertheless
	Old        bool   // the object as it was before its last change; a list as it was at the very beginning
	// Before is called first, with nothing locked: to change the world between a
	// client's look and its order.
	Before func()
}

// User is who a token belongs to.
type User struct {
	Name   string
	Groups []string
}

// Admin may do everything.
var Admin = User{"admin", []string{"system:masters"}}

// Server is one cluster's API server, with its StatefulSet controller.
type Server struct {
	URL string
	CA  []byte // in PEM

	http *httptest.Server

	mu         sync.Mutex
	changed    *sync.Cond
	closed     bool
	revision   int64
	compacted  int64
	objects    map[key]*record
	history    []change
	tokens     map[string]User
	faults     map[string][]Fault
	always     map[string]Fault
	asked      []Asked
	controller chan struct{} // one token: something has changed
	paused     bool          // the controller
	ended      chan struct{}
}

// Asked is one request.
type Asked struct {
	User User
	// Op is verb and resource, with its subresource, e.g. "update statefulsets/scale".
	Op              string
	Group           string
	Namespace, Name string
	Status          int // 0: no answer, or not yet
}

// New starts a server on loopback. Its Admin's token is "admin".
func New() *Server {
	s := &Server{
		objects: map[key]*record{}, tokens: map[string]User{"admin": Admin}, faults: map[string][]Fault{}, always: map[string]Fault{},
		controller: make(chan struct{}, 1), ended: make(chan struct{}), revision: 100,
	}
	s.changed = sync.NewCond(&s.mu)
	s.http = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.http.Config.ErrorLog = log.New(discard{}, "", 0)
	s.http.StartTLS()
	s.URL = s.http.URL
	s.CA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.http.Certificate().Raw})
	go s.control()
	return s
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// Close ends the server and every connection to it.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.changed.Broadcast()
	close(s.controller)
	s.mu.Unlock()
	<-s.ended
	s.http.CloseClientConnections()
	s.http.Close()
}

// Token makes a token for a user.
func (s *Server) Token(u User) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	token := rand.Text()
	s.tokens[token] = u
	return token
}

// Revoke makes a token worthless.
func (s *Server) Revoke(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tokens, token)
}

// Next gives the next requests of an operation these answers, one each.
func (s *Server) Next(op string, faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[op] = append(s.faults[op], faults...)
}

// Always gives every request of an operation this answer; "*" is all of them.
func (s *Server) Always(op string, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.always[op] = f
}

// Asked are the requests so far.
func (s *Server) Asked() []Asked {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// Count is how many requests of an operation there were.
func (s *Server) Count(op string) int {
	n := 0
	for _, a := range s.Asked() {
		if a.Op == op {
			n++
		}
	}
	return n
}

// Compact forgets the history, as etcd does after a while.
func (s *Server) Compact() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.compacted, s.history = s.revision, nil
}

// Pause stops the controller, or lets it go on.
func (s *Server) Pause(paused bool) {
	s.mu.Lock()
	s.paused = paused
	s.mu.Unlock()
	s.wake()
}

func (s *Server) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	select {
	case s.controller <- struct{}{}:
	default:
	}
}

// request is what is asked.
type request struct {
	verb, group, version, resource, sub string
	namespace, name                     string
	user                                User
	http                                *http.Request
}

func (r request) op() string {
	if r.sub != "" {
		return r.verb + " " + r.resource + "/" + r.sub
	}
	return r.verb + " " + r.resource
}

func (r request) gr() schema.GroupResource {
	return schema.GroupResource{Group: r.group, Resource: r.resource}
}

// parse reads a path that begins with /api/v1 or /apis/GROUP/VERSION.
func parse(h *http.Request) (request, bool) {
	parts := strings.Split(strings.Trim(h.URL.Path, "/"), "/")
	r := request{http: h}
	switch {
	case len(parts) > 2 && parts[0] == "api":
		r.version, parts = parts[1], parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		r.group, r.version, parts = parts[1], parts[2], parts[3:]
	default:
		return r, false
	}
	if len(parts) > 2 && parts[0] == "namespaces" {
		r.namespace, parts = parts[1], parts[2:]
	}
	for i, to := range []*string{&r.resource, &r.name, &r.sub} {
		if i < len(parts) {
			*to = parts[i]
		}
	}
	r.verb = verbOf(h, r.name)
	return r, len(parts) <= 3
}

func verbOf(h *http.Request, name string) string {
	switch {
	case h.Method == http.MethodGet && h.URL.Query().Get("watch") == "true":
		return "watch"
	case h.Method == http.MethodGet && name == "":
		return "list"
	}
	return map[string]string{"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}[h.Method]
}

func (s *Server) serve(w http.ResponseWriter, h *http.Request) {
	r, ok := parse(h)
	if !ok {
		http.NotFound(w, h)
		return
	}
	body, err := io.ReadAll(h.Body) // at once: only then the server notices that its client has gone
	if err != nil {
		return
	}
	h.Body = io.NopCloser(bytes.NewReader(body))
	f := Fault{}
	if r.user, _ = s.authenticate(h); r.user.Name != Admin.Name {
		f = s.fault(r.op())
	}
	s.mu.Lock()
	at := len(s.asked)
	s.asked = append(s.asked, Asked{r.user, r.op(), r.group, r.namespace, r.name, 0})
	s.mu.Unlock()
	if f.Before != nil {
		f.Before()
	}
	if f.Hang && !f.Does {
		<-h.Context().Done()
		return
	}
	status := 0
	switch {
	case f.Cut && !f.Does:
		s.cut(w)
	case f.Status != 0 && !f.Does:
		status = f.Status
		s.fail(w, f)
	default:
		status = s.answer(w, r, f)
	}
	s.mu.Lock()
	s.asked[at].Status = status
	s.mu.Unlock()
}

// cut ends the connection.
func (s *Server) cut(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack() //nolint:forcetypeassert // HTTP/1.1 alone is spoken here
	if err == nil {
		_ = conn.Close()
	}
}

func (s *Server) fault(op string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	if next := s.faults[op]; len(next) > 0 {
		s.faults[op] = next[1:]
		return next[0]
	}
	if f, ok := s.always[op]; ok {
		return f
	}
	return s.always["*"]
}

func (s *Server) fail(w http.ResponseWriter, f Fault) {
	if f.RetryAfter != "" { // its limiter speaks plain text
		w.Header().Set("Retry-After", f.RetryAfter)
		http.Error(w, "Too many requests, please try again later.", f.Status)
		return
	}
	if f.Body != "" {
		w.WriteHeader(f.Status)
		_, _ = w.Write([]byte(f.Body))
		return
	}
	writeStatus(w, apierrors.NewGenericServerResponse(f.Status, "", schema.GroupResource{}, "", "made up by the test", 0, false))
}

func writeStatus(w http.ResponseWriter, err *apierrors.StatusError) {
	status := err.ErrStatus
	status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	writeJSON(w, int(status.Code), status)
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	text, err := json.Marshal(v)
	if err != nil { // only the libraries' own types
		panic(err)
	}
	_, _ = w.Write(text)
}

// answer does what is asked and says so, unless the fault has something else said.
func (s *Server) answer(w http.ResponseWriter, r request, f Fault) int {
	var err *apierrors.StatusError
	if _, err = s.authenticate(r.http); err == nil && !s.allowed(r) {
		err = forbidden(r)
	}
	if err != nil {
		writeStatus(w, err)
		return int(err.ErrStatus.Code)
	}
	if k, known := kinds[r.resource]; r.resource != "selfsubjectaccessreviews" && (!known || k.group != r.group || k.version != r.version) {
		http.Error(w, "404 page not found", http.StatusNotFound)
		return http.StatusNotFound
	}
	if r.verb == "watch" {
		return s.watch(w, r)
	}
	code, body, err := s.do(r, f.Old)
	defer s.wake()
	switch {
	case f.Does && f.Hang:
		<-r.http.Context().Done()
		return 0
	case f.Does && f.Cut:
		s.cut(w)
		return 0
	case f.Does && f.Status != 0:
		s.fail(w, f)
		return f.Status
	case err != nil:
		writeStatus(w, err)
		return int(err.ErrStatus.Code)
	}
	writeJSON(w, code, body)
	return code
}

func (s *Server) authenticate(h *http.Request) (User, *apierrors.StatusError) {
	token, ok := strings.CutPrefix(h.Header.Get("Authorization"), "Bearer ")
	s.mu.Lock()
	defer s.mu.Unlock()
	u, known := s.tokens[token]
	if !ok || !known {
		return User{}, apierrors.NewUnauthorized("Unauthorized")
	}
	u.Groups = append(slices.Clone(u.Groups), "system:authenticated")
	return u, nil
}

// Kubeconfig is a file for a token, with one context of that name.
func (s *Server) Kubeconfig(context, token string) string {
	return Kubeconfig(s.URL, s.CA, context, token)
}

// Kubeconfig is a file for an API server and a token.
func Kubeconfig(url string, ca []byte, context, token string) string {
	name := map[string]any{"cluster": context, "user": context}
	text, err := json.Marshal(map[string]any{ // JSON is YAML
		"apiVersion": "v1", "kind": "Config", "current-context": context,
		"clusters": []any{map[string]any{"name": context, "cluster": map[string]any{"server": url, "certificate-authority-data": ca}}},
		"users":    []any{map[string]any{"name": context, "user": map[string]any{"token": token}}},
		"contexts": []any{map[string]any{"name": context, "context": name}},
	})
	if err != nil { // strings alone
		panic(err)
	}
	return string(text)
}

// String lists what was asked, for a failing test.
func (a Asked) String() string {
	return fmt.Sprintf("%s %s/%s by %s: %d", a.Op, a.Namespace, a.Name, a.User.Name, a.Status)
}

// Ops are the different operations so far, sorted.
func (s *Server) Ops() []string {
	ops := map[string]bool{}
	for _, a := range s.Asked() {
		ops[a.Op] = true
	}
	return slices.Sorted(maps.Keys(ops))
}

// settle is how long the controller lets pass between two rounds.
const settle = time.Millisecond
