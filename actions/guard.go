package actions

import (
	"context"
	"fmt"
)

// StartEvidence is all that is known when a node's server is about to be
// started, whoever starts it. MayStart reads nothing else.
type StartEvidence struct {
	Node    string // its name, for words
	Partner string // the other one's
	Own     OwnData
	Answer  PartnerAnswer
	Order   StartOrder
	Rejoins RejoinPolicy
}

// OwnData is what the node's own data folder says, and the notes beside it.
type OwnData struct {
	Empty    bool   // there is no cluster in the folder
	Unfit    bool   // a pg_rewind into it was not finished: only a copy may take its place
	SystemID string // of the cluster
	// Timeline is the newest that a primary wrote, or that a standby has
	// replayed for certain: WAL files alone prove nothing on a standby.
	Timeline uint32
	Signal   bool // standby.signal is there
	// Recovered says that its last run was in recovery, or that it begins from
	// a backup's label: what it holds it received.
	Recovered bool
	Clean     bool   // its last run, as a primary, was shut down in good order
	Held      bool   // a primary that its guard has put into recovery
	Names     string // synchronous_standby_names as they will be in effect
	Alone     uint32 // the note "alone, timeline N"; 0 for none
	Fits      Fits   // what comparing its log with the partner's history has shown
}

// WasPrimary says whether the server would be a primary by right: it was one in
// its last run, and nobody has made it a standby since. A server that lost its
// standby.signal is none.
func (o OwnData) WasPrimary() bool { return o.Held || !o.Signal && !o.Recovered }

// Fits says whether a server's log is a part of its partner's history.
type Fits string

// FitsUnknown is that it was not or could not be compared.
const (
	FitsUnknown Fits = ""
	FitsYes     Fits = "yes" // it ends at or before the fork
	FitsNo      Fits = "no"  // it goes past the fork, or can't be shown not to
)

// PartnerAnswer is what the partner says about itself. No answer has Silence.
type PartnerAnswer struct {
	Silence      string // why there is no answer, for people; "" when there is one
	SystemID     string
	InRecovery   bool
	Frozen       bool // in recovery, with its receiver stopped by a failover
	Timeline     uint32
	ReceivesFrom string // host:port that its WAL receiver is connected to; "" for none
	Fork         LSN    // where its history left the asking node's timeline; 0 when it didn't
}

// answered says whether the answer is one. One without timeline or system says
// nothing about what may be started beside it.
func (a PartnerAnswer) answered() bool {
	return a.Silence == "" && a.Timeline != 0 && a.SystemID != ""
}

func (a PartnerAnswer) primary() bool { return a.answered() && !a.InRecovery }

// StartOrder is what the bot wrote for the node, or what its executor knows.
// The zero value is no order.
type StartOrder struct {
	Kind OrderKind `json:"order"`
	// ID names an order that is carried out once: the guard notes it then. An
	// order without one stands until it is taken away.
	ID string `json:"id,omitempty"`
	// Timeline and Fork are the new primary's, for OrderRejoin.
	Timeline uint32 `json:"timeline,omitempty"`
	Fork     LSN    `json:"fork,omitempty"`
}

// OrderKind is what is ordered.
type OrderKind string

// The orders.
const (
	OrderNone       OrderKind = ""
	OrderStayDown   OrderKind = "stay down"
	OrderRejoin     OrderKind = "rejoin"     // become a standby of the primary on Timeline, whatever must be taken back
	OrderFollow     OrderKind = "follow"     // by the executor, past the gate: the server was shut down in good order and its partner holds all of it; become its standby
	OrderResume     OrderKind = "resume"     // by the executor, which holds the pair's lock and has sent no promotion: take a stop back
	OrderInitialize OrderKind = "initialize" // by a person: make a new cluster in an empty folder
	OrderCopy       OrderKind = "copy"       // by a person: copy the partner, the primary, into an empty folder
)

