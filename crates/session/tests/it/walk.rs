//! The main path, from the first visit to the logout, on every driver.

use crate::support::{Client, Jar, drivers};

#[tokio::test]
async fn a_visitor_is_remembered_from_the_first_write_to_the_logout() {
    for bench in drivers().await {
        let mut jar = Jar::default();
        bench.ok(&mut jar, async |session| session.get::<String>("name").await).await;
        assert_eq!(jar, Jar::default(), "reading makes no session");

        bench.ok(&mut jar, async |session| session.set("name", "visitor").await).await;
        let name = bench.ok(&mut jar, async |session| session.get_or("name", "guest").await).await;
        assert_eq!(name, "visitor");

        let token = jar.session().unwrap().to_owned();
        bench.ok(&mut jar, async |session| session.set_owner("42").await).await;
        assert_ne!(jar.session().unwrap(), token, "a login gives a new token");

        bench.ok(&mut jar, async |session| session.flash("status", "hello").await).await;
        let status = |session: dframework_session::SessionHandle| async move {
            session.get::<String>("status").await
        };
        assert_eq!(bench.ok(&mut jar, status).await.as_deref(), Some("hello"));
        assert_eq!(bench.ok(&mut jar, status).await, None);

        let terms = serde_json::json!({ "accepted_terms": true });
        bench.ok(&mut jar, async |session| session.permanent(&terms).await).await;
        assert!(jar.companion(".p").is_some());

        let (result, head) = bench
            .request(&mut jar, Client::Navigation, 303, async |session| session.forget(..).await)
            .await;
        result.unwrap();
        assert_eq!(jar, Jar::default(), "{head:?}");
    }
}
