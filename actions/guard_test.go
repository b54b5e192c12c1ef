package actions_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"twokey/actions"
)

// startCase changes the evidence of a start; the beginning is dc1, a primary by
// right on timeline 3 whose commits wait for dc2, which gives no answer.
type startCase func(*actions.StartEvidence)

func startOf(cases ...startCase) actions.StartEvidence {
	e := actions.StartEvidence{
		Node: "dc1", Partner: "dc2", Rejoins: actions.RejoinFitting,
		Own:    actions.OwnData{SystemID: "7301", Timeline: 3, Names: "dc2"},
		Answer: actions.PartnerAnswer{Silence: "connection refused"},
	}
	for _, c := range cases {
		c(&e)
	}
	return e
}

func answer(recovery bool, timeline uint32) startCase {
	return func(e *actions.StartEvidence) {
		e.Answer = actions.PartnerAnswer{SystemID: "7301", InRecovery: recovery, Timeline: timeline}
	}
}

func own(change func(*actions.OwnData)) startCase {
	return func(e *actions.StartEvidence) { change(&e.Own) }
}

func startOrder(o actions.StartOrder) startCase {
	return func(e *actions.StartEvidence) { e.Order = o }
}

func rejoins(p actions.RejoinPolicy) startCase {
	return func(e *actions.StartEvidence) { e.Rejoins = p }
}

var (
	frozen      startCase = func(e *actions.StartEvidence) { e.Answer.Frozen = true }
	stranger    startCase = func(e *actions.StartEvidence) { e.Answer.SystemID = "9999" }
	left        startCase = func(e *actions.StartEvidence) { e.Answer.Fork = written }
	noNames               = own(func(o *actions.OwnData) { o.Names = "" })
	standby               = own(func(o *actions.OwnData) { o.Signal, o.Recovered = true, true })
	signalled             = own(func(o *actions.OwnData) { o.Signal = true })
	unsigned              = own(func(o *actions.OwnData) { o.Recovered = true })
	held                  = own(func(o *actions.OwnData) { o.Signal, o.Recovered, o.Held = true, true, true })
	unfit                 = own(func(o *actions.OwnData) { o.Unfit = true })
	empty                 = own(func(o *actions.OwnData) { *o = actions.OwnData{Empty: true} })
	fits                  = own(func(o *actions.OwnData) { o.Fits = actions.FitsYes })
	unfitting             = own(func(o *actions.OwnData) { o.Fits = actions.FitsNo })
	resume                = startOrder(actions.StartOrder{Kind: actions.OrderResume})
	resumeOnce            = startOrder(actions.StartOrder{Kind: actions.OrderResume, ID: "1"})
	follow                = startOrder(actions.StartOrder{Kind: actions.OrderFollow, ID: "1"})
	clean                 = own(func(o *actions.OwnData) { o.Clean = true })
	stayDown              = startOrder(actions.StartOrder{Kind: actions.OrderStayDown})
	initialize            = startOrder(actions.StartOrder{Kind: actions.OrderInitialize})
	copyPartner           = startOrder(actions.StartOrder{Kind: actions.OrderCopy})
	rejoinTo4             = startOrder(actions.StartOrder{Kind: actions.OrderRejoin, Timeline: 4})
)

func leftAlone(timeline uint32) startCase {
	return own(func(o *actions.OwnData) { o.Alone = timeline })
}

