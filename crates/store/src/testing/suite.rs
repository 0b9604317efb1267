//! The acceptance suite: every sentence of the contract as a test of that name.
//!
//! A sentence is an async function that is given a fresh, empty store and panics where the store does something
//! else. [`sentences`](crate::__sentences) is the one list of them: of it, [`acceptance_suite!`] makes tests
//! and [`cases`] a table.

mod committing;
mod ending;
mod history;
mod listing;
mod loading;
mod making;
mod meeting;
mod moving;
mod ordering;
mod subject;

use super::fresh::{Fresh, Shared};
use std::{fmt, future::Future, pin::Pin};
use subject::Subject;

/// One sentence of the contract, to be tried on a store.
///
/// A test that a broken store is found, and by what:
///
/// ```
/// use dframework_session_store::testing::{Fault, Probe, ReferenceStore, Verb, cases};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let case = cases().into_iter().find(|case| case.name() == "touch_only_raises").unwrap();
/// case.run(ReferenceStore::default()).await?;
///
/// let broken = Probe::over(ReferenceStore::default());
/// broken.fail_every(Verb::Touch, Fault::Unavailable);
/// let found = case.run(broken).await.unwrap_err();
/// assert!(found.to_string().starts_with("touch_only_raises: "));
/// # Ok::<(), dframework_session_store::testing::Broken>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct Case {
    name: &'static str,
    sentence: fn(Subject) -> Sentence,
}

type Sentence = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Case {
    /// The sentence, in the form of a test's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Tries the sentence on a store that is fresh and empty.
    ///
    /// What runs in parallel meets only on a runtime with several threads, or where the store waits.
    ///
    /// # Errors
    ///
    /// The store does something else, or fails.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn run(&self, fresh: impl Fresh) -> Result<(), Broken> {
        let (store, guard) = fresh.into_parts();
        let tried = self.spawn(store).await;
        drop(guard);
        tried.map_err(|failed| Broken { sentence: self.name, found: said(failed) })
    }

    /// In a task of its own, so that what is dropped after the test is dropped when it panics, too.
    fn spawn(&self, store: Shared) -> tokio::task::JoinHandle<()> {
        tokio::spawn((self.sentence)(Subject::new(store)))
    }
}

/// What a panic said.
fn said(failed: tokio::task::JoinError) -> String {
    let Ok(panic) = failed.try_into_panic() else { return "it was cut off".to_owned() };
    match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => {
            panic.downcast::<&str>().map_or_else(|_| String::new(), |said| (*said).into())
        }
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Case").field(&self.name).finish()
    }
}

/// A store breaks a sentence of the contract.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken {
    sentence: &'static str,
    found: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.sentence, self.found)
    }
}

impl std::error::Error for Broken {}

/// Tries one sentence on a store as a test does: what `acceptance_suite!` expands to.
#[doc(hidden)]
pub fn test<F: Fresh>(name: &str, make: impl AsyncFnOnce() -> F) {
    let case = cases().into_iter().find(|case| case.name == name);
    let case = case.expect("the macro and the table are made of one list");
    // Several threads, so that calls meet even in a store that never waits.
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(4).enable_all().build();
    let runtime = runtime.expect("the system gives a test four threads");
    let tried = runtime.block_on(async {
        let (store, guard) = make().await.into_parts();
        let tried = case.spawn(store).await;
        drop(guard);
        tried
    });
    if let Err(failed) = tried {
        std::panic::resume_unwind(failed.into_panic());
    }
}

