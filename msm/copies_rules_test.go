package msm

import (
	"go/ast"
	"strings"
	"testing"
)

// copyRule is one rule about the two copies of a session, with the tests that
// fail without it. A name after a colon is that of a row of the test's table,
// with _ for blanks.
type copyRule struct{ about, rule, shown string }

var copyRules = []copyRule{
	{"Stamp", "the item's flags hold the stamp, and a commit adds 1", "TestCopiesStamp_CommitAddsOne TestStampOrder"},
	{"Stamp", "a fence starts the next epoch", "TestStampKinds TestStampOrder"},
	{"Stamp", "a relocation fences, of the session's node and of the second copy", "TestCopiesStamp_RelocationFences TestCopiesStamp_SecondCopyThatMovesFences"},
	{"Stamp", "a takeover by an instance without route fences", "TestTakeOverBackAndForth"},
	{"Stamp", "Renew and Invalidate fence", "TestCopiesStamp_EndFences"},
	{"Stamp", "a commit that only one node acknowledged fences", "TestCopiesDegraded_AloneFences"},
	{"Stamp", "what is decided without the first node skips to epochs that no fence starts, and outranks it", "TestCopiesStamp_RelocationFences TestStampKinds"},
	{"Stamp", "the cookie carries the epoch", "TestCopiesDegraded_AloneFences TestCopiesStamp_RelocationFences"},
	{"Stamp", "stamps and epochs compare as serial numbers", "TestStampEpoch TestStampOrder"},
	{"Stamp", "the record has the nonces of its last commits, 8 of each author", "TestNoncesLack TestNoncesOfOthers"},

	{"Places", "the walk runs over all nodes, up or down, the same in every instance", "TestCopiesPlaces_FirstFourOfTheWalk"},
	{"Places", "the session's node is the first of the walk that is up", "TestID10_SecondCopy"},
	{"Places", "a failover node only when no other is up", "TestCaseFailover TestCaseTakeover TestSTK10_TakeOverLeavesTheFailoverNode"},
	{"Places", "the second copy lies on the next node that is up", "TestID10_SecondCopy"},
	{"Places", "failover nodes take second copies", "TestCopiesPlaces_FailoverNodesTakeSecondCopies"},
	{"Places", "4 places are searched, and no other node", "TestAV06_NothingIsRedistributed TestCopiesPlaces_FirstFourOfTheWalk"},

	{"Load", "one parallel round, the second copy without its value", "TestCopiesLoad_OneRound"},
	{"Load", "both copies are touched", "TestSTK26_OwnTimeout TestSTK26_ReadsKeepSessionsAlive"},
	{"Load", "two copies with equal stamps are believed, without another command", "TestCopiesLoad_OneRound TestSTK09_TakeOverReadsOnce"},
	{"Load", "copies with different stamps are not", "TestFailure05_OldDataComesBack TestFoundByChaos:a_tombstone_of_a_lower_stamp"},
	{"Load", "copies below the cookie's epoch are refused", "TestCopiesDegraded_AloneFences TestWrongSuffixIsMended"},
	{"Load", "otherwise all places are read", "TestFoundByChaos:ended_while_both_nodes_are_out_of_reach TestNST21_ThirdNodeStandsIn"},
	{"Load", "also of a node that is back and seems to be down", "TestCopiesLoad_NodeIsBackUnnoticed"},
	{"Load", "the highest stamp wins", "TestFailure05_OldDataComesBack TestFoundByChaos:stored_where_the_session_was"},
	{"Load", "lower copies are repaired", "TestNST17_LostCopies TestNST22_SecondCopyWhenANodeReturns"},
	{"Load", "by add or CAS", "TestCopiesLoad_RepairAddsOnly TestParallelAttributes"},
	{"Load", "absent is what every place says; an error without a hit is ErrUnavailable", "TestFailure10_AllNodesDown TestFoundByChaos:a_copy_that_was_left_behind"},
	{"Load", "the last access is that of the last store where the protocol tells no TTL", "TestCopiesLoad_LastAccess TestNST32_ProtocolsWithoutTimes"},

	{"Commit", "CAS on the session's node", "TestFoundByChaos:two_requests_meet_the_same_tombstone TestNST30_NoAttributeIsLost TestParallelAttributes"},
	{"Commit", "that is the node which the record names, while it is up", "TestCopiesStamp_RelocationFences TestFoundByChaos:stored_where_the_session_was"},
	{"Commit", "the second copy after it", "TestCopiesCommit_NodeFirst"},
	{"Commit", "upward only", "TestCopiesCommit_UpwardOnly"},
	{"Commit", "a higher epoch at the second node: the commit is redone on that", "TestCopiesCommit_HigherEpochAtTheSecond"},
	{"Commit", "a synchronous commit acknowledges after both", "TestCopiesCommit_NodeFirst TestNST01_CopiesWhenTheResponseLeaves"},
	{"Commit", "an asynchronous one after the session's node", "TestCopiesCommit_AsynchronousWaits"},
	{"Commit", "its second copy is tried again", "TestCopiesCommit_LateSecondCopyIsTriedAgain"},

	{"Degraded", "the next node that is up takes the second copy", "TestCopiesDegraded_NextNodeInTime TestID10_SecondCopy"},
	{"Degraded", "if the second node has not answered in time", "TestCopiesDegraded_NextNodeInTime"},
	{"Degraded", "none is up: the cookie of the response has the next epoch, and the copy left behind is refused", "TestCopiesDegraded_AloneFences"},
	{"Degraded", "a node that leaves the pair keeps a copy one stamp below the epoch", "TestCopiesDegraded_LeftOneBelow"},

	{"End", "tombstones on both places before Invalidate and Renew return", "TestCopiesEnd_TombstonesForItsLife TestSTK25_Invalidate"},
	{"End", "by CAS", "TestSlowRequestAcrossTheEnd"},
	{"End", "for the session's remaining life", "TestCopiesEnd_TombstonesForItsLife TestSTK25_Invalidate"},
	{"End", "the next node that is up replaces one out of reach", "TestCopiesEnd_StandIn"},
	{"End", "which is looked at again first", "TestCopiesEnd_NodeIsBackUnnoticed"},
	{"End", "a tombstone is ErrInvalidated for writers", "TestFoundByChaos:two_requests_meet_the_same_tombstone TestSlowRequestAcrossTheEnd"},
	{"End", "and no session for readers", "TestOldCookieAfterRenew"},
	{"End", "NF for a CAS is a loss: the session is made again, in another epoch", "TestCopiesEnd_LossIsNone"},
	{"End", "for 10 s after Renew the old cookie creates no session and gets no cookie", "TestCopiesEnd_GraceOfTenSeconds TestOldCookieAfterRenew"},

	{"Unknown outcome", "a commit whose nonce is found is stored", "TestCopiesUnknownOutcome_NonceIsFound TestSlowSecondCopy"},
	{"Unknown outcome", "otherwise it is tried again", "TestFailure25_UnknownOutcome"},

	{"Sticky", "requests are served from the local copy", "TestCopiesSticky_ConfirmedEverySecond"},
	{"Sticky", "a commit that creates or takes over waits for its node", "TestCopiesCommit_AsynchronousWaits"},
	{"Sticky", "after 1 s both copies are confirmed and touched, without their values", "TestCopiesSticky_ConfirmedEverySecond TestSTK26_ReadsKeepSessionsAlive"},
	{"Sticky", "but not while the nodes are down", "TestCopiesSticky_NodesDown"},
	{"Sticky", "a logout reaches other instances within a second", "TestCopiesSticky_ConfirmedEverySecond"},
	{"Sticky", "what was lost is stored again", "TestFailure07_BothCopiesGone TestOlderCopyIsNotAdopted"},
	{"Sticky", "by add, which a tombstone refuses", "TestCopiesLoad_RepairAddsOnly"},

	{"Cookie", "the grammar and its limits", "FuzzParseID TestParseID"},
	{"Cookie", "the node is omitted with one node that has no id", "TestCaseSingleNode TestNST26_OneNodeWithoutID TestSTK08_TakeOverWithOneNodeWithoutID"},
	{"Cookie", "and while no node is up, if there was none before", "TestAllNodesDown TestCopiesSticky_NodesDown"},
	{"Cookie", "malformed: nothing is sent, and no cookie answered unless something is stored", "TestForeignCookies"},
	{"Cookie", "well-formed and unknown: searched once at its places", "TestCopiesPlaces_FirstFourOfTheWalk TestNST18_UnknownIDIsLookedUpOnce"},
	{"Cookie", "and nothing is stored", "TestForeignCookies"},
	{"Cookie", "a live session found so gets its cookie mended", "TestWrongSuffixIsMended"},
	{"Cookie", "storage keys are a prefix and a hash", "TestSR05_StorageKeys"},
}