func TestMayStart(t *testing.T) {
	t.Parallel()
	const (
		asIs, solo, inRecovery, rejoin, not = actions.StartAsIs, actions.StartAlone, actions.StartRecovery, actions.StartRejoin, actions.StartNot
		followIt                            = actions.StartFollow
	)
	for _, c := range []struct {
		name string
		e    actions.StartEvidence
		want actions.StartKind
		why  string
	}{
		// The partner is a primary, or its timeline is newer.
		{"a killed primary asks before it is taken back where its partner went on", startOf(answer(false, 4), left), not, "ask the bot for a rejoin"},
		{"a killed primary whose log ends before the fork rejoins", startOf(answer(false, 4), left, fits), rejoin, "nothing has to be taken back"},
		{"a killed primary whose log goes past the fork stays down", startOf(answer(false, 4), left, unfitting), not, "goes on past that"},
		{"a killed primary rejoins only when told to where that is the policy", startOf(answer(false, 4), fits, rejoins(actions.RejoinOrdered)), not, "ask the bot for a rejoin"},
		{"a killed primary is taken back where that is the policy", startOf(answer(false, 4), unfitting, rejoins(actions.RejoinAlways)), rejoin, "primary on timeline 4"},
		{"a killed primary is taken back when the bot has ordered it", startOf(answer(false, 4), unfitting, rejoinTo4), rejoin, "the bot has ordered it"},
		{"an order to rejoin another timeline is not carried out", startOf(answer(false, 5), rejoinTo4), not, "ordered to rejoin timeline 4"},
		{"a primary held in recovery sees that its partner went on", startOf(answer(false, 4), held), not, "ask the bot for a rejoin"},
		{"two primaries of one timeline are for people", startOf(answer(false, 3)), not, "a person has to choose"},
		{"a note to be alone doesn't count beside a primary", startOf(answer(false, 4), noNames, leftAlone(3)), not, "primary on timeline 4"},
		{"a primary of a newer timeline waits until the old one is stopped", startOf(answer(false, 2)), not, "stop dc2"},
		{"a lone primary waits until the old one is stopped", startOf(answer(false, 2), noNames, leftAlone(3)), not, "stop dc2"},
		{"a stop is not taken back beside a primary", startOf(answer(false, 4), resume), not, "primary on timeline 4"},
		{"a stop is not taken back beside a primary of the same timeline", startOf(answer(false, 3), resume), not, "a person has to choose"},
		{"a standby follows the primary that it has followed before", startOf(answer(false, 3), standby), asIs, "followed before"},
		{"a standby that lost its signal follows all the same", startOf(answer(false, 3), unsigned), asIs, "it is a standby"},
		{"a standby of an older timeline is compared first", startOf(answer(false, 4), standby), not, "ask the bot for a rejoin"},
		{"a standby of an older timeline that fits rejoins", startOf(answer(false, 4), standby, fits), rejoin, "nothing has to be taken back"},
		{"a standby of a newer timeline doesn't follow an old primary", startOf(answer(false, 2), standby), not, "stop dc2"},
		{"a primary that somebody made a standby by hand doesn't follow its own timeline", startOf(answer(false, 3), signalled), not, "copy it anew"},
		{"a newer timeline over there that is not a primary yet is waited for", startOf(answer(true, 4)), not, "newer than timeline 3"},
		{"a lone primary waits for a newer timeline, too", startOf(answer(true, 4), noNames, leftAlone(3)), not, "newer than timeline 3"},
		{"a fulfilled order to rejoin changes nothing", startOf(answer(false, 4), standby, own(func(o *actions.OwnData) { o.Timeline = 4 }), rejoinTo4), asIs, "it is a standby"},

		// The partner is frozen: a failover is under way.
		{"a primary stays down while its partner is frozen", startOf(answer(true, 3), frozen), not, "a failover is under way"},
		{"a lone primary stays down while its partner is frozen", startOf(answer(true, 3), frozen, noNames, leftAlone(3)), not, "a failover is under way"},
		{"a stop is not taken back while the partner is frozen", startOf(answer(true, 3), frozen, resume), not, "a failover is under way"},
		{"a standby stays down while its partner is frozen", startOf(answer(true, 3), frozen, standby), not, "a failover is under way"},
		{"a primary held in recovery goes down when its partner is frozen", startOf(answer(true, 3), frozen, held), not, "a failover is under way"},

		// No answer, and names are set.
		{"a primary without an answer waits in recovery", startOf(), inRecovery, "it may have been promoted"},
		{"a primary held in recovery without an answer goes on waiting", startOf(held), inRecovery, "it may have been promoted"},
		{"a note to be alone doesn't count where names are set", startOf(leftAlone(3)), inRecovery, "commits have to wait"},
		{"an answer without timeline is none", startOf(answer(true, 0)), inRecovery, "doesn't say what it is"},
		{"an answer of a primary without timeline is none", startOf(answer(false, 0)), inRecovery, "doesn't say what it is"},
		{"the executor takes a stop back without an answer", startOf(resume), asIs, "under the pair's lock"},
		{"a standby without an answer streams under a name that nobody waits for", startOf(standby), inRecovery, "nobody waits for it"},
		{"a standby that lost its signal gets it back", startOf(unsigned), inRecovery, "it is a standby"},
		{"a primary that somebody made a standby by hand stays one", startOf(signalled), inRecovery, "it is a standby"},
		{"a stop can't be taken back of what is a standby", startOf(standby, resume), inRecovery, "it is a standby"},

		// No answer, and no names.
		{"no names and no note is not enough", startOf(noNames), inRecovery, "no note says"},
		{"a note of another timeline is not enough", startOf(noNames, leftAlone(2)), inRecovery, "about timeline 2"},
		{"a note of a later timeline is not enough", startOf(noNames, leftAlone(4)), inRecovery, "about timeline 4"},
		{"a note of its own timeline lets it take writes alone", startOf(noNames, leftAlone(3)), solo, "takes writes alone"},
		{"a lone primary that was held in recovery takes writes alone", startOf(noNames, leftAlone(3), held), solo, "takes writes alone"},
		{"a standby never takes writes alone, whatever a note says", startOf(noNames, leftAlone(3), standby), inRecovery, "it is a standby"},

		// Both in recovery.
		{"both standbys are for the bot's journal", startOf(answer(true, 3), standby), inRecovery, "bot's journal"},
		{"a primary whose partner is its standby is the primary", startOf(answer(true, 3)), asIs, "the primary of timeline 3"},
		{"a primary held in recovery that sees its standby is the primary again", startOf(answer(true, 3), held), asIs, "the primary of timeline 3"},
		{"a promoted primary whose partner is behind is the primary", startOf(answer(true, 2)), asIs, "the primary of timeline 3"},
		{"a lone primary whose partner is in recovery is the primary", startOf(answer(true, 3), noNames), asIs, "the primary of timeline 3"},
		{"the executor takes a stop back beside a standby", startOf(answer(true, 3), resume), asIs, "the primary of timeline 3"},

		// Orders that were written down by an executor, for one start.
		{"an old primary follows while its partner is being promoted", startOf(answer(true, 3), clean, follow), followIt, "shut down in good order"},
		{"an old primary follows what was promoted", startOf(answer(false, 4), clean, fits, follow), followIt, "primary on timeline 4"},
		{"an old primary that could not be compared follows what was promoted", startOf(answer(false, 4), clean, follow), followIt, "primary on timeline 4"},
		{"an old primary that is to follow doesn't wait for an answer", startOf(clean, follow), followIt, "gives no answer"},
		{"an old primary whose log goes past the fork doesn't follow", startOf(answer(false, 4), clean, unfitting, follow), not, "goes on past that"},
		{"an old primary doesn't follow one that wrote the same timeline", startOf(answer(false, 3), clean, follow), not, "a person has to choose"},
		{"an old primary doesn't follow an older one", startOf(answer(false, 2), clean, follow), not, "stop dc2"},
		{"an old primary doesn't follow a frozen one", startOf(answer(true, 3), clean, frozen, follow), not, "a failover is under way"},
		{"an old primary doesn't follow a standby of another timeline", startOf(answer(true, 4), clean, follow), not, "is not what it was then"},
		{"an old primary that crashed since doesn't follow", startOf(answer(true, 3), follow), not, "not shut down in good order"},
		{"an old primary that crashed since doesn't follow without an answer", startOf(follow), not, "not shut down in good order"},
		{"an old primary that crashed since rejoins beside a primary that it fits", startOf(answer(false, 4), left, fits, follow), rejoin, "nothing has to be taken back"},
		{"a primary held in recovery doesn't just follow", startOf(answer(true, 3), held, clean, follow), not, "is not what it was then"},
		{"a standby has nothing to follow anew", startOf(answer(false, 3), standby, follow), asIs, "it is a standby"},
		{"an unfinished pg_rewind follows nothing", startOf(answer(true, 3), unfit, clean, follow), not, "not shut down in good order, or dc2 is not"},
		{"a stop is taken back by a written order where commits wait", startOf(resumeOnce), asIs, "its stop is taken back"},
		{"a written order is not enough where commits wait for nobody", startOf(noNames, resumeOnce), inRecovery, "no note says"},
		{"a written order doesn't count beside a primary", startOf(answer(false, 4), resumeOnce), not, "primary on timeline 4"},

		// Orders, and what is no pair.
		{"an order to stay down outweighs everything", startOf(answer(true, 3), stayDown), not, "ordered dc1 to stay down"},
		{"an order to stay down holds a lone primary", startOf(noNames, leftAlone(3), stayDown), not, "ordered dc1 to stay down"},
		{"an order to rejoin waits for the primary", startOf(answer(true, 3), rejoinTo4), not, "no primary yet"},
		{"an order to rejoin waits for an answer", startOf(rejoinTo4), not, "no primary yet"},
		{"another system's answer is no reason to start", startOf(answer(true, 3), stranger), not, "they are no pair"},
		{"another system's primary is no source", startOf(answer(false, 4), stranger, rejoinTo4), not, "they are no pair"},
		{"an unfinished pg_rewind without a primary stays down", startOf(unfit), not, "copied anew"},
		{"an unfinished pg_rewind beside a standby stays down", startOf(answer(true, 3), unfit), not, "copied anew"},
		{"an unfinished pg_rewind beside a primary is copied anew", startOf(answer(false, 4), unfit), rejoin, "copied anew"},
		{"an unfinished pg_rewind is copied anew by order", startOf(answer(false, 4), unfit, rejoinTo4, rejoins(actions.RejoinOrdered)), rejoin, "ordered"},
		{"an unfinished pg_rewind waits for the order where that is the policy", startOf(answer(false, 4), unfit, rejoins(actions.RejoinOrdered)), not, "has to be ordered"},
		{"an empty folder beside a primary starts nothing", startOf(answer(false, 4), empty), not, "no cluster"},
		{"an empty folder without an answer starts nothing", startOf(empty), not, "no cluster"},
		{"a new cluster is made when asked for", startOf(empty, initialize), asIs, "asked for"},
		{"a new cluster is not made beside an answer", startOf(answer(true, 3), empty, initialize), not, "no cluster"},
		{"an empty folder is filled from a primary when asked for", startOf(answer(false, 4), empty, copyPartner), rejoin, "a copy of dc2 is asked for"},
		{"an empty folder is not filled from a standby", startOf(answer(true, 3), empty, copyPartner), not, "only a primary is copied"},
		{"an empty folder that is to be filled waits for an answer", startOf(empty, copyPartner), not, "only a primary is copied"},
		{"asking for a copy doesn't move a standby that is there", startOf(answer(false, 3), standby, copyPartner), asIs, "it is a standby"},
		{"asking for a copy doesn't move a primary that is there", startOf(answer(true, 3), copyPartner), asIs, "the primary of timeline 3"},
		{"asking for a new cluster doesn't move one that is there", startOf(initialize), inRecovery, "it may have been promoted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := actions.MayStart(c.e)
			if d.Kind != c.want || !strings.Contains(d.Why, c.why) {
				t.Errorf("%s; want %s because %q", d, c.want, c.why)
			}
		})
	}
}

