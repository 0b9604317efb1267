//! What is said at the start where a server, a database, a user or a table is not as it should be; and poolers.

use crate::{
    home::{Home, on_servers},
    support::{LATER, at, bytes, in_full, key, make, save},
};
use ::servers::{Direction, Engine, Proxy, Server};
use dframework_session_sqlx::{SqlStore, sqlx::postgres::PgPoolOptions};
use dframework_session_store::{Store, StoreError, testing::cases};
use std::net::TcpListener;

#[track_caller]
fn says(error: &StoreError, expected: &str) {
    let text = in_full(error);
    assert!(text.contains(expected), "{expected}: {text}");
    assert!(!error.outcome_is_unknown(), "{text}");
    assert!(!format!("{text} {error:?}").contains("secret"), "{text} {error:?}");
}

async fn refused(url: &str) -> StoreError {
    let opened = async {
        let store = SqlStore::open(url).await?;
        store.migrate().await?;
        make(&store, key(1), b"bytes").await.map(drop)
    };
    opened.await.expect_err(url)
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_without_the_password() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for scheme in ["postgres", "postgresql", "mysql", "mariadb"] {
        let error = refused(&format!("{scheme}://web:secret@127.0.0.1:{port}/app")).await;
        says(&error, &format!("the session database app at 127.0.0.1:{port} cannot be opened"));
        let error = refused(&format!("{scheme}://web:secret@127.0.0.1:secret/app")).await;
        says(&error, "the URL of the session database cannot be read");
    }
}

#[tokio::test]
async fn a_parameter_that_nobody_reads_is_refused_and_not_shown() {
    for scheme in ["postgres", "mariadb"] {
        let url = |rest| format!("{scheme}://{rest}");
        let error = refused(&url("web@127.0.0.1:1/app?ssl_mode=secret&pasword=secret")).await;
        says(&error, "has the parameter \"ssl_mode\", which is not known; known are sslmode,");
        let error = refused(&url("web@127.0.0.1:1/app?sslmode=prefer&pasword=secret")).await;
        says(&error, "has the parameter \"pasword\", which is not known");
        // A password with a question mark, after what could be a port.
        for rest in ["web:1?secret@127.0.0.1:1/app", "web:1?secret=2@127.0.0.1:1/app"] {
            says(&refused(&url(rest)).await, "has a parameter, which is not known");
        }
    }
    // These are read.
    let rest = "options[search_path]=app&options%5Bwork_mem%5D=1MB&application_name=web";
    let error = refused(&format!("postgres://web@127.0.0.1:1/app?{rest}")).await;
    says(&error, "cannot be opened");
}

#[tokio::test]
async fn a_database_that_is_not_there_is_named() {
    for home in on_servers() {
        let error = refused(&home.url_of("nowhere")).await;
        says(&error, "the session database nowhere at 127.0.0.1:");
        says(&error, "is not there");
    }
}

#[tokio::test]
async fn a_table_that_is_not_there_asks_for_migrate() {
    for home in on_servers() {
        let store = SqlStore::options().table("web").open(&home.url()).await.unwrap();
        let why = "has no table \"web\", or another one: was `migrate` called?";
        says(&at(&store, key(1)).await.unwrap_err(), why);
        says(&make(&store, key(1), b"bytes").await.unwrap_err(), why);
        // A table that lacks what this version needs.
        home.connect().await.run("CREATE TABLE web (version bigint)").await;
        says(&at(&store, key(1)).await.unwrap_err(), why);
        home.connect().await.run("DROP TABLE web").await;
        store.migrate().await.unwrap();
        make(&store, key(1), b"bytes").await.unwrap();
    }
}

#[tokio::test]
async fn a_user_without_rights_is_told_what_is_missing() {
    for home in on_servers() {
        let mut admin = home.connect().await;
        let user = format!("web_{}", home.database());
        let (make_user, grant) = match home {
            Home::Postgres(_) => (
                format!(
                    "CREATE ROLE {user} LOGIN; REVOKE ALL ON SCHEMA public FROM PUBLIC; \
                         GRANT USAGE ON SCHEMA public TO {user}"
                ),
                format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {user}"),
            ),
            _ => (
                format!(
                    "CREATE USER {user}@'127.0.0.1'; CREATE TABLE other (id int); \
                         GRANT SELECT ON other TO {user}@'127.0.0.1'"
                ),
                format!("GRANT SELECT ON {}.* TO {user}@'127.0.0.1'", home.database()),
            ),
        };
        admin.run(&make_user).await;
        says(&refused(&home.url_for(&user)).await, "does not let this user do that");
        home.store().await;
        admin.run(&grant).await;
        // The table is there, so nothing has to be made; then nothing may be written.
        let store = SqlStore::open(&home.url_for(&user)).await.unwrap();
        store.migrate().await.unwrap();
        assert_eq!(bytes(&store, key(1)).await, None);
        says(&make(&store, key(1), b"bytes").await.unwrap_err(), "does not let this user do that");
        drop(store);
        if let Home::Postgres(_) = home {
            admin.run(&format!("DROP OWNED BY {user}; DROP ROLE {user}")).await;
        }
    }
}

#[tokio::test]
async fn a_server_that_may_only_be_read_says_so() {
    let Some(home) = Home::postgres() else { return };
    let store = home.store().await;
    make(&store, key(1), b"bytes").await.unwrap();
    let database = home.database();
    let set = format!("ALTER DATABASE {database} SET default_transaction_read_only = on");
    home.connect().await.run(&set).await;
    let store = SqlStore::open(&home.url()).await.unwrap();
    store.migrate().await.unwrap();
    assert_eq!(bytes(&store, key(1)).await.as_deref(), Some(&b"bytes"[..]));
    let error = save(&store, key(1), 1, b"other").await.unwrap_err();
    says(&error, "can only be read: it is a replica, or set so");
}

