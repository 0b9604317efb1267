//! Bytes that are overwritten when they are dropped.
//!
//! `Zeroizing` is as safe, but overwrites an array byte by byte where this takes it as a slice, and cannot be made
//! where it is to stay.

use zeroize::{Zeroize, ZeroizeOnDrop};

/// Bytes that are secret. They have no `Debug`, which would show them.
pub(super) struct Wiped<B: AsMut<[u8]> + ?Sized>(pub(super) B);

impl<const SIZE: usize> Default for Wiped<[u8; SIZE]> {
    fn default() -> Self {
        Self([0; SIZE])
    }
}

impl<B: AsMut<[u8]> + ?Sized> Drop for Wiped<B> {
    fn drop(&mut self) {
        self.0.as_mut().zeroize();
    }
}

impl<B: AsMut<[u8]> + ?Sized> ZeroizeOnDrop for Wiped<B> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_overwritten_when_they_are_dropped() {
        let mut bytes = [7; 40];
        drop(Wiped(&mut bytes));
        assert_eq!(bytes, [0; 40]);
    }
}
