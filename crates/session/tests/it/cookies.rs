//! Which cookies are ours, whatever else a request brings, and the lines that set and remove them.

use crate::{
    instructions::{instructions, is_installed},
    support::{Bench, Client, Jar, NAME, drivers, in_cookies, in_memory, told},
};
use dframework_session::{Config, Error, RequestHead, SessionHandle, Sessions};

/// What a request with these Cookie fields reads.
async fn name_with(bench: &Bench, fields: &[&[u8]]) -> Option<String> {
    let head = RequestHead::new("GET").with_cookies(fields.iter().copied());
    bench.sessions.open(head).get("name").await.unwrap()
}

/// A jar whose session knows a name.
async fn known(bench: &Bench) -> Jar {
    let mut jar = Jar::default();
    bench.ok(&mut jar, async |session| session.set("name", "guest").await).await;
    jar
}

#[tokio::test]
async fn neighbours_never_hide_our_cookie() {
    for bench in drivers().await {
        let ours = known(&bench).await.field();
        let neighbours: [&[u8]; 18] = [
            b"theme=dark",
            b"",
            b"=",
            b"==",
            b"novalue",
            b" \t ",
            b"a=\"quoted; inside",
            b"\xff\xfe=\x80",
            b"\xc3\x28",
            b"n\xc2\xa0me=\xe2\x80\xa8",
            b"__Host-Http-sessio=x",
            b"__Host-Http-sessionx=x",
            b"__Host-Http-session.x=x",
            b"__Host-Http-session.f8=1",
            b"__host-http-session=x",
            b"\xc2\xa0__Host-Http-session=x",
            b"%5F_Host-Http-session=x",
            b"$Version=1",
        ];
        for neighbour in neighbours {
            for field in [
                [neighbour, b"; ", ours.as_bytes()].concat(),
                [ours.as_bytes(), b"; ", neighbour].concat(),
                [b"; ;\t", ours.as_bytes(), b" \t;;", neighbour, b";"].concat(),
            ] {
                let shown = String::from_utf8_lossy(&field).into_owned();
                assert_eq!(name_with(&bench, &[&field]).await.as_deref(), Some("guest"), "{shown}");
            }
        }
    }
}

#[tokio::test]
async fn a_look_alike_is_never_taken_for_our_cookie() {
    for bench in drivers().await {
        let jar = known(&bench).await;
        let token = jar.session().unwrap();
        let spelt = |name: &str| format!("{name}={token}").into_bytes();
        let look_alikes = [
            spelt("__host-http-session"),
            spelt("__HOST-HTTP-SESSION"),
            spelt("__Host-Http-session.p"),
            spelt("__Host-Http-session.f0"),
            spelt("%5F%5FHost-Http-session"),
            spelt("\u{a0}__Host-Http-session"),
            spelt("__Host-Http-session\u{a0}"),
            spelt("\u{b}__Host-Http-session"),
            spelt("\"__Host-Http-session\""),
            spelt("a=__Host-Http-session"),
            format!("{NAME}=\"{token}\"").into_bytes(),
            format!("{NAME}={token}=").into_bytes(),
            format!("{NAME}= {token} x").into_bytes(),
            format!("{NAME}={token}\u{a0}").into_bytes(),
            format!("{NAME}={}", token.replace('-', "+").replace('_', "/") + "=").into_bytes(),
            format!("{NAME}={}", &token[1..]).into_bytes(),
            format!("{NAME}, x={token}").into_bytes(),
        ];
        for field in look_alikes {
            let shown = String::from_utf8_lossy(&field).into_owned();
            assert_eq!(name_with(&bench, &[&field]).await, None, "{shown}");
        }
    }
}

#[tokio::test]
async fn a_token_has_one_spelling() {
    for bench in drivers().await {
        let token = known(&bench).await.session().unwrap().to_owned();
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let last = *token.as_bytes().last().unwrap();
        let others = alphabet.iter().filter(|letter| **letter != last);
        for letter in others {
            let mut spelt = token.clone().into_bytes();
            *spelt.last_mut().unwrap() = *letter;
            let field = [NAME.as_bytes(), b"=", &spelt].concat();
            assert_eq!(name_with(&bench, &[&field]).await, None, "{}", char::from(*letter));
        }
    }
}

