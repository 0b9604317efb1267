//! What the instructions of a request are spent on, by what they are for.
//!
//! Code that the compiler has put into another function still names its own file, so an instruction belongs to the area of
//! its file. One of the standard library belongs to that of the function in which it stands, where that is known.

use crate::cases::Case;
use measuring::places::Place;
use std::collections::BTreeMap;

/// What instructions are for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Area {
    Framework,
    Fields,
    Layer,
    Cookie,
    Loading,
    Verbs,
    Json,
    Record,
    Plan,
    Commit,
    Table,
    Cipher,
    Seal,
    Clock,
    Moving,
    Dropping,
    Allocating,
    Rest,
}

impl Area {
    /// All, as they are called in the table.
    const TITLES: [(Self, &str); 18] = [
        (
            Self::Framework,
            "axum and tower: a layer around a route, a `Result` as an answer; the handler",
        ),
        (Self::Fields, "fields of requests and answers: `http`, `bytes`"),
        (Self::Layer, "our layer: the handle, its scope, what it adds to the answer"),
        (Self::Cookie, "finding and decoding the cookie; base64"),
        (Self::Loading, "loading: the handle's state, the judgement of what was found"),
        (Self::Verbs, "the verbs: key, value, log, draft"),
        (Self::Json, "JSON and UTF-8"),
        (Self::Record, "reading and writing records"),
        (Self::Plan, "the plan, and what the record is to hold"),
        (Self::Commit, "carrying it out, and what it leaves"),
        (Self::Table, "the memory store: look-up, compare, replace, room, sweep"),
        (Self::Cipher, "AES, GHASH, CMAC, random bytes"),
        (Self::Seal, "the seal: its framing, keys, what has ended"),
        (Self::Clock, "the clock"),
        (Self::Moving, "moving and comparing bytes"),
        (Self::Dropping, "dropping what was made"),
        (Self::Allocating, "allocating"),
        (Self::Rest, "the rest"),
    ];

    /// By a part of the file's path, the first that fits.
    const FILES: [(&str, Self); 54] = [
        ("applications/src/least", Self::Layer),
        ("session/src/stealth", Self::Seal),
        ("session/src/commit/seal", Self::Seal),
        ("session/src/commit/decide", Self::Plan),
        ("session/src/draft/contents", Self::Plan),
        ("session/src/commit", Self::Commit),
        ("session/src/turn", Self::Commit),
        ("session/src/queue", Self::Commit),
        ("session/src/sessions", Self::Commit),
        ("session/src/driver", Self::Commit),
        ("session/src/cookie", Self::Cookie),
        ("session/src/token", Self::Cookie),
        ("session/src/handle", Self::Loading),
        ("session/src/load", Self::Loading),
        ("session/src/standing", Self::Loading),
        ("session/src/facade", Self::Verbs),
        ("session/src/key", Self::Verbs),
        ("session/src/value", Self::Json),
        ("session/src/change", Self::Verbs),
        ("session/src/draft", Self::Verbs),
        ("session/src/record", Self::Record),
        ("session/src/memory", Self::Table),
        ("session/src/clock", Self::Clock),
        ("store/src/time", Self::Clock),
        ("session/src/", Self::Layer),
        ("store/src", Self::Table),
        ("base64-simd", Self::Cookie),
        ("vsimd", Self::Cookie),
        ("memchr", Self::Cookie),
        ("serde", Self::Json),
        ("itoa", Self::Json),
        ("zmij", Self::Json),
        ("core/src/str", Self::Json),
        ("hashbrown", Self::Table),
        ("triomphe", Self::Table),
        ("aes", Self::Cipher),
        ("ghash", Self::Cipher),
        ("polyval", Self::Cipher),
        ("cipher", Self::Cipher),
        ("cmac", Self::Cipher),
        ("ctr-", Self::Cipher),
        ("inout", Self::Cipher),
        ("hybrid-array", Self::Cipher),
        ("subtle", Self::Cipher),
        ("getrandom", Self::Cipher),
        ("zeroize", Self::Cipher),
        ("unix/time", Self::Clock),
        ("vdso", Self::Clock),
        ("axum", Self::Framework),
        ("tower", Self::Framework),
        ("futures", Self::Framework),
        ("http-", Self::Fields),
        ("bytes-", Self::Fields),
        ("applications", Self::Framework),
    ];

