//! What the configuration takes, what it refuses, and what it says then. `Debug` shows what is in force.

use dframework_session::{Clock, Config, DriverName, Env, SameSite};
use std::{
    ffi::OsStr,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// Two keys of 32 bytes, and the first of them in base64.
const HEX: &str = "f00112233445566778899aabbccddeeff0123456789abcdef0011223344556aa";
const OTHER_HEX: &str = "0ff1ce0ff1ce5566778899aabbccddeeff0123456789abcdef00112233445566";
const STANDARD: &str = "8AESIzRFVmd4iZqrvM3e7/ASNFZ4mrze8AESIzRFVqo=";

const NO_VARIABLES: [(&str, &str); 0] = [];

fn toml(entries: &str) -> Result<Config, String> {
    Config::from_toml(&format!("[app]\n{entries}")).map_err(|error| error.to_string())
}

/// Read, and then checked as whoever builds the sessions does.
fn checked(entries: &str) -> Result<Config, String> {
    let config = toml(entries)?;
    config.check().map_err(|error| error.to_string()).map(|()| config)
}

fn variable(name: &str, value: &str) -> Result<Config, String> {
    Config::from_parts(None, [(name, value)]).map_err(|error| error.to_string())
}

#[track_caller]
fn assert_shows(config: Result<Config, String>, parts: &[&str], case: &str) {
    let shown = format!("{:?}", config.unwrap_or_else(|error| panic!("{case}: {error}")));
    for part in parts {
        assert!(shown.contains(part), "{case}: no {part:?} in {shown}");
    }
}

#[track_caller]
fn assert_refused(config: Result<Config, String>, parts: &[&str], case: &str) {
    let Err(message) = config else { panic!("{case}: was taken") };
    for part in parts {
        assert!(message.contains(part), "{case}: no {part:?} in {message:?}");
    }
}

#[test]
fn nothing_given_means_the_defaults() {
    let defaults = [
        "env: Production",
        "key: None",
        "previous_keys: []",
        "driver: None",
        "idle_timeout: 7200s",
        "lifetime: 2592000s",
        "store_timeout: 5s",
        "max_sessions: 1000000",
        "max_bytes: 1073741824",
        "table: \"sessions\"",
        "audience: \"\"",
        "revocation: Process",
        "name: \"__Host-Http-session\"",
        "path: \"/\"",
        "domain: None",
        "same_site: Lax",
        "secure: true",
        "persistent: false",
        "partitioned: false",
    ];
    let empty = Config::from_parts(None, NO_VARIABLES).map_err(|error| error.to_string());
    assert_shows(empty, &defaults, "no file");
    assert_shows(toml(""), &defaults, "an empty table");
    assert_shows(Ok(Config::new()), &defaults, "new");
    assert_shows(Ok(Config::default()), &defaults, "default");
    assert!(Config::new().check().is_ok());
}

/// Each property: its name in camel case, in snake case, a value as TOML and as a variable, what `Debug` shows.
const PROPERTIES: [(&str, &str, &str, &str, &str); 21] = [
    ("env", "env", "'local'", "local", "env: Local"),
    ("key", "key", "'base64:8AESIzRFVmd4iZqrvM3e7/ASNFZ4mrze8AESIzRFVqo='", HEX, "key: Some("),
    (
        "previousKeys",
        "previous_keys",
        "['f00112233445566778899aabbccddeeff0123456789abcdef0011223344556aa', '0ff1ce0ff1ce5566778899aabbccddeeff0123456789abcdef00112233445566']",
        "f00112233445566778899aabbccddeeff0123456789abcdef0011223344556aa, 0ff1ce0ff1ce5566778899aabbccddeeff0123456789abcdef00112233445566",
        "previous_keys: [Secret(..), Secret(..)]",
    ),
    ("sessionDriver", "session_driver", "'database'", "database", "driver: Some(Database)"),
    ("sessionIdleTimeout", "session_idle_timeout", "'15m'", "15m", "idle_timeout: 900s"),
    ("sessionLifetime", "session_lifetime", "'7d'", "7d", "lifetime: 604800s"),
    (
        "sessionDatabaseUrl",
        "session_database_url",
        "'sqlite://x'",
        "sqlite://x",
        "database_url: ..",
    ),
    ("sessionTable", "session_table", "'_Web1'", "_Web1", "table: \"_Web1\""),
    ("sessionRedisUrl", "session_redis_url", "'redis://x'", "redis://x", "redis_url: .."),
    ("sessionStoreTimeout", "session_store_timeout", "'250ms'", "250ms", "store_timeout: 250ms"),
    ("sessionMemory.maxSessions", "session_memory.max_sessions", "10", "10", "max_sessions: 10,"),
    ("sessionMemory.maxBytes", "session_memory.max_bytes", "4_096", "4096", "max_bytes: 4096,"),
    ("sessionAudience", "session_audience", "'shop'", "shop", "audience: \"shop\""),
    ("sessionRevocation", "session_revocation", "'off'", "off", "revocation: Off"),
    ("sessionCookie.name", "session_cookie.name", "'s.id'", "s.id", "name: \"s.id\""),
    ("sessionCookie.path", "session_cookie.path", "'/'", "/", "path: \"/\""),
    // Alone it is refused, with the name below.
    ("sessionCookie.domain", "session_cookie.domain", "'a.b'", "a.b", "domain: Some(\"a.b\")"),
    (
        "sessionCookie.sameSite",
        "session_cookie.same_site",
        "'Strict'",
        "strict",
        "same_site: Strict",
    ),
    ("sessionCookie.secure", "session_cookie.secure", "false", "false", "secure: false"),
    ("sessionCookie.persistent", "session_cookie.persistent", "true", "true", "persistent: true"),
    (
        "sessionCookie.partitioned",
        "session_cookie.partitioned",
        "true",
        "true",
        "partitioned: true",
    ),
];

/// A name without a prefix, so that every other property of the cookie is allowed.
fn with_name(property: &str, entries: &str) -> Result<Config, String> {
    let named = property == "sessionCookie.name" || property == "session_cookie.name";
    toml(&format!("{}\n{entries}", if named { "" } else { "sessionCookie.name = 'plain'" }))
}

#[test]
fn every_property_is_read_from_the_file_in_both_spellings() {
    for (camel, snake, value, _, shown) in PROPERTIES {
        for name in [camel, snake] {
            assert_shows(with_name(camel, &format!("{name} = {value}")), &[shown], name);
        }
    }
}

#[test]
fn every_property_is_read_from_the_environment() {
    for (_, snake, _, value, shown) in PROPERTIES {
        let name = format!("APP_{}", snake.replace('.', "_").to_uppercase());
        let mut variables = vec![("APP_SESSION_COOKIE_NAME", "plain")];
        variables.push((&name, value));
        let config = Config::from_parts(None, variables).map_err(|error| error.to_string());
        assert_shows(config, &[shown], &name);
    }
}

#[test]
fn the_environment_wins_and_the_value_of_the_file_is_not_looked_at() {
    let file = "[app]\nsessionDriver = 'memory'\nkey = 'change me'\nsession_cookie.path = 7";
    let variables =
        [("APP_SESSION_DRIVER", "stealth"), ("APP_KEY", HEX), ("APP_SESSION_COOKIE_PATH", "/")];
    let config = Config::from_parts(Some(file), variables).map_err(|error| error.to_string());
    assert_shows(config, &["driver: Some(Stealth)", "key: Some("], "environment over file");
    assert_refused(toml("key = 'change me'"), &["app.key"], "the file alone");
}

#[test]
fn groups_are_tables_in_either_spelling() {
    let parts = ["name: \"a\"", "persistent: true", "max_bytes: 9"];
    for (cookie, memory) in
        [("sessionCookie", "sessionMemory"), ("session_cookie", "session_memory")]
    {
        let file =
            format!("[app.{cookie}]\nname = 'a'\npersistent = true\n[app.{memory}]\nmax_bytes = 9");
        let config = Config::from_toml(&file).map_err(|error| error.to_string());
        assert_shows(config, &parts, &file);
    }
    let mixed = toml("sessionCookie.name = 'a'\nsession_cookie.persistent = true");
    assert_shows(mixed, &parts[..2], "two tables that share nothing");
}

#[test]
fn one_property_in_two_spellings_is_refused_with_both_names() {
    for (entries, names) in [
        (
            "sessionDriver = 'memory'\nsession_driver = 'memory'",
            ["app.sessionDriver", "app.session_driver"],
        ),
        (
            "sessionCookie.sameSite = 'lax'\nsession_cookie.same_site = 'lax'",
            ["app.sessionCookie.sameSite", "app.session_cookie.same_site"],
        ),
        (
            "sessionMemory = { maxBytes = 1, max_bytes = 1 }",
            ["app.sessionMemory.maxBytes", "app.sessionMemory.max_bytes"],
        ),
    ] {
        assert_refused(toml(entries), &names, entries);
    }
}

#[test]
fn what_belongs_to_the_application_is_left_alone() {
    for name in ["web", "net", "dev", "ext", "url", "name", "port", "config", "keyring", "cookie"] {
        assert_shows(toml(&format!("{name} = {{ a = 1 }}")), &[], name);
        let variable_name = format!("APP_{}", name.to_uppercase());
        assert_shows(variable(&variable_name, "1"), &[], &variable_name);
    }
    for name in ["APP_CONFIG", "SESSION_DRIVER", "APPLE_KEY", "app_session_driver", "APP_", "PATH"]
    {
        assert_shows(variable(name, "nonsense"), &["driver: None"], name);
    }
    let elsewhere = Config::from_toml("[database]\nsessionDriver = 1\nkye = 2");
    assert!(elsewhere.is_ok(), "other tables are not ours");
}

#[test]
fn near_misses_are_refused_with_what_was_meant() {
    for (written, meant) in [
        ("keys", "app.key"),
        ("kye", "app.key"),
        ("envs", "app.env"),
        ("Env", "app.env"),
        ("previousKey", "app.previousKeys"),
        ("previous-keys", "app.previousKeys"),
        ("previusKey", "app.previousKeys"),
        ("sesionDriver", "app.sessionDriver"),
        ("sessionDriv", "app.sessionDriver"),
        ("session-driver", "app.sessionDriver"),
        ("SESSION_DRIVER", "app.sessionDriver"),
        ("sessionDatabaseURL", "app.sessionDatabaseUrl"),
        ("sessionLifetme", "app.sessionLifetime"),
        ("sessionCookies", "app.sessionCookie"),
        ("sesionCookie", "app.sessionCookie"),
        ("sessionCookieName", "app.sessionCookie.name"),
        ("sessionSomethingElse", "app.session"),
    ] {
        let entry = format!("{written} = 'x'");
        let parts = [&format!("app.{written} is not known"), "did you mean", meant];
        assert_refused(toml(&entry), &parts, written);
    }
    for (written, meant) in [
        ("APP_KEYS", "APP_KEY?"),
        ("APP_PREVIOUS_KEY", "APP_PREVIOUS_KEYS?"),
        ("APP_SESION_DRIVER", "APP_SESSION_DRIVER?"),
        ("APP_SESSION_DRIVERS", "APP_SESSION_DRIVER?"),
        ("APP_SESSION_COOKIE_SAMESITE", "APP_SESSION_COOKIE_SAME_SITE?"),
        ("APP_SESSION", "APP_SESSION_"),
    ] {
        let parts = [&format!("{written} is not known"), "did you mean", meant];
        assert_refused(variable(written, "x"), &parts, written);
    }
}

#[test]
fn a_stranger_in_a_group_is_refused_with_the_members() {
    let cookie = "name, path, domain, sameSite, secure, persistent, partitioned";
    for (entry, parts) in [
        (
            "sessionCookie.samesite = 'lax'",
            ["app.sessionCookie.samesite", "app.sessionCookie.sameSite?", cookie],
        ),
        (
            "session_cookie.httpOnly = true",
            ["app.session_cookie.httpOnly", "did you mean app.sessionCookie.", cookie],
        ),
        (
            "sessionMemory.maxSession = 5",
            ["app.sessionMemory.maxSession", "maxSessions?", "maxSessions, maxBytes"],
        ),
    ] {
        assert_refused(toml(entry), &parts, entry);
    }
    assert_refused(
        variable("APP_SESSION_MEMORY_BYTES", "5"),
        &[
            "APP_SESSION_MEMORY_MAX_BYTES?",
            "APP_SESSION_MEMORY_MAX_SESSIONS, APP_SESSION_MEMORY_MAX",
        ],
        "a variable",
    );
}

#[test]
fn a_wrong_type_is_refused_with_both_types() {
    for (entry, parts) in [
        ("env = 1", ["app.env is an integer", "production, local"]),
        ("key = 1", ["app.key is an integer", "a string"]),
        ("previousKeys = 'x'", ["app.previousKeys is a string", "an array of strings"]),
        ("previous_keys = [1]", ["app.previous_keys[0] is an integer", "a string"]),
        ("sessionDriver = true", ["app.sessionDriver is a boolean", "memory, database, stealth"]),
        ("sessionIdleTimeout = true", ["app.sessionIdleTimeout is a boolean", "\"2h\""]),
        ("sessionLifetime = 07:32:00", ["app.sessionLifetime is a datetime", "\"2h\""]),
        ("sessionTable = []", ["app.sessionTable is an array", "a string"]),
        ("sessionMemory.maxBytes = '1'", ["maxBytes is a string", "a positive whole number"]),
        ("sessionMemory.maxBytes = 1.5", ["maxBytes is a float", "a positive whole number"]),
        ("sessionMemory = 5", ["app.sessionMemory is an integer", "maxSessions, maxBytes"]),
        ("sessionCookie = 'x'", ["app.sessionCookie is a string", "name, path, domain, sameSite"]),
        ("sessionCookie.secure = 'true'", ["sessionCookie.secure is a string", "true or false"]),
        ("sessionCookie.sameSite = {}", ["sameSite is a table", "lax, strict, none"]),
    ] {
        assert_refused(toml(entry), &parts, entry);
    }
    let app = Config::from_toml("app = 3").map_err(|error| error.to_string());
    assert_refused(app, &["app is an integer", "a table"], "app itself");
}

#[test]
fn values_that_are_not_allowed_are_refused_with_those_that_are() {
    let long = format!("sessionAudience = '{}'", "a".repeat(256));
    let long_table = format!("sessionTable = '{}'", "a".repeat(64));
    for (entry, parts) in [
        ("env = 'staging'", ["app.env is \"staging\"", "production, local"]),
        (
            "sessionDriver = 'file'",
            ["app.sessionDriver is \"file\"", "memory, database, stealth, redis"],
        ),
        ("session_driver = ''", ["app.session_driver is \"\"", "memory, database, stealth, redis"]),
        ("sessionRevocation = 'on'", ["app.sessionRevocation is \"on\"", "process, off"]),
        ("sessionCookie.sameSite = 'no'", ["sameSite is \"no\"", "lax, strict, none"]),
        ("sessionMemory.maxSessions = 0", ["maxSessions is 0", "whole numbers from 1 up"]),
        ("sessionMemory.maxBytes = -1", ["maxBytes is -1", "whole numbers from 1 up"]),
        ("sessionTable = ''", ["app.sessionTable is \"\"", "an SQL identifier"]),
        ("sessionTable = 'a; drop'", ["app.sessionTable is \"a; drop\"", "an SQL identifier"]),
        ("sessionTable = '1a'", ["app.sessionTable is \"1a\"", "an SQL identifier"]),
        (&long_table, ["app.sessionTable is \"aaa", "at most 63"]),
        (&long, ["app.sessionAudience has 256 bytes", "at most 255"]),
        ("sessionDatabaseUrl = ''", ["app.sessionDatabaseUrl is empty", "sqlite://"]),
        ("sessionRedisUrl = ''", ["app.sessionRedisUrl is empty", "redis://"]),
    ] {
        assert_refused(toml(entry), &parts, entry);
    }
    for (name, value, parts) in [
        ("APP_SESSION_DRIVER", "ram", ["APP_SESSION_DRIVER is \"ram\"", "memory, database"]),
        ("APP_SESSION_COOKIE_SECURE", "yes", ["_SECURE is \"yes\"", "true and false"]),
        ("APP_SESSION_MEMORY_MAX_BYTES", "1G", ["MAX_BYTES is \"1G\"", "whole numbers from 1 up"]),
        ("APP_SESSION_MEMORY_MAX_BYTES", "0", ["MAX_BYTES is \"0\"", "whole numbers from 1 up"]),
        ("APP_SESSION_IDLE_TIMEOUT", "7200", ["_IDLE_TIMEOUT is \"7200\"", "7200s, 120m or 2h"]),
        ("APP_SESSION_TABLE", "a b", ["APP_SESSION_TABLE is \"a b\"", "an SQL identifier"]),
    ] {
        assert_refused(variable(name, value), &parts, name);
    }
}

#[test]
fn stealth_needs_a_key_but_in_local() {
    let parts = ["app.key", "openssl rand -hex 32", "Config::generate_key()"];
    assert_refused(checked("sessionDriver = 'stealth'"), &parts, "production");
    assert_shows(
        checked("sessionDriver = 'stealth'\nenv = 'local'"),
        &["driver: Some(Stealth)", "key: None"],
        "local",
    );
}

#[test]
fn what_a_driver_needs_may_be_given_after_reading() {
    let read = |text: &str| toml(text).unwrap();
    let stealth = || read("sessionDriver = 'stealth'");
    assert!(stealth().check().unwrap_err().to_string().contains("app.sessionDriver is"));
    stealth().key(HEX).unwrap().check().unwrap();
    stealth().key_file("data/session.key").check().unwrap();
    let redis = || read("sessionDriver = 'redis'");
    let refused = redis().check().unwrap_err().to_string();
    assert!(refused.contains("app.sessionDriver is \"redis\", which needs app.sessionRedisUrl"));
    redis().redis_url("redis://127.0.0.1:6379").check().unwrap();
}

#[test]
fn names_at_their_bounds_are_taken() {
    for entry in [
        format!("sessionTable = 'a{}'", "_".repeat(62)),
        format!("sessionAudience = '{}'", "a".repeat(255)),
        format!("sessionCookie.name = '{}'", "a".repeat(200)),
        format!("sessionCookie.path = '/{}'\nsessionCookie.name = 's'", "a".repeat(1023)),
        format!("sessionCookie.domain = '{}b'\nsessionCookie.name = 's'", "a.".repeat(126)),
    ] {
        assert_shows(toml(&entry), &[], &entry);
    }
}

#[test]
fn durations_are_a_whole_number_with_a_unit() {
    for (written, shown) in [
        ("1500ms", "1.5s"),
        ("1500 milliseconds", "1.5s"),
        ("1s", "1s"),
        ("90 seconds", "90s"),
        ("1 minute", "60s"),
        ("5  minutes", "300s"),
        ("1 hour", "3600s"),
        ("720h", "2592000s"),
        ("1day", "86400s"),
        ("30 days", "2592000s"),
    ] {
        let entry = format!("sessionIdleTimeout = '{written}'");
        assert_shows(toml(&entry), &[&format!("idle_timeout: {shown},")], written);
    }
    assert_shows(toml("sessionLifetime = '36500d'"), &["lifetime: 3153600000s"], "a hundred years");
    assert_shows(toml("sessionStoreTimeout = '1ms'"), &["store_timeout: 1ms"], "one millisecond");
}

#[test]
fn other_durations_are_refused() {
    let shape = "a whole number with a unit, ms, s, m, h or d";
    let bare = "write 7200s, 120m or 2h";
    for (value, parts) in [
        ("7200", ["is 7200,", bare]),
        ("-5", ["is -5,", bare]),
        ("1.5", ["is 1.5,", bare]),
        ("'7200'", ["is \"7200\",", bare]),
        ("''", ["is \"\",", shape]),
        ("'h'", ["is \"h\",", shape]),
        ("'1.5h'", ["is \"1.5h\",", shape]),
        ("'-5s'", ["is \"-5s\",", shape]),
        ("'+5s'", ["is \"+5s\",", shape]),
        ("'2H'", ["is \"2H\",", shape]),
        ("'2 weeks'", ["is \"2 weeks\",", shape]),
        ("'1h30m'", ["is \"1h30m\",", shape]),
        ("' 2h'", ["is \" 2h\",", shape]),
        ("'2h '", ["is \"2h \",", shape]),
        ("'٢h'", ["is \"٢h\",", shape]),
        ("'0s'", ["is 0s", "at least 1s"]),
        ("'999ms'", ["is 999ms", "at least 1s"]),
        ("'36501d'", ["is \"36501d\"", "at most 36500d"]),
        ("'18446744073709551615d'", ["too long", "at most 36500d"]),
        ("'99999999999999999999999s'", ["too long", "at most 36500d"]),
    ] {
        for property in ["sessionIdleTimeout", "session_lifetime"] {
            let parts = [&format!("app.{property} "), parts[0], parts[1]];
            assert_refused(toml(&format!("{property} = {value}")), &parts, value);
        }
    }
    let parts = ["app.sessionStoreTimeout is 0s", "at least 1ms"];
    assert_refused(toml("sessionStoreTimeout = '0ms'"), &parts, "store timeout");
}

#[test]
fn an_idle_timeout_longer_than_the_lifetime_is_refused_with_both_names() {
    let file = "[app]\nsession_lifetime = '90m'";
    let config = Config::from_parts(Some(file), [("APP_SESSION_IDLE_TIMEOUT", "5401s")]);
    assert_refused(
        config.map_err(|error| error.to_string()),
        &["APP_SESSION_IDLE_TIMEOUT is 5401s", "app.session_lifetime, which is 90m"],
        "from two places",
    );
    let parts = ["app.sessionIdleTimeout is 2h", "app.sessionLifetime, which is 1h"];
    assert_refused(toml("sessionLifetime = '1h'"), &parts, "a default");
    assert_shows(toml("sessionLifetime = '2h'"), &["lifetime: 7200s"], "equal");
}

#[test]
fn text_that_is_not_toml_is_refused_by_line_and_not_quoted() {
    for (text, line) in [
        (format!("[app]\n\nkey = \"{HEX}\n"), "line 3"),
        (format!("[app]\nkey = {HEX}\n"), "line 2"),
        (HEX.to_owned(), "line 1"),
        (format!("[app]\nkey = '{HEX}'\n# ü\nkey = '{HEX}'\n"), "line 4"),
        (format!("[app]\nx.y = 1\nx.y.{HEX} = 1\n"), "line 3"),
        (format!("[app]\nkey = '{HEX}' '{HEX}'\n"), "line 2"),
        ("[app]\nbig = 123456789012345678901234567890\n".to_owned(), "line 2"),
        (format!("{}1", "a = [".repeat(5000)), "line 1"),
    ] {
        let Err(error) = Config::from_toml(&text) else { panic!("was taken: {text}") };
        let message = format!("{error} {error:?}");
        assert!(message.contains(line), "no {line} in {message}, for {text:.60}");
        assert!(!message.contains(&HEX[..6]) && !message.contains("123456"), "quoted: {message}");
        assert!(message.contains("the configuration file is not valid TOML"), "{message}");
    }
}

#[test]
fn every_way_to_write_a_key_gives_the_same_bytes() {
    let url_safe = STANDARD.replace('/', "_").replace('+', "-");
    let forms = [
        STANDARD.to_owned(),
        STANDARD.trim_end_matches('=').to_owned(),
        url_safe.clone(),
        url_safe.trim_end_matches('=').to_owned(),
        format!("base64:{STANDARD}"),
        HEX.to_uppercase(),
        format!("{HEX}\\n"),
    ];
    for form in forms {
        assert_shows(toml(&format!("key = \"{form}\"")), &["key: Some(Secret(..))"], &form);
        // That two forms are one key shows in the refusal of doubles.
        let both = format!("key = '{HEX}'\npreviousKeys = ['{OTHER_HEX}', \"{form}\"]");
        assert_refused(toml(&both), &["app.previousKeys[1] is the same key as app.key"], &form);
    }
    let prefixed = toml(&format!("key = '{HEX}'\npreviousKeys = ['base64:{HEX}']"));
    assert_shows(prefixed, &["previous_keys: [Secret(..)]"], "with a prefix it is base64, not hex");
}

#[test]
fn keys_that_protect_nothing_are_refused_and_not_shown() {
    let repeated = "0123456789abcdef".repeat(4);
    for (value, why) in [
        ("", "shorter than 32 bytes"),
        ("c2hvcnQ", "shorter than 32 bytes"),
        ("correct horse battery staple correct horse", "neither hex nor base64"),
        (&format!("{STANDARD}="), "neither hex nor base64"),
        (&STANDARD.replace('=', "*"), "neither hex nor base64"),
        (&STANDARD.replacen("8A", "-+", 1), "neither hex nor base64"),
        (&"0".repeat(64), "a short pattern that repeats"),
        (&"ff".repeat(32), "a short pattern that repeats"),
        (&"A".repeat(43), "a short pattern that repeats"),
        (&repeated, "a short pattern that repeats"),
        (&format!("{}Z", "YWJj".repeat(15)), "neither hex nor base64"),
        (&"YWJj".repeat(15), "a short pattern that repeats"),
        (&counted(|byte| byte), "counted up or down"),
        (&counted(|byte| 200 - 3 * byte), "counted up or down"),
        // Of the documentation of Flask, Laravel and Rocket.
        (
            "192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",
            "a sample that documentation shows",
        ),
        (
            "base64:J63qRTDLub5NuZvP+kb8YIorGS6qFYHKVo6u7179stY=",
            "a sample that documentation shows",
        ),
        ("J63qRTDLub5NuZvP-kb8YIorGS6qFYHKVo6u7179stY", "a sample that documentation shows"),
        ("8Xui8SN4mI+7egV/9dlfYYLGQJeEx4+DwmSQLwDVXJg=", "a sample that documentation shows"),
    ] {
        for (name, config) in [
            ("app.key", toml(&format!("key = '{value}'"))),
            ("APP_KEY", variable("APP_KEY", value)),
            ("app.previous_keys[1]", toml(&format!("previous_keys = ['{HEX}', '{value}']"))),
            ("APP_PREVIOUS_KEYS[1]", variable("APP_PREVIOUS_KEYS", &format!("{HEX},{value}"))),
        ] {
            let Err(message) = config else { panic!("{name} was taken: {value}") };
            assert!(message.starts_with(&format!("{name} is ")), "{message}");
            assert!(message.contains(why) && message.contains("64 hex digits"), "{message}");
            let start = value.get(..8).unwrap_or("nothing to show");
            assert!(!message.contains(start), "shown: {message}");
        }
    }
}

/// 64 hex digits of bytes that follow from their places.
fn counted(byte: fn(u8) -> u8) -> String {
    let mut text = String::new();
    for place in 0..32 {
        write!(text, "{:02x}", byte(place)).unwrap();
    }
    text
}

#[test]
fn two_keys_with_one_short_id_are_refused() {
    // Found by trying: a cookie names its key by four bytes that are derived from it.
    let one = "38cbceb524ad2c6f90dbd717bb42f8e154c6f52e3952761ca923e6e4dfcd280c";
    let other = "b184bb3b8f521601a3d947490e15a03b4a93a0bd8a97a8e340965d646593cee5";
    for (config, names) in [
        (
            toml(&format!("key = '{one}'\npreviousKeys = ['{HEX}', '{other}']")),
            ["app.previousKeys[1]", "app.key"],
        ),
        (
            variable("APP_PREVIOUS_KEYS", &format!("{other},{one}")),
            ["APP_PREVIOUS_KEYS[1]", "APP_PREVIOUS_KEYS[0]"],
        ),
    ] {
        assert_refused(config, &[names[0], "the same short id as", names[1]], "one id");
    }
    for key in [one, other] {
        assert_shows(toml(&format!("key = '{key}'")), &["key: Some"], "alone");
    }
}

#[test]
fn a_key_that_is_generated_is_taken_and_is_another_each_time() {
    let keys = [(); 2].map(|()| Config::generate_key().unwrap());
    assert_ne!(keys[0], keys[1]);
    for key in &keys {
        assert_eq!(key.len(), 64);
        assert_shows(toml(&format!("key = '{key}'")), &["key: Some(Secret(..))"], "generated");
    }
}

#[test]
fn a_pattern_of_nine_bytes_is_not_taken_for_a_weak_key() {
    let nine = "001122334455667788".repeat(4);
    assert_shows(toml(&format!("key = '{}'", &nine[..64])), &["key: Some"], "nine bytes");
}

#[test]
fn a_key_that_is_listed_twice_is_refused() {
    let parts = ["APP_PREVIOUS_KEYS[1] is the same key as APP_PREVIOUS_KEYS[0]"];
    let twice = variable("APP_PREVIOUS_KEYS", &format!("{HEX}, {STANDARD}"));
    assert_refused(twice, &parts, "among previous keys");
    assert_shows(variable("APP_PREVIOUS_KEYS", ""), &["previous_keys: []"], "no keys");
}

#[test]
fn the_default_name_follows_env_and_partitioned() {
    for (entries, name, secure) in [
        ("", "__Host-Http-session", true),
        ("sessionCookie.partitioned = true", "__Host-Http-session-p", true),
        ("env = 'local'", "session", false),
        ("env = 'local'\nsessionCookie.secure = true", "session", true),
        (
            "env = 'local'\nsessionCookie.secure = true\nsessionCookie.partitioned = true",
            "session-p",
            true,
        ),
        ("env = 'local'\nsessionCookie.path = '/app'", "session", false),
        ("env = 'local'\nsessionCookie.name = 'sid'", "sid", false),
        ("sessionCookie.name = 'sid'\nsessionCookie.partitioned = true", "sid", true),
        ("sessionCookie.name = 'sid'\nsessionCookie.secure = false", "sid", false),
        ("sessionCookie.name = '__Secure-s'\nsessionCookie.domain = 'x.org'", "__Secure-s", true),
        ("sessionCookie.name = '__Http-s'\nsessionCookie.path = '/a'", "__Http-s", true),
        ("sessionCookie.name = '__Host-s'\nsessionCookie.sameSite = 'none'", "__Host-s", true),
    ] {
        let parts = [&format!("name: {name:?}"), &format!("secure: {secure}")];
        assert_shows(toml(entries), &parts.map(String::as_str), entries);
    }
}

#[test]
fn cookies_that_a_browser_would_drop_are_refused() {
    let local = "app.env is \"local\", where app.sessionCookie.secure is false";
    let insecure = "app.sessionCookie.secure is false";
    for (entries, parts) in [
        (
            "sessionCookie.secure = false",
            ["sessionCookie.name is \"__Host-Http-session\"", insecure, "\"session\""],
        ),
        (
            "env = 'local'\nsessionCookie.name = '__Host-s'",
            ["app.sessionCookie.name is \"__Host-s\"", local, "\"session\""],
        ),
        (
            "sessionCookie = { name = '__SECURE-s', secure = false }",
            ["app.sessionCookie.name is \"__SECURE-s\"", insecure, "\"session\""],
        ),
        (
            "sessionCookie = { name = '__http-s', secure = false }",
            ["app.sessionCookie.name is \"__http-s\"", insecure, "\"session\""],
        ),
        (
            "sessionCookie = { name = 's', secure = false, sameSite = 'none' }",
            ["app.sessionCookie.sameSite is \"none\"", insecure, "lax and strict"],
        ),
        (
            "env = 'local'\nsessionCookie.sameSite = 'none'",
            ["app.sessionCookie.sameSite is \"none\"", local, "lax and strict"],
        ),
        (
            "env = 'local'\nsessionCookie.partitioned = true",
            ["app.sessionCookie.partitioned is true", local, "false is allowed"],
        ),
        (
            "sessionCookie.domain = 'example.com'",
            [
                "app.sessionCookie.domain is \"example.com\"",
                "app.sessionCookie.name",
                "\"__Secure-session\"",
            ],
        ),
        (
            "session_cookie.path = '/app'",
            [
                "app.session_cookie.path is \"/app\"",
                "app.sessionCookie.name",
                "\"__Secure-session\"",
            ],
        ),
        (
            "sessionCookie = { name = '__hOST-s', path = '/app' }",
            ["app.sessionCookie.path is \"/app\"", "\"__hOST-s\"", "\"__Secure-session\""],
        ),
        (
            "sessionCookie = { name = '__Host-Http-s', domain = 'a.org' }",
            ["app.sessionCookie.domain is \"a.org\"", "\"__Host-Http-s\"", "\"__Secure-session\""],
        ),
    ] {
        assert_refused(toml(entries), &parts, entries);
    }
}

#[test]
fn names_paths_and_domains_that_could_leave_their_place_are_refused() {
    let long = |byte: &str, length: usize| byte.repeat(length);
    let characters =
        ["a b", "a\\tb", "a\\u0000b", "a\\r\\nb", "a\\u007fb", "a;b", "a,b", "aüb", " a", "a "];
    let more_in_names = [
        "a=b", "a(b", "a)b", "a<b", "a>b", "a@b", "a:b", "a\\\\b", "a\\\"b", "a/b", "a[b", "a]b",
        "a?b", "a{b", "a}b",
    ];
    let name = "is not a cookie name: ASCII letters, digits";
    let path = "is not a cookie path: it starts with /, and visible ASCII";
    let domain = "is not a cookie domain: ASCII letters, digits";
    let mut cases = vec![
        ("name", String::new(), "1 to 200 bytes"),
        ("name", long("a", 201), "1 to 200 bytes"),
        ("path", String::new(), path),
        ("path", "app".to_owned(), path),
        ("path", long("/", 1025), "at most 1024 bytes"),
        ("domain", String::new(), domain),
        ("domain", ".example.com".to_owned(), domain),
        ("domain", "example..com".to_owned(), domain),
        ("domain", "example.com.".to_owned(), domain),
        ("domain", "https://example.com".to_owned(), domain),
        ("domain", "exam_ple.com".to_owned(), domain),
        ("domain", long("a", 254), "at most 253 bytes"),
    ];
    for character in characters {
        cases.push(("name", character.to_owned(), name));
        cases.push(("path", format!("/{character}"), path));
        cases.push(("domain", character.to_owned(), domain));
    }
    cases.extend(more_in_names.map(|character| ("name", character.to_owned(), name)));

    for (property, value, allowed) in cases {
        // A name without a prefix leaves the property itself as the only reason.
        let name = if property == "name" { "" } else { "name = 's', " };
        let entry = format!("sessionCookie = {{ {name}{property} = \"{value}\" }}");
        let parts = [&format!("app.sessionCookie.{property} is \""), allowed];
        assert_refused(toml(&entry), &parts, &entry);
    }
}

#[test]
fn a_name_of_every_allowed_character_is_taken() {
    let name = "!#$%&'*+-.^_`|~09azAZ";
    let entry = format!("sessionCookie.name = \"{name}\"");
    assert_shows(toml(&entry), &[&format!("name: {name:?}")], name);
}

#[test]
fn setters_set_what_they_are_named_after() {
    let config = Config::new()
        .env(Env::Local)
        .driver(DriverName::Database)
        .idle_timeout(Duration::from_millis(10))
        .lifetime(Duration::from_millis(20))
        .store_timeout(Duration::from_millis(1))
        .max_sessions(1)
        .max_bytes(2)
        .database_url("sqlite://x")
        .table("t")
        .redis_url("redis://x")
        .audience("a")
        .cookie_name("n")
        .cookie_path("/p")
        .cookie_domain("d")
        .same_site(SameSite::Strict)
        .persistent_cookie()
        .clock(Clock::manual());
    assert!(config.check().is_ok());
    let parts = [
        "env: Local",
        "driver: Some(Database)",
        "idle_timeout: 10ms",
        "lifetime: 20ms",
        "store_timeout: 1ms",
        "max_sessions: 1,",
        "max_bytes: 2,",
        "table: \"t\"",
        "audience: \"a\"",
        "name: \"n\"",
        "path: \"/p\"",
        "domain: Some(\"d\")",
        "same_site: Strict",
        "persistent: true",
        "clock: Clock(Manual",
    ];
    assert_shows(Ok(config), &parts, "all setters");
    let insecure = Config::new().cookie_name("n").insecure_cookie();
    assert_shows(Ok(insecure), &["secure: false"], "insecure");
    let partitioned = Config::new().partitioned_cookie();
    assert_shows(Ok(partitioned), &["partitioned: true", "session-p"], "partitioned");
}

#[test]
fn a_check_names_the_setter_whose_value_cannot_be_used() {
    let year = Duration::from_secs(366 * 86_400);
    for (config, parts) in vec![
        (Config::new().idle_timeout(Duration::ZERO), ["Config::idle_timeout is 0s", "10ms"]),
        (
            Config::new().idle_timeout(Duration::from_micros(9999)),
            ["Config::idle_timeout is 9.999ms", "at least 10ms"],
        ),
        (
            Config::new().idle_timeout(31 * Duration::from_secs(86_400)),
            ["Config::idle_timeout is 31d", "app.sessionLifetime, which is 30d"],
        ),
        (Config::new().lifetime(Duration::ZERO), ["Config::lifetime is 0", "at least 10ms"]),
        (Config::new().lifetime(100 * year), ["Config::lifetime is 36600d", "at most 36500d"]),
        (Config::new().lifetime(Duration::MAX), ["Config::lifetime is ", "at most 36500d"]),
        (Config::new().store_timeout(Duration::ZERO), ["Config::store_timeout is 0", "1ms"]),
        (Config::new().max_sessions(0), ["Config::max_sessions is 0", "from 1 up"]),
        (Config::new().max_bytes(0), ["Config::max_bytes is 0", "from 1 up"]),
        (Config::new().database_url(""), ["Config::database_url is empty", "sqlite://"]),
        (Config::new().redis_url(""), ["Config::redis_url is empty", "redis://"]),
        (Config::new().table("a-b"), ["Config::table is \"a-b\"", "an SQL identifier"]),
        (Config::new().audience("ü".repeat(128)), ["Config::audience has 256 bytes", "255"]),
        (Config::new().driver(DriverName::Stealth), ["Config::driver is \"stealth\"", "app.key"]),
        (
            Config::new().driver(DriverName::Redis),
            ["Config::driver is \"redis\"", "app.sessionRedisUrl"],
        ),
        (Config::new().cookie_name("a b"), ["Config::cookie_name is \"a b\"", "ASCII letters"]),
        (
            Config::new().cookie_path("/p"),
            ["Config::cookie_path is \"/p\"", "\"__Secure-session\""],
        ),
        (
            Config::new().cookie_domain("d"),
            ["Config::cookie_domain is \"d\"", "sessionCookie.name"],
        ),
        (
            Config::new().insecure_cookie(),
            ["app.sessionCookie.name is \"__Host-Http-session\"", "Config::insecure_cookie"],
        ),
        (
            Config::new().env(Env::Local).same_site(SameSite::None),
            ["Config::same_site is \"none\"", "Config::env is \"local\""],
        ),
        (
            Config::new().env(Env::Local).partitioned_cookie(),
            ["Config::partitioned_cookie is true", "Config::env is \"local\""],
        ),
    ] {
        let case = format!("{config:?}");
        let checked = config.check().map(|()| config).map_err(|error| error.to_string());
        assert_refused(checked, &parts, &case);
    }
}

#[test]
fn debug_shows_no_keys_and_no_urls() {
    let file = format!(
        "key = '{HEX}'\npreviousKeys = ['{OTHER_HEX}']\nsessionDatabaseUrl = 'postgres://u:hunter2@h/d'\nsessionRedisUrl = 'redis://:hunter2@h'"
    );
    let shown = format!("{0:?} {0:#?}", toml(&file).unwrap());
    for secret in ["hunter2", "postgres", "redis:", &HEX[..6], &OTHER_HEX[..6], "240, 1, 18"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    assert!(shown.contains("database_url: ..") && shown.contains("Secret(..)"), "{shown}");
}

#[test]
fn a_refusal_is_an_error_of_the_configuration() {
    let error = Config::from_toml("app.env = 1").unwrap_err();
    assert!(error.is_config());
    assert_eq!(error.status(), 500);
}

/// Runs `Config::load` in a process of its own, which has the folder and the environment that the case needs. Gives
/// what `Debug` shows, or the error.
fn load_in(folder: &Path, variables: &[(&str, impl AsRef<OsStr>)]) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "config::child_process", "--ignored", "--nocapture"]);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("APP_") {
            child.env_remove(name);
        }
    }
    for (name, value) in variables {
        child.env(name, value);
    }
    let output = child.current_dir(folder).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[ignore = "the process that the tests below start"]