#[tokio::test]
async fn several_cookie_fields_are_one_list() {
    for bench in drivers().await {
        let ours = known(&bench).await.field();
        let fields: [&[u8]; 3] = [b"theme=dark", ours.as_bytes(), b"\xff"];
        assert_eq!(name_with(&bench, &fields).await.as_deref(), Some("guest"));
    }
}

#[tokio::test]
async fn a_doubled_host_name_is_no_session_and_told_to_the_operator() {
    for bench in drivers().await {
        let jar = known(&bench).await;
        let ours = jar.field();
        let fields: [&[u8]; 2] = [ours.as_bytes(), ours.as_bytes()];
        let (name, events) = told(async || name_with(&bench, &fields).await).await;
        assert_eq!(name, None);
        assert!(events.contains("brought a cookie twice"), "{events}");
        assert!(!events.contains(jar.session().unwrap()), "{events}");
        let (_, events) = told(async || name_with(&bench, &fields[..1]).await).await;
        assert_eq!(events, "");
    }
}

/// Sessions whose cookie has a name that any path can have its own cookie of.
async fn with_a_plain_name() -> Sessions {
    let config = Config::from_toml("[app]\nenv = 'local'\nsessionDriver = 'memory'").unwrap();
    Sessions::connect(&config).await.unwrap()
}

#[tokio::test]
async fn of_other_duplicates_the_first_that_is_known_wins() {
    let sessions = with_a_plain_name().await;
    let handle = sessions.open(RequestHead::new("GET"));
    handle.set("name", "guest").await.unwrap();
    let head = sessions.commit(&handle, dframework_session::ResponseHead::new(200)).await.unwrap();
    let ours = head.set_cookies[0].split(';').next().unwrap().to_owned();
    let unknown = |letter: &str| format!("session={}", letter.repeat(42) + "A");
    let table = [
        (vec![ours.clone(), unknown("a")], true),
        (vec![unknown("a"), ours.clone()], true),
        (vec![unknown("a"), unknown("b"), unknown("c"), ours.clone()], true),
        (vec![unknown("a"), unknown("b"), unknown("c"), unknown("d"), ours.clone()], false),
        // What cannot be a token takes no place.
        (
            vec![
                "session=x".into(),
                "session=".into(),
                "session=\"".into(),
                unknown("a"),
                ours.clone(),
            ],
            true,
        ),
    ];
    for (pairs, found) in table {
        let field = pairs.join("; ");
        let handle = sessions.open(RequestHead::new("GET").with_cookies([field.as_bytes()]));
        let name: Option<String> = handle.get("name").await.unwrap();
        assert_eq!(name.is_some(), found, "{field}");
    }
}

#[tokio::test]
async fn a_hostile_field_neither_panics_nor_hides_our_cookie() {
    for bench in drivers().await {
        let ours = known(&bench).await.field();
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..500 {
            let mut noise = Vec::new();
            while noise.len() < 300 {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                // Bytes that mean something in the field come often.
                let byte = random.to_le_bytes()[0];
                noise.push(if byte < 100 { b";=, \t\"._"[usize::from(byte) % 8] } else { byte });
            }
            let field = [&noise[..150], b";", ours.as_bytes(), b";", &noise[150..]].concat();
            assert_eq!(name_with(&bench, &[&field]).await.as_deref(), Some("guest"), "{field:?}");
        }
        let pairs = "a=b;".repeat(4096) + &ours;
        assert_eq!(name_with(&bench, &[pairs.as_bytes()]).await.as_deref(), Some("guest"));
    }
}

