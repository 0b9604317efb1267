//! The browser of the testing kit keeps and sends cookies as browsers do: a table for each rule, with its sentence.
//!
//! Sentences in quotes are those of draft-ietf-httpbis-rfc6265bis, "Cookies: HTTP State Management Mechanism". Chromium 156
//! was given the same lines and answers the same, but for the rows that say otherwise.

use crate::support::{DAY, HOUR};
use dframework_session::{
    Clock, SameSite,
    testing::{Browser, Dropped, Reason, Taken, Way},
};
use std::time::Duration;

fn browser() -> Browser {
    Browser::new(Clock::manual())
}

/// Takes a line and tells what is then sent to an address.
fn sent(from: &str, line: impl AsRef<[u8]>, to: &str) -> Option<String> {
    let mut browser = browser();
    let _: Taken = browser.receive(from, line).unwrap_or_else(|dropped| panic!("{dropped}"));
    browser.cookie_field(to)
}

/// Takes a line, or tells why not.
fn outcome(from: &str, line: impl AsRef<[u8]>) -> Result<(), Reason> {
    let taken = browser().receive(from, line);
    taken.map(drop).map_err(|dropped| dropped.reason)
}

/// Takes a line that is not dropped and displaces nothing.
#[track_caller]
fn take(browser: &mut Browser, url: &str, line: &str) {
    assert_eq!(browser.receive(url, line), Ok(Taken::default()), "{line}");
}

const HOME: &str = "https://shop.example/";

#[test]
fn a_line_is_parted_at_semicolons_and_the_first_equals_sign() {
    // "The name-value-pair string consists of the characters up to, but not including, the first %x3B (";")."
    // "If the name-value-pair string lacks a %x3D ("=") character, then the name string is empty, and the value string
    // is the value of name-value-pair." "Remove any leading or trailing WSP characters."
    for (line, field) in [
        ("a=1", "a=1"),
        ("a=1;", "a=1"),
        ("a=1;;;Secure", "a=1"),
        (" \ta\t = \t1 \t", "a=1"),
        ("a=b=c", "a=b=c"),
        ("a=", "a="),
        ("=1", "1"),
        ("1", "1"),
        ("a b=c d", "a b=c d"),
        ("a=\"1; 2\"", "a=\"1"),
        ("a=%20", "a=%20"),
        ("ä=ö", "ä=ö"),
        ("a\u{a0}=1", "a\u{a0}=1"),
    ] {
        assert_eq!(sent(HOME, line, HOME).as_deref(), Some(field), "{line:?}");
    }
}

#[test]
fn lines_that_are_no_cookie_are_dropped() {
    // "If the set-cookie-string contains a %x00-08 / %x0A-1F / %x7F character (CTL characters excluding HTAB): Abort
    // this algorithm and ignore the set-cookie-string entirely."
    for byte in (0..=0x1f).chain([0x7f]).filter(|byte| *byte != b'\t') {
        for line in [b"a=1;Path=/x".to_vec(), b"ab=1".to_vec()] {
            let line = [&line[..1], &[byte], &line[1..]].concat();
            assert_eq!(outcome(HOME, line), Err(Reason::ControlCharacter), "{byte}");
        }
        assert_eq!(
            outcome(HOME, [b"a=1; x=", &[byte][..]].concat()),
            Err(Reason::ControlCharacter)
        );
    }
    // The RFC excludes the tab, which Chromium also refuses inside name and value.
    assert_eq!(outcome(HOME, "a\tb=1"), Err(Reason::ControlCharacter));
    assert_eq!(outcome(HOME, "a=1\t2"), Err(Reason::ControlCharacter));
    assert_eq!(outcome(HOME, "\ta\t=\t1\t;\tx=\ty"), Ok(()));
    // "If cookie-name is empty and cookie-value is empty, abort these steps."
    for line in ["", "=", " = ", ";", "; Path=/", "=; Secure"] {
        assert_eq!(outcome(HOME, line), Err(Reason::Empty), "{line:?}");
    }
}

#[test]
fn name_and_value_have_4096_bytes_at_most() {
    // "If the sum of the lengths of the name string and the value string is more than 4096 octets, abort this algorithm
    // and ignore the set-cookie-string entirely."
    let of = |name: usize, value: usize| format!("{}={}", "n".repeat(name), "v".repeat(value));
    for (line, expected) in [
        (of(1, 4095), Ok(())),
        (of(4096, 0), Ok(())),
        (of(2048, 2048), Ok(())),
        (format!("{}; Path=/{}", of(1, 4095), "p".repeat(900)), Ok(())),
        ("v".repeat(4096), Ok(())),
        (of(1, 4096), Err(Reason::TooLong)),
        (of(4097, 0), Err(Reason::TooLong)),
        ("v".repeat(4097), Err(Reason::TooLong)),
    ] {
        assert_eq!(outcome(HOME, &line), expected, "{}", line.len());
    }
}

