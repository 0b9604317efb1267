//! Several layers around one handler, and beside each other in one application.

use super::{Ask, Plan, Reply, Stack, call, in_probe, look, on_every_adapter, send, take, visit};
use crate::support::{Jar, told};
use dframework_session::{
    Config, DriverName, Error, MemoryStore, Session, SessionHandle, Sessions,
};

on_every_adapter! {
    layers_beside_each_other_have_sessions_of_their_own,
    inside_two_layers_the_facade_is_the_inner_one_and_both_are_found,
    two_layers_with_different_names_do_not_disturb_each_other,
    a_logout_of_one_layer_leaves_the_other_alone,
    the_same_layer_twice_commits_once,
    a_layer_that_comes_again_further_in_is_still_the_one_outside,
    layers_of_other_sessions_under_one_cookie_are_told,
    sessions_without_a_layer_here_say_that_others_have_one,
    an_inner_commit_that_fails_is_the_answer_and_the_outer_session_commits,
    sessions_are_found_in_the_part_of_a_call_before_its_future,
    a_task_of_its_own_finds_the_sessions_of_all_layers,
    middleware_inside_and_outside_has_the_session_of_its_layer,
    middleware_that_fails_is_answered_by_its_status,
    an_error_of_middleware_is_told_with_its_session,
}

/// Sessions under a name of their own, in memory or in a store.
async fn named(driver: &str, name: &str) -> Sessions {
    let config = Config::new().driver(DriverName::Memory).cookie_name(name);
    match driver {
        "memory" => Sessions::connect(&config).await.unwrap(),
        _ => Sessions::from_store(MemoryStore::new(), &config).unwrap(),
    }
}

const DRIVERS: [&str; 2] = ["memory", "store"];

async fn layers_beside_each_other_have_sessions_of_their_own<S: Stack>() {
    for driver in DRIVERS {
        let (shop, office) = (named(driver, "shop").await, named(driver, "office").await);
        let plan = Plan::new()
            .beside(Plan::new().route("/shop", call(visit)).layer(&shop))
            .beside(Plan::new().route("/office", call(visit)).layer(&office));
        let app = S::build(plan).await;
        let mut jar = Jar::default();
        for (path, visits) in [("/shop", "1"), ("/shop", "2"), ("/office", "1"), ("/shop", "3")] {
            assert_eq!(send::<S>(&app, &mut jar, path).await.text, visits, "{driver} {path}");
        }
        assert_eq!(jar.pairs().len(), 2, "{driver}: {jar:?}");
    }
}

async fn inside_two_layers_the_facade_is_the_inner_one_and_both_are_found<S: Stack>() {
    for driver in DRIVERS {
        let (site, office) = (named(driver, "site").await, named(driver, "office").await);
        let outer = site.clone();
        let handler = move |extracted: SessionHandle| {
            let outer = outer.clone();
            async move {
                Session::set("role", "clerk").await?;
                outer.handle()?.set("theme", "dark").await?;
                assert_eq!(extracted.keys().await?, ["role"]);
                Ok(outer.handle()?.keys().await?.join(" "))
            }
        };
        let plan = Plan::new().route("/", take(handler)).layer(&office).layer(&site);
        let app = S::build(plan).await;
        let mut jar = Jar::default();
        let answer = send::<S>(&app, &mut jar, "/").await;
        assert_eq!(answer.text, "theme", "{driver}");
        assert_eq!(answer.lines().len(), 2, "{driver}: each sets its own cookie");
        assert_eq!(answer.field("vary"), ["Cookie"], "{driver}: said once");
        assert_eq!(answer.field("cache-control"), ["no-store"], "{driver}");
        for sessions in [&site, &office] {
            assert_eq!(sessions.count().await.unwrap(), 1, "{driver}");
            assert!(sessions.handle().unwrap_err().is_outside(), "{driver}: the request is over");
        }
    }
}

async fn two_layers_with_different_names_do_not_disturb_each_other<S: Stack>() {
    let named = |name: &'static str| in_probe(move |config| config.cookie_name(name)).1;
    let (outer, inner) = (named("__Host-outer"), named("__Host-inner"));
    let ten = async || Session::increment("visits", 10).await.map(drop);
    let both = outer.clone();
    let handler = move || {
        let outer = both.clone();
        async move {
            let visits = visit().await?;
            let outside: i64 = outer.handle()?.get_or("visits", &0).await?;
            Ok(format!("{visits} {outside}"))
        }
    };
    let plan = Plan::new().route("/", call(handler)).layer(&inner).around(ten, ten).layer(&outer);
    let app = S::build(plan).await;
    let mut jar = Jar::default();
    for visits in ["1 10", "2 30", "3 50"] {
        let answer = send::<S>(&app, &mut jar, "/").await;
        assert_eq!(answer.text, visits);
        assert_eq!(answer.field("vary"), ["Cookie"]);
        let held: Vec<_> = jar.pairs().into_keys().collect();
        assert_eq!(held, ["__Host-inner", "__Host-outer"]);
    }
}