func drawStart(t *rapid.T) actions.StartEvidence {
	timeline := func(name string) uint32 { return uint32(rapid.IntRange(0, 4).Draw(t, name)) }
	pick := func(name string, from ...string) string { return rapid.SampledFrom(from).Draw(t, name) }
	flag := func(name string) bool { return rapid.Bool().Draw(t, name) }
	return actions.StartEvidence{
		Node: "dc1", Partner: "dc2",
		Own: actions.OwnData{
			Empty: rapid.IntRange(0, 9).Draw(t, "empty") == 0, Unfit: rapid.IntRange(0, 9).Draw(t, "unfit") == 0,
			SystemID: "7301", Timeline: max(1, timeline("own")), Signal: flag("signal"), Recovered: flag("recovered"), Held: flag("held"),
			Clean: flag("clean"), Names: pick("names", "", "dc2"), Alone: timeline("alone"),
			Fits: actions.Fits(pick("fits", "", "yes", "no")),
		},
		Answer: actions.PartnerAnswer{
			Silence: pick("silence", "", "refused"), SystemID: pick("system", "7301", "7301", "7301", "9999", ""),
			InRecovery: flag("recovery"), Frozen: flag("frozen"), Timeline: timeline("partner"), Fork: actions.LSN(timeline("fork")),
		},
		Order: actions.StartOrder{
			Kind: actions.OrderKind(pick("order", "", "stay down", "rejoin", "resume", "follow", "initialize", "copy", "nonsense")), ID: pick("id", "", "1"),
			Timeline: timeline("ordered"),
		},
		Rejoins: actions.RejoinPolicy(pick("policy", "ordered", "fitting", "always", "")),
	}
}