#[test]
fn an_attribute_of_more_than_1024_bytes_is_passed_over() {
    // "If the attribute-value is longer than 1024 octets, ignore the cookie-av string."
    let path = |length: usize| format!("/{}", "p".repeat(length - 1));
    for (length, expected) in [(1024, path(1024)), (1025, "/".to_owned())] {
        let mut browser = browser();
        take(&mut browser, HOME, &format!("a=1; Path={}", path(length)));
        assert_eq!(browser.cookie("a").unwrap().path(), expected, "{length}");
    }
}

#[test]
fn attributes_have_any_case_and_order_and_the_last_of_a_name_counts() {
    let mut browser = browser();
    take(
        &mut browser,
        HOME,
        "a=1; PATH=/x;path = /y ; sEcUrE=no; HTTPONLY; SameSite=Lax; samesite=STRICT; New=1",
    );
    let cookie = browser.cookie("a").unwrap();
    assert_eq!((cookie.path(), cookie.is_secure(), cookie.is_http_only()), ("/y", true, true));
    assert_eq!(cookie.same_site(), Some(SameSite::Strict));
    assert!(!cookie.is_partitioned() && cookie.is_host_only());

    for (attributes, domain, is_host_only) in [
        ("Domain=other.example; Domain=example", "", true),
        ("Domain=other.example; Domain=shop.example", "shop.example", false),
        ("Domain=other.example; Domain=", "shop.example", true),
    ] {
        let mut browser = Browser::new(Clock::manual());
        let taken = browser.receive(HOME, format!("a=1; {attributes}"));
        assert_eq!(taken.is_ok(), !domain.is_empty(), "{attributes}");
        let found = browser.cookie("a").map(|cookie| (cookie.domain(), cookie.is_host_only()));
        assert_eq!(found, taken.is_ok().then_some((domain, is_host_only)), "{attributes}");
    }
    // An unknown SameSite is none at all, even behind one that is known.
    take(&mut browser, HOME, "b=1; SameSite=Strict; SameSite=Loose");
    assert_eq!(browser.cookie("b").unwrap().same_site(), None);
}

#[test]
fn a_domain_opens_the_cookie_for_the_hosts_below() {
    // "The domain string and the string are identical", or "the domain string is a suffix of the string, the last
    // character of the string that is not included in the domain string is a %x2E (".") character, the string is a host
    // name (i.e., not an IP address)."
    let at = |host: &str, domain: &str| {
        let line = match domain {
            "" => "a=1; Secure".to_owned(),
            domain => format!("a=1; Secure; Domain={domain}"),
        };
        (format!("https://{host}/"), line)
    };
    for (host, domain, getting, not_getting) in [
        (
            "shop.example",
            "",
            &["shop.example", "SHOP.EXAMPLE"][..],
            &["www.shop.example", "example"][..],
        ),
        (
            "shop.example",
            "shop.example",
            &["shop.example", "www.shop.example"],
            &["example", "myshop.example"],
        ),
        (
            "www.shop.example",
            "shop.example",
            &["shop.example", "a.b.shop.example"],
            &["bookshop.example"],
        ),
        ("www.shop.example", ".Shop.Example", &["shop.example"], &["shop.example.org"]),
        ("localhost", "", &["localhost"], &["app.localhost"]),
        ("127.0.0.1", "127.0.0.1", &["127.0.0.1"], &["127.0.0.2", "localhost"]),
        ("[::1]", "[::1]", &["[::1]"], &["localhost"]),
    ] {
        let (from, line) = at(host, domain);
        for (hosts, expected) in [(getting, Some("a=1".to_owned())), (not_getting, None)] {
            for host in hosts {
                assert_eq!(
                    sent(&from, &line, &format!("https://{host}/")),
                    expected,
                    "{line} {host}"
                );
            }
        }
    }
    for (host, domain) in [
        ("shop.example", "www.shop.example"),
        ("shop.example", "other.example"),
        ("bookshop.example", "shop.example"),
        ("shop.example", "..shop.example"),
        ("shop.example", "."),
        ("shop.example", "shop.example."),
        ("shop.example", "shop.example:443"),
        ("shop.example", "sh\u{f6}p.example"),
        ("127.0.0.1", "0.0.1"),
        ("127.0.0.1", "localhost"),
    ] {
        let (from, line) = at(host, domain);
        assert_eq!(outcome(&from, line), Err(Reason::ForeignDomain), "{host} {domain}");
    }
}

