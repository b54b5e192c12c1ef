package approvals

import (
	"errors"
	"fmt"
)

// Code names why something was refused; it is stable and fit for logs and tests.
type Code string

// The reasons for which a vote, a cancellation or a new request is refused.
const (
	CodeState       Code = "wrong_state"
	CodeUnknown     Code = "unknown_request"
	CodeOpen        Code = "already_open"
	CodeNotApprover Code = "not_an_approver"
	CodeOwnRequest  Code = "own_request"
	CodeVotedBefore Code = "voted_before"
	CodeExpired     Code = "expired"
	CodePolicy      Code = "policy_changed"
	CodeDigest      Code = "other_digest"
	CodePlace       Code = "other_place"
	CodeAccount     Code = "account_refused"
	CodeLookup      Code = "account_not_verified"
	CodeStatement   Code = "wrong_statement"
	CodeNotRequest  Code = "not_the_requester"
	CodePolicyBad   Code = "policy_unusable"
	CodePaused      Code = "paused"
	CodeInput       Code = "bad_input"
	CodeFactor      Code = "wrong_code"
	// CodeFactorMissing: no code can help; CodeFactorLocked: not now.
	CodeFactorMissing Code = "no_second_factor"
	CodeFactorLocked  Code = "second_factor_locked"
)

// Refusal is an error that a person may read: nothing happened, and Message
// says why and what to do instead. Request is the id of the request in the
// way, where there is one (CodeOpen).
type Refusal struct {
	Code    Code
	Message string
	Request string
}

func (r *Refusal) Error() string { return r.Message }

// Refused gives the code of the Refusal in err's chain, or "".
func Refused(err error) Code {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r.Code
	}
	return ""
}

func refuse(code Code, format string, args ...any) error {
	return &Refusal{Code: code, Message: fmt.Sprintf(format, args...)}
}