#[tokio::test]
async fn a_server_without_a_free_connection_is_waited_for_and_says_so() {
    let Some(home) = Home::postgres() else { return };
    let mut admin = home.connect().await;
    let user = format!("web_{}", home.database());
    admin.run(&format!("CREATE ROLE {user} LOGIN CONNECTION LIMIT 0")).await;
    let options = SqlStore::options().busy_timeout(std::time::Duration::from_secs(2));
    let error = options.open(&home.url_for(&user)).await.unwrap_err();
    says(&error, "has no connection left to give");
    admin.run(&format!("DROP ROLE {user}")).await;
}

#[tokio::test]
async fn a_wrong_password_is_told_and_not_shown() {
    let Some(server) = Server::start(Engine::Postgres) else { return };
    server.ask("CREATE ROLE web LOGIN PASSWORD 'good'");
    let rules = "COPY (VALUES ('local all all trust'), ('host all web 127.0.0.1/32 scram-sha-256'), \
         ('host all all 127.0.0.1/32 trust'))";
    server.ask(&format!("{rules} TO '{}'", server.ask("SHOW hba_file")));
    server.ask("SELECT pg_reload_conf()");
    let url = |password| format!("postgres://web:{password}@127.0.0.1:{}/postgres", server.port());
    let opened = async |password| SqlStore::open(&url(password)).await;
    says(
        &opened("secret").await.unwrap_err(),
        "does not let this user in, or not with this password",
    );
    let store = opened("good").await.unwrap();
    assert!(!format!("{store:?}").contains("good"), "{store:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds_behind_a_pooler() {
    let Some(server) = Server::shared(Engine::Postgres) else { return };
    let Some(bouncer) = server.bouncer() else { return };
    let database = server.database();
    let url = database.url_through(bouncer.port());
    for (number, case) in cases().into_iter().enumerate() {
        let options = SqlStore::options().table(format!("sessions_{number}"));
        let store = options.open(&format!("{url}?statement-cache-capacity=0")).await.unwrap();
        store.migrate().await.unwrap();
        assert_eq!(case.run(store).await, Ok(()));
    }
    // Whoever forgets the parameter is told of it.
    says(&refused(&url).await, "?statement-cache-capacity=0");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds_on_a_pool_of_the_application_behind_a_pooler() {
    let Some(server) = Server::shared(Engine::Postgres) else { return };
    let (Some(usual), Some(forgetful)) = (server.bouncer(), server.forgetful_bouncer()) else {
        return;
    };
    // Nothing is said to the store of the pooler; it is found, or known by what the pool was told.
    for (bouncer, parameters, connections) in
        [(&usual, "", 10), (&usual, "?statement-cache-capacity=0", 10), (&forgetful, "", 2)]
    {
        let database = server.database();
        let url = database.url_through(bouncer.port()) + parameters;
        for (number, case) in cases().into_iter().enumerate() {
            let pool = PgPoolOptions::new().max_connections(connections);
            let pool = pool.connect_lazy(&url).unwrap();
            let store = SqlStore::options().table(format!("sessions_{number}")).over(pool).unwrap();
            store.migrate().await.unwrap();
            assert_eq!(case.run(store).await, Ok(()), "{connections} {parameters}");
        }
    }
}

#[tokio::test]
async fn a_statement_is_sent_once() {
    const CALLS: u64 = 100;
    for (engine, parameter) in [
        (Engine::Postgres, ""),
        (Engine::Postgres, "?statement-cache-capacity=0"),
        (Engine::MariaDb, ""),
    ] {
        let Some(server) = Server::shared(engine) else { continue };
        let (proxy, database) = (Proxy::to(server.port()), server.database());
        let url = database.url_through(proxy.port()) + parameter;
        let store = SqlStore::open(&url).await.unwrap();
        store.migrate().await.unwrap();
        make(&store, key(1), b"bytes").await.unwrap();
        // Whatever is prepared is prepared now, on every connection.
        for version in 1..=20 {
            bytes(&store, key(1)).await.unwrap();
            save(&store, key(1), version, b"other").await.unwrap();
            store.touch(&key(1), LATER).await.unwrap();
        }
        let before = proxy.sends(Direction::ToServer);
        for version in 21..=20 + CALLS {
            bytes(&store, key(1)).await.unwrap();
            save(&store, key(1), version, b"other").await.unwrap();
            store.touch(&key(1), LATER).await.unwrap();
        }
        let sent = proxy.sends(Direction::ToServer) - before;
        assert!(sent * 10 <= CALLS * 3 * 11, "{engine:?} {parameter}: {sent} for {}", CALLS * 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_forgets_settings_carries_out_no_other_call_than_was_asked() {
    let Some(server) = Server::shared(Engine::Postgres) else { return };
    let Some(bouncer) = server.forgetful_bouncer() else { return };
    let database = server.database();
    let url = database.url_through(bouncer.port());
    // There, a name of a statement may stand for one that another client has prepared.
    let opened = SqlStore::open(&url).await;
    says(&opened.unwrap_err(), "is behind a pooler: its URL needs ?statement-cache-capacity=0");
    let store = SqlStore::open(&format!("{url}?statement-cache-capacity=0")).await.unwrap();
    store.migrate().await.unwrap();
    make(&store, key(1), b"bytes").await.unwrap();
    assert_eq!(bytes(&store, key(1)).await.as_deref(), Some(&b"bytes"[..]));
}