#[test]
fn a_domain_of_one_label_is_for_its_host_alone() {
    // "If the domain-attribute is identical to the canonicalized request-host: Let the domain-attribute be the empty
    // string. Otherwise: Ignore the cookie entirely." So it is for public suffixes.
    for (host, domain) in
        [("shop.com", "com"), ("shop.com", ".com"), ("app.localhost", "localhost")]
    {
        let from = format!("https://{host}/");
        assert_eq!(outcome(&from, format!("a=1; Domain={domain}")), Err(Reason::PublicDomain));
    }
    let mut browser = browser();
    take(&mut browser, "https://localhost/", "a=1; Domain=localhost");
    assert!(browser.cookie("a").unwrap().is_host_only());
    assert_eq!(browser.cookie_field("https://app.localhost/"), None);
}

#[test]
fn without_a_path_a_cookie_belongs_to_the_folder_of_its_page() {
    // "Output the characters of the uri-path from the first character up to, but not including, the right-most %x2F
    // ("/")", and "/" where there is no more than one.
    for (url, attribute, path) in [
        ("https://shop.example", "", "/"),
        ("https://shop.example/", "", "/"),
        ("https://shop.example/cart", "", "/"),
        ("https://shop.example/cart/", "", "/cart"),
        ("https://shop.example/cart/items?a=/b/c", "", "/cart"),
        ("https://shop.example/a/b/c#/d", "", "/a/b"),
        ("https://shop.example/a/b", "; Path=/x/", "/x/"),
        // "If the attribute-value is empty or if the first character of the attribute-value is not %x2F ("/"): Let
        // cookie-path be the default-path."
        ("https://shop.example/a/b", "; Path=", "/a"),
        ("https://shop.example/a/b", "; Path", "/a"),
        ("https://shop.example/a/b", "; Path=x", "/a"),
        ("https://shop.example/a/b", "; Path=\"/x\"", "/a"),
        ("https://shop.example/a/b", "; Path=/x; Path=y", "/a"),
    ] {
        let mut browser = browser();
        take(&mut browser, url, &format!("a=1{attribute}"));
        assert_eq!(browser.cookie("a").unwrap().path(), path, "{url} {attribute}");
    }
}

#[test]
fn a_path_covers_itself_and_what_is_below() {
    // "The cookie-path is a prefix of the request-path, and the last character of the cookie-path is %x2F ("/")", or
    // "the first character of the request-path that is not included in the cookie-path is a %x2F ("/") character."
    for (path, asked, is_sent) in [
        ("/", "/", true),
        ("/", "/cart/items", true),
        ("/cart", "/cart", true),
        ("/cart", "/cart/", true),
        ("/cart", "/cart/items", true),
        ("/cart", "/cart?page=2", true),
        ("/cart", "/carton", false),
        ("/cart", "/", false),
        ("/cart", "/Cart", false),
        ("/cart/", "/cart/items", true),
        ("/cart/", "/cart", false),
    ] {
        let line = format!("a=1; Path={path}");
        let field = sent(HOME, line, &format!("https://shop.example{asked}"));
        assert_eq!(field.is_some(), is_sent, "{path} {asked}");
    }
}

#[test]
fn what_is_secure_comes_and_goes_over_https_alone() {
    // "If the scheme component of the request-uri does not denote a "secure" protocol (as defined by the user agent), and
    // the cookie's secure-only-flag is true, then abort these steps and ignore the cookie entirely."
    let line = "a=1; Secure; Path=/";
    for (url, chromium, safari) in [
        ("https://shop.example/", true, true),
        ("http://shop.example/", false, false),
        ("http://10.0.0.1/", false, false),
        ("http://localhost:3000/", true, false),
        ("http://app.localhost/", true, false),
        ("http://127.0.0.1:3000/", true, false),
        ("http://[::1]:3000/", true, false),
        ("https://localhost/", true, true),
    ] {
        let (loose, strict) = (browser(), Browser::strict(Clock::manual()));
        for (mut browser, is_taken) in [(loose, chromium), (strict, safari)] {
            let dropped = browser.receive(url, line).map(drop).map_err(|dropped| dropped.reason);
            let expected = if is_taken { Ok(()) } else { Err(Reason::SecureOverHttp) };
            assert_eq!(dropped, expected, "{url}");
            assert_eq!(browser.cookie_field(url).is_some(), is_taken, "{url}");
        }
    }
    assert_eq!(sent(HOME, line, "http://shop.example/"), None);
    assert_eq!(sent(HOME, "a=1", "http://shop.example/").as_deref(), Some("a=1"));
    // Neither the scheme nor the port parts cookies.
    assert_eq!(sent("http://shop.example:8080/", "a=1", HOME).as_deref(), Some("a=1"));
}

