package vultr

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"twokey/actions"
)

// Error is one request that failed.
type Error struct {
	What   string // was asked, e.g. "halt instance …"
	Status int    // of the answer; 0 when none came
	Why    string
	Fix    string
	// Nothing: it surely had no effect. Else, when it was an order, nobody knows.
	Nothing bool
	Err     error // what the connection or the context says; may be nil

	after time.Duration // that the API wants to be left alone
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s. %s", e.What, e.Why, e.Fix) }

// Unwrap gives the cause, context.DeadlineExceeded say.
func (e *Error) Unwrap() error { return e.Err }

// passing says whether the same request may well succeed a moment later.
func (e *Error) passing() bool {
	return e.Status == 0 || e.Status == http.StatusTooManyRequests || e.Status >= http.StatusInternalServerError
}

// final says whether an error is an answer that another try won't change.
func final(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && !e.passing()
}

// uncertain marks the error of an order that may have been taken.
func uncertain(err error) error {
	if e, ok := errors.AsType[*Error](err); ok && e.Nothing {
		return err
	}
	return &actions.Uncertain{Err: err}
}

// Fixes, by what went wrong.
const (
	fixKey     = "Check vultr.api_key, that the key may manage servers and DNS, and that this machine's address is on its access list."
	fixID      = "Check the id in the configuration against the customer portal."
	fixLimit   = "Other programs on this address use the API, too; wait, or use the customer portal."
	fixRequest = "The API takes no such request; use the customer portal and report this."
	fixTheirs  = "It is the platform's trouble: look at its status page, try the customer portal."
	fixWay     = "Check this machine's way to the API: name resolution, proxy, firewall."
	fixAddress = "Check vultr.api_url: this doesn't answer as the API does."
)

// said makes it an answer with a status that means failure.
func (e *Error) said(status int, body string) {
	e.Status, e.Fix = status, fixFor(status)
	e.Why = fmt.Sprintf("the API answered %d %s", status, http.StatusText(status))
	if message := messageOf(body); message != "" {
		e.Why += fmt.Sprintf(" (%q)", message)
	}
	e.Nothing = status >= 400 && status < 500 && status != http.StatusRequestTimeout
}

func fixFor(status int) string {
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return fixKey
	case status == http.StatusNotFound:
		return fixID
	case status == http.StatusTooManyRequests:
		return fixLimit
	case status < http.StatusBadRequest:
		return fixAddress
	case status < http.StatusInternalServerError:
		return fixRequest
	}
	return fixTheirs
}

// messageOf is the API's own word for what is wrong, short and on one line.
func messageOf(body string) string {
	var said struct {
		Error string `json:"error"`
	}
	if json.Unmarshal([]byte(body), &said) != nil {
		return ""
	}
	words := []rune(strings.Join(strings.Fields(said.Error), " "))
	return string(words[:min(len(words), longestMessage)])
}

const longestMessage = 200
