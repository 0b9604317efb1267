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

use dframework_session::{Clock, Config, DriverName, Sessions};
use folder::Folder;
use std::time::Duration;
use tokio::runtime::Runtime;

/// The name of the session cookie where nothing else is configured.
pub(crate) const SESSION: &str = "__Host-Http-session";

/// The bound of every wait. Nothing here takes a second on a machine that has nothing else to do.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sessions on each driver.
pub(crate) fn drivers() -> [Sessions; 3] {
    drivers_with(&Config::new())
}

/// Sessions on each driver with this configuration.
fn drivers_with(config: &Config) -> [Sessions; 3] {
    [connect(config), in_a_database(config), in_cookies(config)]
}

/// Sessions in a file of their own, in a folder that goes with the last of them.
fn in_a_database(config: &Config) -> Sessions {
    let folder = Folder::new();
    let url = format!("sqlite://{}/sessions.db", folder.path().display());
    let config = config.clone().driver(DriverName::Database).database_url(url);
    // The sessions hold their hook, and the hook holds the folder.
    open(&config.on_event(move |_| {
        let _ = &folder;
    }))
}

/// Sessions in their cookies, under a key of their own.
pub(crate) fn in_cookies(config: &Config) -> Sessions {
    let key = Config::generate_key().unwrap();
    open(&config.clone().driver(DriverName::Stealth).key(key).unwrap())
}

/// Runs a scenario on each driver, in one browser that starts over for each.
pub(crate) fn on_every_driver(scenario: impl Fn(Sessions, &mut Browser)) {
    on_each(drivers(), scenario);
}

/// Runs it on each driver that keeps sessions: with the others, of parallel writes the last answer wins.
pub(crate) fn on_every_keeper(scenario: impl Fn(Sessions, &mut Browser)) {
    let config = Config::new();
    on_each([connect(&config), in_a_database(&config)], scenario);
}

/// Runs it on each driver, and lets it move the time of the sessions.
pub(crate) fn on_every_driver_in_time(scenario: impl Fn(Sessions, &mut Browser, &Clock)) {
    let clock = Clock::manual();
    let sessions = drivers_with(&Config::new().clock(clock.clone()));
    on_each(sessions, |sessions, browser| scenario(sessions, browser, &clock));
}

fn on_each<const COUNT: usize>(
    sessions: [Sessions; COUNT],
    scenario: impl Fn(Sessions, &mut Browser),
) {
    let Some(mut browser) = Browser::start() else { return };
    for sessions in sessions {
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
