//! Durations as an operator writes them: a whole number with a unit.
//!
//! It knows units and bounds, not properties: who asks names the property in the error.

use crate::error::Error;
use std::time::Duration;

/// How many milliseconds each way of writing a unit stands for. The longest unit comes last.
const UNITS: [(&[&str], u64); 5] = [
    (&["ms", "millisecond", "milliseconds"], 1),
    (&["s", "second", "seconds"], 1_000),
    (&["m", "minute", "minutes"], 60_000),
    (&["h", "hour", "hours"], 3_600_000),
    (&["d", "day", "days"], 86_400_000),
];

/// A hundred years: far from what a timestamp can hold, and longer than anybody means.
const LONGEST: Duration = Duration::from_secs(36_500 * 86_400);

/// What is wrong with a bare number: some would mean seconds, some minutes.
pub(super) const NO_UNIT: &str = "a number without a unit: write 7200s, 120m or 2h for two hours";
const NOT_A_DURATION: &str =
    "which is not a duration: expected a whole number with a unit, ms, s, m, h or d, as in 2h";
const TOO_LONG: &str = "which is too long: at most 36500d, a hundred years";

/// Reads `2h`, `120 minutes`, `500ms`; otherwise says what is wrong with the text.
pub(super) fn parse(text: &str) -> Result<Duration, &'static str> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start_matches(' ');
    match (number.is_empty(), unit.is_empty()) {
        (true, _) => return Err(NOT_A_DURATION),
        (false, true) => return Err(NO_UNIT),
        (false, false) => {}
    }
    let (_, millis) =
        UNITS.iter().find(|(names, _)| names.contains(&unit)).ok_or(NOT_A_DURATION)?;
    // Digits alone fail to parse only when there are too many of them.
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(*millis))
        .map(Duration::from_millis)
        .filter(|duration| *duration <= LONGEST)
        .ok_or(TOO_LONG)
}

/// Refuses what is shorter than `least` or longer than a hundred years.
pub(super) fn check(name: &str, duration: Duration, least: Duration) -> Result<(), Error> {
    let written = written(duration);
    if duration < least {
        let least = self::written(least);
        return Err(Error::config(format!(
            "{name} is {written}, which is too short: at least {least}"
        )));
    }
    if duration > LONGEST {
        return Err(Error::config(format!("{name} is {written}, {TOO_LONG}")));
    }
    Ok(())
}

/// The duration in the longest unit that divides it, as it would be read back.
pub(super) fn written(duration: Duration) -> String {
    if duration.is_zero() {
        return "0s".to_owned();
    }
    let nanos = duration.as_nanos();
    let whole = UNITS.iter().rev().find_map(|(names, millis)| {
        let unit = u128::from(*millis) * 1_000_000;
        nanos.is_multiple_of(unit).then(|| format!("{}{}", nanos / unit, names[0]))
    });
    // Fractions of a millisecond have no such form; they come from code.
    whole.unwrap_or_else(|| format!("{duration:?}"))
}
