//! What the tests share: a browser, a server, and how long anybody waits for either.

mod browser;
mod folder;
mod server;
mod tls;
mod watched;
mod webdriver;

pub(crate) use browser::Browser;
pub(crate) use server::{Gate, Server, Side};
pub(crate) use tls::Certificate;

use dframework_session::{Config, DriverName, Sessions};
use folder::Folder;
use std::time::Duration;
use tokio::runtime::Runtime;

/// The name of the session cookie where nothing else is configured.
pub(crate) const SESSION: &str = "__Host-Http-session";

/// The bound of every wait. Nothing here takes a second on a machine that has nothing else to do.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sessions on each driver.
pub(crate) fn drivers() -> [Sessions; 2] {
    [Sessions::memory(), in_a_database()]
}

/// Sessions in a file of their own, in a folder that goes with the last of them.
fn in_a_database() -> Sessions {
    let folder = Folder::new();
    let url = format!("sqlite://{}/sessions.db", folder.path().display());
    let config = Config::new().driver(DriverName::Database).database_url(url);
    // The sessions hold their hook, and the hook holds the folder.
    open(&config.on_event(move |_| {
        let _ = &folder;
    }))
}

/// Runs a scenario on each driver, in one browser that starts over for each.
pub(crate) fn on_every_driver(scenario: impl Fn(Sessions, &mut Browser)) {
    let Some(mut browser) = Browser::start() else { return };
    for sessions in drivers() {
        browser.start_over();
        scenario(sessions, &mut browser);
    }
}

/// Sessions in memory with this configuration.
pub(crate) fn connect(config: &Config) -> Sessions {
    open(&config.clone().driver(DriverName::Memory))
}

fn open(config: &Config) -> Sessions {
    Runtime::new().unwrap().block_on(Sessions::connect(config)).unwrap()
}
