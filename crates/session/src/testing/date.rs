//! Dates in `Expires`, read the way browsers read them: any order, nearly any separators.
//! [RFC 6265bis, section 5.1.1]

use crate::store::Timestamp;

const MONTHS: [&[u8; 3]; 12] = [
    b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec",
];

/// What the words of a date have said so far.
#[derive(Default)]
struct Parts {
    time: Option<(u64, u64, u64)>,
    day: Option<u64>,
    month: Option<u64>,
    year: Option<u64>,
}

/// The instant that a cookie date names; one before 1970 is 1970.
pub(super) fn parse(text: &[u8]) -> Option<Timestamp> {
    let mut parts = Parts::default();
    let words = text.split(|byte| is_delimiter(*byte)).filter(|word| !word.is_empty());
    words.for_each(|word| parts.take(word));
    parts.instant()
}

impl Parts {
    /// Takes a word for the first thing that is still missing and that it can be.
    fn take(&mut self, word: &[u8]) {
        let _ = fill(&mut self.time, || time(word))
            || fill(&mut self.day, || leading_number(word, 1..=2))
            || fill(&mut self.month, || month(word))
            || fill(&mut self.year, || leading_number(word, 2..=4));
    }

    fn instant(self) -> Option<Timestamp> {
        let (hour, minute, second) = self.time?;
        let (day, month) = (self.day?, self.month?);
        let year = match self.year? {
            year @ 70..=99 => year + 1900,
            year @ 0..=69 => year + 2000,
            year => year,
        };
        let exists = (1..=days_in(month, year)).contains(&day) && year >= 1601;
        if !exists || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let seconds = ((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
        Some(Timestamp::from_millis(if year < 1970 { 0 } else { seconds * 1000 }))
    }
}

/// Fills what is missing; whether it was missing and is there now.
fn fill<T>(part: &mut Option<T>, read: impl FnOnce() -> Option<T>) -> bool {
    if part.is_some() {
        return false;
    }
    *part = read();
    part.is_some()
}

/// Hour, minute and second.
fn time(word: &[u8]) -> Option<(u64, u64, u64)> {
    let mut fields = word.splitn(3, |byte| *byte == b':');
    let (hour, minute, second) = (fields.next()?, fields.next()?, fields.next()?);
    let are_numbers = [hour, minute].iter().all(|field| field.iter().all(u8::is_ascii_digit));
    let [hour, minute, second] = [hour, minute, second].map(|field| leading_number(field, 1..=2));
    if are_numbers { Some((hour?, minute?, second?)) } else { None }
}

/// The month whose name a word begins with, from 1.
fn month(word: &[u8]) -> Option<u64> {
    let start = word.get(..3)?;
    let named = (1..).zip(MONTHS).find(|(_, name)| start.eq_ignore_ascii_case(*name));
    named.map(|(month, _)| month)
}

/// The number at the beginning of a word, if it has so many digits and no more.
fn leading_number(word: &[u8], digits: std::ops::RangeInclusive<usize>) -> Option<u64> {
    let count = word.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = digits.contains(&count).then(|| std::str::from_utf8(&word[..count]).ok())??;
    number.parse().ok()
}

fn is_delimiter(byte: u8) -> bool {
    matches!(byte, b'\t' | 0x20..=0x2f | 0x3b..=0x40 | 0x5b..=0x60 | 0x7b..=0x7e)
}

fn days_in(month: u64, year: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

/// Whole days from 1970 to a date that is not before it; for an earlier one, none.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let years: u64 = (1970..year).map(|year| if is_leap(year) { 366 } else { 365 }).sum();
    let months: u64 = (1..month).map(|month| days_in(month, year)).sum();
    years + months + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_every_form_that_browsers_take() {
        // Seconds since 1970, from `date -u -d @…`.
        for (text, seconds) in [
            ("Wed, 21 Oct 2026 07:28:00 GMT", 1_792_567_680),
            ("Wednesday, 21-Oct-26 07:28:00 GMT", 1_792_567_680),
            ("Wed Oct 21 07:28:00 2026", 1_792_567_680),
            ("2026 07:28:00 21 october", 1_792_567_680),
            ("21.oCt.2026,7:28:0x;", 1_792_567_680),
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Thu, 01-Jan-70 00:00:01", 1),
            ("29 Feb 2000 23:59:59", 951_868_799),
            ("1 Mar 2000 00:00:00", 951_868_800),
            ("31 Dec 69 00:00:00", 3_155_673_600),
            ("1 Jan 1601 00:00:00", 0),
            ("31 Dec 9999 23:59:59", 253_402_300_799),
        ] {
            let instant = parse(text.as_bytes());
            assert_eq!(instant.map(|instant| instant.as_millis() / 1000), Some(seconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "0",
            "-1",
            "tomorrow",
            "21 Oct 2026",
            "Oct 2026 07:28:00",
            "21 2026 07:28:00",
            "21 Oct 07:28:00",
            "32 Oct 2026 07:28:00",
            "0 Oct 2026 07:28:00",
            "29 Feb 2026 07:28:00",
            "29 Feb 1900 07:28:00",
            "21 Oct 1600 07:28:00",
            "21 Oct 2026 24:00:00",
            "21 Oct 2026 07:60:00",
            "21 Oct 2026 07:28:60",
            "21 Oct 2026 07:28",
            "21 Oct 20260 07:28:00",
            "21 Oct 2026 007:28:00",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