/// Makes a test of every sentence of the contract, in the module where it stands.
///
/// It is given an async function, by name or as a closure, that makes a fresh, empty store: whatever is
/// [`Fresh`](crate::testing::Fresh). Every test is a plain `#[test]` with a runtime of its own, so the crate
/// under test needs no runtime for it.
///
/// ```
/// mod the_contract_on_the_reference {
///     use dframework_session_store::testing::{ReferenceStore, acceptance_suite};
///
///     acceptance_suite!(async || ReferenceStore::default());
/// }
///
/// mod the_contract_in_a_folder {
///     use dframework_session_store::testing::{Fresh, acceptance_suite};
///     # use dframework_session_store::testing::ReferenceStore;
///     # struct Folder;
///     # impl Folder {
///     #     fn temporary() -> Self { Self }
///     #     async fn store(&self) -> ReferenceStore { ReferenceStore::default() }
///     # }
///
///     async fn fresh() -> impl Fresh {
///         let folder = Folder::temporary();
///         (folder.store().await, folder)
///     }
///
///     acceptance_suite!(fresh);
/// }
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! acceptance_suite {
    ($make:expr) => {
        $crate::__sentences! { [$crate::__tests] [$make] }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __tests {
    ([$make:expr] $($module:ident { $($name:ident)+ })+) => {
        $($(
            #[test]
            fn $name() {
                $crate::testing::test(stringify!($name), $make);
            }
        )+)+
    };
}

macro_rules! table {
    ([] $($module:ident { $($name:ident)+ })+) => {
        /// Every sentence of the contract, to be tried on a store one by one.
        ///
        /// For a store of one's own, `acceptance_suite!` makes tests of them. This is for a test that a store
        /// which is broken on purpose is caught.
        pub fn cases() -> Vec<Case> {
            vec![$($(
                Case {
                    name: stringify!($name),
                    sentence: |subject| Box::pin($module::$name(subject)),
                },
            )+)+]
        }
    };
}

/// The one list of the sentences, by module, given to another macro.
#[doc(hidden)]
#[macro_export]
macro_rules! __sentences {
    ([$($callback:tt)+] [$($with:tt)*]) => {
        $($callback)+! {
            [$($with)*]
            loading {
                an_unused_key_is_unknown
                a_record_comes_back_as_it_was_made
                load_answers_in_the_order_of_the_keys
                load_of_a_key_that_comes_twice_answers_twice
                load_of_no_keys_is_empty
                load_of_500_keys_keeps_their_order
                keys_are_told_apart_by_every_bit
                bytes_come_back_unchanged_up_to_1_mib
                a_label_comes_back_unchanged_up_to_256_bytes
                instants_come_back_unchanged_up_to_the_last
                an_expired_record_stands_until_it_is_deleted
                a_tombstone_stands_until_it_is_deleted
            }
            making {
                create_at_a_taken_key_is_an_error_and_changes_nothing
                create_ends_the_unknown_key_that_was_presented
                create_ends_a_presented_record_that_has_expired
                create_ends_a_presented_tombstone_that_is_over
                create_over_a_live_presented_key_is_gone_and_makes_nothing
                create_over_a_remembered_presented_key_is_gone_and_makes_nothing
                create_at_a_taken_key_leaves_the_presented_one_alone
                create_at_the_presented_key_is_an_error_and_makes_nothing
            }
            committing {
                a_commit_replaces_bytes_label_owner_and_expiry
                a_commit_keeps_the_beginning
                a_commit_returns_the_version_that_is_loaded
                versions_differ_after_each_commit_and_never_come_back
                a_commit_of_equal_bytes_changes_the_version_too
                a_commit_of_another_version_is_a_conflict_and_changes_nothing
                a_commit_of_an_unused_key_is_gone_and_makes_nothing
                a_commit_of_a_record_that_ended_is_gone_and_makes_nothing
                a_commit_of_a_record_that_was_deleted_is_gone_and_makes_nothing
                a_commit_of_a_record_that_moved_is_gone_and_changes_nothing
                a_commit_at_one_key_leaves_the_others_alone
            }
            moving {
                a_move_leaves_a_tombstone_in_the_same_step
                a_move_takes_bytes_label_owner_and_beginning_along
                a_move_goes_on_with_another_version
                a_record_moves_as_often_as_it_is_asked_to
                a_move_to_a_taken_key_is_an_error_and_changes_nothing
                a_move_of_another_version_is_a_conflict_and_changes_nothing
                a_move_of_a_record_that_is_gone_makes_nothing
                a_dropped_move_is_done_whole_or_not_at_all
            }
            ending {
                touch_only_raises
                touch_changes_nothing_but_the_expiry
                a_commit_after_a_touch_sets_its_own_expiry
                touch_of_an_unused_key_is_no_error_and_makes_nothing
                touch_of_a_tombstone_is_no_error_and_changes_nothing
                end_leaves_a_tombstone_whatever_the_version
                end_of_an_absent_key_is_false_and_leaves_nothing
                end_of_a_tombstone_is_false_and_changes_nothing
                delete_expired_removes_nothing_that_lives
                delete_expired_takes_what_expires_at_this_instant
                delete_expired_goes_by_the_last_commit_or_touch
                delete_expired_keeps_to_its_limit_until_nothing_is_left
            }
            listing {
                find_goes_by_the_first_half_of_the_key
                find_shows_no_tombstone
                entries_show_what_was_last_committed_or_touched
                owned_by_lists_in_the_order_of_keys
                owned_by_shows_no_tombstones_and_nothing_that_has_expired
                owners_are_told_apart_byte_by_byte
                an_owner_is_any_text_up_to_255_bytes
                a_page_starts_behind_its_key
                a_page_holds_at_most_its_limit
                pages_one_after_the_other_show_every_record_once
                end_owned_by_ends_all_and_returns_how_many
                end_owned_by_spares_the_key_that_is_excepted
                end_owned_by_spares_nothing_for_a_key_of_somebody_else
                end_owned_by_leaves_what_has_another_owner_now
                count_counts_what_lives_by_then
                scan_reads_every_record_once_in_the_order_of_keys
                scan_reads_at_most_its_limit
            }
            meeting {
                of_parallel_commits_of_one_version_one_is_committed
                of_parallel_creates_of_one_key_one_is_made
                of_parallel_creates_over_one_presented_key_one_is_made
                of_parallel_moves_of_one_record_one_is_done
                parallel_commits_lose_no_increment
                touches_beside_commits_lose_nothing
                an_end_beside_commits_leaves_nothing_alive
                an_end_beside_a_move_ends_the_record_or_comes_too_late
                end_owned_by_beside_moves_lets_none_slip_away
                delete_expired_beside_touches_and_commits_removes_nothing_that_lives
                delete_expired_beside_itself_leaves_nothing_that_has_expired
            }
            ordering {
                parallel_operations_can_be_put_into_one_order_for_each_key
            }
        }
    };
}

__sentences! { [table] [] }
