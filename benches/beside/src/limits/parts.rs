//! The parts themselves, each to be carried out alone.

use aes_gcm::{
    Aes256Gcm, Nonce, Tag,
    aead::{AeadInOut, KeyInit, array::Array},
};
use std::{
    collections::HashMap,
    hint::black_box,
    str::FromStr,
    sync::{Arc, Mutex},
};
use xaes_256_gcm::Xaes256Gcm;

/// How long a session of six values is, with what names them.
const PAYLOAD: usize = 352;

/// Something that has to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    /// What the others have around them.
    Nothing,
    AesSeal,
    AesOpen,
    XaesSeal,
    XaesOpen,
    EncodeToken,
    DecodeToken,
    Encode,
    Decode,
    LookUp,
    Random,
    ReadJson,
    Clock,
}

impl Part {
    pub(crate) const ALL: [Self; 12] = [
        Self::AesSeal,
        Self::AesOpen,
        Self::XaesSeal,
        Self::XaesOpen,
        Self::Encode,
        Self::Decode,
        Self::EncodeToken,
        Self::DecodeToken,
        Self::LookUp,
        Self::Random,
        Self::ReadJson,
        Self::Clock,
    ];

    /// The word for it on the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::AesSeal => "aes-seal",
            Self::AesOpen => "aes-open",
            Self::XaesSeal => "xaes-seal",
            Self::XaesOpen => "xaes-open",
            Self::EncodeToken => "encode-token",
            Self::DecodeToken => "decode-token",
            Self::Encode => "encode",
            Self::Decode => "decode",
            Self::LookUp => "look-up",
            Self::Random => "random",
            Self::ReadJson => "read-json",
            Self::Clock => "clock",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::AesSeal => "AES-256-GCM: seal 352 bytes, the key ready",
            Self::AesOpen => "AES-256-GCM: open them",
            Self::XaesSeal => "XAES-256-GCM: seal them, with a key of their own",
            Self::XaesOpen => "XAES-256-GCM: open them",
            Self::Encode => "base64url: write 392 bytes",
            Self::Decode => "base64url: read them",
            Self::EncodeToken => "base64url: write a token of 32 bytes",
            Self::DecodeToken => "base64url: read it",
            Self::LookUp => "look one of 100,000 sessions up, behind a lock",
            Self::Random => "24 random bytes of the operating system",
            Self::ReadJson => "a text of 21 letters from its JSON",
            Self::Clock => "the time",
        }
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let mut all = Self::ALL.into_iter().chain([Self::Nothing]);
        all.find(|part| part.word() == word).ok_or_else(|| format!("{word:?} is no part"))
    }
}

/// What the parts work on.
pub(super) struct Parts {
    aes: Aes256Gcm,
    xaes: Xaes256Gcm,
    payload: Vec<u8>,
    sealed: Vec<u8>,
    tag: Tag,
    xaes_sealed: Vec<u8>,
    xaes_tag: Tag,
    /// As long as a sealed cookie, and its text.
    sealed_cookie: Vec<u8>,
    text: String,
    token_text: String,
    map: Mutex<HashMap<[u8; 32], Arc<[u8]>>>,
    keys: Vec<[u8; 32]>,
}

const TOKEN: [u8; 32] = [0xa7; 32];

impl Parts {
    pub(super) fn new() -> Self {
        let key = [7_u8; 32];
        let aes = Aes256Gcm::new(&Array(key));
        let xaes = Xaes256Gcm::new(&Array(key));
        let payload: Vec<u8> = (b' '..b'z').cycle().take(PAYLOAD).collect();
        let (mut sealed, mut xaes_sealed) = (payload.clone(), payload.clone());
        let tag = aes.encrypt_inout_detached(&Nonce::default(), b"head", (&mut *sealed).into());
        let xaes_tag =
            xaes.encrypt_inout_detached(&Array([9; 24]), b"head", (&mut *xaes_sealed).into());
        let keys: Vec<[u8; 32]> = (0..100_000_u64).map(key_of).collect();
        let record: Arc<[u8]> = payload.clone().into();
        let sealed_cookie = [&*payload, &[5; 40]].concat();
        Self {
            aes,
            xaes,
            sealed,
            tag: tag.expect("it is short enough"),
            xaes_sealed,
            xaes_tag: xaes_tag.expect("it is short enough"),
            text: base64_simd::URL_SAFE_NO_PAD.encode_to_string(&sealed_cookie),
            sealed_cookie,
            token_text: base64_simd::URL_SAFE_NO_PAD.encode_to_string(TOKEN),
            map: Mutex::new(keys.iter().map(|key| (*key, record.clone())).collect()),
            keys,
            payload,
        }
    }

