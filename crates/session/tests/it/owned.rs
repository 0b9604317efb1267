//! The sessions of a user: listed, ended and counted from outside their requests.

use crate::support::{Bench, Client, HOUR, Jar, drivers, keepers};
use dframework_session::SessionId;
use std::time::Duration;

/// A browser in which this owner has logged in, and the id of its session.
async fn login(bench: &Bench, owner: &'static str) -> (Jar, SessionId) {
    let mut jar = Jar::default();
    bench.ok(&mut jar, async |session| session.set_owner(owner).await).await;
    let id = bench.ok(&mut jar, async |session| session.id().await).await;
    (jar, id.unwrap())
}

async fn owner(bench: &Bench, jar: &Jar) -> Option<String> {
    bench.ok(&mut jar.clone(), async |session| session.owner().await).await
}

async fn ids(bench: &Bench, owner: &str) -> Vec<SessionId> {
    let owned = bench.anywhere().of(owner, None, 100).await.unwrap();
    owned.iter().map(|session| session.id).collect()
}

#[tokio::test]
async fn the_list_holds_the_sessions_of_that_owner_and_no_other() {
    for bench in keepers().await {
        let mut expected = Vec::new();
        for _ in 0..3 {
            expected.push(login(&bench, "42").await.1);
        }
        login(&bench, "43").await;
        bench.ok(&mut Jar::default(), async |session| session.set("a", 1).await).await;
        expected.sort_unstable();
        assert_eq!(ids(&bench, "42").await, expected, "{}", bench.driver);
        assert_eq!(ids(&bench, "44").await, [], "{}", bench.driver);
    }
}

#[tokio::test]
async fn pages_show_every_session_once() {
    for bench in keepers().await {
        for _ in 0..7 {
            login(&bench, "42").await;
        }
        let whole = ids(&bench, "42").await;
        for limit in 1..9 {
            let (mut paged, mut after) = (Vec::new(), None);
            loop {
                let page = bench.anywhere().of("42", after, limit).await.unwrap();
                assert!(page.len() <= limit);
                let Some(last) = page.last() else { break };
                after = Some(last.id);
                paged.extend(page.iter().map(|session| session.id));
            }
            assert_eq!(paged, whole, "{} {limit}", bench.driver);
        }
    }
}

#[tokio::test]
async fn a_session_is_last_seen_within_a_tenth_of_the_idle_timeout() {
    for bench in keepers().await {
        let (mut jar, _) = login(&bench, "42").await;
        let created = bench.clock.now();
        for minutes in [0, 1, 11, 13, 50] {
            bench.clock.advance(Duration::from_secs(minutes * 60));
            bench.ok(&mut jar, async |session| session.owner().await).await;
            let used = bench.clock.now();
            let [session] = bench.anywhere().of("42", None, 9).await.unwrap()[..] else { panic!() };
            assert_eq!(session.created, created);
            assert!(session.last_seen <= used, "{}", bench.driver);
            assert!(used.saturating_since(session.last_seen) <= HOUR / 5, "{}", bench.driver);
        }
    }
}

#[tokio::test]
async fn what_has_ended_is_in_no_list() {
    for bench in keepers().await {
        let (mut jar, _) = login(&bench, "42").await;
        bench.ok(&mut jar, async |session| session.regenerate().await).await;
        assert_eq!(ids(&bench, "42").await.len(), 1, "the new token, not the old one");
        bench.ok(&mut jar, async |session| session.set_owner("43").await).await;
        assert_eq!(ids(&bench, "42").await, []);
        bench.clock.advance(3 * HOUR);
        assert_eq!(ids(&bench, "43").await, [], "expired");
        let (mut jar, _) = login(&bench, "44").await;
        bench.ok(&mut jar, async |session| session.forget(..).await).await;
        assert_eq!(ids(&bench, "44").await, [], "logged out");
    }
}

#[tokio::test]
async fn one_session_is_ended_by_its_id() {
    for bench in drivers().await {
        let ((ended, id), (other, _)) = (login(&bench, "42").await, login(&bench, "42").await);
        assert!(bench.anywhere().revoke(id).await.unwrap());
        assert!(!bench.anywhere().revoke(id).await.unwrap(), "there is none any more");
        assert_eq!(owner(&bench, &ended).await, None, "{}", bench.driver);
        assert_eq!(owner(&bench, &other).await.as_deref(), Some("42"), "{}", bench.driver);
    }
}

#[tokio::test]
async fn the_others_end_and_this_one_stays() {
    for bench in keepers().await {
        let (here, _) = login(&bench, "42").await;
        let (elsewhere, _) = login(&bench, "42").await;
        let (stranger, _) = login(&bench, "43").await;
        let handle = bench.open(&here, Client::Plain, "POST");
        assert_eq!(bench.anywhere().revoke_others(&handle).await.unwrap(), 1);
        assert_eq!(owner(&bench, &here).await.as_deref(), Some("42"), "{}", bench.driver);
        assert_eq!(owner(&bench, &elsewhere).await, None, "{}", bench.driver);
        assert_eq!(owner(&bench, &stranger).await.as_deref(), Some("43"), "{}", bench.driver);
        let nobody = bench.open(&Jar::default(), Client::Plain, "POST");
        assert_eq!(bench.anywhere().revoke_others(&nobody).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn all_sessions_of_an_owner_end_and_permanent_data_stays() {
    for bench in keepers().await {
        let (mut jar, _) = login(&bench, "42").await;
        let terms = serde_json::json!({ "terms": true });
        bench.ok(&mut jar, async |session| session.permanent(&terms).await).await;
        login(&bench, "42").await;
        assert_eq!(bench.anywhere().revoke_all("42").await.unwrap(), 2);
        assert_eq!(bench.anywhere().revoke_all("42").await.unwrap(), 0);
        assert_eq!(owner(&bench, &jar).await, None, "{}", bench.driver);
        let terms = bench.ok(&mut jar, async |session| session.get("terms").await).await;
        assert_eq!(terms, Some(true), "{}", bench.driver);
    }
}

#[tokio::test]
async fn a_request_whose_session_is_revoked_meanwhile_is_gone_and_sends_nothing() {
    for bench in drivers().await {
        let (jar, id) = login(&bench, "42").await;
        let handle = bench.open(&jar, Client::Plain, "POST");
        handle.set("a", 1).await.unwrap();
        bench.anywhere().revoke(id).await.unwrap();
        let mut after = jar.clone();
        let failed = bench.answer(&mut after, &handle, 200).await.unwrap_err();
        assert!(failed.error.is_gone(), "{}", bench.driver);
        assert_eq!(after, jar, "{}", bench.driver);
    }
}

#[tokio::test]
async fn living_records_are_counted() {
    for bench in keepers().await {
        assert_eq!(bench.anywhere().count().await.unwrap(), 0);
        let (mut jar, _) = login(&bench, "42").await;
        login(&bench, "43").await;
        assert_eq!(bench.anywhere().count().await.unwrap(), 2, "{}", bench.driver);
        bench.ok(&mut jar, async |session| session.forget(..).await).await;
        assert_eq!(bench.anywhere().count().await.unwrap(), 1, "{}", bench.driver);
        bench.clock.advance(3 * HOUR);
        assert_eq!(bench.anywhere().count().await.unwrap(), 0, "{}", bench.driver);
    }
}

#[tokio::test]
async fn a_list_shows_no_token() {
    for bench in keepers().await {
        let (jar, _) = login(&bench, "42").await;
        let shown = format!("{:?}", bench.anywhere().of("42", None, 9).await.unwrap());
        assert!(!shown.contains(jar.session().unwrap()), "{shown}");
    }
}
