//! Starts the demo: reads the configuration, opens the sessions, serves until Ctrl-C.

use demo::app;
use dframework_session::{Config, Sessions};
use std::{
    env,
    error::Error,
    io::{self, IsTerminal, Write},
    process::ExitCode,
};
use tokio::net::TcpListener;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// Found from wherever the demo is started; `APP_CONFIG` names another, and variables of the environment win.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/app.toml");

/// Made at the first start with the driver `stealth`, below the folder in which the demo is started: where nobody has
/// given it a key, it makes its own. An application in production is given one, in `app.key`.
const KEY_FILE: &str = "data/demo.key";

const ADDRESS: &str = "127.0.0.1:3000";

#[tokio::main]
async fn main() -> ExitCode {
    log_to_stderr();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {}", in_one_line(&*error));
            ExitCode::FAILURE
        }
    }
}

fn log_to_stderr() {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into());
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_env_filter(filter.from_env_lossy())
        .init();
}

async fn run() -> Result<(), Box<dyn Error>> {
    let sessions = Sessions::connect(&Config::load_from(FILE)?.key_file(KEY_FILE)).await?;
    let driver = sessions.driver();
    let app = app(sessions);

    let wanted = env::var("DEMO_ADDRESS").unwrap_or_else(|_| ADDRESS.to_owned());
    let listener = TcpListener::bind(&wanted)
        .await
        .map_err(|error| format!("cannot listen on {wanted}: {error}"))?;
    let address = listener.local_addr()?;
    writeln!(io::stdout(), "driver: {driver}\nlistening on http://{address}")?;
    axum::serve(listener, app).with_graceful_shutdown(interrupted()).await?;
    Ok(())
}

async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Without a signal handler Ctrl-C ends the process by itself.
        std::future::pending::<()>().await;
    }
}

/// An error with its causes.
fn in_one_line(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}")).replace('\n', " ")
}
