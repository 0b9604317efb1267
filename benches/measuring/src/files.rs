//! Files that are there as a whole or not at all, and folders that go with their value.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

/// Writes a file, which nobody ever sees half-written: what was there stays until all of it is.
///
/// # Errors
///
/// The file cannot be written. It is then as it was.
pub fn put(path: &Path, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{}", process::id()));
    let written = fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

/// A folder among those for temporary files. It is removed with its value, also where that goes for a panic.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A new one, which is empty.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn new() -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = env::temp_dir().join(format!("measuring-{}-{number}", process::id()));
            match fs::create_dir(&path) {
                // A process that had this number was ended before it could remove its own.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => return made.map(|()| Self(path)),
            }
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Puts all that is in it into another folder, each file as a whole.
    ///
    /// # Errors
    ///
    /// A file cannot be read or written.
    pub fn put_all_into(&self, other: &Path) -> io::Result<()> {
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            put(&other.join(entry.file_name()), fs::read(entry.path())?)?;
        }
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let folder = Folder::new().unwrap();
        let file = folder.path().join("results");
        for text in ["first", "second"] {
            put(&file, text).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), text);
        }
        assert_eq!(names(folder.path()), ["results"]);
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing() {
        let folder = Folder::new().unwrap();
        let taken = folder.path().join("taken");
        fs::create_dir_all(taken.join("inside")).unwrap();
        assert!(put(&taken, "text").is_err());
        assert_eq!(names(folder.path()), ["taken"]);
    }

    #[test]
    fn files_come_into_another_folder_together() {
        let (drawn, folder) = (Folder::new().unwrap(), Folder::new().unwrap());
        for name in ["one.svg", "two.svg"] {
            put(&drawn.path().join(name), name).unwrap();
        }
        drawn.put_all_into(folder.path()).unwrap();
        assert_eq!(names(folder.path()), ["one.svg", "two.svg"]);
    }

    #[test]
    fn a_folder_goes_also_for_a_panic() {
        let folder = Folder::new().unwrap();
        let path = folder.path().to_owned();
        let panicked = panic::catch_unwind(move || {
            let _folder = folder;
            panic::resume_unwind(Box::new(()));
        });
        assert!(panicked.is_err());
        assert!(!path.exists());
    }
}
