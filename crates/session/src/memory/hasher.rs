//! Hashes of keys: a few multiplications, since most keys are random already.
//!
//! Some are not: whoever sends a request chooses the token that it presents, and its tombstone gets a place.
//! So the hash is keyed. Without the key nobody can aim at one shard or at one chain.

use dframework_session_store::StoreKey;
use std::hash::{BuildHasher, RandomState};

/// A keyed hash of 32-byte keys.
#[derive(Clone, Copy)]
pub(crate) struct Hasher([u64; 4]);

impl Hasher {
    /// With a key from std's own random source for hash tables.
    pub(crate) fn new() -> Self {
        let random = RandomState::new();
        Self([0, 1, 2, 3].map(|word: u64| random.hash_one(word)))
    }

    pub(super) fn hash(&self, key: &StoreKey) -> u64 {
        let (words, _) = key.as_bytes().as_chunks::<8>();
        self.fold_all(|at| u64::from_le_bytes(words[at]))
    }

    /// The same for half as many bytes: an id.
    pub(crate) fn hash_id(&self, id: [u8; 16]) -> u64 {
        let words = u128::from_le_bytes(id);
        #[expect(clippy::cast_possible_truncation, reason = "the halves are what is wanted")]
        let (low, high) = (words as u64, (words >> 64) as u64);
        self.fold_all(|at| if at % 2 == 0 { low } else { high })
    }

    /// A number from another, for draws that nobody outside can foretell.
    pub(super) fn mix(&self, number: u64) -> u64 {
        self.fold_all(|_| number)
    }

    fn fold_all(&self, word: impl Fn(usize) -> u64) -> u64 {
        let keyed = |at| word(at) ^ self.0[at];
        fold(fold(keyed(0), keyed(1)) ^ keyed(2), keyed(3))
    }
}

/// The two halves of a product, so that every bit of both factors reaches every bit of the hash.
fn fold(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    #[expect(clippy::cast_possible_truncation, reason = "the halves are what is wanted")]
    let (low, high) = (product as u64, (product >> 64) as u64);
    low ^ high
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Keys that differ in one bit, and keys that count: what an attacker or a test may choose.
    #[test]
    fn keys_that_are_alike_spread_over_all_shards_and_chains() {
        let hasher = Hasher::new();
        let mut key = [0; 32];
        let flipped = (0..256).map(|bit| {
            key = [0; 32];
            key[bit / 8] = 1 << (bit % 8);
            hasher.hash(&StoreKey::from_bytes(key))
        });
        let mut hashes: BTreeSet<u64> = flipped.collect();
        for number in 0..1_000_u64 {
            key = [7; 32];
            key[24..].copy_from_slice(&number.to_le_bytes());
            hashes.insert(hasher.hash(&StoreKey::from_bytes(key)));
        }
        assert_eq!(hashes.len(), 1_256);
        for shift in [0, 25, 48, 57] {
            let places: BTreeSet<u64> = hashes.iter().map(|hash| (hash >> shift) % 64).collect();
            assert!(places.len() > 60, "bits {shift}..{} take {} values", shift + 6, places.len());
        }
    }

    #[test]
    fn two_tables_hash_differently() {
        let key = StoreKey::from_bytes([7; 32]);
        assert_ne!(Hasher::new().hash(&key), Hasher::new().hash(&key));
    }
}
