//! Several layers around one handler, and beside each other in one application.

use crate::support::Jar;
use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode, header},
    routing::get,
};
use dframework_session::{
    Config, DriverName, Error, MemoryStore, Session, SessionHandle, Sessions, tower::SessionLayer,
};
use tower::{Layer, ServiceExt};

/// Sessions under a name of their own, in memory or in a store.
async fn named(driver: &str, name: &str) -> Sessions {
    let config = Config::new().driver(DriverName::Memory).cookie_name(name);
    match driver {
        "memory" => Sessions::connect(&config).await.unwrap(),
        _ => Sessions::from_store(MemoryStore::new(), &config).unwrap(),
    }
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn lines(&self) -> Vec<String> {
        let lines = self.headers.get_all(header::SET_COOKIE).iter();
        lines.map(|line| line.to_str().unwrap().to_owned()).collect()
    }
}

async fn send(app: &Router, jar: &mut Jar, path: &str) -> Answer {
    let request = Request::get(path).header(header::COOKIE, jar.field()).body(Body::empty());
    let response = app.clone().oneshot(request.unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let answer = Answer { status: head.status, headers: head.headers, text };
    jar.take(&answer.lines());
    answer
}

async fn count() -> Result<String, Error> {
    Session::increment("visits", 1).await.map(|visits| visits.to_string())
}

const DRIVERS: [&str; 2] = ["memory", "store"];

#[tokio::test]
async fn layers_beside_each_other_have_sessions_of_their_own() {
    for driver in DRIVERS {
        let (shop, office) = (named(driver, "shop").await, named(driver, "office").await);
        let app = Router::new()
            .merge(Router::new().route("/shop", get(count)).layer(SessionLayer::new(shop)))
            .merge(Router::new().route("/office", get(count)).layer(SessionLayer::new(office)));
        let mut jar = Jar::default();
        for (path, visits) in [("/shop", "1"), ("/shop", "2"), ("/office", "1"), ("/shop", "3")] {
            assert_eq!(send(&app, &mut jar, path).await.text, visits, "{driver} {path}");
        }
        assert_eq!(jar.pairs().len(), 2, "{driver}: {jar:?}");
    }
}

#[tokio::test]
async fn inside_two_layers_the_facade_is_the_inner_one_and_both_are_found() {
    for driver in DRIVERS {
        let (site, office) = (named(driver, "site").await, named(driver, "office").await);
        let outer = site.clone();
        let handler = move |extracted: SessionHandle| {
            let outer = outer.clone();
            async move {
                Session::set("role", "clerk").await?;
                outer.handle()?.set("theme", "dark").await?;
                assert_eq!(extracted.keys().await?, ["role"]);
                Ok::<_, Error>(outer.handle()?.keys().await?.join(" "))
            }
        };
        let app = Router::new()
            .route("/", get(handler))
            .layer(SessionLayer::new(office.clone()))
            .layer(SessionLayer::new(site.clone()));
        let mut jar = Jar::default();
        let answer = send(&app, &mut jar, "/").await;
        assert_eq!(answer.text, "theme", "{driver}");
        assert_eq!(answer.lines().len(), 2, "{driver}: each sets its own cookie");
        let vary: Vec<_> = answer.headers.get_all(header::VARY).iter().collect();
        assert_eq!(vary, ["Cookie"], "{driver}: said once");
        assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store", "{driver}");
        for sessions in [&site, &office] {
            assert_eq!(sessions.count().await.unwrap(), 1, "{driver}");
            assert!(sessions.handle().unwrap_err().is_outside(), "{driver}: the request is over");
        }
    }
}

#[tokio::test]
async fn a_logout_of_one_layer_leaves_the_other_alone() {
    for driver in DRIVERS {
        let (site, office) = (named(driver, "site").await, named(driver, "office").await);
        let outer = site.clone();
        let both = move || {
            let outer = outer.clone();
            async move {
                let visits = outer.handle()?.increment("visits", 1).await?;
                Session::increment("visits", 1).await.map(|inner| format!("{visits} {inner}"))
            }
        };
        let app = Router::new()
            .route("/", get(both))
            .route("/leave", get(async || Session::forget(..).await))
            .layer(SessionLayer::new(office))
            .layer(SessionLayer::new(site));
        let mut jar = Jar::default();
        assert_eq!(send(&app, &mut jar, "/").await.text, "1 1", "{driver}");
        send(&app, &mut jar, "/leave").await;
        assert_eq!(send(&app, &mut jar, "/").await.text, "2 1", "{driver}");
    }
}

#[tokio::test]
async fn a_layer_that_comes_again_further_in_is_still_the_one_outside() {
    for driver in DRIVERS {
        let (site, office) = (named(driver, "site").await, named(driver, "office").await);
        let inner = office.clone();
        let handler = move || {
            let inner = inner.clone();
            async move {
                inner.handle()?.set("role", "clerk").await?;
                Session::increment("visits", 1).await.map(|visits| visits.to_string())
            }
        };
        let app = Router::new()
            .route("/", get(handler))
            .layer(SessionLayer::new(site.clone()))
            .layer(SessionLayer::new(office))
            .layer(SessionLayer::new(site.clone()));
        let mut jar = Jar::default();
        for visits in ["1", "2"] {
            let answer = send(&app, &mut jar, "/").await;
            assert_eq!(answer.text, visits, "{driver}");
            let expected = if visits == "1" { 2 } else { 0 };
            assert_eq!(answer.lines().len(), expected, "{driver}: {:?}", answer.lines());
        }
        assert_eq!(site.count().await.unwrap(), 1, "{driver}");
    }
}

#[tokio::test]
async fn an_inner_commit_that_fails_is_the_answer_and_the_outer_session_commits() {
    let (site, office) = (named("memory", "site").await, named("store", "office").await);
    let outer = site.clone();
    let lost = office.clone();
    let handler = move || {
        let (outer, office) = (outer.clone(), lost.clone());
        async move {
            outer.handle()?.set("theme", "dark").await?;
            let id = Session::id().await?;
            Session::increment("visits", 1).await?;
            if let Some(id) = id {
                office.revoke(id).await?;
            }
            Ok::<_, Error>(())
        }
    };
    let app = Router::new()
        .route("/first", get(async || Session::set("visits", 1).await))
        .route("/", get(handler))
        .layer(SessionLayer::new(office))
        .layer(SessionLayer::new(site.clone()));
    let mut jar = Jar::default();
    send(&app, &mut jar, "/first").await;
    let answer = send(&app, &mut jar, "/").await;
    // The response that stands in for the handler's is a client error, so what the outer session was asked
    // for is committed with it: only a server error commits nothing.
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert_eq!(site.count().await.unwrap(), 1);
}

#[tokio::test]
async fn sessions_are_found_in_the_part_of_a_call_before_its_future() {
    let (site, office) = (named("memory", "site").await, named("memory", "office").await);
    let (outer, inner) = (site.clone(), office.clone());
    let service = tower::service_fn(move |_: Request<()>| {
        let found = outer.handle().is_ok() && inner.handle().is_ok() && Session::handle().is_ok();
        std::future::ready(Ok::<_, std::convert::Infallible>(axum::http::Response::new(
            found.to_string(),
        )))
    });
    let service = SessionLayer::new(site).layer(SessionLayer::new(office).layer(service));
    assert_eq!(service.oneshot(Request::new(())).await.unwrap().body(), "true");
}

#[tokio::test]
async fn a_task_of_its_own_finds_the_sessions_of_all_layers() {
    for driver in DRIVERS {
        let (site, office) = (named(driver, "site").await, named(driver, "office").await);
        let outer = site.clone();
        let handler = async move || {
            let task = Session::spawn(async move {
                outer.handle()?.set("theme", "dark").await?;
                Session::set("role", "clerk").await
            });
            task?.await.expect("the task does not panic")
        };
        let app = Router::new()
            .route("/", get(handler))
            .layer(SessionLayer::new(office.clone()))
            .layer(SessionLayer::new(site.clone()));
        let answer = send(&app, &mut Jar::default(), "/").await;
        assert_eq!(answer.status, StatusCode::OK, "{driver}");
        for sessions in [site, office] {
            assert_eq!(sessions.count().await.unwrap(), 1, "{driver}");
        }
    }
}
