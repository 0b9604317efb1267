//! actix-session with its store in a cookie.

use actix_session::{Session, SessionMiddleware, storage::CookieSessionStore};
use actix_web::{App, Error, cookie::Key, test::init_service, web::get};
use applications::{
    Application, Waits, Worker,
    actix::ActixWorker,
    asked::{ENTRIES, KEY},
    axum::nothing,
};

struct ActixSession(Key);

impl Application for ActixSession {
    fn worker(&self) -> Waits<'_, Box<dyn Worker>> {
        let store = CookieSessionStore::default();
        let middleware = SessionMiddleware::new(store, self.0.clone());
        Box::pin(async {
            let app = App::new()
                .wrap(middleware)
                .route("/", get().to(nothing))
                .route("/read", get().to(read))
                .route("/write", get().to(write))
                .route("/new", get().to(begin));
            Box::new(ActixWorker(init_service(app).await)) as Box<dyn Worker>
        })
    }
}

pub(super) fn application() -> Box<dyn Application> {
    Box::new(ActixSession(Key::from(KEY.as_bytes())))
}

async fn read(session: Session) -> Result<&'static str, Error> {
    let name: Option<String> = session.get("name")?;
    assert!(name.is_some(), "the session was opened");
    Ok("ok")
}

async fn write(session: Session) -> Result<&'static str, Error> {
    let visits: Option<i64> = session.get("visits")?;
    session.insert("visits", visits.expect("the session was opened") + 1)?;
    Ok("ok")
}

async fn begin(session: Session) -> Result<&'static str, Error> {
    for (key, value) in ENTRIES {
        session.insert(key, value)?;
    }
    session.insert("visits", 1)?;
    Ok("ok")
}
