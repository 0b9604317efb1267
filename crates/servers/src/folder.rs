//! Where servers write: a folder for each, in one for the process, which a guard removes when the process has ended.

use crate::process::{self, Account};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

/// A folder that goes with its value, and with it every process that is at home there.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// A new folder of the account that servers run as.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let path = home().join(NEXT.fetch_add(1, Ordering::Relaxed).to_string());
        fs::create_dir(&path).expect("a folder can be made in the folder of this process");
        Account::of_servers().own(&path);
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        process::end_all_in(&self.0);
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What is in the folder of this process.
struct Home {
    path: PathBuf,
    /// Waits for the end of its input, which the system closes when this process ends, in whatever way.
    _guard: Child,
}

/// Waits until its input is closed. Then it ends every process that is at home in the folder, gives back the shared
/// memory of a PostgreSQL that had no time to do so, and removes the folder.
const GUARD: &str = r#"
while read -r line; do :; done
for round in 1 2 3 4 5 6 7 8 9 10; do
    for process in /proc/[0-9]*; do
        case "$(readlink "$process/cwd")" in
            "$1"/*) kill -s KILL "${process#/proc/}" ;;
        esac
    done
    for file in "$1"/*/data/postmaster.pid; do
        [ -f "$file" ] && sed -n 7p "$file" | while read -r key id; do ipcrm -m "$id"; done
    done
    rm -rf -- "$1" && exit
    sleep 0.1
done
"#;

/// The folder of this process. In the system's folder for temporary files: its path is short enough for a socket, and
/// the account of the servers may go there.
fn home() -> &'static Path {
    static HOME: OnceLock<Home> = OnceLock::new();
    &HOME.get_or_init(make_home).path
}

fn make_home() -> Home {
    let path = env::temp_dir().join(format!("servers-{}", std::process::id()));
    // One of this name is left from a process that had the same number.
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("a folder for temporary files can be made");
    let mut guard = Command::new("sh");
    guard.args(["-c", GUARD, "guard"]).arg(&path).current_dir("/");
    guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    process::set_apart(&mut guard);
    Home { path, _guard: guard.spawn().expect("a shell is installed") }
}
