//! Opens a session cookie of the driver `stealth` with the application's key, an implementation of AES-256-GCM, and
//! nothing of this library: what another program, in another language, would do.
//!
//! ```text
//! cargo run --example open_cookie                          the cookie of a visitor, from tests/golden
//! cargo run --example open_cookie KEY NAME AUDIENCE VALUE  the key in hex, the cookie's name and value
//! ```
//!
//! The format is described in `src/stealth/seal.rs`, `keys.rs` and `header.rs`.

use aes_gcm::{
    Aes256Gcm, KeyInit,
    aead::{Aead, Payload, consts::U16},
    aes::{
        Aes256,
        cipher::{Array, BlockCipherEncrypt},
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hkdf::Hkdf;
use sha2::Sha256;
use std::error::Error;

type Block = Array<u8, U16>;

fn main() -> Result<(), Box<dyn Error>> {
    let golden: toml::Table = include_str!("../tests/golden/v1.toml").parse()?;
    let golden = |name: &str| golden["cookie"][0][name].as_str().unwrap_or_default().to_owned();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let given = match arguments.as_slice() {
        [key, name, audience, value] => [key, name, audience, value].map(Clone::clone),
        [] => ["key", "name", "audience", "value"].map(golden),
        _ => return Err("usage: open_cookie [KEY NAME AUDIENCE VALUE]".into()),
    };
    let [key, name, audience, value] = given;
    let plain = open(&from_hex(&key)?, &name, &audience, &value)?;
    println!("{}", plain.escape_ascii());
    Ok(())
}

/// Opens a session cookie: gives its header and its record.
fn open(key: &[u8], name: &str, audience: &str, value: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let sealed = URL_SAFE_NO_PAD.decode(value).map_err(|_| "not base64url")?;
    let (front, ciphertext) = sealed.split_at_checked(29).ok_or("too short")?;
    let (version, kid, nonce) = (front[0], &front[1..5], &front[5..]);
    if version != 1 {
        return Err("another version".into());
    }

    // One key for each purpose, and an id that says which of the application's keys it is.
    let derived = Hkdf::<Sha256>::new(Some(b"dframework-session"), key);
    let (mut its_kid, mut purpose_key) = ([0; 4], [0; 32]);
    derived.expand(b"kid", &mut its_kid).map_err(|_| "too long")?;
    derived.expand(b"xaes-256-gcm session", &mut purpose_key).map_err(|_| "too long")?;
    if kid != its_kid {
        return Err("another key".into());
    }

    // From here on it is AES-256-GCM: the first half of the nonce makes the key, the second half is the nonce.
    let message_key = message_key(&purpose_key, &nonce[..12]);
    let mut aad = b"dframework-session".to_vec();
    aad.push(version);
    aad.extend_from_slice(kid);
    aad.push(1); // the purpose: a session
    for text in [name, audience] {
        aad.extend_from_slice(&u16::try_from(text.len())?.to_le_bytes());
        aad.extend_from_slice(text.as_bytes());
    }
    let nonce: &[u8; 12] = nonce[12..].try_into()?;
    let payload = Payload { msg: ciphertext, aad: &aad };
    let opened = Aes256Gcm::new(&message_key.into()).decrypt(nonce.into(), payload);
    let mut plain = opened.map_err(|_| "altered, or of another name or audience")?;

    // 0x80 and zeros fill the last 64 bytes.
    let end = plain.iter().rposition(|byte| *byte != 0).ok_or("no end")?;
    if plain[end] != 0x80 {
        return Err("no end".into());
    }
    plain.truncate(end);
    Ok(plain)
}

/// CMAC of two blocks, which is what a key derivation of NIST SP 800-108 comes to here.
fn message_key(key: &[u8; 32], context: &[u8]) -> [u8; 32] {
    let aes = Aes256::new(key.into());
    let mut zero = Block::default();
    aes.encrypt_block(&mut zero);
    let l = u128::from_be_bytes(zero.into());
    let k1 = (l << 1) ^ if l >> 127 == 1 { 0x87 } else { 0 };

    let mut message_key = [0; 32];
    for (number, half) in (1..).zip(message_key.chunks_mut(16)) {
        let mut block = [0, number, b'X', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        block[4..].copy_from_slice(context);
        let mut block = Block::from((u128::from_be_bytes(block) ^ k1).to_be_bytes());
        aes.encrypt_block(&mut block);
        half.copy_from_slice(&block);
    }
    message_key
}

fn from_hex(text: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let pair = |pair: &[u8]| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?);
    text.as_bytes().chunks(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_opens_with_plain_aes_256_gcm() -> Result<(), Box<dyn Error>> {
        let golden: toml::Table = include_str!("../tests/golden/v1.toml").parse()?;
        let cookies = golden["cookie"].as_array().ok_or("no cookies")?;
        let mut opened = 0;
        for cookie in cookies.iter().filter(|cookie| cookie["purpose"].as_str() == Some("session"))
        {
            let text = |name: &str| cookie[name].as_str().ok_or(name.to_owned());
            let key = from_hex(text("key")?)?;
            let plain = open(&key, text("name")?, text("audience")?, text("value")?)?;
            assert_eq!(plain[3..19], from_hex(text("sid")?)?);
            assert!(plain.ends_with(&from_hex(text("record")?)?));
            assert!(open(&key, "another", text("audience")?, text("value")?).is_err());
            opened += 1;
        }
        assert_eq!(opened, 5);
        Ok(())
    }
}
