//! What the page shows, and how: on a narrow and a wide screen, light and dark, by keyboard, and without JavaScript.
//!
//! Pictures of all that are left in the folder `look` of the target folder, for people to look at.

use crate::support::{Browser, Server};
use demo::app;
use dframework_session::Sessions;
use serde_json::{Value, json};
use std::{fs, path::Path, sync::OnceLock};

/// A small telephone, and a desk.
const WIDTHS: [u32; 2] = [320, 1280];

const SCHEMES: [&str; 2] = ["light", "dark"];

/// As long as a field takes, without a place to break.
const LONG: &str = "WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW";

/// A page's name, and how to reach it.
type Page = (&'static str, fn(&Browser, &Server));

/// Pages that differ in what they show, and how one visitor reaches one after the other.
const PAGES: [Page; 5] = [
    ("first-visit", |browser, server| browser.go(&server.url("/"))),
    ("message", |browser, _| submit(browser, "/name", &[("#name", "visitor")])),
    ("problem", |browser, _| submit(browser, "/name", &[("#name", "  ")])),
    ("long-values", |browser, _| fill_in_everything(browser)),
    ("nowhere", |browser, server| browser.go(&server.url("/nowhere"))),
];

/// Selectors of fields, and what is typed into them.
type Fields<'a> = &'a [(&'a str, &'a str)];

fn submit(browser: &Browser, form: &str, fields: Fields<'_>) {
    for (field, text) in fields {
        browser.fill(field, text);
    }
    browser.click_through(&format!("form[action='{form}'] button"));
}

fn fill_in_everything(browser: &Browser) {
    browser.click("#twenty button");
    let answer = |browser: &Browser| browser.text("#counted").filter(|text| !text.is_empty());
    browser.wait("the answer to the clicks", answer);
    submit(browser, "/terms", &[]);
    submit(browser, "/name", &[("#name", LONG)]);
    submit(browser, "/login", &[("#account", LONG)]);
    submit(browser, "/profile", &[("#display-name", LONG), ("#contact", LONG)]);
}

/// What looks are asked, in this order: see `look.js`.
const QUESTIONS: [&str; 6] =
    ["scheme", "sideways", "faintText", "faintFields", "nameless", "hiddenFocus"];

const TOOLS: &str = include_str!("look.js");

/// A page in a width and a scheme, and what is wrong with it, question by question.
struct Look {
    name: String,
    width: u32,
    /// The width of its picture, which holds what lies beside the window too.
    pictured: u32,
    wrong: Value,
}

/// Every look. One walk serves all tests: whoever comes first goes.
fn looks() -> &'static [Look] {
    static LOOKS: OnceLock<Vec<Look>> = OnceLock::new();
    LOOKS.get_or_init(|| Browser::start().map(|browser| walk(&browser)).unwrap_or_default())
}

fn walk(browser: &Browser) -> Vec<Look> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("look");
    fs::create_dir_all(&folder).unwrap();
    let server = Server::start(app(Sessions::memory()));
    let mut looks = Vec::new();
    for (page, reach) in PAGES {
        reach(browser, &server);
        for width in WIDTHS {
            for scheme in SCHEMES {
                show(browser, width, scheme);
                let name = format!("{page}-{width}-{scheme}");
                let picture = browser.picture();
                fs::write(folder.join(format!("{name}.png")), &picture).unwrap();
                let questions =
                    QUESTIONS.map(|question| format!("{question}(arguments[0])")).join(", ");
                let script = format!("{TOOLS} return [{questions}];");
                let wrong = browser.run_with(&script, &[scheme.into()]);
                looks.push(Look { name, width, pictured: width_of(&picture), wrong });
            }
        }
    }
    looks
}

/// The width of a PNG, which its header begins with.
fn width_of(picture: &[u8]) -> u32 {
    u32::from_be_bytes(picture[16..20].try_into().unwrap())
}

