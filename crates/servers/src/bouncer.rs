//! PgBouncer, in front of a PostgreSQL.

use crate::{
    postgres,
    process::{self, Account},
    server::Place,
};
use std::{fs, process::Command};

/// What a client asks for at its start and a pooler forgets.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Forgotten {
    /// What drivers for PostgreSQL ask for by themselves.
    Usual,
    /// The settings of the connection too, which is refused otherwise.
    Settings,
}

/// PgBouncer in the foreground. A client has a connection of the server for the time of a transaction.
pub(crate) fn command(place: &Place, upstream: u16, forgotten: Forgotten) -> Command {
    let forgotten = match forgotten {
        Forgotten::Usual => "extra_float_digits",
        Forgotten::Settings => "extra_float_digits, options",
    };
    let settings = format!(
        "[databases]\n* = host=127.0.0.1 port={upstream} user=postgres\n\
         [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {}\nunix_socket_dir =\n\
         auth_type = any\npool_mode = transaction\ndefault_pool_size = 20\nmax_client_conn = 200\n\
         ignore_startup_parameters = {forgotten}\n",
        place.port
    );
    let file = place.folder.path().join("pgbouncer.ini");
    fs::write(&file, settings).expect("a file can be written in the server's folder");
    Account::of_servers().own(&file);
    let mut command = process::command(&place.programs.server, place.folder.path());
    command.arg(file);
    command
}

/// Asks the server behind it. There is no other socket than the port.
pub(crate) fn ask(place: &Place, database: &str, words: &str) -> Result<String, String> {
    postgres::ask_at(place, "127.0.0.1", database, words)
}
