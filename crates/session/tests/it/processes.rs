//! Two processes with the same records: what one does, the other sees at once, and nothing of either is lost.

use crate::support::{Bench, Client, Jar, keepers};
use dframework_session::{Error, SessionHandle, SessionId};
use futures_util::future::{join, join_all};

/// A browser in which this owner has logged in, and the id of its session.
async fn login(bench: &Bench, owner: &'static str) -> (Jar, SessionId) {
    let mut jar = bench.visitor().await;
    bench.ok(&mut jar, async |session| session.set_owner(owner).await).await;
    let id = bench.ok(&mut jar, async |session| session.id().await).await;
    (jar, id.unwrap())
}

#[tokio::test]
async fn a_write_by_one_is_read_by_the_other_at_once() {
    for bench in keepers().await {
        let [one, other] = bench.processes();
        let mut jar = one.visitor().await;
        for visits in 1..=20 {
            let (writer, reader) = if visits % 2 == 0 { (&one, &other) } else { (&other, &one) };
            writer.ok(&mut jar, async |session| session.increment("visits", 1).await).await;
            assert_eq!(reader.visits(&jar).await, Some(visits), "{}", bench.driver);
        }
    }
}

/// What ends a session elsewhere.
#[derive(Clone, Copy, PartialEq, Debug)]
enum End {
    Logout,
    NewToken,
    ById,
    All,
    Others,
}

async fn end(how: End, bench: &Bench, jar: &Jar, id: SessionId) {
    let mut jar = jar.clone();
    match how {
        End::Logout => bench.ok(&mut jar, async |session| session.destroy().await).await,
        End::NewToken => bench.ok(&mut jar, async |session| session.regenerate().await).await,
        End::ById => assert!(bench.sessions.revoke(id).await.unwrap()),
        End::All => assert_eq!(bench.sessions.revoke_all("42").await.unwrap(), 2),
        End::Others => {
            let (here, _) = login(bench, "42").await;
            let handle = bench.open(&here, Client::Plain, "POST");
            assert_eq!(bench.sessions.revoke_others(&handle).await.unwrap(), 2);
        }
    }
}

#[tokio::test]
async fn what_one_ends_is_dead_to_the_other_and_its_slow_requests_restore_nothing() {
    for bench in keepers().await {
        for how in [End::Logout, End::NewToken, End::ById, End::All, End::Others] {
            let case = format!("{} {how:?}", bench.driver);
            bench.sessions.revoke_all("42").await.unwrap();
            let [one, other] = bench.processes();
            let ((jar, id), (elsewhere, _)) = (login(&one, "42").await, login(&other, "42").await);
            assert!(other.is_alive(&jar).await, "{case}");

            let [reader, writer, leaving] =
                [(); 3].map(|()| other.open(&jar, Client::Plain, "GET"));
            assert_eq!(reader.get("name").await.unwrap(), Some("guest".to_owned()));
            writer.set("name", "friend").await.unwrap();
            leaving.destroy().await.unwrap();
            end(how, &one, &jar, id).await;
            assert!(!other.is_alive(&jar).await, "{case}");
            let stays = !matches!(how, End::All | End::Others);
            assert_eq!(other.is_alive(&elsewhere).await, stays, "{case}");
            let listed = other.sessions.of("42", None, 9).await.unwrap();
            assert!(listed.iter().all(|session| session.id != id), "{case}");
            let left = one.sessions.of("42", None, 9).await.unwrap();
            assert_eq!(listed, left, "{case}");

            let mut after = jar.clone();
            other.answer(&mut after, &reader, 200).await.unwrap();
            let failed = other.answer(&mut after, &writer, 200).await.unwrap_err();
            assert_eq!((failed.error.is_gone(), failed.error.status()), (true, 409), "{case}");
            other.answer(&mut after, &leaving, 200).await.unwrap();
            assert_eq!(after, jar, "{case}: no cookie goes out");
            for bench in [&one, &other] {
                assert!(!bench.is_alive(&jar).await, "{case}");
                assert_eq!(bench.sessions.of("42", None, 9).await.unwrap(), left, "{case}");
            }
        }
    }
}

/// A request of this browser, from its first use to its answer, and the cookies after it.
async fn request(
    bench: &Bench,
    jar: &Jar,
    handler: impl AsyncFnOnce(&SessionHandle) -> Result<(), Error>,
) -> Jar {
    let (mut jar, handle) = (jar.clone(), bench.open(jar, Client::Plain, "POST"));
    handler(&handle).await.unwrap();
    bench.answer(&mut jar, &handle, 200).await.unwrap();
    jar
}

