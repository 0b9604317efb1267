//! The page. Everything that is put into it is escaped.

use crate::{app::Profile, input::LONGEST};
use maud::{DOCTYPE, Markup, html};
use serde_json::{Map, Value};

/// What the page shows.
pub(crate) struct View<'a> {
    pub(crate) visits: i64,
    pub(crate) name: String,
    pub(crate) clicks: i64,
    pub(crate) has_accepted_terms: bool,
    pub(crate) profile: Profile,
    pub(crate) owner: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) problem: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) data: Map<String, Value>,
    pub(crate) cookies: Vec<(String, usize)>,
    pub(crate) driver: &'a str,
}

/// The one page there is.
pub(crate) fn home(view: &View<'_>) -> Markup {
    let main = html! {
        (messages(view))
        section.hero {
            h1 { "Hello, " span.name { (view.name) } "." }
            p { "This page remembers you between requests. " (visits(view.visits)) }
        }
        div.columns {
            div.cards {
                (name(view.data.get("name").and_then(Value::as_str)))
                (clicks(view.clicks, view.driver))
                (terms(view.has_accepted_terms))
                (account(view.owner.as_deref()))
                (profile(&view.profile))
                (forget(&view.data))
            }
            (panel(view))
        }
        p.note { "Every form here works without JavaScript too." }
    };
    document("Sessions", &main)
}

/// The page in place of one that could not be made.
pub(crate) fn problem(why: &str) -> Markup {
    let main = html! {
        section.hero {
            h1 { "That did not work." }
            p { (why) }
            p { a href="/" { "Back to the page" } }
        }
    };
    document("That did not work", &main)
}

fn document(title: &str, main: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · dframework" }
                link rel="icon" type="image/svg+xml" href="/icon.svg";
                link rel="stylesheet" href="/demo.css";
                script src="/demo.js" defer {}
            }
            body {
                header { a.brand href="/" { img src="/icon.svg" alt="" width="24" height="24"; "dframework session" } }
                main { (main) }
            }
        }
    }
}

fn messages(view: &View<'_>) -> Markup {
    html! {
        @if let Some(status) = &view.status { p.message role="status" { (status) } }
        @if let Some(problem) = &view.problem { p.message.problem role="alert" { (problem) } }
    }
}

fn visits(visits: i64) -> Markup {
    html! {
        @if visits == 1 { "It is your first visit." } @else { "It is visit number " (visits) "." }
    }
}

fn card(title: &str, call: &str, content: &Markup) -> Markup {
    html! {
        section.card {
            h2 { (title) }
            (content)
            p.call { code { (call) } }
        }
    }
}

fn field(id: &str, label: &str, value: &str, autocomplete: &str) -> Markup {
    let name = id.replace('-', "_");
    html! {
        label for=(id) { (label) }
        input id=(id) name=(name) value=(value) autocomplete=(autocomplete) maxlength=(LONGEST) required;
    }
}

fn name(known: Option<&str>) -> Markup {
    let content = html! {
        p { "Tell us once. Until then you are a guest." }
        form method="post" action="/name" {
            (field("name", "Your name", known.unwrap_or_default(), "given-name"))
            button { "Remember it" }
        }
    };
    card("A name", "Session::get_or(\"name\", \"guest\").await?", &content)
}

fn clicks(clicks: i64, driver: &str) -> Markup {
    let content = html! {
        @if driver == "stealth" {
            p { "Twenty requests at the same moment, one counter. It is in the cookie that all of them bring, so the last answer wins and most clicks are lost: the drivers that keep sessions on the server lose none." }
        } @else {
            p { "Twenty requests at the same moment, one counter. None is lost." }
        }
        form #twenty method="post" action="/clicks" {
            input type="hidden" name="times" value="20";
            p.number #clicks { (clicks) }
            button { "Send twenty clicks at once" }
            output #counted for="clicks" {}
        }
    };
    card("A counter", "Session::increment(\"clicks\", 1).await?", &content)
}

fn terms(has_accepted: bool) -> Markup {
    let content = html! {
        @if has_accepted {
            p { "Accepted. This is remembered for ten years, even after the browser was closed." }
        } @else {
            p { "Accept once, and be asked again in ten years." }
            form method="post" action="/terms" { button { "Accept the terms" } }
        }
    };
    card("Ten years", "Session::permanent(json!({ \"accepted_terms\": true })).await?", &content)
}

fn account(owner: Option<&str>) -> Markup {
    owner.map_or_else(login, logout)
}

fn login() -> Markup {
    let content = html! {
        p { "No password here: any account will do. The session gets a new token, its data stays." }
        form method="post" action="/login" {
            (field("account", "Account", "", "username"))
            button { "Log in" }
        }
    };
    card("An account", "Session::set_owner(account).await?", &content)
}

fn logout(owner: &str) -> Markup {
    let content = html! {
        p { "You are logged in as " strong { (owner) } ". Logging out ends the whole session." }
        form method="post" action="/logout" { button { "Log out" } }
    };
    card("An account", "Session::forget(..).await?", &content)
}

fn profile(profile: &Profile) -> Markup {
    let content = html! {
        p { "Save it, and the next page says so. Reload, and the message is gone." }
        form method="post" action="/profile" {
            (field("display-name", "Display name", &profile.display_name, "nickname"))
            (field("contact", "Contact", &profile.contact, "email"))
            button { "Save the profile" }
        }
    };
    card(
        "A message, once",
        "Session::flash(\"status\", \"profile updated successfully\").await?",
        &content,
    )
}

fn forget(data: &Map<String, Value>) -> Markup {
    // Messages are forgotten by themselves.
    let keys = data.keys().filter(|key| !matches!(key.as_str(), "status" | "problem"));
    let content = html! {
        p { "One key, or all there is." }
        form method="post" action="/forget" {
            label for="key" { "Key" }
            select #key name="key" { @for key in keys { option value=(key) { (key) } } }
            button { "Forget this key" }
        }
        form method="post" action="/forget/all" { button.quiet { "Forget everything" } }
    };
    card("Forgetting", "Session::forget(key).await?", &content)
}

fn panel(view: &View<'_>) -> Markup {
    let bytes: usize = view.cookies.iter().map(|(_, bytes)| bytes).sum();
    html! {
        aside.card aria-labelledby="holds" {
            h2 #holds { "What the session holds" }
            dl #data {
                @for (key, value) in &view.data {
                    div { dt { (key) } dd { code { (value) } } }
                }
            }
            h2 { "Where it is" }
            dl {
                div { dt { "Driver" } dd { (view.driver) } }
                div { dt { "Public id" } dd { (view.id.as_deref().unwrap_or("new with this page")) } }
                div { dt { "Owner" } dd { (view.owner.as_deref().unwrap_or("nobody")) } }
                div { dt { "Cookies sent" } dd { (bytes) " bytes" } }
                @for (name, bytes) in &view.cookies {
                    div.part { dt { (name) } dd { (bytes) " bytes" } }
                }
            }
        }
    }
}