#[test]
fn plain_http_does_not_hide_a_secure_cookie() {
    // "Their secure-only-flag is true. Their domain domain-matches the domain of the newly-created cookie, or vice-versa.
    // The path of the newly-created cookie path-matches the path of the existing cookie."
    let hides = Err(Reason::HidesSecure);
    for (held, url, line, expected) in [
        ("a=1; Secure; Path=/", "http://shop.example/", "a=2; Path=/", hides),
        ("a=1; Secure; Path=/", "http://shop.example/", "a=2; Path=/cart", hides),
        ("a=1; Secure; Path=/", "http://shop.example/", "a=2; Path=/; Max-Age=0", hides),
        ("a=1; Secure; Path=/; Domain=shop.example", "http://www.shop.example/", "a=2", hides),
        ("a=1; Secure; Path=/", "http://www.shop.example/", "a=2; Domain=shop.example", hides),
        ("a=1; Secure; Path=/cart", "http://shop.example/", "a=2; Path=/", Ok(())),
        ("a=1; Secure; Path=/cart", "http://shop.example/", "a=2; Path=/cart/items", hides),
        ("a=1; Secure; Path=/", "http://other.example/", "a=2", Ok(())),
        ("a=1; Secure; Path=/", "http://shop.example/", "b=2", Ok(())),
        ("a=1; Path=/", "http://shop.example/", "a=2; Path=/", Ok(())),
        ("a=1; Secure; Path=/", "https://shop.example/", "a=2; Path=/", Ok(())),
    ] {
        let mut browser = browser();
        take(&mut browser, HOME, held);
        let taken = browser.receive(url, line).map(drop).map_err(|dropped| dropped.reason);
        assert_eq!(taken, expected, "{held} {line}");
        if taken == hides {
            browser.assert_cookie("a", "1");
        }
    }
    // A domain above the one that holds the cookie is near enough too.
    let mut browser = browser();
    take(&mut browser, "https://www.shop.example/", "a=1; Secure; Path=/");
    let taken = browser.receive("http://shop.example/", "a=2; Domain=shop.example");
    assert_eq!(taken.map(drop).map_err(|dropped| dropped.reason), hides);
}

#[test]
fn prefixed_names_keep_their_promise() {
    // "If the cookie-name begins with a case-insensitive match for the string "__Secure-", abort these steps and ignore
    // the cookie entirely unless the cookie's secure-only-flag is true." For "__Host-": "The cookie's secure-only-flag is
    // true. The cookie's host-only-flag is true. The cookie-attribute-list contains an attribute with an attribute-name
    // of "Path", and the cookie's path is /." For "__Http-" also: the http-only-flag is true.
    let lacks = |prefix, lacks| Err(Reason::Prefix { prefix, lacks });
    let domain = "the absence of Domain";
    for (line, expected) in [
        ("__Secure-a=1; Secure", Ok(())),
        ("__Secure-a=1; Secure; Domain=shop.example; Path=/x", Ok(())),
        ("__Secure-a=1; HttpOnly", lacks("__Secure-", "Secure")),
        ("__sEcUrE-a=1", lacks("__Secure-", "Secure")),
        ("__Host-a=1; Secure; Path=/", Ok(())),
        ("__Host-a=1; Secure; Path=/; Domain=", Ok(())),
        ("__Host-a=1; Path=/", lacks("__Host-", "Secure")),
        ("__Host-a=1; Secure; Path=/; Domain=shop.example", lacks("__Host-", domain)),
        ("__Host-a=1; Secure", lacks("__Host-", "Path=/")),
        ("__Host-a=1; Secure; Path=/x", lacks("__Host-", "Path=/")),
        ("__Host-a=1; Secure; Path=", lacks("__Host-", "Path=/")),
        ("__HOST-a=1", lacks("__Host-", "Secure")),
        ("__Http-a=1; Secure; HttpOnly", Ok(())),
        ("__Http-a=1; Secure; HttpOnly; Path=/x; Domain=shop.example", Ok(())),
        ("__Http-a=1; Secure", lacks("__Http-", "HttpOnly")),
        ("__http-a=1; HttpOnly", lacks("__Http-", "Secure")),
        ("__Host-Http-a=1; Secure; HttpOnly; Path=/", Ok(())),
        ("__Host-Http-a=1; Secure; Path=/", lacks("__Host-Http-", "HttpOnly")),
        ("__host-http-a=1; Secure; HttpOnly", lacks("__Host-Http-", "Path=/")),
        (
            "__Host-Http-a=1; Secure; HttpOnly; Path=/; Domain=shop.example",
            lacks("__Host-Http-", domain),
        ),
        ("__Host-Http-a=1; HttpOnly; Path=/", lacks("__Host-Http-", "Secure")),
        ("__Host=1", Ok(())),
        ("_Host-a=1", Ok(())),
        ("a__Host-=1", Ok(())),
        // "If the cookie-name is empty and the cookie-value begins with" such a prefix, it would look like one when sent.
        ("=__Host-a=1; Secure; Path=/", Err(Reason::PrefixInValue)),
        ("__secure-a", Err(Reason::PrefixInValue)),
        ("=__HTTP-a; Secure; HttpOnly", Err(Reason::PrefixInValue)),
        ("=__Hos", Ok(())),
        ("a=__Host-b=1", Ok(())),
    ] {
        assert_eq!(outcome(HOME, line), expected, "{line}");
    }
    let over_http = outcome("http://shop.example/", "__Host-a=1; Secure; Path=/");
    assert_eq!(over_http, Err(Reason::SecureOverHttp));
}