fn show(browser: &Browser, width: u32, scheme: &str) {
    let size = json!({
        "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600,
    });
    browser.ask("Emulation.setDeviceMetricsOverride", &size);
    browser.ask("Emulation.setScrollbarsHidden", &json!({ "hidden": true }));
    let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
    browser.ask("Emulation.setEmulatedMedia", &features);
}

#[track_caller]
fn assert_nothing_wrong(question: &str) {
    let index = QUESTIONS.iter().position(|other| *other == question).unwrap();
    for Look { name, wrong, .. } in looks() {
        assert_eq!(wrong[index], json!([]), "{name}");
    }
}

#[test]
fn a_light_page_is_shown_to_who_wants_light_and_a_dark_one_to_who_wants_dark() {
    assert_nothing_wrong("scheme");
}

#[test]
fn nothing_scrolls_sideways() {
    assert_nothing_wrong("sideways");
    for Look { name, width, pictured, .. } in looks() {
        assert_eq!(pictured, width, "{name}");
    }
}

#[test]
fn text_stands_out_from_its_ground() {
    assert_nothing_wrong("faintText");
}

#[test]
fn fields_stand_out_from_their_ground() {
    assert_nothing_wrong("faintFields");
}

#[test]
fn every_field_has_a_label_and_every_control_a_name() {
    assert_nothing_wrong("nameless");
}

#[test]
fn the_focus_is_seen_wherever_it_is() {
    assert_nothing_wrong("hiddenFocus");
}

#[test]
fn the_focus_follows_the_document() {
    let Some(browser) = Browser::start() else { return };
    let server = Server::start(app(Sessions::memory()));
    browser.go(&server.url("/"));
    let first = "controls[0].focus(); return controls.length";
    for width in WIDTHS {
        show(&browser, width, "light");
        let count = browser.run(&format!("{TOOLS} {first}")).as_u64().unwrap();
        assert!(count > 10);
        for index in 1..count {
            browser.press_tab();
            let focus = "const focused = document.activeElement;
                return [controls.indexOf(focused), ring(focused)]";
            assert_eq!(browser.run(&format!("{TOOLS} {focus}")), json!([index, []]), "{width}");
        }
    }
}

#[test]
fn every_form_works_without_javascript() {
    let Some(browser) = Browser::start() else { return };
    browser.ask("Emulation.setScriptExecutionDisabled", &json!({ "value": true }));
    let server = Server::start(app(Sessions::memory()));
    browser.go(&server.url("/"));
    let steps: [(&str, Fields<'_>, &str); 8] = [
        ("/name", &[("#name", "visitor")], "Nice to meet you, visitor"),
        ("/clicks", &[], "20 clicks were counted"),
        ("/terms", &[], "You have accepted the terms"),
        ("/login", &[("#account", "42")], "You are logged in as 42"),
        (
            "/profile",
            &[("#display-name", "Visitor"), ("#contact", "visitor@example.com")],
            "Profile updated successfully",
        ),
        ("/forget", &[], "The key accepted_terms is forgotten"),
        ("/logout", &[], "You have been logged out"),
        ("/forget/all", &[], "Everything is forgotten"),
    ];
    for (form, fields, message) in steps {
        submit(&browser, form, fields);
        assert_eq!(browser.text("[role=status]").as_deref(), Some(message));
    }
}

#[test]
fn the_browser_has_nothing_to_complain_of() {
    let Some(browser) = Browser::start() else { return };
    let server = Server::start(app(Sessions::memory()));
    browser.go(&server.url("/"));
    fill_in_everything(&browser);
    browser.go(&server.url("/nowhere"));
    // That there is nothing it does say, and before that it had nothing to say.
    let complaints = browser.wait("a complaint", |browser| {
        Some(browser.complaints()).filter(|complaints| !complaints.is_empty())
    });
    assert!(complaints.len() == 1 && complaints[0].contains("/nowhere"), "{complaints:?}");
}
