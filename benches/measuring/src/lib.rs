//! What the benchmarks measure and draw with: valgrind's counts, processes that take turns, and plots.

pub mod count;
pub mod effort;
pub mod files;
pub mod places;
pub mod plot;
pub mod process;
mod side;
mod spread;

pub use side::Side;
pub use spread::Spread;

/// The value in the middle.
///
/// # Panics
///
/// There is none.
#[must_use]
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    Spread::of(values).middle
}
