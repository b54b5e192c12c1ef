package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"twokey/actions"
	"twokey/approvals"
	"twokey/config"
	"twokey/store"
	"twokey/totp"
)

// otpKeeper is the part of the admin socket that gives and takes second factors.
// It is the only way to one: a secret never goes through Slack.
type otpKeeper struct {
	store *store.Store
	codes *totp.Codes // nil without a key
	ask   asking      // knows the people
}

// otpEnrolled is what the socket answers to an enrolment. URI holds the secret;
// nobody can ask for it again.
type otpEnrolled struct {
	Person approvals.Person `json:"person"`
	URI    string           `json:"uri,omitempty"`
	Error  string           `json:"error,omitempty"`
}

// otpPerson is one line of the list.
type otpPerson struct {
	Person      approvals.Person `json:"person"`
	Enrolled    bool             `json:"enrolled"`
	EnrolledAt  time.Time        `json:"enrolled_at,omitzero"`
	LastCode    time.Time        `json:"last_code,omitzero"` // time of the last code that was taken
	LockedUntil time.Time        `json:"locked_until,omitzero"`
	Problem     string           `json:"problem,omitempty"` // why its secret can't be read
}

type otpList struct {
	Rule   approvals.FactorRule `json:"rule"`
	People []otpPerson          `json:"people"`
	Error  string               `json:"error,omitempty"`
}

func (k otpKeeper) routes(mux *http.ServeMux) {
	mux.HandleFunc("POST /v1/otp/enroll", k.enroll)
	mux.HandleFunc("POST /v1/otp/remove", k.remove)
	mux.HandleFunc("GET /v1/otp", k.list)
}

const otpIssuer = "twokey"

func (k otpKeeper) enroll(w http.ResponseWriter, r *http.Request) {
	answer := otpEnrolled{}
	err := k.ready()
	if err == nil {
		answer.Person, err = k.ask.person(r.URL.Query().Get("person"))
	}
	var former approvals.Factor
	if err == nil {
		former, err = k.store.Factor(r.Context(), answer.Person)
	}
	if err == nil {
		uri, sealed := k.codes.Enroll(otpIssuer, answer.Person)
		f := approvals.Factor{Secret: sealed, EnrolledAt: time.Now().UTC()}
		change := actions.FactorChange{Person: answer.Person, By: peer(r.Context()), Replaced: former.Enrolled()}
		err = k.store.SetFactor(r.Context(), answer.Person, f, []approvals.Event{factorEvent(actions.NewsEnrolled, change)})
		if err == nil {
			answer.URI = uri.Reveal()
		}
	}
	answer.Error = errorText(err)
	reply(w, answer, err)
}

func (k otpKeeper) ready() error {
	if k.codes == nil {
		return refusal("policy.otp_key is missing in the configuration: without it no code's secret can be kept.")
	}
	return nil
}

func (k otpKeeper) remove(w http.ResponseWriter, r *http.Request) {
	answer := otpEnrolled{}
	var err error
	if answer.Person, err = k.ask.person(r.URL.Query().Get("person")); err == nil {
		err = k.take(r.Context(), answer.Person)
	}
	answer.Error = errorText(err)
	reply(w, answer, err)
}

func (k otpKeeper) take(ctx context.Context, who approvals.Person) error {
	f, err := k.store.Factor(ctx, who)
	if err != nil {
		return err
	}
	if !f.Enrolled() {
		return refusal("%s has no second factor.", who)
	}
	change := actions.FactorChange{Person: who, By: peer(ctx)}
	return k.store.SetFactor(ctx, who, approvals.Factor{}, []approvals.Event{factorEvent(actions.NewsRemoved, change)})
}

func factorEvent(kind string, c actions.FactorChange) approvals.Event {
	data, err := json.Marshal(c)
	if err != nil { // strings and a bool
		panic(err)
	}
	return approvals.Event{At: time.Now(), Subject: "bot", Kind: kind, Data: data}
}

// list shows everybody who has a second factor, and every approver of the list
// who has none.
func (k otpKeeper) list(w http.ResponseWriter, r *http.Request) {
	answer := otpList{Rule: k.ask.rule}
	factors, err := k.store.Factors(r.Context())
	for _, who := range k.ask.listed {
		if _, there := factors[who]; !there && err == nil {
			factors[who] = approvals.Factor{}
		}
	}
	for who, f := range factors {
		answer.People = append(answer.People, k.person(who, f))
	}
	slices.SortFunc(answer.People, func(a, b otpPerson) int { return cmp.Compare(a.Person, b.Person) })
	answer.Error = errorText(err)
	reply(w, answer, err)
}

func (k otpKeeper) person(who approvals.Person, f approvals.Factor) otpPerson {
	p := otpPerson{Person: who, Enrolled: f.Enrolled(), EnrolledAt: f.EnrolledAt}
	if f.Step > 0 {
		p.LastCode = totp.TimeOf(f.Step)
	}
	if time.Now().Before(f.LockedUntil) {
		p.LockedUntil = f.LockedUntil
	}
	switch {
	case !p.Enrolled:
	case k.codes == nil:
		p.Problem = "there is no key (policy.otp_key)"
	default:
		p.Problem = errorText(k.codes.Readable(who, f.Secret))
	}
	return p
}

// codesOf makes what checks codes; nil where the file names no key.
func codesOf(secrets config.Secrets) (codes, former *totp.Codes, err error) {
	if !secrets.OTPKey.Empty() {
		if codes, err = totp.New(secrets.OTPKey); err != nil {
			return nil, nil, fmt.Errorf("policy.otp_key: %w", err)
		}
	}
	if !secrets.OTPFormerKey.Empty() {
		if former, err = totp.New(secrets.OTPFormerKey); err != nil {
			return nil, nil, fmt.Errorf("policy.otp_former_key: %w", err)
		}
	}
	return codes, former, nil
}

// rekey stores under the present key what is still under the former one, and
// says of whom neither key can read the secret.
func rekey(ctx context.Context, s *store.Store, codes, former *totp.Codes, log *slog.Logger) error {
	factors, err := s.Factors(ctx)
	if err != nil || codes == nil {
		return err
	}
	for who, f := range factors {
		problem := codes.Readable(who, f.Secret)
		if errors.Is(problem, totp.ErrOtherKey) && former != nil {
			var sealed []byte
			if sealed, problem = codes.Reseal(former, who, f.Secret); problem == nil {
				f.Secret = sealed
				log.Info("a second factor is stored under the new key", "person", who)
				err = errors.Join(err, s.SetFactor(ctx, who, f, nil))
			}
		}
		if problem != nil {
			log.Error("a second factor can't be read, so its person's codes are refused; enrol them again with `bot otp enroll`", "person", who, "error", problem)
		}
	}
	return err
}