fn child_process() {
    match Config::load() {
        Ok(config) => println!("{config:?}"),
        Err(error) => println!("refused: {error}; source: {}", has_source(&error)),
    }
}

fn has_source(error: &dyn std::error::Error) -> bool {
    error.source().is_some()
}

/// An empty folder of the test's own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("config")).unwrap();
    folder
}

#[test]
fn load_reads_the_usual_file_and_then_the_environment() {
    let folder = folder("load_usual");
    fs::write(
        folder.join("config/app.toml"),
        "[app]\nsessionTable = 'filed'\nsessionAudience = 'filed'",
    )
    .unwrap();
    let shown = load_in(&folder, &[("APP_SESSION_AUDIENCE", "from-outside")]);
    assert!(shown.contains("table: \"filed\""), "{shown}");
    assert!(shown.contains("audience: \"from-outside\""), "{shown}");
}

#[test]
fn load_reads_the_file_that_app_config_names_instead() {
    let folder = folder("load_named");
    fs::write(folder.join("config/app.toml"), "[app]\nsessionTable = 'usual'").unwrap();
    fs::write(folder.join("other.toml"), "[app]\nsessionTable = 'other'").unwrap();
    let shown = load_in(&folder, &[("APP_CONFIG", "other.toml")]);
    assert!(shown.contains("table: \"other\""), "{shown}");
}

