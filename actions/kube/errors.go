package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"twokey/actions"
)

// Error is one request that failed.
type Error struct {
	What   string // was asked, e.g. "scale StatefulSet twokey/postgres to 0"
	Status int    // of the answer; 0 when none came
	Why    string
	Fix    string
	// Nothing: it surely had no effect. Else, when it was an order, nobody knows.
	Nothing bool
	Err     error // what the connection or the context says; may be nil

	after time.Duration // that the API server wants to be left alone
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s. %s", e.What, e.Why, e.Fix) }

// Unwrap gives the cause, context.DeadlineExceeded say.
func (e *Error) Unwrap() error { return e.Err }

// passing says whether the same request may well succeed a moment later.
func (e *Error) passing() bool {
	return e.Status == 0 || e.Status == http.StatusTooManyRequests || e.Status >= http.StatusInternalServerError
}

func statusOf(err error) int {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Status
	}
	return 0
}

// uncertain marks the error of an order that may have been taken.
func uncertain(err error) error {
	if e, ok := errors.AsType[*Error](err); err == nil || ok && e.Nothing {
		return err
	}
	return &actions.Uncertain{Err: err}
}

// Fixes, by what went wrong.
const (
	fixRights    = "Give the bot that right: manifests/bot/rbac.yaml has all that it uses."
	fixMissing   = "Check the names in the configuration, and that the manifests were applied there."
	fixConflict  = "Somebody else changes it at the same time: look who does, and ask again."
	fixLimit     = "The API server is busy; wait, or look what keeps it so."
	fixRequest   = "The API server takes no such request: look whether it is of a version that the bot knows."
	fixTheirs    = "It is the cluster's trouble: look at its API server and its store."
	fixWay       = "Check this machine's way to the API server: address, firewall, whether the site is up."
	fixTrust     = "Check certificate-authority and server in the kubeconfig: what answers there is not the cluster that is meant."
	fixOurselves = "Ask again; the bot waits for its own turn."
)

func (s *Site) fixLogin() string {
	return fmt.Sprintf("Its token or certificate has expired or is another cluster's: renew it (%s).", s.who)
}

// said makes it an answer with a status that means failure.
func (e *Error) said(s *Site, status *apierrors.StatusError) {
	e.Status, e.Err = int(status.ErrStatus.Code), status
	e.Fix = s.fixFor(e.Status)
	e.Why = fmt.Sprintf("the API server answered %d %s", e.Status, http.StatusText(e.Status))
	if message := short(status.ErrStatus.Message); message != "" {
		e.Why += fmt.Sprintf(" (%s)", message)
	}
	e.Nothing = e.Status >= 400 && e.Status < 500 && e.Status != http.StatusRequestTimeout
	if seconds, ok := apierrors.SuggestsClientDelay(status); ok {
		e.after = min(time.Duration(seconds)*time.Second, s.opt.LongestWait)
	}
}

func (s *Site) fixFor(status int) string {
	switch {
	case status == http.StatusUnauthorized:
		return s.fixLogin()
	case status == http.StatusForbidden:
		return fixRights
	case status == http.StatusNotFound:
		return fixMissing
	case status == http.StatusConflict:
		return fixConflict
	case status == http.StatusTooManyRequests:
		return fixLimit
	case status < http.StatusInternalServerError:
		return fixRequest
	}
	return fixTheirs
}

// longestMessage is what is shown of the API server's own words.
const longestMessage = 300

// short is others' words on one line.
func short(text string) string {
	words := []rune(strings.Join(strings.Fields(text), " "))
	if len(words) > longestMessage {
		return string(words[:longestMessage]) + "…"
	}
	return string(words)
}

// errTimeout is this driver's own deadline for one answer.
type errTimeout struct{ after time.Duration }

func (e errTimeout) Error() string {
	return fmt.Sprintf("the API server gave no answer within %s", e.after)
}
func (e errTimeout) Is(target error) bool { return target == context.DeadlineExceeded }

// errAnswer is an answer that is about something else than what was asked.
func errAnswer(what, why string) error {
	return &Error{What: what, Status: http.StatusOK, Why: why, Fix: fixTrust}
}

// sameObject fails unless an answer is about the object that was asked for.
func sameObject(what string, got *metav1.ObjectMeta, namespace, name string) error {
	if got.Name != name || got.Namespace != namespace {
		return errAnswer(what, fmt.Sprintf("the answer is about %s/%s", got.Namespace, got.Name))
	}
	if got.ResourceVersion == "" || got.UID == "" {
		return errAnswer(what, "the answer has no version, as every object has")
	}
	return nil
}
