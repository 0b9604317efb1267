//! Where in the source the instructions of a request stand.

use crate::count::{FEW, MANY, beside_each_other, callgrind, is_allocator};
use std::collections::HashMap;

/// Where instructions stand.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Place {
    /// The function that the compiler has made.
    pub function: String,
    /// The file of that function.
    pub function_file: String,
    /// The file of the instructions: another one where the compiler has put a function into the other.
    pub file: String,
    /// Whether the function is one of the allocator.
    pub is_allocator: bool,
}

/// What a request costs above another at each place, for each of these pairs.
///
/// # Panics
///
/// Valgrind cannot be run, or the program fails.
#[must_use]
pub fn overheads(pairs: &[[Vec<&str>; 2]]) -> Vec<Vec<(Place, i64)>> {
    beside_each_other(pairs, |[with, without]| {
        let costs = above(with, without).into_iter();
        costs.map(|(place, cost)| (place, per_request(cost))).collect()
    })
}

/// The instructions of a request by function, above those of another one; the most first.
///
/// # Panics
///
/// As [`overheads`].
#[must_use]
pub fn profile(with: &[&str], without: &[&str]) -> Vec<(i64, String)> {
    let mut costs: HashMap<String, i64> = HashMap::new();
    for (place, cost) in above(with, without) {
        *costs.entry(place.function).or_default() += cost;
    }
    let costs = costs.into_iter().map(|(function, cost)| (per_request(cost), function));
    let mut rows: Vec<_> = costs.collect();
    rows.sort_by(|one, other| other.cmp(one));
    rows
}

/// What all counted requests of one kind cost above those of another.
fn above(with: &[&str], without: &[&str]) -> HashMap<Place, i64> {
    let mut costs = counted(with);
    for (place, cost) in counted(without) {
        *costs.entry(place).or_default() -= cost;
    }
    costs
}

/// Rounded, since many places have a little.
fn per_request(cost: i64) -> i64 {
    let requests = (MANY - FEW).cast_signed();
    (cost + cost.signum() * requests / 2) / requests
}

/// What the requests between few and many cost together.
fn counted(words: &[&str]) -> HashMap<Place, i64> {
    let (few, many) = (callgrind(words, FEW), callgrind(words, MANY));
    let mut costs: HashMap<Place, i64> = HashMap::new();
    for (place, cost) in by_place(&many) {
        *costs.entry(place).or_default() += cost.cast_signed();
    }
    for (place, cost) in by_place(&few) {
        *costs.entry(place).or_default() -= cost.cast_signed();
    }
    costs
}

/// What stands at each place by itself. The line behind `calls=` is the callee's.
pub(crate) fn by_place(text: &str) -> HashMap<Place, u64> {
    let (mut functions, mut files) = (Names::default(), Names::default());
    let mut costs: HashMap<(&str, &str, &str), u64> = HashMap::new();
    let (mut function, mut function_file, mut file) = ("", "", "");
    let mut is_call = false;
    for line in text.lines() {
        if let Some(name) = ["fl=", "fi=", "fe="].iter().find_map(|kind| line.strip_prefix(kind)) {
            file = files.full(name);
        } else if let Some(name) = line.strip_prefix("fn=") {
            (function, function_file) = (functions.full(name), file);
        } else if let Some(name) = line.strip_prefix("cfn=") {
            functions.full(name);
        } else if let Some(name) = line.strip_prefix("cfi=").or_else(|| line.strip_prefix("cfl=")) {
            files.full(name);
        } else if line.starts_with("calls=") {
            is_call = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            let cost = line.split(' ').nth(1).and_then(|cost| cost.parse().ok()).unwrap_or(0);
            if !std::mem::take(&mut is_call) {
                *costs.entry((function, function_file, file)).or_default() += cost;
            }
        }
    }
    let named = |((function, function_file, file), cost): ((&str, &str, &str), u64)| {
        let is_allocator = is_allocator(function);
        let [function, function_file, file] = [function, function_file, file].map(str::to_owned);
        (Place { function, function_file, file, is_allocator }, cost)
    };
    costs.into_iter().map(named).collect()
}

/// Names stand in full once, `(12) malloc`, then as `(12)`.
#[derive(Default)]
struct Names<'a>(HashMap<&'a str, &'a str>);

impl<'a> Names<'a> {
    fn full(&mut self, name: &'a str) -> &'a str {
        let (number, name) = name.split_once(' ').unwrap_or((name, ""));
        if !name.is_empty() {
            self.0.insert(number, name);
        }
        self.0.get(number).copied().unwrap_or(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_those_of_the_place_and_not_of_what_it_calls() {
        let text = "fl=(1) a.rs\nfn=(1) one\n10 5\nfi=(2) b.rs\n20 7\nfe=(1)\n+1 1\ncfi=(2)\ncfn=(2) two\n\
            calls=3 20\n11 900\n* 2\n\nfl=(2)\nfn=(2)\n20 300\n";
        let costs = by_place(text);
        let cost = |function: &str, function_file: &str, file: &str| {
            let [function, function_file, file] =
                [function, function_file, file].map(str::to_owned);
            costs[&Place { function, function_file, file, is_allocator: false }]
        };
        assert_eq!(cost("one", "a.rs", "a.rs"), 8);
        assert_eq!(cost("one", "a.rs", "b.rs"), 7);
        assert_eq!(cost("two", "b.rs", "b.rs"), 300);
        assert_eq!(costs.len(), 3);
    }
}
