//! PostgreSQL.

use crate::{
    engine::{Durability, Programs},
    folder::Folder,
    process,
    server::Place,
};
use std::{fs, path::Path, process::Command};

/// Makes an empty cluster, in which everybody on this machine is trusted.
pub(crate) fn install(programs: &Programs, folder: &Folder) {
    let installer = programs.installer.as_deref().expect("PostgreSQL is made by `initdb`");
    let mut initdb = process::command(installer, folder.path());
    initdb.arg("--pgdata").arg(folder.path().join("data"));
    initdb.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale"]);
    // Small segments of the log, since every server gets a copy.
    initdb.args(["--wal-segsize=4", "--no-sync", "--no-instructions"]);
    process::run(&mut initdb).expect("an empty cluster can be made");
}

/// PostgreSQL in the foreground.
pub(crate) fn command(place: &Place, durability: Durability) -> Command {
    let folder = place.folder.path();
    let mut command = process::command(&place.programs.server, folder);
    command.arg("-D").arg(folder.join("data"));
    let mut set = |setting: String| {
        command.arg("-c").arg(setting);
    };
    set(format!("port={}", place.port));
    set(format!("unix_socket_directories={}", folder.display()));
    for setting in [
        "listen_addresses=127.0.0.1",
        // In the folder, and not in one that all processes of the machine share.
        "dynamic_shared_memory_type=mmap",
        "max_connections=200",
        "wal_level=minimal",
        "max_wal_senders=0",
        "jit=off",
    ] {
        set(setting.to_owned());
    }
    match durability {
        Durability::Fast => {
            let fast = ["fsync=off", "synchronous_commit=off", "full_page_writes=off"];
            fast.iter().chain(["shared_buffers=16MB"].iter()).for_each(|one| set((*one).into()));
        }
        Durability::Durable => set("shared_buffers=128MB".to_owned()),
    }
    command
}

/// Asks through the socket in the server's folder, where nobody else can be.
pub(crate) fn ask(place: &Place, database: &str, words: &str) -> Result<String, String> {
    let host = place.folder.path().display().to_string();
    ask_at(place, &host, database, words)
}

/// Asks with `psql`.
pub(crate) fn ask_at(
    place: &Place,
    host: &str,
    database: &str,
    words: &str,
) -> Result<String, String> {
    let client = place.programs.client.as_deref().expect("PostgreSQL is asked by `psql`");
    let mut psql = process::command(client, place.folder.path());
    psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"]);
    psql.args(["--host", host, "--port", &place.port.to_string(), "--username=postgres"]);
    psql.args(["--dbname", database, "--set=ON_ERROR_STOP=1", "--command", words]);
    process::run(&mut psql)
}

/// Gives back the piece of shared memory by which a PostgreSQL that was killed would know its data again.
pub(crate) fn forget_shared_memory(data: &Path) {
    let Ok(notes) = fs::read_to_string(data.join("postmaster.pid")) else { return };
    let Some(id) = notes.lines().nth(6).and_then(|line| line.split_whitespace().nth(1)) else {
        return;
    };
    // One that has gone already is none to care for.
    let _ = Command::new("ipcrm").args(["-m", id]).output();
}
