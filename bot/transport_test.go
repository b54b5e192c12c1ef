package bot_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strings"
	"testing"
)

// overSocketMode says by which transport a test's bot gets its deliveries.
func overSocketMode(t testing.TB) bool { return strings.HasPrefix(t.Name(), "TestOverSocketMode/") }

// bothTransports are the tests that speak to the bot only through the workspace.
// Each runs by itself over HTTP, and once more here. In order of the names, so
// that two branches seldom meet in one place.
var bothTransports = map[string]func(*testing.T){
	"TestABotThatIsNotInTheChannelSaysSo":                              TestABotThatIsNotInTheChannelSaysSo,
	"TestACodeLocksAfterFiveTries":                                     TestACodeLocksAfterFiveTries,
	"TestADeletedQuestionIsPostedAgain":                                TestADeletedQuestionIsPostedAgain,
	"TestADeletedRequestIsPostedAgain":                                 TestADeletedRequestIsPostedAgain,
	"TestADenialNeedsAReasonAndEndsTheRequest":                         TestADenialNeedsAReasonAndEndsTheRequest,
	"TestAFaultIsShownByItsIncidentAndLoggedWithIts":                   TestAFaultIsShownByItsIncidentAndLoggedWithIts,
	"TestAFloodIsToldToTryAgain":                                       TestAFloodIsToldToTryAgain,
	"TestAHeldRequestGoesOnByATypedStatement":                          TestAHeldRequestGoesOnByATypedStatement,
	"TestAMessagePostedRightBeforeTheBotWasKilledIsFound":              TestAMessagePostedRightBeforeTheBotWasKilledIsFound,
	"TestAMessageThatSlackRefusesIsSentSimpler":                        TestAMessageThatSlackRefusesIsSentSimpler,
	"TestAMildIncidentCallsNobodyAndStaysInItsThread":                  TestAMildIncidentCallsNobodyAndStaysInItsThread,
	"TestAPairIsPausedAndResumedByOneApprover":                         TestAPairIsPausedAndResumedByOneApprover,
	"TestAPanicIsAFaultOfOneDelivery":                                  TestAPanicIsAFaultOfOneDelivery,
	"TestAPauseDeliveredTwiceIsOne":                                    TestAPauseDeliveredTwiceIsOne,
	"TestAPauseSaysWhatItDoesNotStop":                                  TestAPauseSaysWhatItDoesNotStop,
	"TestAPressIsAcknowledgedAfterItsCommit":                           TestAPressIsAcknowledgedAfterItsCommit,
	"TestAPressThatTakesLongIsAcknowledgedInTime":                      TestAPressThatTakesLongIsAcknowledgedInTime,
	"TestAPrivateChannelWorksWithItsOwnManifest":                       TestAPrivateChannelWorksWithItsOwnManifest,
	"TestAReplyWhosePostIsUncertainIsLookedForInItsThread":             TestAReplyWhosePostIsUncertainIsLookedForInItsThread,
	"TestARequestDeletedWhileNobodyRanIsPostedAgain":                   TestARequestDeletedWhileNobodyRanIsPostedAgain,
	"TestARequestFromQuestionToResult":                                 TestARequestFromQuestionToResult,
	"TestARequestThatEndedDuringAnOutageIsToldOnce":                    TestARequestThatEndedDuringAnOutageIsToldOnce,
	"TestARestartRepeatsNothingAndForgetsNothing":                      TestARestartRepeatsNothingAndForgetsNothing,
	"TestASecondRequestIsRefusedWithALinkToTheFirst":                   TestASecondRequestIsRefusedWithALinkToTheFirst,
	"TestAStatementAsksForItsCode":                                     TestAStatementAsksForItsCode,
	"TestAStoreThatFailsForAWhileLosesNoMessage":                       TestAStoreThatFailsForAWhileLosesNoMessage,
	"TestASubmissionThatTakesLongIsAnsweredTwice":                      TestASubmissionThatTakesLongIsAnsweredTwice,
	"TestAVoteCountsWhileSlackIsDown":                                  TestAVoteCountsWhileSlackIsDown,
	"TestAcknowledgementsDontWaitForTheWork":                           TestAcknowledgementsDontWaitForTheWork,
	"TestAnAnswerGoesToThePersonWhenTheResponseURLFails":               TestAnAnswerGoesToThePersonWhenTheResponseURLFails,
	"TestAnAnswerIsTriedAgainWhenSlackLimitsIt":                        TestAnAnswerIsTriedAgainWhenSlackLimitsIt,
	"TestAnAnswerThatSlackRefusesIsSentSimpler":                        TestAnAnswerThatSlackRefusesIsSentSimpler,
	"TestAnApprovalAsksForItsCode":                                     TestAnApprovalAsksForItsCode,
	"TestAnIncidentIsOneMessageWithAThread":                            TestAnIncidentIsOneMessageWithAThread,
	"TestAnIncidentThatLastsIsToldHoweverLate":                         TestAnIncidentThatLastsIsToldHoweverLate,
	"TestAnOldAlertAloneIsTold":                                        TestAnOldAlertAloneIsTold,
	"TestAnOutageIsFollowedByOneMessageAndNotByAPage":                  TestAnOutageIsFollowedByOneMessageAndNotByAPage,
	"TestAnUncertainPostIsNotRepeated":                                 TestAnUncertainPostIsNotRepeated,
	"TestAuditShowsTheLogToWhoAsked":                                   TestAuditShowsTheLogToWhoAsked,
	"TestCommandsAreAnsweredOnlyInTheChannel":                          TestCommandsAreAnsweredOnlyInTheChannel,
	"TestDetailsShowThePlanAndItsDigest":                               TestDetailsShowThePlanAndItsDigest,
	"TestHistoryTellsVotesAndOutcomes":                                 TestHistoryTellsVotesAndOutcomes,
	"TestHomeShowsPairsToListedPeopleOnly":                             TestHomeShowsPairsToListedPeopleOnly,
	"TestLagIsAChartWithTheSameInWords":                                TestLagIsAChartWithTheSameInWords,
	"TestLagIsWordsAloneWhereNoFileIsTaken":                            TestLagIsWordsAloneWhereNoFileIsTaken,
	"TestLagOfWhichNothingIsKnown":                                     TestLagOfWhichNothingIsKnown,
	"TestManyIncidentsAtOnceShareAMessage":                             TestManyIncidentsAtOnceShareAMessage,
	"TestManyStepsBecomeFewUpdates":                                    TestManyStepsBecomeFewUpdates,
	"TestNewsComeInOrder":                                              TestNewsComeInOrder,
	"TestNobodyIsRemindedOfWhatIsDecided":                              TestNobodyIsRemindedOfWhatIsDecided,
	"TestNothingIsGivenUpWhileNothingGetsThrough":                      TestNothingIsGivenUpWhileNothingGetsThrough,
	"TestOfWhomNoCodeCanBeTakenIsToldWhy":                              TestOfWhomNoCodeCanBeTakenIsToldWhy,
	"TestOneSearchSettlesAllUncertainPosts":                            TestOneSearchSettlesAllUncertainPosts,
	"TestReadyAndAlive":                                                TestReadyAndAlive,
	"TestRecipesAndLists":                                              TestRecipesAndLists,
	"TestRetryAfterIsObeyed":                                           TestRetryAfterIsObeyed,
	"TestStatusIsAnsweredInTheChannel":                                 TestStatusIsAnsweredInTheChannel,
	"TestStoppingFinishesTheWorkInHand":                                TestStoppingFinishesTheWorkInHand,
	"TestTheExpiryIsShownLive":                                         TestTheExpiryIsShownLive,
	"TestTheEndOfAnOutageIsNoticed":                                    TestTheEndOfAnOutageIsNoticed,
	"TestTheHomeShowsAndFollowsTheState":                               TestTheHomeShowsAndFollowsTheState,
	"TestTheHomesButtonsDoWhatTheCommandsDo":                           TestTheHomesButtonsDoWhatTheCommandsDo,
	"TestTheHomesFormsAskAndPause":                                     TestTheHomesFormsAskAndPause,
	"TestTheRatesOfSlackAreKept":                                       TestTheRatesOfSlackAreKept,
	"TestTheRequesterIsToldThatApproversSeeNothing":                    TestTheRequesterIsToldThatApproversSeeNothing,
	"TestThreatAccountThatCannotBeLookedUp":                            TestThreatAccountThatCannotBeLookedUp,
	"TestThreatAnInterruptedDeliveryIsNotLostWithItsCopy":              TestThreatAnInterruptedDeliveryIsNotLostWithItsCopy,
	"TestThreatApproveAgainstDenyInTheSameInstant":                     TestThreatApproveAgainstDenyInTheSameInstant,
	"TestThreatApproverDeactivatedOrMadeGuestBetweenVotes":             TestThreatApproverDeactivatedOrMadeGuestBetweenVotes,
	"TestThreatApproverRemovedFromTheListBetweenVotes":                 TestThreatApproverRemovedFromTheListBetweenVotes,
	"TestThreatBothApproversAtOnce":                                    TestThreatBothApproversAtOnce,
	"TestThreatButtonOfAnotherChannelAppMessageTeamOrPair":             TestThreatButtonOfAnotherChannelAppMessageTeamOrPair,
	"TestThreatButtonOfAnotherPair":                                    TestThreatButtonOfAnotherPair,
	"TestThreatButtonOfTheHomeInOthersHands":                           TestThreatButtonOfTheHomeInOthersHands,
	"TestThreatEqualNameOrEmailOfAnotherTeam":                          TestThreatEqualNameOrEmailOfAnotherTeam,
	"TestThreatExpiredByOneSecond":                                     TestThreatExpiredByOneSecond,
	"TestThreatMentionOrLinkInjectedThroughAReasonOrAServersErrorText": TestThreatMentionOrLinkInjectedThroughAReasonOrAServersErrorText,
	"TestThreatOneTimeCodeUsedTwice":                                   TestThreatOneTimeCodeUsedTwice,
	"TestThreatOrphanedButtonOfAPurgedRequest":                         TestThreatOrphanedButtonOfAPurgedRequest,
	"TestThreatReplayedRequestInsideFiveMinutes":                       TestThreatReplayedRequestInsideFiveMinutes,
	"TestThreatRequesterApproving":                                     TestThreatRequesterApproving,
	"TestThreatResponseURLLeadingElsewhere":                            TestThreatResponseURLLeadingElsewhere,
	"TestThreatSamePersonTwiceFromTwoDevices":                          TestThreatSamePersonTwiceFromTwoDevices,
	"TestThreatSecretsInAnyMessageLogLineOrError":                      TestThreatSecretsInAnyMessageLogLineOrError,
	"TestThreatSlackConnectStranger":                                   TestThreatSlackConnectStranger,
	"TestThreatSlackDownSlowRateLimitingOrAnsweringGarbage":            TestThreatSlackDownSlowRateLimitingOrAnsweringGarbage,
	"TestThreatStalePlan":                                              TestThreatStalePlan,
	"TestThreatStolenSession":                                          TestThreatStolenSession,
	"TestThreatStrangerAskingByCommand":                                TestThreatStrangerAskingByCommand,
	"TestUpdatesStayWithinTheWorkspacesBudget":                         TestUpdatesStayWithinTheWorkspacesBudget,
	"TestWhatCannotBeDeliveredStopsNothingElse":                        TestWhatCannotBeDeliveredStopsNothingElse,
	"TestWhatHappensInQuietHoursIsNotPosted":                           TestWhatHappensInQuietHoursIsNotPosted,
	"TestWhoHasNotVotedIsRemindedInTheThread":                          TestWhoHasNotVotedIsRemindedInTheThread,
}

