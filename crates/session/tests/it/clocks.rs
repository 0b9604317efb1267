//! Instances whose clocks differ: each goes by its own, nobody is somebody else, and what has ended stays so.

use crate::{
    stores::Probe,
    support::{Bench, Client, Jar},
};
use dframework_session::{Clock, Config, SessionHandle, Sessions, store::Store};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// Two instances on one store, of which the second is so far ahead.
struct Two<S> {
    store: S,
    behind: Bench,
    ahead: Bench,
}

impl<S: Store + Clone> Two<S> {
    fn on(store: S, by: Duration) -> Self {
        let bench = |store: S| {
            let clock = Clock::manual();
            let config = Config::new().clock(clock.clone());
            Bench::new("store", Sessions::from_store(store, &config).unwrap(), clock)
        };
        let (behind, ahead) = (bench(store.clone()), bench(store.clone()));
        ahead.clock.advance(by);
        Self { store, behind, ahead }
    }

    /// Time passes for both.
    fn pass(&self, time: Duration) {
        self.behind.clock.advance(time);
        self.ahead.clock.advance(time);
    }

    async fn hold(&self) {
        for (here, there) in [(&self.behind, &self.ahead), (&self.ahead, &self.behind)] {
            used_by_both(here, there).await;
            what_ends_here_has_ended_there(here, there).await;
        }
    }

    async fn each_goes_by_its_own(&self) {
        let Self { store, behind, ahead } = self;
        let jar = behind.visitor().await;
        self.pass(110 * MINUTE);
        assert_eq!(ahead.read(&jar, "name").await, None);
        assert_eq!(behind.read(&jar, "name").await.as_deref(), Some("guest"));
        // Whoever uses it says by its own clock until when it lives.
        self.pass(80 * MINUTE);
        assert_eq!(ahead.read(&jar, "name").await.as_deref(), Some("guest"));
        self.pass(140 * MINUTE);
        assert_eq!(behind.read(&jar, "name").await.as_deref(), Some("guest"));
        // The first that sweeps says when it is over for all.
        self.pass(110 * MINUTE);
        assert_eq!(behind.peek::<String>(&jar, "name").await.as_deref(), Some("guest"));
        while store.delete_expired(ahead.clock.now(), 99).await.unwrap() > 0 {}
        assert_eq!(behind.read(&jar, "name").await, None);
    }
}

/// Requests that go here and there in turns are of one session.
async fn used_by_both(here: &Bench, there: &Bench) {
    let mut jar = Jar::default();
    for visit in 1..=6 {
        let bench = if visit % 2 == 1 { here } else { there };
        let visits = bench.ok(&mut jar, async |session| session.increment("visits", 1).await).await;
        assert_eq!(visits, visit);
    }
    let logins = [(here, "42"), (there, "43"), (here, "44")];
    for (bench, owner) in logins {
        let old = jar.clone();
        bench.ok(&mut jar, async |session| session.set_owner(owner).await).await;
        for bench in [here, there] {
            assert!(!bench.is_alive(&old).await, "an old token is dead");
            assert_eq!(bench.sessions.of(owner, None, 9).await.unwrap().len(), 1);
        }
    }
    assert_eq!(here.sessions.revoke_all("44").await.unwrap(), 1);
    assert!(!there.is_alive(&jar).await);
}

async fn what_ends_here_has_ended_there(here: &Bench, there: &Bench) {
    let mut jar = here.visitor().await;
    let copy = jar.clone();
    there.ok(&mut jar, async |session| session.destroy().await).await;
    for bench in [here, there, here] {
        assert!(!bench.is_alive(&copy).await);
        // Whoever writes with the cookie of a session that has ended is told so, or gets a new one.
        let mut late = copy.clone();
        let write = async |session: SessionHandle| session.set("color", "red").await;
        let _ = bench.request(&mut late, Client::Plain, 200, write).await;
        assert!(!bench.is_alive(&copy).await);
        assert_eq!(bench.read(&late, "name").await, None);
    }
}

async fn hold_on<S: Store + Clone>(store: S) {
    for by in [Duration::from_millis(1), 5 * MINUTE, 30 * MINUTE] {
        Two::on(store.clone(), by).hold().await;
    }
    Two::on(store, 30 * MINUTE).each_goes_by_its_own().await;
}

#[tokio::test]
async fn instances_with_clocks_that_differ_share_sessions_in_a_store() {
    hold_on(Probe::default()).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn instances_with_clocks_that_differ_share_sessions_in_a_database() {
    let folder = crate::database::Folder::new();
    hold_on(folder.store("sessions").await).await;
}