// Known says whether the order is one of these, with what it needs.
func (o StartOrder) Known() bool {
	switch o.Kind {
	case OrderNone, OrderStayDown, OrderInitialize, OrderCopy:
		return true
	case OrderRejoin:
		return o.Timeline != 0
	case OrderFollow, OrderResume:
		return o.ID != "" // an executor's word holds for one start
	}
	return false
}

// RejoinPolicy says what a guard may do without an order.
type RejoinPolicy string

// The policies, from "only when told to" to "take back what was never
// acknowledged without asking".
const (
	RejoinOrdered RejoinPolicy = "ordered"
	RejoinFitting RejoinPolicy = "fitting" // where nothing has to be taken back
	RejoinAlways  RejoinPolicy = "always"
)

// StartKind is what is to be done with the server.
type StartKind string

// The decisions.
const (
	StartAsIs     StartKind = "start as it is"
	StartAlone    StartKind = "start as a primary, alone"
	StartRecovery StartKind = "start in recovery until the partner was seen"
	StartFollow   StartKind = "start as a standby from now on"
	StartRejoin   StartKind = "rejoin first"
	StartNot      StartKind = "stay down and ask again"
)

// StartDecision is MayStart's answer. Primary says whether the server will take
// writes; Why is for the log.
type StartDecision struct {
	Kind    StartKind
	Primary bool
	Why     string
}

func (d StartDecision) String() string { return fmt.Sprintf("%s: %s", d.Kind, d.Why) }

func notStart(format string, args ...any) StartDecision {
	return StartDecision{Kind: StartNot, Why: fmt.Sprintf(format, args...)}
}

// MayStart decides what a node that is about to start may be. It is pure. No
// answer of the partner's is never "go ahead": a primary by right then waits in
// recovery, where it can't acknowledge anything, unless a note of its own says
// that it was left to take writes alone, or the executor knows better. What the
// partner says now outweighs whatever was ordered before.
func MayStart(e StartEvidence) StartDecision {
	switch {
	case e.Order.Kind == OrderStayDown:
		return notStart("the bot has ordered %s to stay down", e.Node)
	case e.Own.Empty:
		return e.empty()
	case e.Answer.answered() && e.Answer.SystemID != e.Own.SystemID:
		return notStart("%s is of system %s and %s of system %s: they are no pair; look which address or data folder is wrong", e.Node, e.Own.SystemID, e.Partner, e.Answer.SystemID)
	case e.mayFollow():
		return StartDecision{Kind: StartFollow, Why: fmt.Sprintf("the bot has ordered it, it was shut down in good order, and %s", e.said())}
	case e.Answer.primary():
		return e.besidePrimary()
	case e.ordered(OrderFollow) && e.Own.WasPrimary() && !(e.Answer.answered() && e.Answer.Frozen):
		return notStart("%s is ordered to follow, which it can't: it was not shut down in good order, or %s is not what it was then; %s", e.Node, e.Partner, e.said())
	case e.Own.Unfit:
		return notStart("a pg_rewind of %s was not finished, so it can only be copied anew, from %s as the primary; %s", e.Node, e.Partner, e.said())
	case e.ordered(OrderRejoin):
		return notStart("%s is ordered to rejoin, and there is no primary yet; %s", e.Node, e.said())
	case !e.Answer.answered():
		return e.besideSilence()
	}
	return e.besideStandby()
}

// ordered says whether such an order stands. One to rejoin is fulfilled once the
// node has followed that timeline.
func (e StartEvidence) ordered(kind OrderKind) bool {
	if kind == OrderRejoin && !e.Own.WasPrimary() && !e.Own.Unfit && e.Own.Recovered && e.Own.Timeline == e.Order.Timeline {
		return false
	}
	return e.Order.Kind == kind
}

// mayFollow says whether an order to follow can be carried out: by a primary
// that was shut down in good order and has had no other run since, beside a
// partner that is still what it was, or has left that timeline behind its end.
func (e StartEvidence) mayFollow() bool {
	o, a := e.Own, e.Answer
	if !e.ordered(OrderFollow) || o.Unfit || o.Held || !o.WasPrimary() || !o.Clean {
		return false
	}
	switch {
	case !a.answered():
		return true
	case a.InRecovery:
		return !a.Frozen && a.Timeline == o.Timeline
	}
	return a.Timeline > o.Timeline && o.Fits != FitsNo
}

