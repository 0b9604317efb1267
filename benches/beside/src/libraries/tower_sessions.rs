//! tower-sessions: with its store in memory, and with the one on moka, which is there for the version before.

use applications::{
    Application,
    axum::{AxumApplication, nothing},
};

/// The handlers, which are the same for both versions.
macro_rules! application {
    ($sessions:ident, $store:expr) => {{
        use applications::asked::ENTRIES;
        use axum::{Router, http::StatusCode, routing::get};
        use $sessions::{
            Expiry, Session, SessionManagerLayer, cookie::time::Duration, session::Error,
        };

        fn failed(error: Error) -> StatusCode {
            eprintln!("{error}");
            StatusCode::INTERNAL_SERVER_ERROR
        }

        async fn read(session: Session) -> Result<&'static str, StatusCode> {
            let name: Option<String> = session.get("name").await.map_err(failed)?;
            name.map(|_| "ok").ok_or(StatusCode::NOT_FOUND)
        }

        async fn write(session: Session) -> Result<&'static str, StatusCode> {
            let visits: Option<i64> = session.get("visits").await.map_err(failed)?;
            let visits = visits.ok_or(StatusCode::NOT_FOUND)?;
            session.insert("visits", visits + 1).await.map_err(failed)?;
            Ok("ok")
        }

        async fn begin(session: Session) -> Result<&'static str, StatusCode> {
            for (key, value) in ENTRIES {
                session.insert(key, value).await.map_err(failed)?;
            }
            session.insert("visits", 1).await.map_err(failed)?;
            Ok("ok")
        }

        let layer =
            SessionManagerLayer::new($store).with_expiry(Expiry::OnInactivity(Duration::hours(2)));
        let app = Router::new()
            .route("/", get(nothing))
            .route("/read", get(read))
            .route("/write", get(write))
            .route("/new", get(begin))
            .layer(layer);
        Box::new(AxumApplication(app))
    }};
}

pub(super) fn memory() -> Box<dyn Application> {
    application!(tower_sessions, tower_sessions::MemoryStore::default())
}

pub(super) fn moka() -> Box<dyn Application> {
    application!(tower_sessions_014, tower_sessions_moka_store::MokaStore::new(None))
}