#[tokio::test]
async fn a_login_that_is_clicked_twice_succeeds_twice_wherever_it_arrives() {
    for bench in keepers().await {
        for round in 1..=5 {
            let before = bench.visitor().await;
            let [one, other] = bench.processes();
            let login = async |session: &SessionHandle| session.set_owner("42").await;
            let clicks = join(request(&one, &before, login), request(&other, &before, login)).await;
            let clicks = [clicks.0, clicks.1];
            let mut carried = 0;
            for jar in &clicks {
                for bench in [&one, &other] {
                    let session = bench.open(jar, Client::Plain, "GET");
                    assert_eq!(session.owner().await.unwrap().as_deref(), Some("42"));
                }
                carried += usize::from(bench.read(jar, "name").await.is_some());
            }
            assert_ne!(clicks[0], clicks[1], "{}", bench.driver);
            assert_eq!(carried, 1, "{}: the values are in one of them", bench.driver);
            for bench in [&one, &other] {
                assert!(!bench.is_alive(&before).await, "{}: the old token", bench.driver);
                let owned = bench.sessions.of("42", None, 99).await.unwrap();
                assert_eq!(owned.len(), 2 * round, "{}", bench.driver);
            }
        }
    }
}

#[tokio::test]
async fn changes_of_parallel_requests_to_both_are_all_kept() {
    const TASKS: usize = 6;
    const TIMES: usize = 5;
    for bench in keepers().await {
        let jar = bench.visitor().await;
        let processes = bench.processes();
        let visit = async |task: usize| {
            let bench = &processes[task % 2];
            for time in 0..TIMES {
                let change = async |session: &SessionHandle| {
                    session.increment("visits", 1).await?;
                    session.push("list", task * TIMES + time).await?;
                    session.set(format!("{task} {time}"), true).await
                };
                assert_eq!(request(bench, &jar, change).await, jar, "no cookie changes");
            }
        };
        join_all((0..TASKS).map(visit)).await;
        let mut list: Vec<usize> = bench.peek(&jar, "list").await.unwrap();
        list.sort_unstable();
        assert_eq!(list, (0..TASKS * TIMES).collect::<Vec<_>>(), "{}", bench.driver);
        assert_eq!(bench.visits(&jar).await, Some(30), "{}", bench.driver);
        let all = bench.ok(&mut jar.clone(), async |session| session.all().await).await;
        assert_eq!(all.len(), TASKS * TIMES + 3, "{}", bench.driver);
    }
}

#[tokio::test]
async fn of_requests_to_both_one_gets_the_value() {
    for bench in keepers().await {
        for _ in 0..5 {
            let mut jar = bench.visitor().await;
            bench.ok(&mut jar, async |session| session.set("coupon", "x").await).await;
            let processes = bench.processes();
            let claims = processes.iter().cycle().take(6).map(async |bench| {
                let session = bench.open(&jar, Client::Plain, "POST");
                session.claim::<String>("coupon").await.unwrap()
            });
            let claimed = join_all(claims).await;
            assert_eq!(claimed.iter().flatten().count(), 1, "{}: {claimed:?}", bench.driver);
        }
    }
}

#[tokio::test]
async fn a_logout_that_races_with_writes_leaves_nothing_behind() {
    for bench in keepers().await {
        for _ in 0..5 {
            let (jar, _) = login(&bench, "42").await;
            let [one, other] = bench.processes();
            let logout = request(&one, &jar, async |session| session.destroy().await);
            let writes = join_all((0..4).map(async |number: u64| {
                let mut jar = jar.clone();
                let session = other.open(&jar, Client::Plain, "POST");
                let set = match number {
                    // A new token is the other thing that a write could bring the session back by.
                    0 => session.regenerate().await,
                    _ => session.set("name", number).await,
                };
                let answered = other.answer(&mut jar, &session, 200).await;
                let error = set.err().or(answered.err().map(|failed| failed.error));
                assert!(error.is_none_or(|error| error.is_gone()), "{}", other.driver);
                jar
            }));
            let (_, jars) = join(logout, writes).await;
            assert!(!bench.is_alive(&jar).await, "{}", bench.driver);
            // What the rotation has made is a session of nobody, or it came first and the logout met its tombstone.
            let living = bench.sessions.of("42", None, 9).await.unwrap();
            let rotated = jars.iter().filter(|after| **after != jar).count();
            assert!(living.len() <= rotated, "{}: {living:?} {rotated}", bench.driver);
            bench.sessions.revoke_all("42").await.unwrap();
        }
    }
}
