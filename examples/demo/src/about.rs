//! What the page tells of the configuration: the driver and the name of the cookie.

use dframework_session::Config;

/// Facts of the configuration that the page shows.
#[derive(Clone, Debug)]
pub struct About {
    /// The driver that runs.
    pub driver: String,
    /// The name of the session cookie; those of its companions start with it.
    pub cookie: String,
}

impl About {
    /// What this configuration says.
    ///
    /// Read from its `Debug` text, which shows what is in force with every default filled in.
    pub fn of(config: &Config) -> Self {
        let text = format!("{config:?}");
        let driver = between(&text, "driver: Some(", ")").unwrap_or("Memory");
        let cookie = between(&text, "CookieSettings { name: \"", "\"").unwrap_or_default();
        Self { driver: driver.to_ascii_lowercase(), cookie: cookie.to_owned() }
    }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    Some(rest.split_once(end)?.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dframework_session::Error;

    #[test]
    fn driver_and_cookie_are_those_in_force() -> Result<(), Error> {
        let defaults = About::of(&Config::new());
        assert_eq!(defaults.driver, "memory");
        assert_eq!(defaults.cookie, "__Host-Http-session");

        let file = "[app]\nenv = 'local'\nsessionDriver = 'database'";
        let other = About::of(&Config::from_toml(file)?);
        assert_eq!(other.driver, "database");
        assert_eq!(other.cookie, "session");
        Ok(())
    }
}