#[test]
fn same_site_none_and_partitioned_need_secure() {
    // "If the cookie's same-site-flag is "None", abort these steps and ignore the cookie entirely unless the cookie's
    // secure-only-flag is true."
    for (line, expected) in [
        ("a=1; SameSite=None", Err(Reason::NoneWithoutSecure)),
        ("a=1; SameSite=none; Secure", Ok(())),
        ("a=1; SameSite=Lax", Ok(())),
        ("a=1; SameSite=Unknown", Ok(())),
        ("a=1; SameSite=None; SameSite=Lax", Ok(())),
        ("a=1; Partitioned", Err(Reason::PartitionedWithoutSecure)),
        ("a=1; Partitioned; Secure", Ok(())),
    ] {
        assert_eq!(outcome(HOME, line), expected, "{line}");
    }
}

#[test]
fn same_site_says_which_requests_of_other_sites_bring_a_cookie() {
    // "Same-site cookies in "Lax" enforcement mode" go "along with cross-site requests if and only if they are top-level
    // navigations which use a "safe" HTTP method."
    let lines = [
        "strict=1; SameSite=Strict",
        "lax=1; SameSite=Lax",
        "unset=1",
        "none=1; SameSite=None; Secure",
    ];
    let all = "strict=1; lax=1; unset=1; none=1";
    for (way, method, chromium, safari) in [
        (Way::Navigation, "POST", all, all),
        (Way::Fetch, "DELETE", all, all),
        (Way::Prefetch, "GET", all, all),
        (Way::Plain, "POST", all, all),
        (Way::CrossSiteNavigation, "GET", "lax=1; unset=1; none=1", "lax=1; unset=1; none=1"),
        (Way::CrossSiteNavigation, "HEAD", "lax=1; unset=1; none=1", "lax=1; unset=1; none=1"),
        // Chromium sends a cookie without SameSite along in the first two minutes of its life.
        (Way::CrossSiteNavigation, "POST", "none=1", "unset=1; none=1"),
        (Way::CrossSiteFetch, "GET", "none=1", "unset=1; none=1"),
    ] {
        for (mut browser, expected) in
            [(browser(), chromium), (Browser::strict(Clock::manual()), safari)]
        {
            for line in lines {
                take(&mut browser, HOME, line);
            }
            let field = browser.cookie_field_as(way, method, HOME);
            assert_eq!(field.as_deref(), Some(expected), "{way:?} {method}");
        }
    }
}

#[test]
fn other_sites_scripts_set_nothing_that_is_bound_to_its_site() {
    // "If the cookie was received from a request which is navigating a top-level browsing context, skip the remaining
    // substeps." Else: "Abort these steps and ignore the newly created cookie entirely."
    for (line, from_script) in [
        ("a=1; SameSite=Strict", Err(Reason::CrossSite)),
        ("a=1; SameSite=Lax", Err(Reason::CrossSite)),
        ("a=1", Err(Reason::CrossSite)),
        ("a=1; SameSite=None; Secure", Ok(())),
    ] {
        let receive = |way| {
            let taken = browser().receive_as(way, HOME, line);
            taken.map(drop).map_err(|dropped| dropped.reason)
        };
        assert_eq!(receive(Way::CrossSiteFetch), from_script, "{line}");
        assert_eq!(receive(Way::CrossSiteNavigation), Ok(()), "{line}");
        assert_eq!(receive(Way::Fetch), Ok(()), "{line}");
    }
}

