//! MariaDB.

use crate::{
    engine::{Durability, Programs},
    folder::Folder,
    process,
    server::Place,
};
use std::process::Command;

/// What is small in a server for tests.
const SMALL: [&str; 6] = [
    "--innodb-log-file-size=16M",
    "--key-buffer-size=1M",
    "--aria-pagecache-buffer-size=1M",
    "--performance-schema=off",
    "--skip-log-bin",
    "--max-connections=200",
];

/// Makes the tables that MariaDB needs for itself, with a `root` that needs no password.
pub(crate) fn install(programs: &Programs, folder: &Folder) {
    let installer = programs.installer.as_deref().expect("MariaDB has `mariadb-install-db`");
    let mut install = process::command(installer, folder.path());
    install.arg("--no-defaults").arg(format!("--datadir={}", folder.path().join("data").display()));
    install.args(["--auth-root-authentication-method=normal", "--skip-test-db"]);
    install.arg("--innodb-flush-method=nosync").args(SMALL);
    process::run(&mut install).expect("an empty server can be made");
}

/// MariaDB in the foreground.
pub(crate) fn command(place: &Place, durability: Durability) -> Command {
    let folder = place.folder.path();
    let mut command = process::command(&place.programs.server, folder);
    command.arg("--no-defaults");
    for (option, file) in [("datadir", "data"), ("socket", "socket"), ("pid-file", "pid")] {
        command.arg(format!("--{option}={}", folder.join(file).display()));
    }
    command.arg(format!("--tmpdir={}", folder.display())).arg(format!("--port={}", place.port));
    command.arg("--bind-address=127.0.0.1").args(SMALL);
    match durability {
        Durability::Fast => command.args([
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-flush-method=nosync",
            "--innodb-doublewrite=off",
            "--innodb-buffer-pool-size=16M",
        ]),
        Durability::Durable => command.arg("--innodb-buffer-pool-size=128M"),
    };
    command
}

/// Asks through the socket in the server's folder, where nobody else can be.
pub(crate) fn ask(place: &Place, database: &str, words: &str) -> Result<String, String> {
    let client = place.programs.client.as_deref().expect("MariaDB is asked by `mariadb`");
    let mut mariadb = process::command(client, place.folder.path());
    let socket = place.folder.path().join("socket");
    mariadb.arg("--no-defaults").arg(format!("--socket={}", socket.display()));
    mariadb.args(["--user=root", "--skip-column-names", "--batch", "--execute", words, database]);
    process::run(&mut mariadb)
}
