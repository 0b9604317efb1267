//! What people type: one line of text, or a sentence that says what is wrong with it.

use axum::{
    Form,
    extract::{FromRequest, Request},
    http::StatusCode,
    response::IntoResponse,
};
use serde::de::DeserializeOwned;

/// The longest text of a field, in characters.
pub(crate) const LONGEST: usize = 60;

/// The fields of a form. One that is malformed or lacks a field is a 400, one that is too large a 413.
pub(crate) struct Fields<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Fields<T> {
    type Rejection = StatusCode;

    async fn from_request(request: Request, state: &S) -> Result<Self, StatusCode> {
        match Form::from_request(request, state).await {
            Ok(Form(fields)) => Ok(Self(fields)),
            Err(rejection) => match rejection.into_response().status() {
                StatusCode::PAYLOAD_TOO_LARGE => Err(StatusCode::PAYLOAD_TOO_LARGE),
                _ => Err(StatusCode::BAD_REQUEST),
            },
        }
    }
}

/// The text of a field without the space around it.
///
/// # Errors
///
/// What to tell the user, when it is empty, too long, or has characters that no keyboard types.
pub(crate) fn line<'a>(field: &str, text: &'a str) -> Result<&'a str, String> {
    let text = text.trim();
    if text.is_empty() {
        Err(format!("{field} is empty. Please fill it in."))
    } else if text.chars().count() > LONGEST {
        Err(format!("{field} is too long. At most {LONGEST} characters fit."))
    } else if text.chars().any(char::is_control) {
        Err(format!("{field} has characters that cannot be shown."))
    } else {
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_line_of_some_length_passes() {
        assert_eq!(line("Name", "  visitor "), Ok("visitor"));
        assert_eq!(line("Name", &"ä".repeat(LONGEST)), Ok("ä".repeat(LONGEST).as_str()));
        for bad in ["", " \t ", "a\nb", "a\0b", &"a".repeat(LONGEST + 1)] {
            assert!(line("Name", bad).is_err(), "{bad:?}");
        }
    }
}