#[test]
fn a_partitioned_cookie_is_seen_in_the_pages_of_one_site_only() {
    let line = "a=1; Partitioned; Secure; SameSite=None";
    let mut browser = browser();
    take(&mut browser, HOME, line);
    assert_eq!(browser.cookie_field(HOME).as_deref(), Some("a=1"));
    assert_eq!(browser.cookie_field_as(Way::CrossSiteFetch, "GET", HOME), None);

    // In frames of another site there is one of its own, and beside both one that is not partitioned.
    let other = browser.receive_as(Way::CrossSiteFetch, HOME, line.replace('1', "2"));
    assert_eq!(other, Ok(Taken::default()));
    take(&mut browser, HOME, "a=3; Secure; SameSite=None");
    assert_eq!(browser.cookie_field(HOME).as_deref(), Some("a=1; a=3"));
    let in_frame = browser.cookie_field_as(Way::CrossSiteFetch, "GET", HOME);
    assert_eq!(in_frame.as_deref(), Some("a=2; a=3"));
}

#[test]
fn max_age_counts_before_expires_and_only_if_it_is_a_number() {
    // "If the first character of the attribute-value is neither a DIGIT, nor a "-" character followed by a DIGIT, ignore
    // the cookie-av. If the remainder of attribute-value contains a non-DIGIT character, ignore the cookie-av."
    // The clock stands at 2026-01-01 00:00.
    let hour = Some(HOUR);
    let expires = "Expires=Thu, 01 Jan 2026 01:00:00 GMT";
    for (attributes, lifetime) in [
        ("Max-Age=3600".to_owned(), hour),
        ("Max-Age=03600".to_owned(), hour),
        ("max-age = 3600".to_owned(), hour),
        ("Max-Age=60; Max-Age=3600".to_owned(), hour),
        // To Chromium the last one counts even if it says nothing, and a plus sign is a sign.
        ("Max-Age=3600; Max-Age=1h".to_owned(), hour),
        (expires.to_owned(), hour),
        (expires.replace(' ', "-"), hour),
        (format!("{expires}; Expires=soon"), hour),
        (format!("Expires=Thu, 01 Jan 2026 02:00:00 GMT; {expires}"), hour),
        (format!("{expires}; Max-Age=60"), Some(Duration::from_secs(60))),
        (format!("Max-Age=60; {expires}"), Some(Duration::from_secs(60))),
        (format!("{expires}; Max-Age="), hour),
        (format!("{expires}; Max-Age=-"), hour),
        (format!("{expires}; Max-Age=+60"), hour),
        (format!("{expires}; Max-Age=60s"), hour),
        (format!("{expires}; Max-Age=6.0"), hour),
        (format!("{expires}; Max-Age=\"60\""), hour),
        ("Max-Age=soon".to_owned(), None),
        ("Expires=soon".to_owned(), None),
        ("Expires=0".to_owned(), None),
    ] {
        let clock = Clock::manual();
        let mut browser = Browser::new(clock.clone());
        take(&mut browser, HOME, &format!("a=1; {attributes}"));
        let expires = browser.cookie("a").unwrap().expires();
        let found = expires.map(|expires| expires.saturating_since(clock.now()));
        assert_eq!(found, lifetime, "{attributes}");
    }
}

#[test]
fn a_cookie_lives_400_days_at_most() {
    // "The limit SHOULD NOT be greater than 400 days (34560000 seconds) in the future." "Let cookie-age-limit be the maximum
    // age of the cookie."
    for attribute in [
        "Max-Age=34560000",
        "Max-Age=34560001",
        "Max-Age=315360000",
        "Max-Age=99999999999999999999999999",
        "Expires=Fri, 01 Jan 2027 00:00:00 GMT; Max-Age=315360000",
        "Expires=Fri, 31 Dec 9999 23:59:59 GMT",
    ] {
        let clock = Clock::manual();
        let mut browser = Browser::new(clock.clone());
        take(&mut browser, HOME, &format!("a=1; {attribute}"));
        clock.advance(399 * DAY + Duration::from_millis(86_399_999));
        assert!(browser.cookie("a").is_some(), "{attribute}");
        clock.advance(Duration::from_millis(1));
        assert!(browser.cookie("a").is_none(), "{attribute}");
        assert_eq!(browser.cookie_field(HOME), None, "{attribute}");
    }
}

