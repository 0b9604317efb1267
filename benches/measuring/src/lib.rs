//! What the benchmarks measure with: valgrind's counts, and processes that take turns.

pub mod count;
pub mod process;

/// The value in the middle.
///
/// # Panics
///
/// There is none.
#[must_use]
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