// oneTransport are the tests of what only one transport has, with the reason.
var oneTransport = map[string]string{
	"TestABodyOverTheLimitIsRefusedBeforeItIsRead":                  "a body of HTTP",
	"TestABotThatStopsAcknowledgesWhatItHas":                        "connections",
	"TestAViewThatIsTooLargeForAnAcknowledgementIsFilledAfterwards": "HTTP has no such limit",
	"TestAnAppTokenThatIsRefusedIsExplained":                        "connections",
	"TestBeforeRunNothingIsTaken":                                   "a bot that doesn't run has no connection",
	"TestConnectionsThatAreCutComeBack":                             "connections",
	"TestEachEnvelopeIsWorkedOnOnce":                                "connections",
	"TestMalformedPayloadsAreRefused":                               "bodies of HTTP",
	"TestManifestNamesWhatIsDelivered":                              "addresses of HTTP",
	"TestNoCommandIsLostWhileConnectionsAreReplaced":                "connections",
	"TestOnlyWhatSlackSignedNowIsTaken":                             "signatures",
	"TestReadinessNamesTheTransport":                                "compares both",
	"TestRetryAfterOfConnectingIsObeyed":                            "connections",
	"TestSocketModeThatWasSwitchedOffIsExplained":                   "connections",
	"TestThreatClockJump":                                           "signatures have a timestamp",
	"TestThreatForgedOrUnsignedBody":                                "signatures",
	"TestThreatFutureDatedTimestamp":                                "signatures have a timestamp",
	"TestThreatPayloadInTheQueryString":                             "queries of HTTP",
	"TestURLVerificationAnswersTheChallenge":                        "Slack checks addresses of HTTP",
	"TestWhatIsInHandIsAcknowledgedOverTheConnectionThatLeaves":     "connections",
	"TestWhatIsTooLargeForAnAcknowledgementIsSentOtherwise":         "HTTP has no such limit",
	"TestWhateverSlackDoesEachMessageIsThereOnce":                   "many bots; what is drawn is about what leaves",
}

