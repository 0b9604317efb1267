//! The parameters of a server's URL: only those that something comes of.
//!
//! One that nobody reads is a protection that nobody has, such as a misspelt `sslmode`; and sqlx would log it with its
//! value, which may be a password.

use dframework_session_store::StoreError;

/// Refuses a URL that has others than these. One that ends in `[` stands for all that begin so.
pub(crate) fn check(url: &str, known: &[&str]) -> Result<(), StoreError> {
    let Some((front, parameters)) = url.split_once('?') else { return Ok(()) };
    let parameters = parameters.split('#').next().unwrap_or_default();
    for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
        let name = parameter.split('=').next().unwrap_or_default();
        let name = name.replace("%5B", "[").replace("%5b", "[");
        let is = |known: &str| name == known || known.ends_with('[') && name.starts_with(known);
        if !known.iter().copied().any(is) {
            return Err(unknown(front, &name, known));
        }
    }
    Ok(())
}

fn unknown(front: &str, name: &str, known: &[&str]) -> StoreError {
    // Behind the user's place it is a name. Before it, it may be what follows a question mark in a password.
    let is_name = front.contains('@')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    let which = if is_name { format!("the parameter {name:?}") } else { "a parameter".to_owned() };
    StoreError::refused(format!(
        "the URL of the session database has {which}, which is not known; known are {}",
        known.join(", ").replace('[', "[…]")
    ))
}
