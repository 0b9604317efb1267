//! HTTP sessions.

mod change;
mod clock;
mod commit;
mod config;
mod cookie;
mod draft;
mod driver;
mod error;
mod event;
mod facade;
mod flash;
mod handle;
mod key;
mod lines;
mod load;
mod memory;
mod queue;
mod record;
mod sessions;
mod token;
#[cfg(feature = "tower")]
pub mod tower;
mod value;

pub use clock::Clock;
pub use config::{Config, DriverName, Env, SameSite};
pub use dframework_session_store as store;
pub use dframework_session_store::SessionId;
pub use error::Error;
pub use facade::Session;
pub use handle::SessionHandle;
pub use key::{Accepts, Key, KeyName, KeyOf, Select};
pub use memory::MemoryStore;
pub use sessions::{CommitError, HeadChanges, RequestHead, ResponseHead, Sessions};

/// Runs an example of the documentation inside a request.
#[doc(hidden)]
pub fn doctest<F: Future<Output = Result<(), Box<dyn std::error::Error>>>>(example: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let sessions = Sessions::memory();
    let handle = sessions.open(RequestHead::new("GET"));
    let request = sessions.scope(handle, example);
    runtime
        .expect("a runtime without drivers needs no resources")
        .block_on(request)
        .expect("the example runs");
}