#[test]
fn what_has_expired_is_removed_and_not_sent() {
    // "If delta-seconds is less than or equal to zero (0), let expiry-time be the earliest representable date and time."
    for removal in [
        "Max-Age=0",
        "Max-Age=-0",
        "Max-Age=-1",
        "Max-Age=000",
        "Max-Age=-99999999999999999999999999",
        "Expires=Thu, 01 Jan 1970 00:00:00 GMT",
        "Expires=Wed, 31 Dec 2025 23:59:59 GMT; Path=/",
        "Expires=Thu, 01 Jan 2026 00:00:00 GMT",
        "Max-Age=0; Expires=Fri, 31 Dec 2027 23:59:59 GMT",
    ] {
        let mut browser = browser();
        take(&mut browser, HOME, "a=1; Path=/");
        take(&mut browser, HOME, &format!("a=; {removal}"));
        assert_eq!(browser.cookies().count(), 0, "{removal}");
        assert_eq!(browser.cookie_field(HOME), None, "{removal}");
    }
    // Another path, another domain or a partition is another cookie, which a removal leaves where it is.
    let mut browser = browser();
    take(&mut browser, "https://shop.example/cart/", "a=1; Path=/; Secure; Domain=shop.example");
    for attributes in ["", "; Path=/cart; Domain=shop.example", "; Path=/"] {
        let line = format!("a=; Secure; Max-Age=0{attributes}");
        take(&mut browser, "https://shop.example/cart/", &line);
        browser.assert_cookie("a", "1");
    }
    take(&mut browser, HOME, "a=; Secure; Max-Age=0; Path=/; Domain=shop.example; Partitioned");
    browser.assert_cookie("a", "1");
    take(&mut browser, HOME, "a=; Max-Age=0; Path=/; Domain=.SHOP.example");
    browser.assert_no_cookie("a");
}

#[test]
fn a_restart_ends_what_has_no_age() {
    // "When "the current session is over" (as defined by the user agent), the user agent MUST remove from the cookie store
    // all cookies with the persistent-flag set to false."
    let mut browser = browser();
    take(&mut browser, HOME, "a=1");
    take(&mut browser, HOME, "b=1; Max-Age=60");
    take(&mut browser, HOME, "c=1; Expires=Fri, 31 Dec 2027 23:59:59 GMT");
    take(&mut browser, HOME, "d=1; Max-Age=soon");
    browser.restart();
    browser.assert_cookies(["b", "c"]);
    // The last line counts.
    take(&mut browser, HOME, "b=1");
    browser.restart();
    browser.assert_cookies(["c"]);
    browser.clear();
    browser.assert_cookies([]);
}

#[test]
fn cookies_are_sent_longest_path_first_and_then_oldest_first() {
    // "Cookies with longer paths are listed before cookies with shorter paths. Among cookies that have equal-length path
    // fields, cookies with earlier creation-times are listed before cookies with later creation-times."
    let mut browser = browser();
    let url = "https://www.shop.example/cart/items";
    for line in [
        "a=root; Path=/",
        "b=root; Path=/",
        "a=cart; Path=/cart",
        "a=domain; Path=/; Domain=shop.example",
        "nameless; Path=/cart",
        "c=items; Path=/cart/items",
    ] {
        take(&mut browser, url, line);
    }
    let field = browser.cookie_field(url);
    assert_eq!(field.as_deref(), Some("c=items; a=cart; nameless; a=root; b=root; a=domain"));

    // "Update the creation-time of the newly-created cookie to match the creation-time of the old-cookie." Chromium does so
    // only while the value is the same.
    take(&mut browser, url, "a=new; Path=/");
    let field = browser.cookie_field("https://www.shop.example/");
    assert_eq!(field.as_deref(), Some("a=new; b=root; a=domain"));
    // A cookie that was gone in between begins anew.
    take(&mut browser, url, "a=; Path=/; Max-Age=0");
    take(&mut browser, url, "a=later; Path=/");
    let field = browser.cookie_field("https://www.shop.example/");
    assert_eq!(field.as_deref(), Some("b=root; a=domain; a=later"));
}