// TestCopiesRules fails when copyRules names a test, or a row of one, that is
// gone, or not a test of copies.
func TestCopiesRules(t *testing.T) {
	sources := testSources(t)
	named := make(map[string]bool)
	for _, r := range copyRules {
		if r.shown == "" {
			t.Errorf("%s, %s: no test shows it", r.about, r.rule)
		}
		for test := range strings.FieldsSeq(r.shown) {
			test, row, _ := strings.Cut(test, ":")
			named[test] = true
			source, ok := sources[test]
			if !ok || row != "" && !strings.Contains(source, `"`+strings.ReplaceAll(row, "_", " ")+`"`) {
				t.Errorf("%s, %s: there is no %s %s", r.about, r.rule, test, row)
			}
		}
	}
	for test := range sources {
		if strings.HasPrefix(test, "TestCopies") && test != t.Name() && !named[test] {
			t.Errorf("%s shows no rule", test)
		}
	}
}

// testSources returns the source of the tests and fuzz targets, by name.
func testSources(t *testing.T) map[string]string {
	t.Helper()
	sources := make(map[string]string)
	eachTestFile(t, func(parsed *ast.File, source func(ast.Node) string) {
		for _, decl := range parsed.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil {
				sources[f.Name.Name] = source(f)
			}
		}
	})
	return sources
}
