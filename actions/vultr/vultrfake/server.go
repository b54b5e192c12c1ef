package vultrfake

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"time"
)

// The operations that can be lied about.
const (
	GetInstance  = "get instance"
	Halt         = "halt"
	Start        = "start"
	GetRecord    = "get record"
	UpdateRecord = "update record"
	ListRecords  = "list records"
)

// The words for an instance's power.
const (
	Running = "running"
	Stopped = "stopped"
)

// Lie is a wrong answer. The zero value is the true one.
type Lie struct {
	Status int           // 0: what the truth would have
	Body   string        // in place of the truth, when Status is set
	Header http.Header   // beside it
	Slow   time.Duration // before the answer
	Hang   bool          // no answer until the client has gone
	Cut    bool          // the connection ends without an answer
	Does   bool          // the request has its effect nevertheless
}

// Server is an account's API.
type Server struct {
	URL string

	key  string
	http *httptest.Server

	mu        sync.Mutex
	instances map[string]*machine
	records   map[string]map[string]*record // by domain and id
	lies      map[string][]Lie
	always    map[string]Lie
	asked     []string
}

type machine struct {
	instance
	settles time.Duration      // from an order to its effect
	deaf    bool               // orders have no effect
	effect  func(power string) // told after each change of power
}

// New starts a server on loopback that takes the key.
func New(key string) *Server {
	s := &Server{
		key: key, instances: map[string]*machine{}, records: map[string]map[string]*record{},
		lies: map[string][]Lie{}, always: map[string]Lie{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v2/instances/{id}", s.handle(GetInstance, s.getInstance))
	mux.HandleFunc("POST /v2/instances/{id}/halt", s.handle(Halt, s.power(Stopped)))
	mux.HandleFunc("POST /v2/instances/{id}/start", s.handle(Start, s.power(Running)))
	mux.HandleFunc("GET /v2/domains/{domain}/records", s.handle(ListRecords, s.listRecords))
	mux.HandleFunc("GET /v2/domains/{domain}/records/{id}", s.handle(GetRecord, s.getRecord))
	mux.HandleFunc("PATCH /v2/domains/{domain}/records/{id}", s.handle(UpdateRecord, s.updateRecord))
	mux.HandleFunc("/", s.handle("", func(*http.Request) answer { return failed(http.StatusNotFound, "Invalid API route.") }))
	s.http = httptest.NewServer(mux)
	s.URL = s.http.URL
	return s
}

// Close ends the server and every connection to it.
func (s *Server) Close() {
	s.http.CloseClientConnections()
	s.http.Close()
}

// AddInstance adds a running instance.
func (s *Server) AddInstance(id, label, region string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.instances[id] = &machine{instance: instance{
		ID: id, Label: label, Hostname: label, Region: region, OS: "Debian 12 x64 (bookworm)", RAM: 4096, Disk: 80, VCPUCount: 2,
		MainIP: "192.0.2.10", NetmaskV4: "255.255.255.0", GatewayV4: "192.0.2.1", DateCreated: "2026-01-01T00:00:00+00:00",
		Status: "active", PowerStatus: Running, ServerStatus: "ok", AllowedBandwidth: 3000, OSID: 2136, Plan: "vc2-2c-4gb",
		V6Networks: []network{{"2001:db8::", "2001:db8::10", 64}}, Features: []string{"ipv6"}, Tags: []string{"twokey"},
		KVM: "https://console.invalid/" + id,
	}}
}

// AddRecord adds a DNS record, and its domain where it is new.
func (s *Server) AddRecord(domain, id, kind, name, data string, ttl int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.records[domain] == nil {
		s.records[domain] = map[string]*record{}
	}
	s.records[domain][id] = &record{ID: id, Type: kind, Name: name, Data: data, TTL: ttl}
}

// Record gives what a record holds, and its TTL.
func (s *Server) Record(domain, id string) (data string, ttl int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.records[domain][id]
	return r.Data, r.TTL
}

// Power gives an instance's power_status.
func (s *Server) Power(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.instances[id].PowerStatus
}

// SetPower sets power_status as somebody in the portal does.
func (s *Server) SetPower(id, power string) { s.change(id, power) }

// SetServerStatus sets server_status.
func (s *Server) SetServerStatus(id, status string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.instances[id].ServerStatus = status
}

// Settle is how long an order takes to have its effect; from now on.
func (s *Server) Settle(id string, after time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.instances[id].settles = after
}

// Deafen lets orders be taken and have no effect.
func (s *Server) Deafen(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.instances[id].deaf = true
}

// OnPower has effect called after each change of an instance's power: what the
// power cut does to a real server, say.
func (s *Server) OnPower(id string, effect func(power string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.instances[id].effect = effect
}

// Lie adds answers for an operation's next requests.
func (s *Server) Lie(op string, lies ...Lie) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lies[op] = append(s.lies[op], lies...)
}

// AlwaysLie answers every request of an operation so, once the single lies are
// told. The zero Lie ends it.
func (s *Server) AlwaysLie(op string, l Lie) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.always[op] = l
}

// Asked lists the operations that were asked for, in order.
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// Count is how often an operation was asked for.
func (s *Server) Count(op string) int {
	n := 0
	for _, a := range s.Asked() {
		if a == op {
			n++
		}
	}
	return n
}

// answer is a status and what is encoded; nil for no body.
type answer struct {
	status int
	body   any
}

func failed(status int, text string) answer { return answer{status, failure{text, status}} }

// handle answers with the truth, unless a lie is due.
func (s *Server) handle(op string, truth func(*http.Request) answer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		lie := s.due(op)
		if lie.Hang {
			<-r.Context().Done()
			return
		}
		if !s.wait(r, lie.Slow) {
			return
		}
		a := answer{status: lie.Status}
		if lie.Status == 0 && !lie.Cut || lie.Does {
			a = s.authorized(r, truth)
		}
		if lie.Cut {
			panic(http.ErrAbortHandler)
		}
		maps.Copy(w.Header(), lie.Header)
		if lie.Status != 0 {
			say(w, lie.Status, []byte(lie.Body))
			return
		}
		var body []byte
		if a.body != nil {
			body, _ = json.Marshal(a.body)
		}
		say(w, a.status, body)
	}
}

