//! Starts the demo: reads the configuration, opens the sessions, serves until Ctrl-C.

use demo::{About, app};
use dframework_session::{Config, Sessions};
use std::{
    env,
    error::Error,
    fs,
    io::{self, IsTerminal, Write},
    process::ExitCode,
};
use tokio::net::TcpListener;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// Found from wherever the demo is started.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/app.toml");

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
    let config = config()?;
    let about = About::of(&config);
    let driver = about.driver.clone();
    let app = app(Sessions::connect(&config).await?, about);

    let wanted = env::var("DEMO_ADDRESS").unwrap_or_else(|_| ADDRESS.to_owned());
    let listener = TcpListener::bind(&wanted)
        .await
        .map_err(|error| format!("cannot listen on {wanted}: {error}"))?;
    let address = listener.local_addr()?;
    writeln!(io::stdout(), "driver: {driver}\nlistening on http://{address}")?;
    axum::serve(listener, app).with_graceful_shutdown(interrupted()).await?;
    Ok(())
}

/// The demo's own file, or the one that `APP_CONFIG` names; variables of the environment win over both.
fn config() -> Result<Config, Box<dyn Error>> {
    if env::var_os("APP_CONFIG").is_some() {
        return Ok(Config::load()?);
    }
    let file =
        fs::read_to_string(FILE).map_err(|error| format!("{FILE} cannot be read: {error}"))?;
    // `env::vars` panics at text that is not Unicode. Made readable, such a value is refused like any other.
    let readable = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    let variables = env::vars_os().map(|(name, value)| (readable(name), readable(value)));
    Ok(Config::from_parts(Some(&file), variables)?)
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
