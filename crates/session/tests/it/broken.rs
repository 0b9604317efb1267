//! The acceptance suite on stores that are broken on purpose: each break is found, by the sentence that forbids it.

use crate::broken_store::{
    Break::{self, *},
    Broken,
};
use dframework_session::store::testing::{Case, cases};
use std::collections::BTreeSet;

/// What a store does otherwise, and the sentence that says so.
#[rustfmt::skip]
const FOUND: [(Break, &str); 87] = [
    (AbsentIsEnded, "an_unused_key_is_unknown"),
    (DropsLabels, "a_record_comes_back_as_it_was_made"),
    (AnswersInOrderOfKeys, "load_answers_in_the_order_of_the_keys"),
    (AnswersInOrderOfKeys, "load_of_500_keys_keeps_their_order"),
    (ManyKeysAreAnError, "load_of_500_keys_keeps_their_order"),
    (AnswersDuplicatesOnce, "load_of_a_key_that_comes_twice_answers_twice"),
    (NoKeysAreAnError, "load_of_no_keys_is_empty"),
    (FoldsCaseOfKeys, "keys_are_told_apart_by_every_bit"),
    (TruncatesAtNul, "bytes_come_back_unchanged_up_to_1_mib"),
    (Truncates64Kib, "bytes_come_back_unchanged_up_to_1_mib"),
    (DropsLabels, "a_label_comes_back_unchanged_up_to_256_bytes"),
    (KeepsWholeSeconds, "instants_come_back_unchanged_up_to_the_last"),
    (HasAClock, "an_expired_record_stands_until_it_is_deleted"),
    (HasAClock, "a_tombstone_stands_until_it_is_deleted"),

    (CreateReplaces, "create_at_a_taken_key_is_an_error_and_changes_nothing"),
    (CreateForgetsPresented, "create_ends_the_unknown_key_that_was_presented"),
    (CreateKeepsWhatIsOver, "create_ends_a_presented_record_that_has_expired"),
    (CreateKeepsWhatIsOver, "create_ends_a_presented_tombstone_that_is_over"),
    (CreateForgetsPresented, "create_over_a_live_presented_key_is_gone_and_makes_nothing"),
    (CreateForgetsPresented, "create_over_a_remembered_presented_key_is_gone_and_makes_nothing"),
    (CreatePresentsFirst, "create_at_a_taken_key_leaves_the_presented_one_alone"),
    (CreatePresentsItself, "create_at_the_presented_key_is_an_error_and_makes_nothing"),

    (CommitForgetsOwner, "a_commit_replaces_bytes_label_owner_and_expiry"),
    (CommitNeverLowersExpiry, "a_commit_replaces_bytes_label_owner_and_expiry"),
    (CommitRestartsTheBeginning, "a_commit_keeps_the_beginning"),
    (CommitTellsAnotherVersion, "a_commit_returns_the_version_that_is_loaded"),
    (VersionsComeBack, "versions_differ_after_each_commit_and_never_come_back"),
    (CommitSkipsEqualBytes, "a_commit_of_equal_bytes_changes_the_version_too"),
    (CommitsAnyVersion, "a_commit_of_another_version_is_a_conflict_and_changes_nothing"),
    (Upserts, "a_commit_of_an_unused_key_is_gone_and_makes_nothing"),
    (Upserts, "a_commit_of_a_record_that_ended_is_gone_and_makes_nothing"),
    (Upserts, "a_commit_of_a_record_that_was_deleted_is_gone_and_makes_nothing"),
    (Upserts, "a_commit_of_a_record_that_moved_is_gone_and_changes_nothing"),
    (CommitTouchesEverything, "a_commit_at_one_key_leaves_the_others_alone"),

    (ForgetsTombstones, "a_move_leaves_a_tombstone_in_the_same_step"),
    (CommitForgetsOwner, "a_move_takes_bytes_label_owner_and_beginning_along"),
    (MovesInTwoSteps, "a_move_goes_on_with_another_version"),
    (MovesOnce, "a_record_moves_as_often_as_it_is_asked_to"),
    (MovesInTwoSteps, "a_move_to_a_taken_key_is_an_error_and_changes_nothing"),
    (CommitsAnyVersion, "a_move_of_another_version_is_a_conflict_and_changes_nothing"),
    (Upserts, "a_move_of_a_record_that_is_gone_makes_nothing"),
    (MovesInTwoSteps, "a_dropped_move_is_done_whole_or_not_at_all"),
    (MovesByCopying, "a_dropped_move_is_done_whole_or_not_at_all"),

    (TouchSets, "touch_only_raises"),
    (TouchIsLost, "touch_only_raises"),
    (TouchWritesBack, "touch_changes_nothing_but_the_expiry"),
    (CommitNeverLowersExpiry, "a_commit_after_a_touch_sets_its_own_expiry"),
    (TouchMakes, "touch_of_an_unused_key_is_no_error_and_makes_nothing"),
    (TouchOfAbsentFails, "touch_of_an_unused_key_is_no_error_and_makes_nothing"),
    (TouchOfAbsentFails, "touch_of_a_tombstone_is_no_error_and_changes_nothing"),
    (ForgetsTombstones, "end_leaves_a_tombstone_whatever_the_version"),
    (EndMakes, "end_of_an_absent_key_is_false_and_leaves_nothing"),
    (EndIsTrueAgain, "end_of_a_tombstone_is_false_and_changes_nothing"),
    (DeletesAMomentEarly, "delete_expired_removes_nothing_that_lives"),
    (DeletesAMomentLate, "delete_expired_takes_what_expires_at_this_instant"),
    (TouchIsLost, "delete_expired_goes_by_the_last_commit_or_touch"),
    (DeletesWithoutLimit, "delete_expired_keeps_to_its_limit_until_nothing_is_left"),

    (FindsByEightBytes, "find_goes_by_the_first_half_of_the_key"),
    (FindsTombstones, "find_shows_no_tombstone"),
    (EntriesLoseLabels, "entries_show_what_was_last_committed_or_touched"),
    (ListsBackwards, "owned_by_lists_in_the_order_of_keys"),
    (ListsExpired, "owned_by_shows_no_tombstones_and_nothing_that_has_expired"),
    (FoldsCaseOfOwners, "owners_are_told_apart_byte_by_byte"),
    (TruncatesOwners, "an_owner_is_any_text_up_to_255_bytes"),
    (PageRepeatsItsKey, "a_page_starts_behind_its_key"),
    (PageIsOneTooLong, "a_page_holds_at_most_its_limit"),
    (PageFillsUpTooLittle, "pages_one_after_the_other_show_every_record_once"),
    (EndsOneOfAnOwner, "end_owned_by_ends_all_and_returns_how_many"),
    (EndsTheExceptedToo, "end_owned_by_spares_the_key_that_is_excepted"),
    (EndsNothingForAForeignKey, "end_owned_by_spares_nothing_for_a_key_of_somebody_else"),
    (EndsByFirstOwner, "end_owned_by_leaves_what_has_another_owner_now"),
    (CountsTombstones, "count_counts_what_lives_by_then"),
    (ScansBackwards, "scan_reads_every_record_once_in_the_order_of_keys"),
    (ScansWithoutLimit, "scan_reads_at_most_its_limit"),

    (CommitLooksThenWrites, "of_parallel_commits_of_one_version_one_is_committed"),
    (CreateLooksThenMakes, "of_parallel_creates_of_one_key_one_is_made"),
    (CreateLooksThenPresents, "of_parallel_creates_over_one_presented_key_one_is_made"),
    (MovesByCopying, "of_parallel_moves_of_one_record_one_is_done"),
    (CommitLooksThenWrites, "parallel_commits_lose_no_increment"),
    (TouchWritesBack, "touches_beside_commits_lose_nothing"),
    (EndGivesUpOnChange, "an_end_beside_commits_leaves_nothing_alive"),
    (EndLooksFirst, "an_end_beside_a_move_ends_the_record_or_comes_too_late"),
    (EndsOneAfterTheOther, "end_owned_by_beside_moves_lets_none_slip_away"),
    (DeletesWhatItSaw, "delete_expired_beside_touches_and_commits_removes_nothing_that_lives"),
    (SweepsGiveWay, "delete_expired_beside_itself_leaves_nothing_that_has_expired"),
    (CommitLooksThenWrites, "parallel_operations_can_be_put_into_one_order_for_each_key"),
    (Caches, "parallel_operations_can_be_put_into_one_order_for_each_key"),
];

fn case(name: &str) -> Case {
    let case = cases().into_iter().find(|case| case.name() == name);
    case.unwrap_or_else(|| panic!("there is no sentence {name}"))
}

#[tokio::test]
async fn every_break_is_found_by_the_sentence_that_forbids_it() {
    let mut passed = Vec::new();
    for (how, sentence) in FOUND {
        if case(sentence).run(Broken::by(how)).await.is_ok() {
            passed.push((how, sentence));
        }
    }
    assert_eq!(passed, []);
}

#[tokio::test]
async fn a_store_without_a_break_passes() {
    for case in cases() {
        case.run(Broken::default()).await.unwrap();
    }
}

#[test]
fn every_sentence_finds_a_break() {
    let all: BTreeSet<_> = cases().iter().map(Case::name).collect();
    let found: BTreeSet<_> = FOUND.iter().map(|(_, sentence)| *sentence).collect();
    assert_eq!(all.difference(&found).collect::<Vec<_>>(), Vec::<&&str>::new());
}