// TestNeverAPrimaryOnAGuess: what would let two nodes acknowledge never starts,
// whatever else is so.
func TestNeverAPrimaryOnAGuess(t *testing.T) {
	t.Parallel()
	kinds := map[actions.StartKind]int{}
	primaries := 0
	check := func(t *rapid.T) {
		e := drawStart(t)
		d := actions.MayStart(e)
		kinds[d.Kind]++
		if d.Why == "" {
			t.Fatalf("%s without a reason", d.Kind)
		}
		if why := forbidden(e, d); why != "" {
			t.Fatalf("%s, although %s", d, why)
		}
		if d.Primary {
			primaries++
		}
	}
	for range 20 { // a hundred draws each, so that none of the decisions is missed
		rapid.Check(t, check)
	}
	for _, k := range []actions.StartKind{actions.StartAsIs, actions.StartRecovery, actions.StartRejoin, actions.StartFollow, actions.StartNot} {
		if kinds[k] == 0 {
			t.Errorf("%q was never decided: the draw is too narrow", k)
		}
	}
	if primaries == 0 {
		t.Error("no primary was ever started: the draw is too narrow")
	}
}

// forbidden says why a decision must not be, in its own words: it shares no
// code with MayStart.
func forbidden(e actions.StartEvidence, d actions.StartDecision) string {
	answers := e.Answer.Silence == "" && e.Answer.SystemID != "" && e.Answer.Timeline > 0
	standby := !e.Own.Held && (e.Own.Signal || e.Own.Recovered)
	lonely := e.Own.Names == "" && e.Own.Alone == e.Own.Timeline
	asked := e.Own.Empty && e.Order.Kind == actions.OrderInitialize
	copied := e.Own.Empty && e.Order.Kind == actions.OrderCopy && d.Kind == actions.StartRejoin // from a primary: see below
	goes := d.Kind != actions.StartNot
	switch {
	case goes && e.Order.Kind == actions.OrderStayDown:
		return "it was ordered to stay down"
	case goes && answers && (e.Answer.SystemID != "7301" || e.Own.Empty) && !copied:
		return "the partner is of another system"
	case e.Own.Unfit && !e.Own.Empty && goes && d.Kind != actions.StartRejoin:
		return "a pg_rewind was not finished"
	case d.Kind == actions.StartRejoin && (!answers || e.Answer.InRecovery):
		return "there is no primary to rejoin"
	case d.Kind == actions.StartRejoin && !copied && e.Order.Kind != actions.OrderRejoin && e.Rejoins != actions.RejoinAlways && e.Own.Fits != actions.FitsYes && !e.Own.Unfit:
		return "nobody allowed to take anything back"
	case d.Kind == actions.StartFollow && (d.Primary || e.Order.Kind != actions.OrderFollow || !e.Own.Clean || standby):
		return "it may not follow: not ordered, not shut down in good order, or a standby already"
	case d.Kind == actions.StartFollow && answers && (e.Answer.InRecovery && (e.Answer.Frozen || e.Answer.Timeline != e.Own.Timeline) || !e.Answer.InRecovery && e.Answer.Timeline <= e.Own.Timeline):
		return "the partner is nobody to follow"
	case !d.Primary:
		return ""
	case e.Order.Kind == actions.OrderFollow && !e.Own.Empty:
		return "it was ordered to follow"
	case answers && !e.Answer.InRecovery:
		return "the partner is a primary"
	case answers && e.Answer.Timeline > e.Own.Timeline:
		return "the partner's timeline is newer"
	case answers && e.Answer.Frozen:
		return "the partner is frozen"
	case !answers && !lonely && !asked && e.Order.Kind != actions.OrderResume:
		return "nothing is known of the partner"
	case !answers && !lonely && !asked && e.Order.ID != "" && e.Own.Names == "":
		return "an old order let it acknowledge alone"
	case standby && !e.Own.Empty:
		return "it is a standby"
	case e.Order.Kind == actions.OrderRejoin:
		return "it was ordered to rejoin"
	}
	return ""
}

