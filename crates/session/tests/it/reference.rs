//! The table of properties in the manual says what the library reads: no more, no less.

use dframework_session::Config;

const CHAPTER: &str = include_str!("../../docs/configuration.md");

/// Every property that the library knows, with a value that it takes.
const KNOWN: [(&str, &str); 21] = [
    ("env", "local"),
    ("key", "f00112233445566778899aabbccddeeff0123456789abcdef0011223344556aa"),
    ("previousKeys", ""),
    ("sessionDriver", "memory"),
    ("sessionIdleTimeout", "15m"),
    ("sessionLifetime", "7d"),
    ("sessionDatabaseUrl", "sqlite://x"),
    ("sessionTable", "web"),
    ("sessionRedisUrl", "redis://x"),
    ("sessionStoreTimeout", "250ms"),
    ("sessionMemory.maxSessions", "10"),
    ("sessionMemory.maxBytes", "4096"),
    ("sessionAudience", "shop"),
    ("sessionRevocation", "off"),
    ("sessionCookie.name", "sid"),
    ("sessionCookie.path", "/"),
    ("sessionCookie.domain", "example.com"),
    ("sessionCookie.sameSite", "strict"),
    ("sessionCookie.secure", "true"),
    ("sessionCookie.persistent", "true"),
    ("sessionCookie.partitioned", "true"),
];

/// A row of a table: the property, the variable, the default.
struct Row {
    property: &'static str,
    variable: &'static str,
    default: &'static str,
}

/// The rows whose first cell is code and whose second names a variable.
fn rows() -> Vec<Row> {
    let code = |cell: &'static str| cell.trim().strip_prefix('`')?.strip_suffix('`');
    let row = |line: &'static str| {
        let mut cells = line.strip_prefix('|')?.split('|');
        let (property, variable) = (code(cells.next()?)?, code(cells.next()?)?);
        let default = cells.next()?.trim();
        variable.starts_with("APP_").then_some(Row { property, variable, default })
    };
    CHAPTER.lines().filter_map(row).collect()
}

/// `sessionCookie.sameSite` as `APP_SESSION_COOKIE_SAME_SITE`.
fn variable_of(property: &str) -> String {
    let mut variable = "APP_".to_owned();
    for c in property.chars() {
        match c {
            '.' => variable.push('_'),
            c if c.is_ascii_uppercase() => variable.extend(['_', c]),
            c => variable.push(c.to_ascii_uppercase()),
        }
    }
    variable
}

/// A name without a prefix allows every other property of the cookie.
fn read(variable: &str, value: &str) -> Result<Config, dframework_session::Error> {
    Config::from_parts(
        Some("app.sessionCookie = { name = 'plain', secure = true }"),
        [(variable, value)],
    )
}

#[test]
fn every_property_in_the_table_is_read() {
    for Row { property, variable, .. } in rows() {
        assert_eq!(variable, variable_of(property));
        let known = KNOWN.iter().find(|(name, _)| *name == property);
        let (_, value) = known.unwrap_or_else(|| panic!("{property} is no property of ours"));
        let _ = read(variable, value).unwrap_or_else(|error| panic!("{property}: {error}"));

        // A name that is not read is passed over or a near miss; one that is read has a type.
        let wrong = format!("[app]\n{property} = {{ wrong = 1.5 }}");
        let error = Config::from_toml(&wrong).unwrap_err().to_string();
        assert!(error.contains(&format!("app.{property} is a table")), "{error}");
    }
}

#[test]
fn every_property_that_is_read_stands_in_the_table_once() {
    let mut documented: Vec<_> = rows().iter().map(|row| row.property).collect();
    let mut known = KNOWN.map(|(name, _)| name).to_vec();
    documented.sort_unstable();
    known.sort_unstable();
    assert_eq!(documented, known);
}

#[test]
fn the_list_of_this_test_is_the_librarys() {
    // The fields that `Debug` shows are the properties outside groups; the groups are named in errors.
    let shown = format!("{:?}", Config::new());
    let (fields, _) = shown.split_once(" cookie: ").unwrap();
    let fields = fields.matches(": ").count();
    let memory = members("sessionMemory");
    let cookie = members("sessionCookie");
    assert_eq!(fields + cookie.len(), KNOWN.len());
    for (group, members) in [("sessionMemory", memory), ("sessionCookie", cookie)] {
        for member in members {
            let name = format!("{group}.{member}");
            assert!(KNOWN.iter().any(|(known, _)| *known == name), "{name}");
        }
    }
}

/// What a group holds, as the library lists it.
fn members(group: &str) -> Vec<String> {
    let error = Config::from_toml(&format!("app.{group} = 1")).unwrap_err().to_string();
    let (_, list) = error.split_once("a table with ").unwrap();
    list.split(", ").map(str::to_owned).collect()
}

#[test]
fn the_defaults_in_the_table_are_those_in_force() {
    let defaults = format!("{:?}", Config::new().driver(dframework_session::DriverName::Memory));
    for Row { property, variable, default } in rows() {
        // Some cells go on after the value, with a case in which it differs.
        let Some((value, _)) = default.strip_prefix('`').and_then(|cell| cell.split_once('`'))
        else {
            continue;
        };
        let given = [("APP_SESSION_DRIVER", "memory"), (variable, value)];
        let config = Config::from_parts(None, given).unwrap();
        assert_eq!(format!("{config:?}"), defaults, "{property}");
    }
}
