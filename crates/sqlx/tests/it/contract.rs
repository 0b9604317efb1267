//! Every engine is a store: every sentence of the contract holds for it.

use crate::{
    home::{Home, on_servers},
    support::{Folder, store_on},
};
use dframework_session_sqlx::SqlStore;
use dframework_session_store::testing::{Fresh, acceptance_suite, cases};

async fn fresh() -> impl Fresh {
    let folder = Folder::new();
    (store_on(10, folder.options()).await, folder)
}

acceptance_suite!(fresh);

/// All sentences, each in a table of its own.
async fn hold_the_contract(home: &Home, store: impl AsyncFn(String) -> SqlStore) {
    for (number, case) in cases().into_iter().enumerate() {
        let store = store(format!("sessions_{number}")).await;
        store.migrate().await.unwrap();
        assert_eq!(case.run(store).await, Ok(()), "on {}", home.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds_on_every_server() {
    for home in on_servers() {
        let open = async |table| SqlStore::options().table(table).open(&home.url()).await.unwrap();
        hold_the_contract(&home, open).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds_on_a_pool_of_one_connection_of_a_server() {
    for home in on_servers() {
        let pool = home.pool(1);
        let open = async |table| SqlStore::options().table(table).over(pool.clone()).unwrap();
        hold_the_contract(&home, open).await;
    }
}