func say(w http.ResponseWriter, status int, body []byte) {
	if len(body) > 0 && w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func (s *Server) wait(r *http.Request, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-r.Context().Done():
		return false
	}
}

func (s *Server) due(op string) Lie {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, op)
	if next := s.lies[op]; len(next) > 0 {
		s.lies[op] = next[1:]
		return next[0]
	}
	return s.always[op]
}

func (s *Server) authorized(r *http.Request, truth func(*http.Request) answer) answer {
	if r.Header.Get("Authorization") != "Bearer "+s.key {
		return failed(http.StatusUnauthorized, "Invalid API token.")
	}
	return truth(r)
}

func (s *Server) getInstance(r *http.Request) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := s.instances[r.PathValue("id")]
	if !ok {
		return failed(http.StatusNotFound, "Instance not found.")
	}
	return answer{http.StatusOK, map[string]instance{"instance": m.instance}}
}

// power is an order: taken at once, its effect comes when it has settled.
func (s *Server) power(to string) func(*http.Request) answer {
	return func(r *http.Request) answer {
		id := r.PathValue("id")
		s.mu.Lock()
		found, ok := s.instances[id]
		var m machine
		if ok {
			m = *found
		}
		s.mu.Unlock()
		switch {
		case !ok:
			return failed(http.StatusNotFound, "Instance not found.")
		case m.ServerStatus == "locked":
			return failed(http.StatusBadRequest, "Instance is locked.")
		case m.deaf:
		case m.settles > 0:
			time.AfterFunc(m.settles, func() { s.change(id, to) })
		default:
			s.change(id, to)
		}
		return answer{http.StatusNoContent, nil}
	}
}

func (s *Server) change(id, power string) {
	s.mu.Lock()
	m := s.instances[id]
	changed := m.PowerStatus != power
	m.PowerStatus = power
	effect := m.effect
	s.mu.Unlock()
	if changed && effect != nil {
		effect(power)
	}
}

func (s *Server) getRecord(r *http.Request) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.records[r.PathValue("domain")][r.PathValue("id")]
	if !ok {
		return failed(http.StatusNotFound, "Invalid record.")
	}
	return answer{http.StatusOK, map[string]record{"record": *found}}
}

func (s *Server) listRecords(r *http.Request) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	domain, ok := s.records[r.PathValue("domain")]
	if !ok {
		return failed(http.StatusNotFound, "Invalid domain.")
	}
	out := struct {
		Records []record `json:"records"`
		Meta    meta     `json:"meta"`
	}{[]record{}, meta{Total: len(domain)}}
	for _, found := range domain {
		out.Records = append(out.Records, *found)
	}
	slices.SortFunc(out.Records, func(a, b record) int { return cmp.Compare(a.ID, b.ID) })
	return answer{http.StatusOK, out}
}

// updateRecord takes the fields that may be changed and refuses any other.
func (s *Server) updateRecord(r *http.Request) answer {
	var change struct {
		Name     *string `json:"name"`
		Data     *string `json:"data"`
		TTL      *int    `json:"ttl"`
		Priority *int    `json:"priority"`
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&change); err != nil {
		return failed(http.StatusBadRequest, "Invalid request.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.records[r.PathValue("domain")][r.PathValue("id")]
	if !ok {
		return failed(http.StatusNotFound, "Invalid record.")
	}
	set(&found.Name, change.Name)
	set(&found.Data, change.Data)
	set(&found.TTL, change.TTL)
	set(&found.Priority, change.Priority)
	return answer{http.StatusNoContent, nil}
}

func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}