async fn a_logout_of_one_layer_leaves_the_other_alone<S: Stack>() {
    for driver in DRIVERS {
        let (site, office) = (named(driver, "site").await, named(driver, "office").await);
        let outer = site.clone();
        let both = move || {
            let outer = outer.clone();
            async move {
                let visits = outer.handle()?.increment("visits", 1).await?;
                visit().await.map(|inner| format!("{visits} {inner}"))
            }
        };
        let plan = Plan::new()
            .route("/", call(both))
            .route("/leave", call(async || Session::forget(..).await));
        let app = S::build(plan.layer(&office).layer(&site)).await;
        let mut jar = Jar::default();
        assert_eq!(send::<S>(&app, &mut jar, "/").await.text, "1 1", "{driver}");
        send::<S>(&app, &mut jar, "/leave").await;
        assert_eq!(send::<S>(&app, &mut jar, "/").await.text, "2 1", "{driver}");
    }
}

async fn the_same_layer_twice_commits_once<S: Stack>() {
    for driver in DRIVERS {
        let site = named(driver, "site").await;
        let ten = async || Session::increment("visits", 10).await.map(drop);
        let plan = Plan::new().route("/", call(visit)).layer(&site).around(ten, ten).layer(&site);
        let app = S::build(plan).await;
        let mut jar = Jar::default();
        for (visits, lines) in [("11", 1), ("32", 0)] {
            let answer = send::<S>(&app, &mut jar, "/").await;
            assert_eq!((answer.text.as_str(), answer.lines().len()), (visits, lines), "{driver}");
        }
        assert_eq!(site.count().await.unwrap(), 1, "{driver}");
    }
}

pub(super) const TWICE: &str = " twice: around its route, give each layer of other `Sessions` a cookie name of its own \
    (`sessionCookie.name`), or make both layers of clones of one `Sessions`";

async fn layers_of_other_sessions_under_one_cookie_are_told<S: Stack>() {
    let below = Config::new().driver(DriverName::Memory).cookie_name("site").cookie_path("/office");
    let below = Sessions::connect(&below).await.unwrap();
    let site = named("memory", "site").await;
    for (inner, is_told) in [
        (named("memory", "site").await, true),
        (site.clone(), false),
        (named("memory", "office").await, false),
        // Another path makes it another cookie.
        (below, false),
    ] {
        let both = async || Session::set("role", "clerk").await;
        let ten = async || Session::increment("visits", 10).await.map(drop);
        let plan = Plan::new().route("/office", call(both)).layer(&inner).around(ten, ten);
        let app = S::build(plan.layer(&site)).await;
        let (answer, told) = told(async || S::answer(&app, Ask::get("/office")).await).await;
        assert_eq!(answer.status, 200);
        assert_eq!(told.contains(&format!("the cookie `site`{TWICE}")), is_told, "{told}");
    }
}

pub(super) const OF_OTHERS: &str = "no session of these `Sessions` here, only of others: the layer around this route must be \
    made of a clone of these";

async fn sessions_without_a_layer_here_say_that_others_have_one<S: Stack>() {
    let (site, office) = (named("memory", "site").await, named("memory", "office").await);
    let handler = move || {
        let error = office.handle().unwrap_err();
        assert!(error.is_outside());
        std::future::ready(Ok(error.to_string()))
    };
    let app = S::build(Plan::new().route("/", call(handler)).layer(&site)).await;
    assert_eq!(S::answer(&app, Ask::get("/")).await.text, OF_OTHERS);
}

async fn a_layer_that_comes_again_further_in_is_still_the_one_outside<S: Stack>() {
    for driver in DRIVERS {
        let (site, office) = (named(driver, "site").await, named(driver, "office").await);
        let inner = office.clone();
        let handler = move || {
            let inner = inner.clone();
            async move {
                inner.handle()?.set("role", "clerk").await?;
                visit().await
            }
        };
        let plan = Plan::new().route("/", call(handler));
        let app = S::build(plan.layer(&site).layer(&office).layer(&site)).await;
        let mut jar = Jar::default();
        for (visits, lines) in [("1", 2), ("2", 0)] {
            let answer = send::<S>(&app, &mut jar, "/").await;
            assert_eq!(answer.text, visits, "{driver}");
            assert_eq!(answer.lines().len(), lines, "{driver}: {:?}", answer.lines());
        }
        assert_eq!(site.count().await.unwrap(), 1, "{driver}");
    }
}

async fn an_inner_commit_that_fails_is_the_answer_and_the_outer_session_commits<S: Stack>() {
    let (site, office) = (named("memory", "site").await, named("store", "office").await);
    let outer = site.clone();
    let lost = office.clone();
    let handler = move || {
        let (outer, office) = (outer.clone(), lost.clone());
        async move {
            outer.handle()?.set("theme", "dark").await?;
            let id = Session::id().await?;
            visit().await?;
            if let Some(id) = id {
                office.revoke(id).await?;
            }
            Ok(())
        }
    };
    let plan = Plan::new()
        .route("/first", call(async || Session::set("visits", 1).await))
        .route("/", call(handler));
    let app = S::build(plan.layer(&office).layer(&site)).await;
    let mut jar = Jar::default();
    send::<S>(&app, &mut jar, "/first").await;
    let answer = send::<S>(&app, &mut jar, "/").await;
    // The response that stands in for the handler's is a client error, so what the outer session was asked
    // for is committed with it: only a server error commits nothing.
    assert_eq!(answer.status, 409);
    assert_eq!(site.count().await.unwrap(), 1);
}