// An order to take a stop back is over once the partner was seen to have gone on.
func TestVoids(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		e    actions.StartEvidence
		want bool
	}{
		"the partner is a primary":             {startOf(answer(false, 4), resumeOnce), true},
		"the partner is a primary, as it was":  {startOf(answer(false, 3), resumeOnce), true},
		"the partner is frozen":                {startOf(answer(true, 3), frozen, resumeOnce), true},
		"the partner's timeline is newer":      {startOf(answer(true, 4), resumeOnce), true},
		"the partner is a standby":             {startOf(answer(true, 3), resumeOnce), false},
		"the partner gives no answer":          {startOf(resumeOnce), false},
		"it is another order, and would count": {startOf(answer(false, 4), rejoinTo4), false},
	} {
		if got := row.e.Voids(); got != row.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// What may stand in a file.
func TestKnownOrders(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		o    actions.StartOrder
		want bool
	}{
		{actions.StartOrder{}, true},
		{actions.StartOrder{Kind: actions.OrderStayDown}, true},
		{actions.StartOrder{Kind: actions.OrderRejoin}, false},
		{actions.StartOrder{Kind: actions.OrderRejoin, Timeline: 4}, true},
		{actions.StartOrder{Kind: actions.OrderFollow}, false},
		{actions.StartOrder{Kind: actions.OrderFollow, ID: "1"}, true},
		{actions.StartOrder{Kind: actions.OrderResume}, false},
		{actions.StartOrder{Kind: actions.OrderResume, ID: "1"}, true},
		{actions.StartOrder{Kind: "promote", ID: "1"}, false},
	} {
		if got := row.o.Known(); got != row.want {
			t.Errorf("%+v: %t", row.o, got)
		}
	}
}