    pub(super) fn carry_out(&self, part: Part, number: usize) {
        let mut buffer = [0; 600];
        match part {
            Part::Nothing => {}
            Part::AesSeal => {
                buffer[..PAYLOAD].copy_from_slice(&self.payload);
                let message = (&mut buffer[..PAYLOAD]).into();
                black_box(self.aes.encrypt_inout_detached(&Nonce::default(), b"head", message))
                    .expect("it is short enough");
            }
            Part::AesOpen => {
                buffer[..PAYLOAD].copy_from_slice(&self.sealed);
                let message = (&mut buffer[..PAYLOAD]).into();
                self.aes
                    .decrypt_inout_detached(&Nonce::default(), b"head", message, &self.tag)
                    .expect("it was sealed so");
            }
            Part::XaesSeal => {
                buffer[..PAYLOAD].copy_from_slice(&self.payload);
                let message = (&mut buffer[..PAYLOAD]).into();
                black_box(self.xaes.encrypt_inout_detached(&Array([9; 24]), b"head", message))
                    .expect("it is short enough");
            }
            Part::XaesOpen => {
                buffer[..PAYLOAD].copy_from_slice(&self.xaes_sealed);
                let message = (&mut buffer[..PAYLOAD]).into();
                self.xaes
                    .decrypt_inout_detached(&Array([9; 24]), b"head", message, &self.xaes_tag)
                    .expect("it was sealed so");
            }
            Part::Encode => {
                let out = base64_simd::AsOut::as_out(&mut buffer[..]);
                black_box(base64_simd::URL_SAFE_NO_PAD.encode(&self.sealed_cookie, out));
            }
            Part::Decode => {
                let out = base64_simd::AsOut::as_out(&mut buffer[..]);
                black_box(base64_simd::URL_SAFE_NO_PAD.decode(self.text.as_bytes(), out))
                    .expect("it was encoded so");
            }
            Part::EncodeToken => {
                let out = base64_simd::AsOut::as_out(&mut buffer[..]);
                black_box(base64_simd::URL_SAFE_NO_PAD.encode(&TOKEN, out));
            }
            Part::DecodeToken => {
                let out = base64_simd::AsOut::as_out(&mut buffer[..]);
                black_box(base64_simd::URL_SAFE_NO_PAD.decode(self.token_text.as_bytes(), out))
                    .expect("it was encoded so");
            }
            Part::LookUp => {
                let key = &self.keys[number * 7_919 % self.keys.len()];
                black_box(self.map.lock().expect("nobody panics").get(key).cloned());
            }
            Part::Random => getrandom::fill(&mut buffer[..24]).expect("the system has some"),
            Part::ReadJson => {
                let text: String =
                    serde_json::from_str(black_box("\"a visitor of the shop\"")).expect("a text");
                black_box(text);
            }
            Part::Clock => {
                black_box(std::time::SystemTime::now());
            }
        }
        black_box(&mut buffer);
    }
}

/// A key that looks as random as they are.
fn key_of(number: u64) -> [u8; 32] {
    let mut key = [0; 32];
    for (place, salt) in key.chunks_exact_mut(8).zip(1..) {
        let mixed = (number ^ (salt << 40)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        place.copy_from_slice(
            &mixed.rotate_left(31).wrapping_mul(0xbf58_476d_1ce4_e5b9).to_le_bytes(),
        );
    }
    key
}
