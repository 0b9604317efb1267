//! Seals as they are made, altered, moved and opened.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use super::{
    header::{
        ActivityTerms, Header, Login, OwnerTag, PermanentTerms, SessionTerms, Terms, Unknown,
        Writer,
    },
    keys::{self, Purpose, Ring},
    plain::Plain,
    seal::{Opened, Rejection, sealed_length, sealed_plain},
};
use crate::{
    clock::Clock,
    config::Secret,
    record::{self, Nature, Record, Sort},
    token,
};
use base64_simd::URL_SAFE_NO_PAD;
use dframework_session_store::{SessionId, Timestamp};
use std::{collections::HashSet, fmt::Write, thread, time::Duration};

pub(super) const NAME: &str = "__Host-Http-session";
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const MILLISECOND: Duration = Duration::from_millis(1);

pub(super) fn now() -> Timestamp {
    Clock::manual().now()
}

fn before(now: Timestamp, span: Duration) -> Timestamp {
    now.saturating_since(Timestamp::from_millis(0))
        .checked_sub(span)
        .map(|since| Timestamp::from_millis(0).saturating_add(since))
        .unwrap()
}

/// Bytes that count: no configuration takes them, so nobody uses a key of the tests.
pub(super) fn key(first: u8) -> Secret {
    Secret::of_test(&(first..first + 32).collect::<Vec<_>>())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

pub(super) fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

pub(super) fn ring() -> Ring {
    Ring::new(&key(0), &[], NAME, "").unwrap()
}

fn record(nature: Nature, owner: Option<&str>, value: &str) -> Record {
    let absolute = now().saturating_add(30 * DAY);
    let mut header = record::Header::new(now(), absolute, nature);
    header.owner = owner;
    let text = format!("name{value:?}");
    let mut writer = record::Writer::new(&header, record::Writer::room_for(text.len()));
    writer.put(Sort::Stored { expires_at: None }, "name".len(), text.as_bytes());
    writer.finish().ok().unwrap().kept_as(None)
}

pub(super) fn ordinary(owner: Option<&str>, value: &str) -> Record {
    record(Nature::Ordinary { last_generation: 0 }, owner, value)
}

fn sid() -> SessionId {
    SessionId::from_bytes(*b"sixteen id bytes")
}

fn session(login: Option<Login>) -> Header<SessionTerms> {
    let idle = now().saturating_add(2 * HOUR);
    let terms = SessionTerms { absolute: now().saturating_add(30 * DAY), idle, login };
    Header::new(sid(), now(), terms)
}

fn login() -> Login {
    Login { authenticated: before(now(), HOUR), owner: OwnerTag::of("42") }
}

fn permanent() -> Header<PermanentTerms> {
    let terms = PermanentTerms { absolute: now().saturating_add(3650 * DAY) };
    Header::new(sid(), now(), terms)
}

fn activity() -> Header<ActivityTerms> {
    Header::new(sid(), now(), ActivityTerms { idle: now().saturating_add(2 * HOUR) })
}

fn seal<T: Terms>(ring: &Ring, header: &Header<T>, record: &[u8]) -> String {
    let mut text = String::new();
    ring.seal(header, record, &mut text).unwrap();
    text
}

/// A session of a logged in visitor, as it is sent.
fn sealed(ring: &Ring) -> String {
    seal(ring, &session(Some(login())), ordinary(Some("42"), "visitor").bytes())
}

/// What has been opened holds secrets and has no `Debug`, so only whether it opens is compared.
fn outcome<T: Terms>(ring: &Ring, text: &[u8], now: Timestamp) -> Result<(), Rejection> {
    ring.open::<T>(text, now).map(drop)
}

fn reopened<T: Terms>(ring: &Ring, text: &str) -> Opened<T> {
    ring.open(text.as_bytes(), now()).unwrap_or_else(|why| panic!("{why:?}"))
}

#[track_caller]
fn assert_same<T: Terms + PartialEq>(opened: &Header<T>, sealed: &Header<T>) {
    assert_eq!((opened.sid, opened.issued), (sealed.sid, sealed.issued));
    assert!(opened.terms == sealed.terms);
}

#[test]
fn what_was_sealed_is_opened() {
    let ring = ring();
    for login in [None, Some(login())] {
        let (header, record) = (session(login), ordinary(login.map(|_| "42"), "visitor"));
        let opened = reopened::<SessionTerms>(&ring, &seal(&ring, &header, record.bytes()));
        assert_same(&opened.header, &header);
        assert_eq!(opened.content.bytes(), record.bytes());
    }
    let (header, record) = (permanent(), record(Nature::Permanent, None, "terms"));
    let opened = reopened::<PermanentTerms>(&ring, &seal(&ring, &header, record.bytes()));
    assert_same(&opened.header, &header);
    assert_eq!(opened.content.bytes(), record.bytes());

    let opened = reopened::<ActivityTerms>(&ring, &seal(&ring, &activity(), b""));
    assert_same(&opened.header, &activity());
}

#[test]
fn the_text_is_appended_and_has_only_cookie_octets() {
    let mut line = String::from("session=");
    ring().seal(&activity(), b"", &mut line).unwrap();
    let value = line.strip_prefix("session=").unwrap();
    assert!(value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
    assert_eq!(outcome::<ActivityTerms>(&ring(), value.as_bytes(), now()), Ok(()));
}

#[test]
fn every_flipped_bit_of_the_bytes_is_no_session() {
    let ring = ring();
    let text = sealed(&ring);
    let bytes = URL_SAFE_NO_PAD.decode_to_vec(&text).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let text = URL_SAFE_NO_PAD.encode_to_string(&flipped);
        let expected = match bit / 8 {
            0 => Rejection::Version,
            1..=4 => Rejection::Key,
            _ => Rejection::Tag,
        };
        assert_eq!(outcome::<SessionTerms>(&ring, text.as_bytes(), now()), Err(expected), "{bit}");
    }
}

#[test]
fn every_flipped_bit_of_the_text_is_no_session() {
    let ring = ring();
    let text = sealed(&ring).into_bytes();
    for bit in 0..text.len() * 8 {
        let mut flipped = text.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(outcome::<SessionTerms>(&ring, &flipped, now()).is_err(), "{bit}");
    }
}

#[test]
fn a_seal_that_is_cut_anywhere_or_longer_is_no_session() {
    let ring = ring();
    let text = sealed(&ring);
    for length in 0..text.len() {
        let cut = &text.as_bytes()[..length];
        assert!(outcome::<SessionTerms>(&ring, cut, now()).is_err(), "{length}");
    }
    for more in ["A", "AA", "AAA", "AAAA", "=", "==", " ", "\n", "."] {
        let longer = format!("{text}{more}");
        assert!(outcome::<SessionTerms>(&ring, longer.as_bytes(), now()).is_err(), "{more:?}");
    }
    // A whole bucket more, and one less.
    let bytes = URL_SAFE_NO_PAD.decode_to_vec(&text).unwrap();
    let (front, tag) = bytes.split_at(bytes.len() - 16);
    for front in [[front, &[0; 64]].concat(), front[..front.len() - 64].to_vec()] {
        let text = URL_SAFE_NO_PAD.encode_to_string([&front, tag].concat());
        assert_eq!(
            outcome::<SessionTerms>(&ring, text.as_bytes(), now()),
            Err(Rejection::Tag),
            "{}",
            front.len()
        );
    }
}

#[test]
fn text_that_is_longer_than_any_cookie_is_not_decoded() {
    let (ring, now) = (ring(), now());
    for length in [4097, 4098, 100_000] {
        let text = vec![b'A'; length];
        let allocated = allocation_counter::measure(|| {
            let outcome = outcome::<SessionTerms>(&ring, &text, now);
            assert_eq!(outcome, Err(Rejection::Malformed));
        });
        assert_eq!(allocated.count_total, 0, "{length}");
    }
    assert_eq!(outcome::<SessionTerms>(&ring, &[b'A'; 4096], now), Err(Rejection::Version));
}

#[test]
fn the_last_character_has_one_spelling() {
    let ring = ring();
    // So that the last character holds bits of which no byte is made.
    let record = |length| ordinary(None, &"x".repeat(length));
    let texts = [0, 64, 128].map(|length| seal(&ring, &session(None), record(length).bytes()));
    let mut respelled = 0;
    for text in texts.iter().filter(|text| text.len() % 4 != 0) {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut other = text.clone().into_bytes();
        for character in alphabet {
            *other.last_mut().unwrap() = *character;
            let outcome = outcome::<SessionTerms>(&ring, &other, now());
            assert_eq!(outcome.is_ok(), other == text.as_bytes());
            respelled += u32::from(outcome == Err(Rejection::Malformed));
        }
    }
    assert!(respelled > 40, "{respelled}");
}

/// A name of a case, a ring that seals, and how a ring opens for a purpose.
struct Corner {
    case: &'static str,
    ring: Ring,
    purpose: Purpose,
}

fn corners() -> Vec<Corner> {
    let long = "a".repeat(255);
    let rings = [
        ("plain", ring()),
        ("another key", Ring::new(&key(32), &[], NAME, "").unwrap()),
        ("another name", Ring::new(&key(0), &[], "session", "").unwrap()),
        ("a companion's name", Ring::new(&key(0), &[], "__Host-Http-session.p", "").unwrap()),
        ("an audience", Ring::new(&key(0), &[], NAME, "shop").unwrap()),
        ("another audience", Ring::new(&key(0), &[], NAME, "shops").unwrap()),
        ("a long audience", Ring::new(&key(0), &[], NAME, &long).unwrap()),
        // What is moved from the name into the audience must not look the same.
        ("a boundary", Ring::new(&key(0), &[], "__Host-Http-sessio", "n").unwrap()),
    ];
    let purposes = [Purpose::Session, Purpose::Activity, Purpose::Permanent];
    let corners = rings.into_iter().flat_map(|(case, ring)| {
        purposes.map(|purpose| Corner { case, ring: ring.clone(), purpose })
    });
    corners.collect()
}

#[test]
fn a_seal_opens_for_its_own_key_name_audience_and_purpose_alone() {
    let corners = corners();
    for sealer in &corners {
        let text = match sealer.purpose {
            Purpose::Session => sealed(&sealer.ring),
            Purpose::Activity => seal(&sealer.ring, &activity(), b""),
            Purpose::Permanent => {
                let record = record(Nature::Permanent, None, "terms");
                seal(&sealer.ring, &permanent(), record.bytes())
            }
        };
        for opener in &corners {
            let open = match opener.purpose {
                Purpose::Session => outcome::<SessionTerms>,
                Purpose::Activity => outcome::<ActivityTerms>,
                Purpose::Permanent => outcome::<PermanentTerms>,
            };
            let same = sealer.case == opener.case && sealer.purpose == opener.purpose;
            let expected =
                match (same, (sealer.case == "another key") == (opener.case == "another key")) {
                    (true, _) => Ok(()),
                    (false, true) => Err(Rejection::Tag),
                    (false, false) => Err(Rejection::Key),
                };
            let outcome = open(&opener.ring, text.as_bytes(), now());
            let from = (sealer.case, sealer.purpose);
            assert_eq!(outcome, expected, "{from:?} to {:?}", (opener.case, opener.purpose));
        }
    }
}

#[test]
fn another_version_is_no_session_whatever_follows() {
    let ring = ring();
    let mut bytes = URL_SAFE_NO_PAD.decode_to_vec(sealed(&ring)).unwrap();
    for version in (0..=255).filter(|version| *version != 1) {
        bytes[0] = version;
        for length in [1, 2, 30, 100, bytes.len()] {
            let text = URL_SAFE_NO_PAD.encode_to_string(&bytes[..length]);
            let outcome = outcome::<SessionTerms>(&ring, text.as_bytes(), now());
            assert_eq!(outcome, Err(Rejection::Version), "{version}, {length} bytes");
        }
    }
}

#[test]
fn no_text_is_tried_under_a_second_key() {
    // One ring has both keys: what the second sealed, under the kid of the first, must not open.
    let both = Ring::new(&key(0), &[key(32)], NAME, "").unwrap();
    let first = URL_SAFE_NO_PAD.decode_to_vec(sealed(&ring())).unwrap();
    let second = Ring::new(&key(32), &[], NAME, "").unwrap();
    let mut second = URL_SAFE_NO_PAD.decode_to_vec(sealed(&second)).unwrap();
    second[1..5].copy_from_slice(&first[1..5]);
    let text = URL_SAFE_NO_PAD.encode_to_string(&second);
    assert_eq!(outcome::<SessionTerms>(&both, text.as_bytes(), now()), Err(Rejection::Tag));
}

#[test]
fn a_previous_key_opens_and_the_first_one_seals() {
    let old = ring();
    let new = Ring::new(&key(32), &[key(0)], NAME, "").unwrap();
    let introduced = Ring::new(&key(0), &[key(32)], NAME, "").unwrap();
    for (sealer, opener, expected) in [
        (&old, &new, Ok(())),
        (&new, &introduced, Ok(())),
        (&new, &old, Err(Rejection::Key)),
        (&introduced, &old, Ok(())),
    ] {
        let text = sealed(sealer);
        assert_eq!(outcome::<SessionTerms>(opener, text.as_bytes(), now()), expected);
    }
}

#[test]
fn keys_that_cannot_be_told_apart_are_refused() {
    let error = Ring::new(&key(0), &[key(32), key(0)], NAME, "").err().unwrap().to_string();
    assert!(error.contains("app.previousKeys[1] is the same key as app.key"), "{error}");
}

#[test]
fn the_whole_key_counts_however_long_it_is() {
    let short: Vec<u8> = (0..33).collect();
    let long: Vec<u8> = (0..64).collect();
    let keys = [Secret::of_test(&short[..32]), Secret::of_test(&short), Secret::of_test(&long)];
    let kids: HashSet<_> = keys.iter().map(keys::kid).collect();
    assert_eq!(kids.len(), 3);
}

#[test]
fn deadlines_hold_to_the_millisecond() {
    let ring = ring();
    let text = sealed(&ring);
    let absolute = session(None).terms.absolute;
    for (at, expected) in [
        (now(), Ok(())),
        (before(absolute, MILLISECOND), Ok(())),
        (absolute, Err(Rejection::Expired)),
        (absolute.saturating_add(DAY), Err(Rejection::Expired)),
        (Timestamp::MAX, Err(Rejection::Expired)),
    ] {
        assert_eq!(outcome::<SessionTerms>(&ring, text.as_bytes(), at), expected, "{at:?}");
    }
    let text = seal(&ring, &activity(), b"");
    let idle = activity().terms.idle;
    for (at, expected) in [(before(idle, MILLISECOND), Ok(())), (idle, Err(Rejection::Expired))] {
        assert_eq!(outcome::<ActivityTerms>(&ring, text.as_bytes(), at), expected, "{at:?}");
    }
}

#[test]
fn a_seal_from_more_than_five_minutes_ahead_is_no_session() {
    let ring = ring();
    let record = record(Nature::Permanent, None, "terms");
    let five_minutes = Duration::from_secs(300);
    for (behind, expected) in
        [(five_minutes, Ok(())), (five_minutes + MILLISECOND, Err(Rejection::Future))]
    {
        let at = before(now(), behind);
        let text = sealed(&ring);
        assert_eq!(outcome::<SessionTerms>(&ring, text.as_bytes(), at), expected);
        let text = seal(&ring, &activity(), b"");
        assert_eq!(outcome::<ActivityTerms>(&ring, text.as_bytes(), at), expected);
        let text = seal(&ring, &permanent(), record.bytes());
        assert_eq!(outcome::<PermanentTerms>(&ring, text.as_bytes(), at), expected);
    }
}

#[test]
fn a_permanent_seal_lives_ten_years_and_no_cookie_of_it_more_than_400_days() {
    let ring = ring();
    let record = record(Nature::Permanent, None, "terms");
    let mut header = permanent();
    let absolute = header.terms.absolute;
    let days_400 = now().saturating_add(400 * DAY);
    let text = seal(&ring, &header, record.bytes());
    for (at, expected) in [
        (days_400, Ok(())),
        (days_400.saturating_add(MILLISECOND), Err(Rejection::TooOld)),
        (absolute, Err(Rejection::Expired)),
    ] {
        assert_eq!(outcome::<PermanentTerms>(&ring, text.as_bytes(), at), expected, "{at:?}");
    }
    header.issued = before(absolute, DAY);
    let text = seal(&ring, &header, record.bytes());
    let outcome = outcome::<PermanentTerms>(&ring, text.as_bytes(), before(absolute, MILLISECOND));
    assert_eq!(outcome, Ok(()), "sealed again in its last year");
}

#[test]
fn activity_raises_the_idle_deadline_and_never_the_absolute_one() {
    let SessionTerms { absolute, idle, .. } = session(None).terms;
    let at = |idle| Some(ActivityTerms { idle });
    for (activity, ends) in [
        (None, idle),
        (at(before(idle, HOUR)), idle),
        (at(idle.saturating_add(HOUR)), idle.saturating_add(HOUR)),
        (at(absolute.saturating_add(HOUR)), absolute),
    ] {
        assert_eq!(session(None).terms.ends(activity), ends);
    }
}

/// Seals a header with these bytes for its unknown fields, as a later version may.
fn with_fields(ring: &Ring, fields: &[u8]) -> String {
    let plain = Plain::decoded(URL_SAFE_NO_PAD.encode_to_string(fields).as_bytes()).unwrap();
    let mut header = session(None);
    header.unknown = Unknown::of_test(plain);
    seal(ring, &header, ordinary(None, "visitor").bytes())
}

#[test]
fn fields_that_are_unknown_are_kept_and_sealed_again_unread() {
    let ring = ring();
    let fields = [0x05, 2, 0, 0xaa, 0xbb, 0x7f, 0, 0];
    let opened = reopened::<SessionTerms>(&ring, &with_fields(&ring, &fields));
    let mut header = session(Some(login()));
    header.unknown = opened.header.unknown;
    let again = reopened::<SessionTerms>(&ring, &seal(&ring, &header, opened.content.bytes()));
    assert_eq!(again.header.unknown.bytes(), fields);
    assert_eq!(again.content.bytes(), ordinary(None, "visitor").bytes());
}

/// A header and a record, before they are sealed.
fn plain() -> Vec<u8> {
    let header = session(None);
    let mut plain = vec![0; header.length()];
    header.write(&mut Writer(&mut plain));
    [&plain, ordinary(None, "visitor").bytes()].concat()
}

/// The same as it is encrypted.
fn padded(mut plain: Vec<u8>) -> Vec<u8> {
    plain.push(0x80);
    plain.resize(plain.len().next_multiple_of(64), 0);
    plain
}

#[test]
fn a_critical_field_or_flag_that_is_unknown_means_no_session() {
    let ring = ring();
    for (fields, expected) in [
        (&[][..], Ok(())),
        (&[0x05, 0, 0], Ok(())),
        (&[0x00, 0, 0], Ok(())),
        (&[0x80, 0, 0], Err(Rejection::Unknown)),
        (&[0x05, 0, 0, 0xff, 1, 0, 9], Err(Rejection::Unknown)),
        (&[0x05, 0, 0, 0x05, 0, 0], Err(Rejection::Malformed)),
        (&[0x05, 0, 0, 0x04, 0, 0], Err(Rejection::Malformed)),
        (&[0x05], Err(Rejection::Malformed)),
        (&[0x05, 9, 0, 1], Err(Rejection::Malformed)),
    ] {
        let text = with_fields(&ring, fields);
        let outcome = outcome::<SessionTerms>(&ring, text.as_bytes(), now());
        assert_eq!(outcome, expected, "{fields:?}");
    }
    let mut plain = padded(plain());
    for flags in 0..=255 {
        plain[0] = flags;
        let text = sealed_plain(&ring, Purpose::Session, &plain);
        let expected = if flags <= 1 { Ok(()) } else { Err(Rejection::Unknown) };
        let outcome = outcome::<SessionTerms>(&ring, text.as_bytes(), now());
        assert_eq!(outcome, expected, "{flags:#x}");
    }
}

#[test]
fn what_only_a_holder_of_the_key_can_write_is_read_without_a_panic() {
    let ring = ring();
    let whole = plain();
    // Cut at every length and padded well; every byte another.
    let cut = (0..whole.len()).map(|length| padded(whole[..length].to_vec()));
    let altered = (0..whole.len()).map(|at| {
        let mut bytes = whole.clone();
        bytes[at] = !bytes[at];
        padded(bytes)
    });
    let ends = [vec![0; 64], vec![0; 128], vec![1; 64], [vec![0x80; 64], vec![0; 64]].concat()];
    for plain in cut.chain(altered).chain(ends) {
        let text = sealed_plain(&ring, Purpose::Session, &plain);
        let _ = outcome::<SessionTerms>(&ring, text.as_bytes(), now());
        let text = sealed_plain(&ring, Purpose::Activity, &plain);
        let _ = outcome::<ActivityTerms>(&ring, text.as_bytes(), now());
        let text = sealed_plain(&ring, Purpose::Permanent, &plain);
        let _ = outcome::<PermanentTerms>(&ring, text.as_bytes(), now());
    }
    for plain in [vec![], vec![0; 64], vec![1; 64], [vec![0x80], vec![0; 127]].concat()] {
        let text = sealed_plain(&ring, Purpose::Session, &plain);
        let outcome = outcome::<SessionTerms>(&ring, text.as_bytes(), now());
        assert_eq!(outcome, Err(Rejection::Malformed), "the end of {plain:?}");
    }
}

#[test]
fn a_record_that_cannot_be_read_is_no_session() {
    let ring = ring();
    let sound = ordinary(None, "visitor");
    for record in [&b""[..], b"\x02", &sound.bytes()[..30]] {
        let text = seal(&ring, &session(None), record);
        let outcome = outcome::<SessionTerms>(&ring, text.as_bytes(), now());
        assert!(matches!(outcome, Err(Rejection::Record(_))), "{outcome:?}");
    }
}

#[test]
fn lengths_are_equal_inside_a_bucket_and_are_known_before() {
    let ring = ring();
    let mut buckets = HashSet::new();
    for length in 0..400 {
        let record = ordinary(None, &"x".repeat(length));
        for login in [None, Some(login())] {
            let header = session(login);
            let text = seal(&ring, &header, record.bytes());
            assert_eq!(
                text.len(),
                sealed_length::<SessionTerms>(0, record.bytes().len()),
                "{length}"
            );
            let bucket = (67 + record.bytes().len() + 1).div_ceil(64);
            assert_eq!(text.len(), ((45 + bucket * 64) * 4).div_ceil(3), "{length}");
            buckets.insert(text.len());
        }
    }
    assert_eq!(buckets.len(), 7);
    // Nothing is compressed.
    let noise: String = ('#'..='[').cycle().step_by(7).take(400).collect();
    let text = |value: &str| seal(&ring, &session(None), ordinary(None, value).bytes()).len();
    assert_eq!(text(&noise), text(&"x".repeat(400)));
}

#[test]
fn sealing_twice_shares_no_bytes_but_the_version_and_the_kid() {
    let ring = ring();
    let bytes = [(); 2].map(|()| URL_SAFE_NO_PAD.decode_to_vec(sealed(&ring)).unwrap());
    assert_eq!(bytes[0][..5], bytes[1][..5]);
    let same = bytes[0][5..].iter().zip(&bytes[1][5..]).filter(|(one, other)| one == other);
    assert!(same.count() < 30, "a few of {} are equal by chance", bytes[0].len());
}

/// The nonces of so many seals by two clones of a ring in threads of their own, and by a ring of its own for each part.
fn nonces(each: usize) -> HashSet<[u8; 24]> {
    let clones = ring();
    let sealers = [clones.clone(), clones, ring(), ring()];
    let parts = sealers.map(|ring| {
        thread::spawn(move || {
            let mut text = String::new();
            let nonce = |_| {
                text.clear();
                ring.seal(&activity(), b"", &mut text).unwrap();
                let bytes = URL_SAFE_NO_PAD.decode_to_vec(&text).unwrap();
                bytes[5..29].try_into().unwrap()
            };
            (0..each).map(nonce).collect::<Vec<[u8; 24]>>()
        })
    });
    parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
}

#[test]
fn nonces_are_unique_across_clones_of_the_ring() {
    assert_eq!(nonces(2_500).len(), 10_000);
    let sids: HashSet<[u8; 16]> = (0..10_000).map(|_| token::random().unwrap()).collect();
    assert_eq!(sids.len(), 10_000);
}

#[test]
#[ignore = "slow without optimization: cargo test --profile million -p dframework-session --lib -- --ignored million"]
fn a_million_nonces_and_sids_are_unique() {
    assert_eq!(nonces(250_000).len(), 1_000_000);
    let sids: HashSet<[u8; 16]> = (0..1_000_000).map(|_| token::random().unwrap()).collect();
    assert_eq!(sids.len(), 1_000_000);
}

#[test]
fn owners_have_tags_of_their_own() {
    let tags: HashSet<_> = (0..1000).map(|owner| OwnerTag::of(&owner.to_string())).collect();
    assert_eq!(tags.len(), 1000);
    assert!(OwnerTag::of("42") == OwnerTag::of("42"));
}

#[test]
fn opening_and_reading_a_key_allocates_the_opened_cookie_and_nothing_else() {
    let ring = ring();
    for length in [10, 200, 800, 1500] {
        let record = ordinary(Some("42"), &"x".repeat(length));
        let text = seal(&ring, &session(Some(login())), record.bytes());
        let now = now();
        let allocated = allocation_counter::measure(|| {
            let opened = ring.open::<SessionTerms>(text.as_bytes(), now);
            let Ok(Opened { content, .. }) = opened else { panic!("it opens") };
            assert!(content.under(b"name").value().is_some());
        });
        assert_eq!(allocated.count_total, 1, "{length}");
    }
}

#[test]
fn sealing_allocates_the_text_and_nothing_else() {
    let ring = ring();
    let record = ordinary(Some("42"), &"x".repeat(300));
    let header = session(Some(login()));
    let allocated = allocation_counter::measure(|| drop(seal(&ring, &header, record.bytes())));
    assert_eq!(allocated.count_total, 1);
}

#[test]
fn keys_and_opened_bytes_are_of_types_that_overwrite_themselves() {
    fn overwritten<T: zeroize::ZeroizeOnDrop + ?Sized>() {}
    // Without the features of these crates that this relies on, it does not compile.
    overwritten::<aes::Aes256Enc>();
    // For the feature by which GHASH clears itself: the cipher beside it is only lent to the GCM that is used.
    overwritten::<aes_gcm::Aes256Gcm>();
    overwritten::<zeroize::Zeroizing<[u8]>>();
    overwritten::<super::wiped::Wiped<[u8]>>();
}