async fn sessions_are_found_in_the_part_of_a_call_before_its_future<S: Stack>() {
    let (site, office) = (named("memory", "site").await, named("memory", "office").await);
    let (outer, inner) = (site.clone(), office.clone());
    let service = move || {
        let found = outer.handle().is_ok() && inner.handle().is_ok() && Session::handle().is_ok();
        std::future::ready(Ok(found.to_string()))
    };
    let app = S::build(Plan::service(service).layer(&office).layer(&site)).await;
    assert_eq!(S::answer(&app, Ask::get("/")).await.text, "true");
}

async fn a_task_of_its_own_finds_the_sessions_of_all_layers<S: Stack>() {
    for driver in DRIVERS {
        let (site, office) = (named(driver, "site").await, named(driver, "office").await);
        let outer = site.clone();
        let handler = move || {
            let outer = outer.clone();
            async move {
                let task = Session::spawn(async move {
                    outer.handle()?.set("theme", "dark").await?;
                    Session::set("role", "clerk").await
                });
                task?.await.expect("the task does not panic")
            }
        };
        let plan = Plan::new().route("/", call(handler)).layer(&office).layer(&site);
        let answer = send::<S>(&S::build(plan).await, &mut Jar::default(), "/").await;
        assert_eq!(answer.status, 200, "{driver}");
        for sessions in [site, office] {
            assert_eq!(sessions.count().await.unwrap(), 1, "{driver}");
        }
    }
}

async fn middleware_inside_and_outside_has_the_session_of_its_layer<S: Stack>() {
    for driver in DRIVERS {
        let site = named(driver, "site").await;
        let inside = async || visit().await.map(drop);
        let outside = async || {
            assert!(Session::handle().unwrap_err().is_outside());
            Ok(())
        };
        let plan = Plan::new().route("/look", take(look));
        let plan = plan.around(inside, inside).layer(&site).around(outside, outside);
        let app = S::build(plan).await;
        let mut jar = Jar::default();
        for visits in ["1", "3"] {
            assert_eq!(send::<S>(&app, &mut jar, "/look").await.text, visits, "{driver}");
        }
    }
}

/// An error of the session that has this status.
async fn fail(status: u16) -> Result<(), Error> {
    match status {
        413 => Session::set("large", "x".repeat(2 << 20)).await,
        _ => Session::set("", 1).await,
    }
}

async fn middleware_that_fails_is_answered_by_its_status<S: Stack>() {
    for driver in DRIVERS {
        for (status, commits) in [(413, true), (500, false)] {
            let site = named(driver, "site").await;
            let fine = async || Ok(());
            let fails = move || async move {
                visit().await?;
                fail(status).await
            };
            let handler = async || Ok(Reply::fields(&[("etag", "\"1\"")]));
            let failing = [
                Plan::new().route("/", call(handler)).around(fails, fine),
                Plan::new().route("/", call(handler)).around(fine, fails),
            ];
            for (number, plan) in failing.into_iter().enumerate() {
                let app = S::build(plan.layer(&site)).await;
                let case = format!("{driver} {status} {number}");
                let mut jar = Jar::default();
                let answer = send::<S>(&app, &mut jar, "/").await;
                assert_eq!((answer.status, answer.text.as_str()), (status, ""), "{case}");
                assert_eq!(answer.field("etag"), [""; 0], "{case}");
                assert_eq!(answer.field("vary"), ["Cookie"], "{case}");
                let app = S::build(Plan::new().route("/", take(look)).layer(&site)).await;
                let visits = if commits { "1" } else { "0" };
                assert_eq!(answer.lines().len() == 1, commits, "{case}");
                assert_eq!(send::<S>(&app, &mut jar, "/").await.text, visits, "{case}");
            }
        }
    }
}

async fn an_error_of_middleware_is_told_with_its_session<S: Stack>() {
    for driver in DRIVERS {
        let site = named(driver, "site").await;
        let id = async || Ok(Session::id().await?.map(|id| id.to_string()).unwrap_or_default());
        let plan = Plan::new().route("/", call(visit)).route("/id", call(id));
        let app = S::build(plan.layer(&site)).await;
        let mut jar = Jar::default();
        send::<S>(&app, &mut jar, "/").await;
        let id = send::<S>(&app, &mut jar, "/id").await.text;
        assert_eq!(id.len(), 22, "{driver}");

        let fails = async || {
            visit().await?;
            fail(500).await
        };
        let plan = Plan::new().route("/", call(visit)).around(fails, async || Ok(()));
        let app = S::build(plan.layer(&site)).await;
        let (answer, told) = told(async || send::<S>(&app, &mut jar, "/").await).await;
        assert_eq!(answer.status, 500, "{driver}");
        let times = told.matches("a session key").count();
        assert!(told.contains(&format!("session={id}")) && times == 1, "{driver}: {told}");
    }
}