// Voids says whether what the partner answers ends an order for good: after a
// promotion, or while one may be under way, no stop is taken back any more.
func (e StartEvidence) Voids() bool {
	a := e.Answer
	return e.Order.Kind == OrderResume && a.answered() && (a.primary() || a.Frozen || a.Timeline > e.Own.Timeline)
}

// said is the partner's answer in words.
func (e StartEvidence) said() string {
	a := e.Answer
	switch {
	case a.Silence != "":
		return fmt.Sprintf("%s gives no answer (%s)", e.Partner, a.Silence)
	case !a.answered():
		return fmt.Sprintf("%s doesn't say what it is", e.Partner)
	case a.primary():
		return fmt.Sprintf("%s is the primary on timeline %d", e.Partner, a.Timeline)
	case a.Frozen:
		return fmt.Sprintf("%s is in recovery on timeline %d, frozen", e.Partner, a.Timeline)
	}
	return fmt.Sprintf("%s is in recovery on timeline %d", e.Partner, a.Timeline)
}

// empty: whatever starts here would be a stranger to the pair, unless it is the
// first of the two or a copy of the other.
func (e StartEvidence) empty() StartDecision {
	switch {
	case e.Order.Kind == OrderCopy && e.Answer.primary():
		return StartDecision{Kind: StartRejoin, Why: fmt.Sprintf("a copy of %s is asked for, and %s", e.Partner, e.said())}
	case e.Order.Kind == OrderCopy:
		return notStart("a copy of %s is asked for, and only a primary is copied; %s", e.Partner, e.said())
	case e.Answer.answered():
		return notStart("there is no cluster in %s's data folder, and %s: have that one copied (order: copy), or look why the folder is empty", e.Node, e.said())
	case e.Order.Kind != OrderInitialize:
		return notStart("there is no cluster in %s's data folder: mount the right one, have %s copied (order: copy), or for a new pair ask for a new cluster explicitly (order: initialize); %s", e.Node, e.Partner, e.said())
	}
	return StartDecision{StartAsIs, true, fmt.Sprintf("a new cluster is asked for, and %s", e.said())}
}

// besidePrimary: there is a primary, so this one can only be its standby.
func (e StartEvidence) besidePrimary() StartDecision {
	own, there := e.Own.Timeline, e.Answer.Timeline
	if e.ordered(OrderRejoin) {
		if there != e.Order.Timeline {
			return notStart("%s, but %s is ordered to rejoin timeline %d", e.said(), e.Node, e.Order.Timeline)
		}
		return StartDecision{Kind: StartRejoin, Why: fmt.Sprintf("the bot has ordered it, and %s", e.said())}
	}
	switch {
	case e.Own.Unfit:
		return e.copyAnew()
	case own < there:
		return e.rejoin()
	case own > there:
		return notStart("%s, which is older than timeline %d of %s: stop %s, which must not take writes, and ask for its rejoin", e.said(), own, e.Node, e.Partner)
	case e.Own.WasPrimary():
		return notStart("%s, and so was %s: both wrote timeline %d; a person has to choose", e.said(), e.Node, own)
	case !e.Own.Recovered:
		return notStart("%s, and %s wrote timeline %d itself before somebody made it a standby: its log can't be shown to be a part of that; copy it anew", e.said(), e.Node, own)
	}
	return StartDecision{Kind: StartAsIs, Why: fmt.Sprintf("it is a standby, and %s, which it has followed before", e.said())}
}

// copyAnew is for a folder that nothing else can help; no order is needed to
// take back what a former pg_rewind has taken back already.
func (e StartEvidence) copyAnew() StartDecision {
	if e.Rejoins != RejoinFitting && e.Rejoins != RejoinAlways {
		return notStart("a pg_rewind of %s was not finished, and copying it anew has to be ordered; %s", e.Node, e.said())
	}
	return StartDecision{Kind: StartRejoin, Why: fmt.Sprintf("a pg_rewind was not finished, and %s: it is copied anew", e.said())}
}

