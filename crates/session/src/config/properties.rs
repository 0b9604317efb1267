//! The one table of properties: each name, and how its value is read into the configuration.
//!
//! File, environment and "did you mean" all go by it, so a property that is added here is known to all of
//! them. Where values come from is the business of `source.rs`.

use super::{
    Config, DriverName, Env, LEAST_STORE_TIMEOUT, LEAST_WRITTEN, Revocation, SameSite, value::Given,
};
use crate::error::Error;

/// A property of `[app]` that is ours.
pub(super) struct Property {
    /// In snake case, with a dot between the name of a group and what is in it.
    pub(super) name: &'static str,
    pub(super) read: fn(&mut Config, &Given) -> Result<(), Error>,
}

const fn property(
    name: &'static str,
    read: fn(&mut Config, &Given) -> Result<(), Error>,
) -> Property {
    Property { name, read }
}

pub(super) static PROPERTIES: [Property; 21] = [
    property("env", |config, given| config.env.read(given, |given| given.choice(&Env::NAMES))),
    property("key", |config, given| config.key.read(given, Given::secret)),
    property("previous_keys", |config, given| config.previous_keys.read(given, Given::secrets)),
    property("session_driver", |config, given| {
        config.driver.read(given, |given| given.choice(&DriverName::NAMES))
    }),
    property("session_idle_timeout", |config, given| {
        config.idle_timeout.read(given, |given| given.duration(LEAST_WRITTEN))
    }),
    property("session_lifetime", |config, given| {
        config.lifetime.read(given, |given| given.duration(LEAST_WRITTEN))
    }),
    property("session_database_url", |config, given| config.database_url.read(given, Given::text)),
    property("session_table", |config, given| config.table.read(given, Given::text)),
    property("session_redis_url", |config, given| config.redis_url.read(given, Given::text)),
    property("session_store_timeout", |config, given| {
        config.store_timeout.read(given, |given| given.duration(LEAST_STORE_TIMEOUT))
    }),
    property("session_memory.max_sessions", |config, given| {
        config.max_sessions.read(given, Given::count)
    }),
    property("session_memory.max_bytes", |config, given| {
        config.max_bytes.read(given, Given::count)
    }),
    property("session_audience", |config, given| config.audience.read(given, Given::text)),
    property("session_revocation", |config, given| {
        config.revocation.read(given, |given| given.choice(&Revocation::NAMES))
    }),
    property("session_cookie.name", |config, given| config.cookie.name.read(given, Given::text)),
    property("session_cookie.path", |config, given| config.cookie.path.read(given, Given::text)),
    property("session_cookie.domain", |config, given| {
        config.cookie.domain.read(given, Given::text)
    }),
    property("session_cookie.same_site", |config, given| {
        config.cookie.same_site.read(given, |given| given.choice(&SameSite::NAMES))
    }),
    property("session_cookie.secure", |config, given| {
        config.cookie.secure.read(given, Given::switch)
    }),
    property("session_cookie.persistent", |config, given| {
        config.cookie.persistent.read(given, Given::switch)
    }),
    property("session_cookie.partitioned", |config, given| {
        config.cookie.partitioned.read(given, Given::switch)
    }),
];