#[tokio::test]
async fn setting_and_removing_name_the_same_attributes() {
    let table = [
        ("", "__Host-Http-session=", "; Path=/; Secure; HttpOnly; SameSite=Lax"),
        (
            "sameSite = 'strict'",
            "__Host-Http-session=",
            "; Path=/; Secure; HttpOnly; SameSite=Strict",
        ),
        (
            "partitioned = true",
            "__Host-Http-session-p=",
            "; Path=/; Secure; HttpOnly; SameSite=Lax; Partitioned",
        ),
        (
            "name = '__Secure-id'\npath = '/shop'\ndomain = 'example.org'\nsameSite = 'none'",
            "__Secure-id=",
            "; Path=/shop; Domain=example.org; Secure; HttpOnly; SameSite=None",
        ),
    ];
    for (cookie, name, attributes) in table {
        let text = format!("[app]\nsessionDriver = 'memory'\n[app.sessionCookie]\n{cookie}");
        let sessions = Sessions::connect(&Config::from_toml(&text).unwrap()).await.unwrap();
        let make = async |session: SessionHandle| {
            session.set("a", 1).await?;
            session.flash("b", 2).await?;
            session.permanent(serde_json::json!({ "c": 3 })).await
        };
        let set = lines(&sessions, "", make).await;
        assert_eq!(set.len(), 3);
        let field: Vec<_> = set.iter().map(|line| line.split(';').next().unwrap()).collect();
        let removed =
            lines(&sessions, &field.join(";"), async |session| session.forget(..).await).await;
        assert_eq!(removed.len(), 3);
        for line in set.iter().chain(&removed) {
            let (pair, rest) = line.split_once(';').unwrap();
            assert!(pair.starts_with(name.trim_end_matches('=')), "{line}");
            let rest = format!(";{rest}");
            let rest = rest.replace("; Max-Age=315360000", "").replace("; Max-Age=0", "");
            assert_eq!(rest, attributes, "{line}");
        }
        assert!(set[1].starts_with(name) || set[0].starts_with(name), "{set:?}");
        assert!(removed.iter().all(|line| line.ends_with("; Max-Age=0")), "{removed:?}");
    }
}

async fn lines(
    sessions: &Sessions,
    cookies: &str,
    handler: impl AsyncFnOnce(SessionHandle) -> Result<(), Error>,
) -> Vec<String> {
    let handle = sessions.open(RequestHead::new("GET").with_cookies([cookies.as_bytes()]));
    handler(handle.clone()).await.unwrap();
    let head = dframework_session::ResponseHead::new(200);
    sessions.commit(&handle, head).await.unwrap().set_cookies
}

#[tokio::test]
async fn values_are_cookie_octets() {
    for bench in drivers().await {
        let jar = known(&bench).await;
        let octet =
            |byte: u8| matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e);
        assert!(jar.pairs().values().all(|value| value.bytes().all(octet)));
        assert_eq!(
            bench.open(&jar, Client::Plain, "GET").get_or("name", "").await.unwrap(),
            "guest"
        );
    }
}

/// The shapes of hostile fields whose length the test below doubles.
const SHAPES: [(&str, &str); 6] = [
    ("pairs", "a=b;"),
    ("look-alikes", "__Host-Http-session.f=;"),
    ("semicolons", ";"),
    ("spaces", " "),
    ("equals", "="),
    ("doubles", "__Host-Http-session=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA;"),
];

#[tokio::test]
#[ignore = "the process whose instructions the test below counts"]
async fn reads_a_hostile_field() {
    let Ok(field) = std::env::var("HOSTILE_FIELD") else { return };
    for bench in [in_memory().await, in_cookies().await] {
        for _ in 0..4 {
            let head = RequestHead::new("GET").with_cookies([field.as_bytes()]);
            assert!(!bench.sessions.open(head).has("name").await.unwrap());
        }
    }
}

#[test]
fn a_field_of_twice_the_length_costs_at_most_twice_the_instructions() {
    if !is_installed("valgrind") {
        return;
    }
    let run = |field: &str| instructions("cookies::reads_a_hostile_field", "HOSTILE_FIELD", field);
    let nothing = run("");
    // As long as a cookie can be, so that each has to be looked at.
    let seal = format!("__Host-Http-session={};", "AQID".repeat(1_000));
    for (shape, part) in SHAPES.into_iter().chain([("seals", &*seal)]) {
        let count = |length: usize| run(&part.repeat(length / part.len()));
        let (once, twice) = (count(16 * 1024), count(32 * 1024));
        let (once, twice) = (once.saturating_sub(nothing), twice.saturating_sub(nothing));
        assert!(twice <= once * 22 / 10, "{shape}: {once} instructions, then {twice}");
    }
}