// rejoin: the partner's timeline is newer. Taking back what was never
// acknowledged is only done when that is allowed.
func (e StartEvidence) rejoin() StartDecision {
	left := e.said()
	if e.Answer.Fork != 0 {
		left += fmt.Sprintf(", having left timeline %d at %s", e.Own.Timeline, e.Answer.Fork)
	}
	switch {
	case e.Rejoins == RejoinAlways:
		return StartDecision{Kind: StartRejoin, Why: left}
	case e.Rejoins == RejoinFitting && e.Own.Fits == FitsYes:
		return StartDecision{Kind: StartRejoin, Why: left + "; its own log ends before that, so nothing has to be taken back"}
	case e.Own.Fits == FitsNo:
		return notStart("%s, and the log of %s goes on past that: ask the bot for a rejoin", left, e.Node)
	}
	return notStart("%s: ask the bot for a rejoin of %s", left, e.Node)
}

// besideStandby: nobody is primary. Both in recovery by right is for the bot's
// journal and for people.
func (e StartEvidence) besideStandby() StartDecision {
	own, there := e.Own.Timeline, e.Answer.Timeline
	switch {
	case e.Answer.Frozen:
		return notStart("%s: a failover is under way", e.said())
	case there > own:
		return notStart("%s, newer than timeline %d of %s: wait until it is a primary, then rejoin", e.said(), own, e.Node)
	case e.Own.WasPrimary():
		return StartDecision{StartAsIs, true, fmt.Sprintf("it is the primary of timeline %d, and %s", own, e.said())}
	}
	return StartDecision{Kind: StartRecovery, Why: fmt.Sprintf("both are standbys: %s; who resumes stands in the bot's journal", e.said())}
}

// besideSilence: nothing is known of the partner, so nothing may be
// acknowledged that it might not have.
func (e StartEvidence) besideSilence() StartDecision {
	o := e.Own
	switch {
	case !o.WasPrimary():
		return StartDecision{Kind: StartRecovery, Why: fmt.Sprintf("it is a standby, and %s; until then nobody waits for it", e.said())}
	case e.ordered(OrderResume) && (o.Names != "" || e.Order.ID == ""): // written down it may be old: then nothing may be acknowledged alone
		return StartDecision{StartAsIs, true, fmt.Sprintf("its stop is taken back under the pair's lock: %s was not promoted; %s", e.Partner, e.said())}
	case o.Names != "":
		return StartDecision{Kind: StartRecovery, Why: fmt.Sprintf("%s, and commits have to wait for it (%s): it may have been promoted", e.said(), o.Names)}
	case o.Alone == 0:
		return StartDecision{Kind: StartRecovery, Why: fmt.Sprintf("%s; commits wait for nobody, but no note says that %s was left alone", e.said(), e.Node)}
	case o.Alone != o.Timeline:
		return StartDecision{Kind: StartRecovery, Why: fmt.Sprintf("%s, and the note that %s was left alone is about timeline %d, not %d", e.said(), e.Node, o.Alone, o.Timeline)}
	}
	return StartDecision{StartAlone, true, fmt.Sprintf("a note says that it takes writes alone on timeline %d; %s", o.Timeline, e.said())}
}

// AloneKeeper is a Machine that can leave a note with its node: that the server
// takes writes alone, so that it may start again without its partner's answer.
// Both methods are idempotent.
type AloneKeeper interface {
	// NoteAlone is durable when it returns nil. The note only counts on this timeline.
	NoteAlone(ctx context.Context, timeline uint32) error
	// ForgetAlone returns nil once it was looked that no note is left. Only then
	// may commits wait for the partner again, which makes that one eligible.
	ForgetAlone(ctx context.Context) error
}

// GuardReport is what a node's guard has left about the order that stood when it
// started the server.
type GuardReport struct {
	Order    string        `json:"order"`            // its id; "" for none, or one without
	Decision string        `json:"decision"`         // in words
	Rejoin   *RejoinReport `json:"rejoin,omitempty"` // what it did for an order to rejoin
}