#[test]
fn load_does_without_a_file_unless_app_config_names_one() {
    let folder = folder("load_missing");
    let shown = load_in(&folder, &NO_VARIABLES);
    assert!(shown.contains("table: \"sessions\""), "{shown}");
    let shown = load_in(&folder, &[("APP_CONFIG", "absent.toml")]);
    assert!(shown.contains("refused: the file absent.toml, which APP_CONFIG names"), "{shown}");
    assert!(shown.contains("source: true"), "{shown}");
}

#[test]
fn load_refuses_a_file_that_it_cannot_read_and_names_it() {
    let folder = folder("load_broken");
    fs::write(folder.join("config/app.toml"), "[app]\nkey = \n").unwrap();
    let shown = load_in(&folder, &NO_VARIABLES);
    assert!(
        shown.contains("refused: config/app.toml is not valid TOML: look at line 2"),
        "{shown}"
    );

    fs::write(folder.join("config/app.toml"), b"# \xff").unwrap();
    let shown = load_in(&folder, &NO_VARIABLES);
    assert!(shown.contains("refused: the file config/app.toml cannot be read"), "{shown}");
}

#[cfg(unix)]
#[test]
fn load_refuses_a_variable_of_ours_that_is_not_unicode_and_passes_others() {
    use std::os::unix::ffi::OsStrExt;

    let folder = folder("load_unicode");
    let value = OsStr::from_bytes(b"\xff");
    let shown = load_in(&folder, &[("APP_SESSION_TABLE", value)]);
    assert!(shown.contains("refused: APP_SESSION_TABLE is not valid Unicode"), "{shown}");
    let shown = load_in(&folder, &[("APP_NAME", value)]);
    assert!(shown.contains("table: \"sessions\""), "{shown}");
    let shown = load_in(&folder, &[("APP_SESSION_TABEL", value)]);
    assert!(shown.contains("did you mean APP_SESSION_TABLE?"), "{shown}");
}