    /// By the beginning of the function's name.
    const FUNCTIONS: [(&str, Self); 10] = [
        ("__mem", Self::Moving),
        ("core::ptr::drop_in_place", Self::Dropping),
        ("alloc::sync::Arc<T,A>::drop_slow", Self::Dropping),
        ("clock_gettime", Self::Clock),
        ("__vdso", Self::Clock),
        ("arc4random", Self::Cipher),
        ("aes::", Self::Cipher),
        ("polyval::", Self::Cipher),
        ("universal_hash::", Self::Cipher),
        ("dframework_session::stealth", Self::Seal),
    ];

    fn of(place: &Place) -> Self {
        let Place { function, function_file, file, is_allocator } = place;
        if *is_allocator {
            return Self::Allocating;
        }
        let by_file = |path: &str| {
            let path = within(path);
            let found = Self::FILES.iter().find(|(part, _)| path.contains(part));
            found.map(|(_, area)| *area)
        };
        let by_function = || {
            let found = Self::FUNCTIONS.iter().find(|(start, _)| function.starts_with(start));
            found.map(|(_, area)| *area)
        };
        by_file(file).or_else(by_function).or_else(|| by_file(function_file)).unwrap_or(Self::Rest)
    }
}

/// A path without what stands before the place of all crates of a kind, which differs from machine to machine.
fn within(path: &str) -> &str {
    let places = ["/registry/src/", "/crates/", "/benches/"];
    let found = places.iter().find_map(|place| path.rsplit_once(place));
    found.map_or(path, |(_, rest)| rest)
}

/// The rows of the table: what each area costs each of these cases.
pub(crate) fn print(cases: &[Case], places: &[Vec<(Place, i64)>]) {
    let columns: Vec<BTreeMap<Area, i64>> = places.iter().map(|places| sums(places)).collect();
    let titles: Vec<_> = cases.iter().map(|case| case.title).collect();
    println!("| instructions | {} |", titles.join(" | "));
    println!("|---|{}", "---:|".repeat(cases.len()));
    let cell = |cost: i64| if cost == 0 { String::new() } else { cost.to_string() };
    for (area, title) in Area::TITLES {
        let cells: Vec<_> =
            columns.iter().map(|sums| cell(sums.get(&area).copied().unwrap_or(0))).collect();
        println!("| {title} | {} |", cells.join(" | "));
    }
    let all: Vec<_> = columns.iter().map(|sums| sums.values().sum::<i64>().to_string()).collect();
    println!("| all | {} |", all.join(" | "));
}

fn sums(places: &[(Place, i64)]) -> BTreeMap<Area, i64> {
    let mut sums = BTreeMap::new();
    for (place, cost) in places {
        *sums.entry(Area::of(place)).or_default() += cost;
    }
    sums
}

/// The cases that are shown.
pub(crate) fn shown() -> Vec<Case> {
    let names = [
        "unused",
        "unused-cookie",
        "memory-read",
        "memory-write",
        "memory-new",
        "stealth-read",
        "stealth-write",
        "least-read",
        "least-write",
    ];
    names.into_iter().filter_map(|name| name.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(function: &str, function_file: &str, file: &str) -> Area {
        let [function, function_file, file] = [function, function_file, file].map(str::to_owned);
        Area::of(&Place { function, function_file, file, is_allocator: false })
    }

    #[test]
    fn an_instruction_belongs_to_the_area_of_its_file() {
        let ours = "/srv/http-1/crates/session/src/commit/decide.rs";
        assert_eq!(area("plan", "/srv/http-1/crates/session/src/commit.rs", ours), Area::Plan);
        let theirs = "/home/registry/src/index-1/http-1.5.0/src/header/map.rs";
        assert_eq!(area("plan", ours, theirs), Area::Fields);
        assert_eq!(area("f", "", "/x/benches/applications/src/least.rs"), Area::Layer);
    }

    #[test]
    fn what_the_standard_library_does_belongs_to_its_function() {
        let library = "/rustc/1/library/core/src/option.rs";
        assert_eq!(area("plan", "/x/crates/session/src/draft.rs", library), Area::Verbs);
        assert_eq!(area("core::ptr::drop_in_place<X>", library, library), Area::Dropping);
        assert_eq!(area("__memcpy_avx_unaligned", "memmove.S", "memmove.S"), Area::Moving);
        assert_eq!(area("main", library, library), Area::Rest);
    }
}