// TestOverSocketMode: the same behaviour over the other transport.
func TestOverSocketMode(t *testing.T) {
	t.Parallel()
	for name, test := range bothTransports {
		t.Run(name, test)
	}
}

// TestEveryTestOfDeliveriesRunsOverBothTransports finds the tests that make a
// bot and are in neither list.
func TestEveryTestOfDeliveriesRunsOverBothTransports(t *testing.T) {
	t.Parallel()
	made := testsThatCall(t, "newBundle")
	if len(made) < 50 {
		t.Fatalf("only %d tests make a bot; the search is broken", len(made))
	}
	for _, name := range made {
		_, both := bothTransports[name]
		why, alone := oneTransport[name]
		if both == alone {
			t.Errorf("%s must stand in bothTransports, or in oneTransport with a reason (transport_test.go)", name)
		}
		if alone && why == "" {
			t.Errorf("%s has no reason to run over one transport", name)
		}
	}
	for _, name := range slices.Concat(slices.Collect(maps.Keys(bothTransports)), slices.Collect(maps.Keys(oneTransport))) {
		if !slices.Contains(made, name) {
			t.Errorf("%s is listed and makes no bot", name)
		}
	}
}

// testsThatCall lists the package's tests in which a function is called.
func testsThatCall(t *testing.T, function string) []string {
	t.Helper()
	packages, err := parser.ParseDir(token.NewFileSet(), ".", nil, 0) //nolint:staticcheck // one package, without build tags
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range packages["bot_test"].Files {
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && strings.HasPrefix(f.Name.Name, "Test") && calls(f, function) {
				names = append(names, f.Name.Name)
			}
		}
	}
	slices.Sort(names)
	return names
}

func calls(in ast.Node, function string) bool {
	found := false
	ast.Inspect(in, func(n ast.Node) bool {
		if c, ok := n.(*ast.CallExpr); ok {
			id, named := c.Fun.(*ast.Ident)
			found = found || (named && id.Name == function)
		}
		return !found
	})
	return found
}