#[test]
fn a_nameless_cookie_is_a_cookie_of_its_own() {
    let mut browser = browser();
    take(&mut browser, HOME, "a");
    take(&mut browser, HOME, "=b");
    take(&mut browser, HOME, "a=1");
    assert_eq!(browser.cookie_field(HOME).as_deref(), Some("b; a=1"));
    assert_eq!(browser.cookie("").unwrap().value(), "b");
    browser.remove("");
    browser.assert_cookies(["a"]);
}

#[test]
fn a_domain_has_180_cookies_at_most() {
    // "Cookies whose secure-only-flag is false, and which share a domain field with more than a predetermined number of
    // other cookies" go first. "The user agent MUST evict the cookie with the earliest last-access-time first."
    let mut browser = browser();
    for number in 0..90 {
        take(&mut browser, HOME, &format!("secure{number}=1; Secure; Path=/"));
        take(&mut browser, HOME, &format!("plain{number}=1; Path=/{number}"));
    }
    take(&mut browser, "https://other.example/", "a=1");
    assert_eq!(browser.cookies().count(), 181);
    let evicted = |browser: &mut Browser, line: &str| browser.receive(HOME, line).unwrap().evicted;
    // The one that was sent last stays, though it came first.
    browser.cookie_field("https://shop.example/0").unwrap();
    assert_eq!(evicted(&mut browser, "new=1; Secure"), ["plain1"]);
    assert_eq!(evicted(&mut browser, "new=2; Secure"), [""; 0], "it replaces itself");
    for number in 2..90 {
        let line = format!("more{number}=1; Secure");
        assert_eq!(evicted(&mut browser, &line), [format!("plain{number}")]);
    }
    assert_eq!(evicted(&mut browser, "last=1; Secure"), ["plain0"]);
    assert_eq!(evicted(&mut browser, "unlucky=1"), ["unlucky"], "all others are Secure");
    assert_eq!(evicted(&mut browser, "final=1; Secure"), ["secure0"]);
    assert_eq!(browser.cookies().count(), 181);
}

#[test]
fn a_browser_has_3000_cookies_at_most() {
    let mut browser = browser();
    for host in 0..30 {
        for number in 0..100 {
            take(&mut browser, &format!("https://{host}.example/"), &format!("c{host}x{number}=1"));
        }
    }
    let taken = browser.receive(HOME, "a=1; Secure").unwrap();
    assert_eq!(taken.evicted, ["c0x0"]);
    assert_eq!(browser.cookies().count(), 3000);
}

#[test]
fn bytes_that_are_no_text_are_kept() {
    let mut browser = browser();
    assert_eq!(browser.receive(HOME, b"a=\xff"), Ok(Taken::default()));
    assert_eq!(browser.receive(HOME, b"\xfe=1"), Ok(Taken::default()));
    assert_eq!(browser.receive(HOME, b"\xff=2"), Ok(Taken::default()));
    assert_eq!(browser.cookies().count(), 3, "names are compared as bytes");
    assert_eq!(browser.cookie_field(HOME).as_deref(), Some("a=\u{fffd}; \u{fffd}=1; \u{fffd}=2"));
}

#[test]
fn a_dropped_cookie_says_its_name_and_why_and_never_its_value() {
    let dropped = |line: &str| browser().receive("http://shop.example/", line).unwrap_err();
    let name = |name: &str| name.to_owned();
    let secure = dropped("id=hidden; Secure");
    assert_eq!(secure, expected(name("id"), Reason::SecureOverHttp));
    assert_eq!(
        secure.to_string(),
        "the browser drops the cookie \"id\": it is Secure and came over plain http"
    );
    let host = dropped("__Host-id=hidden; Path=/");
    assert_eq!(
        host.to_string(),
        "the browser drops the cookie \"__Host-id\": its name begins with __Host-, and it lacks Secure"
    );
    assert_eq!(dropped("__Host-hidden").name, "", "what has no name is a value");
    for line in
        ["id=hidden; Secure", "__Host-hidden", "=hidden; Domain=other.example", "id=hid\0den"]
    {
        let dropped = dropped(line);
        assert!(!format!("{dropped} {dropped:?}").contains("hidden"), "{line}");
    }
}

fn expected(name: String, reason: Reason) -> Dropped {
    let mut dropped = browser().receive(HOME, "").unwrap_err();
    (dropped.name, dropped.reason) = (name, reason);
    dropped
}

#[test]
fn debug_shows_no_value() {
    let mut browser = browser();
    take(&mut browser, HOME, "id=hidden; Path=/; Max-Age=60");
    let shown = format!("{browser:?} {:?}", browser.cookie("id").unwrap());
    assert!(shown.contains("\"id\"") && !shown.contains("hidden"), "{shown}");
}
