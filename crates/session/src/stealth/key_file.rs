//! A key in a file, for one machine without `app.key`: made at the first start, found at the next.
//!
//! It is not for production, where instances must share a key and nobody should find out from a log that they do not.
//! Whoever may read the file can make any session, so nobody but its owner may.

use crate::{
    config::{Config, Secret},
    error::Error,
    token,
};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// No key is as long as this.
const LONGEST: usize = 4096;

/// Where the key comes from: the operator is told at start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    /// Made now, by this process: cookies of an earlier key open no more.
    Made,
    Found,
}

/// Reads the key in a file, which is made if it is not there.
///
/// # Errors
///
/// It cannot be read or made, holds no key, or others may read it.
pub(crate) fn read_or_make(path: &Path) -> Result<(Secret, Origin), Error> {
    if let Some(secret) = read(path)? {
        return Ok((secret, Origin::Found));
    }
    let made = make(path)?;
    // Another process may have been faster, so what counts is what stands there now.
    let secret = read(path)?.ok_or_else(|| unmade(path))?;
    Ok((secret, made))
}

fn read(path: &Path) -> Result<Option<Secret>, Error> {
    let name = format!("the key file {}", path.display());
    let unread = |error| Error::config(format!("{name} cannot be read")).with_source(error);
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unread(error)),
    };
    let metadata = file.metadata().map_err(unread)?;
    if !metadata.is_file() {
        return Err(Error::config(format!("{name} is not a file")));
    }
    check_mode(&name, &metadata)?;
    // Room for all at once: growing would leave a part of the key in memory that is given back.
    let mut text = Zeroizing::new(String::with_capacity(LONGEST));
    Read::take(&mut file, LONGEST as u64).read_to_string(&mut text).map_err(unread)?;
    Secret::parse(&name, &text).map(Some)
}

/// Others who may read it may make sessions, and others who may write it may choose the key.
#[cfg(unix)]
fn check_mode(name: &str, metadata: &fs::Metadata) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;

    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Error::config(format!(
            "{name} is open to others (its mode is {mode:o}): whoever reads it can make any session; chmod it to 600, or remove it to have another made"
        )));
    }
    Ok(())
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it may be refused")]
fn check_mode(_: &str, _: &fs::Metadata) -> Result<(), Error> {
    Ok(())
}

/// Makes the file in one step: whole, and never over another.
fn make(path: &Path) -> Result<Origin, Error> {
    let unmade = |error| unmade(path).with_source(error);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        fs::create_dir_all(folder).map_err(unmade)?;
    }
    let (number, key) = (token::random()?, Zeroizing::new(Config::generate_key()?));
    let beside = Beside::write(path, u64::from_ne_bytes(number), &key).map_err(unmade)?;
    // A rename would replace what another process has just made; a link does not.
    match fs::hard_link(&beside.0, path) {
        Ok(()) => Ok(Origin::Made),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Origin::Found),
        Err(error) => Err(unmade(error)),
    }
}

/// A new key under a name that nobody else has, until it is dropped.
struct Beside(PathBuf);

impl Beside {
    fn write(path: &Path, number: u64, key: &str) -> io::Result<Self> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{number:016x}"));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let beside = Self(path.with_file_name(name));
        let mut file = options.open(&beside.0)?;
        file.write_all(key.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        Ok(beside)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Nothing follows from a file that stays: nobody looks for its name.
        let _ = fs::remove_file(&self.0);
    }
}

fn unmade(path: &Path) -> Error {
    Error::config(format!(
        "the key file {} cannot be made; set app.key instead: `openssl rand -hex 32` makes one, and so does `Config::generate_key()`",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;
    use std::{collections::HashSet, sync::Barrier, thread};

    /// A folder of its own for each test, gone afterwards.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let number = u64::from_ne_bytes(token::random().unwrap());
            let folder = std::env::temp_dir().join(format!("dframework-session-{number:016x}"));
            fs::create_dir(&folder).unwrap();
            Self(folder)
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn refused(path: &Path) -> String {
        let error = read_or_make(path).err().unwrap();
        assert!(error.is_config());
        error.to_string()
    }

    #[test]
    fn the_first_start_makes_a_key_and_the_next_one_finds_it() {
        let folder = Folder::new();
        let path = folder.0.join("data/session.key");
        let (made, origin) = read_or_make(&path).unwrap();
        assert_eq!(origin, Origin::Made);
        let (found, origin) = read_or_make(&path).unwrap();
        assert_eq!(origin, Origin::Found);
        assert!(made == found);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.trim_end().len(), 64, "as the operator may put it into app.key");

        let other = folder.0.join("other.key");
        assert!(read_or_make(&other).unwrap().0 != made);
    }

    #[test]
    fn processes_that_start_at_once_agree_and_leave_nothing_behind() {
        for _ in 0..20 {
            let folder = Folder::new();
            let path = folder.0.join("session.key");
            let start = Barrier::new(8);
            let keys: Vec<_> = thread::scope(|scope| {
                let starts = [(); 8].map(|()| {
                    scope.spawn(|| {
                        start.wait();
                        read_or_make(&path).unwrap()
                    })
                });
                starts.map(|started| started.join().unwrap()).into()
            });
            let made = keys.iter().filter(|(_, origin)| *origin == Origin::Made).count();
            assert_eq!(made, 1);
            let different: HashSet<&[u8]> = keys.iter().map(|(key, _)| key.bytes()).collect();
            assert_eq!(different.len(), 1);
            assert_eq!(folder.names(), ["session.key"]);
        }
    }

    #[cfg(unix)]
    #[test]
    fn nobody_but_the_owner_may_read_it() {
        use std::os::unix::fs::PermissionsExt;

        let folder = Folder::new();
        let path = folder.0.join("session.key");
        read_or_make(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        for mode in [0o644, 0o640, 0o602, 0o660, 0o601] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = refused(&path);
            assert!(error.contains("session.key is open to others"), "{error}");
            assert!(error.contains(&format!("{mode:o}")) && error.contains("600"), "{error}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        assert_eq!(read_or_make(&path).unwrap().1, Origin::Found);
    }

    /// Writes a file that only its owner may read.
    fn write(path: &Path, bytes: &[u8]) {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(path).unwrap().write_all(bytes).unwrap();
    }

    #[test]
    fn a_file_that_holds_no_key_is_refused_and_left_as_it_is() {
        let folder = Folder::new();
        let path = folder.0.join("session.key");
        let text = "8a1f4c6e".repeat(8);
        for (bytes, why) in [
            (&b""[..], "shorter than 32 bytes"),
            (b"\n", "shorter than 32 bytes"),
            (b"not a key at all, but some words that somebody wrote", "neither hex nor base64"),
            (text.as_bytes(), "a short pattern"),
            (&[b'a'; 5000], "a short pattern"),
            (&[0xff; 64], "cannot be read"),
        ] {
            write(&path, bytes);
            let error = refused(&path);
            assert!(error.contains("the key file") && error.contains("session.key"), "{error}");
            assert!(error.contains(why), "{error}");
            assert!(!error.contains("words"), "what stands there is not shown: {error}");
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
        let folder_as_file = folder.0.join("folder.key");
        fs::create_dir(&folder_as_file).unwrap();
        assert!(refused(&folder_as_file).contains("is not a file"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_that_cannot_be_made_says_how_else_to_give_a_key() {
        let error = refused(Path::new("/proc/session.key"));
        for part in ["/proc/session.key cannot be made", "app.key", "openssl rand -hex 32"] {
            assert!(error.contains(part), "{error}");
        }
    }
}
