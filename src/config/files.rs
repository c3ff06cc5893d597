//! The files that a configuration is made of, and what they held when it was read.

use std::{
    collections::HashMap,
    fmt,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use aws_lc_rs::digest;
use zeroize::Zeroizing;

use super::Secret;

/// Every file that was read for a configuration, or could not be, with a fingerprint of its contents.
///
/// Two values are equal if the same files held the same contents.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Files(Vec<Entry>);

#[derive(Clone, PartialEq, Eq)]
struct Entry {
    path: PathBuf,
    /// Its largest size, in bytes.
    most: u64,
    seen: Seen,
}

/// What a file held.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// SHA-256 of its contents.
    Contents([u8; digest::SHA256_OUTPUT_LEN]),
    /// It could not be read, or was too large.
    Nothing,
    /// It is no regular file, such as a pipe: what it gives it gives once, and whoever opens it may wait for ever.
    Once,
}

/// Why a file was not read.
#[derive(Debug)]
pub(super) enum FileError {
    Io(io::Error),
    TooLarge,
}

/// A file in PEM (RFC 7468) as it was read. What is in it is for [`crate::tls`] to judge; it may be a private key.
#[derive(Clone, PartialEq, Eq)]
pub struct Pem {
    /// Which file.
    pub path: PathBuf,
    /// What is in it.
    pub contents: Secret,
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.path, f)
    }
}

impl Files {
    /// The contents of a file of at most `most` bytes, which is remembered either way.
    pub(super) fn read(&mut self, path: &Path, most: u64) -> Result<Vec<u8>, FileError> {
        let once = is_read_once(path);
        let read = read(path, most);
        let seen = if once { Seen::Once } else { Seen::of(read.as_deref().ok()) };
        self.0.push(Entry { path: path.to_owned(), most, seen });
        read
    }

    /// The same files as they are now. One that is named again and again is read once.
    #[must_use]
    pub fn now(&self) -> Self {
        let mut read_now: HashMap<(&Path, u64), Seen> = HashMap::new();
        let seen = |entry: &Entry| {
            if is_read_once(&entry.path) {
                return Seen::Once;
            }
            // It may be a secret.
            let contents = read(&entry.path, entry.most).ok().map(Zeroizing::new);
            Seen::of(contents.as_ref().map(|contents| &contents[..]))
        };
        let mut now = Vec::with_capacity(self.0.len());
        for entry in &self.0 {
            let seen = *read_now.entry((&entry.path, entry.most)).or_insert_with(|| seen(entry));
            now.push(Entry { seen, ..entry.clone() });
        }
        Self(now)
    }

    /// Their paths, in the order of reading; one that is named twice stands there twice.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|entry| entry.path.as_path())
    }
}

impl Seen {
    fn of(contents: Option<&[u8]>) -> Self {
        let Some(contents) = contents else { return Self::Nothing };
        let digest = digest::digest(&digest::SHA256, contents);
        Self::Contents(digest.as_ref().try_into().expect("SHA-256 has a fixed length"))
    }
}

impl fmt::Debug for Files {
    /// The paths alone: a short secret could be guessed from its digest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.paths()).finish()
    }
}

fn is_read_once(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| !metadata.is_file())
}

fn read(path: &Path, most: u64) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes)).map_err(FileError::Io)?;
    if bytes.len() as u64 > most { Err(FileError::TooLarge) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustix::time::{ClockId, clock_gettime};

    use super::*;

    #[test]
    fn a_changed_a_vanished_and_a_new_file_are_seen_and_equal_contents_are_no_change() {
        let directory = tempfile::tempdir().unwrap();
        let [there, missing] = ["there", "missing"].map(|name| directory.path().join(name));
        fs::write(&there, "one").unwrap();
        let mut files = Files::default();
        assert_eq!(files.read(&there, 3).unwrap(), b"one");
        assert!(matches!(files.read(&missing, 3), Err(FileError::Io(_))));
        assert_eq!(files.now(), files);

        let changes: [(&str, fn(&Path, &Path)); 4] = [
            ("other contents", |there, _| fs::write(there, "two").unwrap()),
            ("more contents", |there, _| fs::write(there, "one ").unwrap()),
            ("vanished", |there, _| fs::remove_file(there).unwrap()),
            ("new", |_, missing| fs::write(missing, "").unwrap()),
        ];
        for (change, apply) in changes {
            apply(&there, &missing);
            assert_ne!(files.now(), files, "{change}");
            fs::write(&there, "one").unwrap();
            let _ = fs::remove_file(&missing);
            assert_eq!(files.now(), files, "after {change}");
        }
    }

    #[test]
    fn a_file_that_is_too_large_is_remembered_as_such_and_seen_when_it_shrinks() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "four").unwrap();
        let mut files = Files::default();
        assert!(matches!(files.read(&path, 3), Err(FileError::TooLarge)));
        assert_eq!(files.now(), files, "as long as nothing happens");
        fs::write(&path, "one").unwrap();
        assert_ne!(files.now(), files);
    }

    #[test]
    fn what_is_no_regular_file_is_read_once_and_never_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)
            .unwrap();
        let mut files = Files::default();
        std::thread::scope(|scope| {
            scope.spawn(|| fs::write(&pipe, "one").unwrap());
            assert_eq!(files.read(&pipe, 3).unwrap(), b"one");
        });
        assert_eq!(files.now(), files);
        fs::remove_file(&pipe).unwrap();
        fs::write(&pipe, "one").unwrap();
        assert_ne!(files.now(), files, "now it is a file");
    }

    /// By the time that this thread has computed.
    #[test]
    fn a_file_that_is_named_often_is_looked_at_as_fast_as_one_that_is_named_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, vec![b'x'; 1 << 20]).unwrap();
        let took = |times| {
            let mut files = Files::default();
            (0..times).for_each(|_| assert!(files.read(&path, 1 << 20).is_ok()));
            let computed = || std::time::Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
            let runs = (0..3).map(|_| {
                let began = computed();
                assert_eq!(files.now(), files);
                computed().saturating_sub(began)
            });
            runs.min().unwrap_or_default()
        };
        let (once, often) = (took(1), took(64));
        assert!(often < once * 16, "once took {once:?}, 64 times {often:?}");
    }

    #[test]
    fn what_is_shown_names_paths_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "marked").unwrap();
        let mut files = Files::default();
        let contents = Secret::new(files.read(&path, 100).unwrap());
        let pem = Pem { path: path.clone(), contents };
        assert_eq!(format!("{files:?} {pem:?}"), format!("[{path:?}] {path:?}"));
    }
}
