//! The value in the middle of some turns, and how far they lie apart.

use std::ops::Mul;

/// Fewer turns than these say nothing by their quarters.
const FEW: usize = 8;

/// What several turns gave.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Spread {
    /// Where the middle half of the turns begins; of a few turns, the lowest.
    pub low: f64,
    /// The median.
    pub middle: f64,
    /// Where the middle half of the turns ends; of a few turns, the highest.
    pub high: f64,
}

impl Spread {
    /// Of the values of all turns.
    ///
    /// # Panics
    ///
    /// There is no value.
    #[must_use]
    pub fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let cut = if values.len() < FEW { 0 } else { values.len() / 4 };
        Self {
            low: values[cut],
            middle: values[values.len() / 2],
            high: values[values.len() - 1 - cut],
        }
    }

    /// What [`low`](Self::low) and [`high`](Self::high) are of so many turns, as a sentence above a table.
    #[must_use]
    pub fn explained(turns: usize) -> &'static str {
        if turns < FEW {
            "In brackets the lowest and the highest turn."
        } else {
            "In brackets where the middle half of the turns lies."
        }
    }

    /// As a cell of a table: `4.60 (4.21–4.93)`.
    #[must_use]
    pub fn cell(self, decimals: usize) -> String {
        let [low, middle, high] = [self.low, self.middle, self.high].map(|value| {
            let text = format!("{value:.decimals$}");
            // What is rounded to nothing is not below nothing.
            let is_nothing = text.bytes().all(|byte| b"-0.".contains(&byte));
            if is_nothing { text.replace('-', "") } else { text }
        });
        format!("{middle} ({low}–{high})")
    }
}

/// The same in another unit.
impl Mul<f64> for Spread {
    type Output = Self;

    fn mul(self, by: f64) -> Self {
        Self { low: self.low * by, middle: self.middle * by, high: self.high * by }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> Spread {
        Spread::of(values.iter().copied())
    }

    #[test]
    fn a_few_turns_are_shown_from_the_lowest_to_the_highest() {
        let spread = of(&[5.0, 1.0, 3.0]);
        assert_eq!(spread, Spread { low: 1.0, middle: 3.0, high: 5.0 });
        assert_eq!(of(&[2.0]), Spread { low: 2.0, middle: 2.0, high: 2.0 });
    }

    #[test]
    fn of_many_turns_the_middle_half_is_shown() {
        let spread = Spread::of((0..21).rev().map(f64::from));
        assert_eq!(spread, Spread { low: 5.0, middle: 10.0, high: 15.0 });
    }

    #[test]
    fn a_cell_has_the_range_in_brackets() {
        let spread = Spread { low: 0.042, middle: 0.046, high: 0.0493 };
        assert_eq!((spread * 100.0).cell(2), "4.60 (4.20–4.93)");
        assert_eq!(of(&[-10.0, -0.3, 0.3]).cell(0), "0 (-10–0)");
    }
}
