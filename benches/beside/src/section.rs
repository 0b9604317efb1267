//! The sections of the results: what each is called, what it takes, and who measures it.

use crate::{
    counts, limits,
    run::{Result, Run},
    sockets, times,
};
use std::{
    env,
    process::{Command, Stdio},
};

/// A part of the run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Section {
    Counts,
    Times,
    Memory,
    Limits,
    Sockets,
    Requests,
    Growth,
    Payload,
    Conflicts,
}

/// Where a section's libraries are noted down.
pub(crate) struct Locked {
    /// The lock file, in the folder of the benchmarks.
    pub(crate) file: &'static str,
    pub(crate) packages: &'static [&'static str],
}

impl Section {
    pub(crate) const ALL: [Self; 9] = [
        Self::Counts,
        Self::Times,
        Self::Memory,
        Self::Limits,
        Self::Sockets,
        Self::Requests,
        Self::Growth,
        Self::Payload,
        Self::Conflicts,
    ];

    /// Those that `databases` stands for.
    pub(crate) const DATABASES: [Self; 4] =
        [Self::Requests, Self::Growth, Self::Payload, Self::Conflicts];

    /// The word for it on the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Counts => "counts",
            Self::Times => "times",
            Self::Memory => "memory",
            Self::Limits => "limits",
            Self::Sockets => "sockets",
            Self::Requests => "requests",
            Self::Growth => "growth",
            Self::Payload => "payload",
            Self::Conflicts => "conflicts",
        }
    }

    pub(crate) fn named(word: &str) -> Result<Self> {
        let section = Self::ALL.into_iter().find(|section| section.word() == word);
        Ok(section.ok_or_else(|| format!("{word:?} is no part"))?)
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Counts => "Instructions and allocations of a request",
            Self::Times => "Time of a request",
            Self::Memory => "A million sessions in memory",
            Self::Limits => "The limit",
            Self::Sockets => "Over a socket",
            Self::Requests => "Databases: requests in flight",
            Self::Growth => "Databases: growth of the table",
            Self::Payload => "Databases: size of a session",
            Self::Conflicts => "Databases: conflicts",
        }
    }

    /// What runs it alone.
    pub(crate) fn command(self) -> String {
        let group = if Self::DATABASES.contains(&self) { "databases " } else { "" };
        format!("cargo run --release -p beside -- {group}{}", self.word())
    }

    /// The program that it cannot do without. Debian's package has the same name.
    pub(crate) fn tool(self) -> Option<&'static str> {
        match self {
            Self::Counts | Self::Limits => Some("valgrind"),
            Self::Sockets => Some("wrk"),
            _ => None,
        }
    }

    /// Which libraries are measured.
    pub(crate) fn libraries(self) -> &'static [Locked] {
        match self {
            Self::Counts | Self::Times | Self::Memory => &[Locked {
                file: "Cargo.lock",
                packages: &[
                    "dframework-session",
                    "axum",
                    "actix-web",
                    "tower-sessions",
                    "tower-sessions-moka-store",
                    "axum_session",
                    "ruts",
                    "axum-extra",
                    "actix-session",
                ],
            }],
            Self::Limits => &[Locked {
                file: "Cargo.lock",
                packages: &["dframework-session", "axum", "aes-gcm", "xaes-256-gcm", "base64-simd"],
            }],
            Self::Sockets => &[Locked {
                file: "Cargo.lock",
                packages: &["dframework-session", "axum", "tower-sessions"],
            }],
            _ => &[
                Locked { file: "Cargo.lock", packages: &["dframework-session", "sqlx"] },
                Locked {
                    file: "databases/peer/Cargo.lock",
                    packages: &["tower-sessions", "tower-sessions-sqlx-store", "sqlx"],
                },
            ],
        }
    }

    pub(crate) fn measure(self, run: &Run) -> Result<String> {
        match self {
            Self::Counts => counts::table(run),
            Self::Times => times::table(run),
            Self::Memory => times::memory_table(run),
            Self::Limits => limits::table(run),
            Self::Sockets => sockets::table(run),
            _ => on_databases(self, run),
        }
    }
}

/// What the program `databases` prints, which brings other versions of the libraries.
fn on_databases(section: Section, run: &Run) -> Result<String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let ran = Command::new(cargo)
        .args(["run", "--release", "--locked", "--quiet", "-p", "databases", "--"])
        .args([section.word(), run.effort.word()])
        .arg(run.drawn.path())
        .current_dir(Run::usual_folder())
        .stderr(Stdio::inherit())
        .output()?;
    if !ran.status.success() {
        return Err("`databases` failed".into());
    }
    Ok(String::from_utf8(ran.stdout)?)
}
