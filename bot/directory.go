package bot

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"twokey/approvals"
)

const (
	directoryAge     = 60 * time.Second // how long an answer of Slack counts
	directoryTimeout = 5 * time.Second
)

// Directory says whether a person's account may vote, by asking Slack. It
// implements approvals.Directory and is safe for concurrent use.
//
// An answer counts for a minute, a failed look-up is never remembered. A person
// with several accounts may vote only while all of them are in order.
type Directory struct {
	people People
	slack  *client
	now    func() time.Time

	mu    sync.Mutex
	known map[string]accountAnswer // by user id
}

type accountAnswer struct {
	at      time.Time
	problem string // "" when the account may vote
}

// NewDirectory makes a directory that asks with the connection of o; it needs
// APIURL, Token, People, and may have Now and HTTPClient.
func NewDirectory(o Options) (*Directory, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Directory{people: o.People, slack: newClient(o), now: o.Now, known: map[string]accountAnswer{}}, nil
}

// Close gives idle connections back.
func (d *Directory) Close() { d.slack.http.CloseIdleConnections() }

// Check returns nil, a *Refusal CodeAccount, or a *Refusal CodeLookup.
func (d *Directory) Check(ctx context.Context, who approvals.Person) error {
	if team, _, stranger := parseStranger(who); stranger && team != d.people.Team {
		return refuse(approvals.CodeAccount, "An account of another Slack team can't vote here.")
	}
	accounts := d.people.Accounts(who)
	if len(accounts) == 0 {
		return refuse(approvals.CodeAccount, "%s has no Slack account in the list of people, so nobody can say whether it is active.", who)
	}
	for _, user := range accounts {
		if err := d.checkAccount(ctx, who, user); err != nil {
			return err
		}
	}
	return nil
}

func (d *Directory) checkAccount(ctx context.Context, who approvals.Person, user string) error {
	problem, fresh := d.recall(user)
	if !fresh {
		var err error
		if problem, err = d.lookup(ctx, user); err != nil {
			return fmt.Errorf("look up %s: %w", user, d.uncertain(who, err))
		}
	}
	if problem != "" {
		return refuse(approvals.CodeAccount, "%s can't vote: the Slack account %s %s.", nameOf(who), user, problem)
	}
	return nil
}

// nameOf is a person's name; that of a stranger is only made of ids.
func nameOf(who approvals.Person) string {
	if _, _, stranger := parseStranger(who); stranger {
		return "Somebody who is not in the list of people"
	}
	return string(who)
}

func (d *Directory) uncertain(who approvals.Person, err error) error {
	return &lookupFailure{cause: err, Refusal: &approvals.Refusal{
		Code:    approvals.CodeLookup,
		Message: fmt.Sprintf("Slack doesn't say right now whether %s's account is active, so the vote can't be counted. Try again in a moment.", who),
	}}
}

// lookupFailure is a refusal that keeps its cause for the log.
type lookupFailure struct {
	*approvals.Refusal
	cause error
}

func (l *lookupFailure) Unwrap() []error { return []error{l.Refusal, l.cause} }

func (d *Directory) recall(user string) (problem string, fresh bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a, ok := d.known[user]
	age := d.now().Sub(a.at)
	return a.problem, ok && age >= 0 && age < directoryAge
}

// lookup asks Slack. The age of the answer counts from the question.
func (d *Directory) lookup(ctx context.Context, user string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, directoryTimeout, errors.New("users.info didn't answer in time"))
	defer cancel()
	asked := d.now()
	problem, err := d.problemOf(ctx, user)
	if err != nil {
		return "", err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.known[user] = accountAnswer{at: asked, problem: problem}
	return problem, nil
}

func (d *Directory) problemOf(ctx context.Context, user string) (string, error) {
	info, err := d.slack.user(ctx, user)
	switch apiCode(err) {
	case "user_not_found", "user_not_visible":
		return "is not known to this team", nil
	}
	if err != nil {
		return "", err
	}
	if info.ID != user { // an answer for somebody else, or for nobody, is none
		return "", fmt.Errorf("users.info was asked for %q and answered for %q", user, info.ID)
	}
	return accountProblem(info, d.people.Team), nil
}

// accountProblem says in words why an account may not vote, "" when it may.
func accountProblem(u *slack.User, team string) string {
	switch {
	case u.Deleted:
		return "is deactivated"
	case u.IsBot || u.IsWorkflowBot || u.IsConnectorBot || u.ID == "USLACKBOT":
		return "is a bot"
	case u.IsUltraRestricted:
		return "is a single-channel guest"
	case u.IsRestricted:
		return "is a guest"
	case u.IsStranger:
		return "belongs to another organisation"
	case u.TeamID != team:
		return "belongs to another Slack team"
	case u.IsInvitedUser:
		return "was invited and has not joined"
	}
	return ""
}

func refuse(code approvals.Code, format string, args ...any) error {
	return &approvals.Refusal{Code: code, Message: fmt.Sprintf(format, args...)}
}
