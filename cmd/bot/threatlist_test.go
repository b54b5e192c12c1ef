package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// threats is what the product must withstand, each with the tests that show it.
// docs/security.md has the same table, with a link to each.
var threats = []struct {
	threat string
	tests  []string
}{
	{"A request replayed within five minutes", []string{"TestThreatReplayedRequestInsideFiveMinutes", "TestThreatAnInterruptedDeliveryIsNotLostWithItsCopy"}},
	{"A timestamp from the future", []string{"TestThreatFutureDatedTimestamp"}},
	{"A forged or unsigned body", []string{"TestThreatForgedOrUnsignedBody"}},
	{"A payload in the query string, outside of the signature", []string{"TestThreatPayloadInTheQueryString"}},
	{"A button of another channel, app, message, team or pair", []string{"TestThreatButtonOfAnotherChannelAppMessageTeamOrPair", "TestThreatButtonOfAnotherPair", "TestThreatOtherPlace", "TestThreatButtonOfTheHomeInOthersHands"}},
	{"The requester approving", []string{"TestThreatRequesterApproving"}},
	{"The same person twice, from two devices", []string{"TestThreatSamePersonTwiceFromTwoDevices", "TestThreatSamePersonTwice"}},
	{"Both approvers at once: one execution", []string{"TestThreatBothApproversAtOnce", "TestThreatBothApproversAtOnceExecuteOnce"}},
	{"An approval against a denial in the same instant", []string{"TestThreatApproveAgainstDenyInTheSameInstant", "TestThreatApproveAgainstDeny", "TestThreatOwnVoteWithdrawn"}},
	{"An approver removed from the list or the group between the votes", []string{"TestThreatApproverRemovedFromTheListBetweenVotes", "TestThreatApproverRemovedBetweenVotes"}},
	{"An approver deactivated or made a guest between the votes", []string{"TestThreatApproverDeactivatedOrMadeGuestBetweenVotes"}},
	{"An account that can't be looked up", []string{"TestThreatAccountThatCannotBeLookedUp"}},
	{"A stranger of a channel that is shared with another organisation", []string{"TestThreatSlackConnectStranger", "TestThreatStrangerAskingByCommand"}},
	{"Somebody with an approver's name or e-mail address", []string{"TestThreatEqualNameOrEmailOfAnotherTeam", "TestThreatNameOrEmailInAnAnswerOfSlack"}},
	{"A stale plan", []string{"TestThreatStalePlan"}},
	{"A vote one second after the expiry", []string{"TestThreatExpiredByOneSecond"}},
	{"The button of a request that is gone", []string{"TestThreatOrphanedButtonOfAPurgedRequest"}},
	{"A clock that jumps", []string{"TestThreatClockJump"}},
	{"The bot killed anywhere between the click and the result", []string{"TestThreatBotKilledBetweenClickAndResult"}},
	{"Two bots on one store", []string{"TestThreatTwoBotsOnOneStore"}},
	{"Slack down, slow, limiting, or answering garbage", []string{"TestThreatSlackDownSlowRateLimitingOrAnsweringGarbage"}},
	{"A mention or link injected through a reason or a server's error", []string{"TestThreatMentionOrLinkInjectedThroughAReasonOrAServersErrorText"}},
	{"A response address that leads elsewhere", []string{"TestThreatResponseURLLeadingElsewhere"}},
	{"A Socket Mode address that leads elsewhere", []string{"TestThreatSocketAddressLeadingElsewhere"}},
	{"A secret in a message, log line, metric, error, answer, audit entry or the store", []string{"TestThreatSecretsInAnyMessageLogLineOrError", "TestThreatPlantedSecretsAppearNowhere"}},
	{"A stolen Slack session", []string{"TestThreatStolenSession"}},
	{"A one-time code used twice", []string{"TestThreatOneTimeCodeUsedTwice"}},
	{"An execution without a grant, or with that of another request", []string{"TestThreatGrantFromNothing", "TestThreatGrantForAnother", "TestThreatVotesOfAnotherDigest"}},
	{"A held execution that is answered twice", []string{"TestThreatHeldAnsweredOnce"}},
}

// TestEveryThreatHasItsTest: no threat without a test, no test of a threat that
// isn't listed, and the docs say the same with links that lead to each.
func TestEveryThreatHasItsTest(t *testing.T) {
	t.Parallel()
	files := threatTests(t)
	page, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, row := range threats {
		line := tableRow(string(page), row.threat)
		if line == "" {
			t.Errorf("docs/security.md doesn't list %q", row.threat)
		}
		for _, name := range row.tests {
			listed[name] = true
			if len(files[name]) == 0 {
				t.Errorf("%q should be shown by %s, which is no test", row.threat, name)
			}
			if !slices.ContainsFunc(files[name], func(file string) bool { return strings.Contains(line, "[`"+name+"`](../"+file+")") }) {
				t.Errorf("the row %q of docs/security.md doesn't link to %s in %v", row.threat, name, files[name])
			}
		}
	}
	for name, where := range files {
		if !listed[name] {
			t.Errorf("%s (%v) is a threat that nobody listed", name, where)
		}
	}
	if rows := strings.Count(string(page), "[`TestThreat"); rows < len(threats) {
		t.Errorf("only %d links; the search is broken", rows)
	}
}

// threatTests maps each test of a threat to the files that have one of that name.
func threatTests(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	pattern := regexp.MustCompile(`(?m)^func (TestThreat\w+)\(t \*testing\.T\) \{\n\tt\.Parallel\(\)`)
	err := filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range pattern.FindAllStringSubmatch(string(text), -1) {
			rel, relErr := filepath.Rel("../..", path)
			if relErr != nil {
				return relErr
			}
			found[m[1]] = append(found[m[1]], filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// tableRow is the line of a table that begins with the cell, "" for none.
func tableRow(page, cell string) string {
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "| "+cell+" |") {
			return line
		}
	}
	return ""
}
