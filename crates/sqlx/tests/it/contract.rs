//! SQLite is a store: every sentence of the contract holds for it.

use crate::support::{Folder, store_on};
use dframework_session_store::testing::{Fresh, acceptance_suite};

async fn fresh() -> impl Fresh {
    let folder = Folder::new();
    (store_on(10, folder.options()).await, folder)
}

acceptance_suite!(fresh);
