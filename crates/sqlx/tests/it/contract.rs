//! SQLite is a store: every sentence of the contract holds for it.

use crate::support::Folder;
use dframework_session_store::testing::{Fresh, acceptance_suite};

async fn fresh() -> impl Fresh {
    let folder = Folder::new();
    (folder.store().await, folder)
}

acceptance_suite!(fresh);
