//! A folder for what a test leaves behind: a profile, a database.

use super::PATIENCE;
use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

/// A folder that is there as long as this value.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Not in the target folder: the names of the sockets in it would be too long where that lies deep.
    pub(super) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let mut folders = (0..100).map(|_| {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            env::temp_dir().join(format!("demo-browser-{}-{count}", std::process::id()))
        });
        // One that is there already is somebody else's.
        let made = |folder: &PathBuf| fs::create_dir(folder).is_ok();
        Self(folders.find(made).expect("a new folder for temporary files"))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let start = Instant::now();
        // Whoever is just ending may write to it once more.
        while self.0.exists() && start.elapsed() < PATIENCE {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}
