package approvals

import (
	"strings"
	"time"
)

// FactorRule says whether an approval needs a one-time code besides the channel's
// own proof of who voted: whoever has somebody's session there has not got that.
// A no needs none: it stops things and starts nothing.
type FactorRule string

// The rules. The zero value is FactorOff.
const (
	FactorOff      FactorRule = "off"
	FactorOptional FactorRule = "optional" // of those who are enrolled
	FactorRequired FactorRule = "required" // of everybody: who isn't enrolled can't approve
)

// On says whether codes are asked for at all.
func (f FactorRule) On() bool { return f == FactorOptional || f == FactorRequired }

// How often somebody may be wrong.
const (
	MaxTries  = 5                // wrong codes within TryWindow; then the factor is locked
	TryWindow = 15 * time.Minute // what is older is forgotten
	Lockout   = 15 * time.Minute
)

// Kinds of the events that a code can lead to; the data is FactorData.
const (
	EventCodeWrong  = "otp-wrong"
	EventCodeLocked = "otp-locked"
)

// FactorData is the Data of those events. No code is ever in it.
type FactorData struct {
	Tries int       `json:"tries"`          // wrong ones within TryWindow
	Until time.Time `json:"until,omitzero"` // of a lock
}

// factorOTP is how a vote and a statement name the factor that they were given
// with.
const factorOTP = "otp"

// Factor is what is kept of a person's second factor. The zero value is none.
type Factor struct {
	Secret      []byte      `json:"secret"` // encrypted: only Codes can read it
	EnrolledAt  time.Time   `json:"enrolled_at"`
	Step        uint64      `json:"step"`            // of the last code that was taken: no code of it or before it is taken again
	Tries       []time.Time `json:"tries,omitempty"` // of wrong codes
	LockedUntil time.Time   `json:"locked_until,omitzero"`
}

// Enrolled says whether there is a second factor.
func (f Factor) Enrolled() bool { return len(f.Secret) > 0 }

// Codes tells which time step a code belongs to, around at. It returns ok false
// when the code is none of these, and an error when the secret can't be read.
type Codes interface {
	Match(who Person, secret []byte, code string, at time.Time) (step uint64, ok bool, err error)
}

// ApproveWith is Approve by a person whose second factor is f: where the policy
// asks for one, b.Code must fit. The factor that it returns must be stored in the
// same transaction as the vote: a code that was taken is spent with it. So must
// one that comes with a refusal and events: the try counts.
func (r Request) ApproveWith(b Ballot, p Policy, f Factor, codes Codes) (Request, Factor, []Event, error) {
	return r.withFactor(b, p, f, codes, func(b Ballot) (Request, []Event, error) { return r.Approve(b, p) })
}

// AnswerWith is Answer in the same way: a statement needs a code, a refusal none.
func (r Request) AnswerWith(b Ballot, cause Cause, typed string, p Policy, f Factor, codes Codes) (Request, Factor, []Event, error) {
	decide := func(b Ballot) (Request, []Event, error) { return r.Answer(b, cause, typed, p) }
	if cause != Accept {
		out, events, err := decide(b)
		return out, f, events, err
	}
	return r.withFactor(b, p, f, codes, decide)
}

// withFactor decides as if the code fitted, and looks at it last: whoever may
// not decide learns nothing about codes, and spends none.
func (r Request) withFactor(b Ballot, p Policy, f Factor, codes Codes, decide func(Ballot) (Request, []Event, error)) (Request, Factor, []Event, error) {
	b.factor = ""
	if !p.Factor.Asks(f) {
		out, events, err := decide(b)
		return out, f, events, err
	}
	b.factor = factorOTP
	out, events, err := decide(b)
	if err != nil {
		return out, f, events, err
	}
	used, wrong, err := f.use(r, b, codes)
	if err != nil {
		return r, used, wrong, err
	}
	return out, used, events, nil
}

// Asks says whether somebody with this factor is asked for a code.
func (f FactorRule) Asks(of Factor) bool {
	return f == FactorRequired || f == FactorOptional && of.Enrolled()
}

// Usable refuses a factor that no code can be taken for now.
func (f Factor) Usable(now time.Time) error {
	switch {
	case !f.Enrolled():
		return refuse(CodeFactorMissing, "Approving needs a one-time code, and you have no second factor yet. Whoever runs the bot can enrol you: bot otp enroll.")
	case now.Before(f.LockedUntil):
		return refuse(CodeFactorLocked, "After %d wrong codes your second factor is locked until %s. If they were not yours, tell the others: somebody uses your account.", MaxTries, stamp(f.LockedUntil))
	}
	return nil
}

// use takes a code, or counts it as wrong.
func (f Factor) use(r Request, b Ballot, codes Codes) (Factor, []Event, error) {
	if err := f.Usable(b.At); err != nil {
		return f, nil, err
	}
	code := strings.Join(strings.Fields(b.Code), "")
	if len(code) != codeDigits || strings.Trim(code, "0123456789") != "" {
		return f, nil, refuse(CodeFactor, "Enter the %d digits that your authenticator shows now.", codeDigits)
	}
	step, ok, err := codes.Match(b.Person, f.Secret, code, b.At)
	switch {
	case err != nil:
		return f, nil, refuse(CodeFactorMissing, "Your second factor can't be used (%v). Whoever runs the bot must enrol you again: bot otp enroll.", err)
	case ok && step > f.Step:
		f.Step, f.Tries = step, nil
		return f, nil, nil
	}
	return f.wrong(r, b, ok)
}

const codeDigits = 6

// wrong counts a code that isn't taken; spent says that it was taken before.
func (f Factor) wrong(r Request, b Ballot, spent bool) (Factor, []Event, error) {
	recent := []time.Time{b.At.UTC()}
	for _, t := range f.Tries {
		if b.At.Sub(t) < TryWindow {
			recent = append(recent, t)
		}
	}
	f.Tries = recent
	told := []Event{r.event(b.At, b.Person, EventCodeWrong, FactorData{Tries: len(f.Tries)})}
	if len(f.Tries) >= MaxTries {
		f.LockedUntil = b.At.Add(Lockout).UTC()
		told = append(told, r.event(b.At, b.Person, EventCodeLocked, FactorData{Tries: len(f.Tries), Until: f.LockedUntil}))
		f.Tries = nil
		return f, told, f.Usable(b.At)
	}
	left := MaxTries - len(f.Tries)
	if spent {
		return f, told, refuse(CodeFactor, "This code was used already. Wait for the next one; %d tries are left.", left)
	}
	return f, told, refuse(CodeFactor, "This is not the code of this moment. Look at your authenticator, and at the clock of its device; %d tries are left.", left)
}
