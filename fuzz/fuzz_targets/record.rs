//! The bytes of a record, as a store may give them back: every verb reads them, and what is written is read again.
#![no_main]

use dframework_session::{
    Clock, Config, Error, MemoryStore, RequestHead, ResponseHead, SessionHandle, Sessions,
    store::{NewRecord, Store, StoreKey},
};
use libfuzzer_sys::fuzz_target;
use std::{cell::LazyCell, time::Duration};
use tokio::runtime::{Builder, Runtime};

/// A token of zeros, which opens the ordinary and the permanent record: its nature says which of them it is.
const COOKIE: &[u8] = b"__Host-Http-session=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA; \
    __Host-Http-session.p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.1; \
    __Host-Http-session.f0=1; __Host-Http-session.f7=1";

/// SHA-256 of 32 zeros: where a store keeps it.
const KEY: [u8; 32] = [
    0x66, 0x68, 0x7a, 0xad, 0xf8, 0x62, 0xbd, 0x77, 0x6c, 0x8f, 0xc1, 0x8b, 0x8e, 0x9f, 0x8e, 0x20,
    0x08, 0x97, 0x14, 0x85, 0x6e, 0xe2, 0x33, 0xb3, 0x90, 0x2a, 0x59, 0x1d, 0x0d, 0x5f, 0x29, 0x25,
];

thread_local! {
    static RUNTIME: LazyCell<Runtime> = LazyCell::new(|| {
        // Nobody waits for the pauses between lost rounds.
        let paused = Builder::new_current_thread().enable_time().start_paused(true).build();
        paused.expect("a runtime needs no resources")
    });
}

fuzz_target!(|bytes: &[u8]| RUNTIME.with(|runtime| runtime.block_on(walk(bytes))));

async fn walk(bytes: &[u8]) {
    let clock = Clock::manual();
    let (store, now) = (MemoryStore::new(), clock.now());
    let year = now.saturating_add(Duration::from_secs(365 * 24 * 3600));
    let record = NewRecord::new(bytes, now, year);
    store.create(&StoreKey::from_bytes(KEY), record, now).await.expect("there is room");
    let config = Config::new().clock(clock);
    let sessions = Sessions::from_store(store, &config).expect("the defaults can be used");

    let handle = open(&sessions);
    let changed = verbs(&handle).await;
    let committed = sessions.commit(&handle, ResponseHead::new(200)).await;
    let Ok(head) = committed else { return };
    let is_new = head.set_cookies.iter().any(|line| line.starts_with("__Host-Http-session="));
    if changed.is_ok() && !is_new {
        let again = open(&sessions);
        let value: Result<Option<u64>, Error> = again.get("number").await;
        assert!(matches!(value, Ok(Some(7))), "{value:?}");
    }
}

fn open(sessions: &Sessions) -> SessionHandle {
    sessions.open(RequestHead::new("GET").with_cookies([COOKIE]))
}

async fn verbs(session: &SessionHandle) -> Result<(), Error> {
    session.owner().await?;
    session.keys().await?;
    session.all().await?;
    session
        .get::<String>("name")
        .await
        .or_else(|error| if error.is_wrong_type() { Ok(None) } else { Err(error) })?;
    session.set("number", 7).await
}
