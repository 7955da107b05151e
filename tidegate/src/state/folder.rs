//! The folder itself: made with mode 0700, locked by its owner, marked with the format that its content has.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

/// The layout of the folder that this version writes; a greater one is refused.
const FORMAT: u32 = 1;

/// The file that says so.
const MARK: &str = "FORMAT";
const UNFINISHED_MARK: &str = "FORMAT.tmp";
const LOCK: &str = "lock";
/// What a folder may hold while its first owner has not marked it.
const BEFORE_THE_MARK: [&str; 3] = [LOCK, UNFINISHED_MARK, MARK];

/// An open state folder.
#[derive(Debug)]
pub struct StateFolder {
    path: PathBuf,
    descriptor: File,
}

/// Who owns the folder.
#[derive(Debug)]
pub enum Ownership {
    /// This process, until the guard is dropped or the process dies.
    Ours(OwnerLock),
    /// Another live process, which listens on the folder's socket.
    Another,
}

/// The held lock.
#[derive(Debug)]
pub struct OwnerLock {
    _file: File,
}

/// Why a state folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateFolderError {
    /// It cannot be made, entered or written.
    #[error("state folder {path}: {source}; choose another with --state or state.path")]
    NotUsable {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A newer Tidegate wrote it.
    #[error(
        "state folder {path} has format {found}, this version knows up to {FORMAT}; upgrade tidegate, or choose another folder with --state"
    )]
    Newer {
        /// The folder.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// Something else is in it.
    #[error(
        "{path} is not empty and no state folder of tidegate (it has no file FORMAT): nothing in it was changed; choose another folder with --state or state.path"
    )]
    NotAStateFolder {
        /// The folder.
        path: PathBuf,
    },
    /// The mark is not a number.
    #[error("state folder {path}: its file FORMAT says {found:?}, not a number; is it a state folder of tidegate?")]
    NotOurs {
        /// The folder.
        path: PathBuf,
        /// What the mark says.
        found: String,
    },
}

impl StateFolder {
    /// Opens the folder, making it (0700) when it is not there. A folder that holds other things is refused untouched.
    /// # Errors
    /// [`StateFolderError`] when it cannot be used, is something else, or is of a newer version.
    pub fn open(path: &Path) -> Result<Self, StateFolderError> {
        let not_usable = |source| StateFolderError::NotUsable { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(not_usable)?;
        let descriptor = File::open(path).map_err(not_usable)?;
        let metadata = descriptor.metadata().map_err(not_usable)?;
        if !metadata.is_dir() {
            return Err(not_usable(ErrorKind::NotADirectory.into()));
        }
        let folder = Self { path: path.to_owned(), descriptor };
        if !folder.check_format()? {
            folder.require_empty()?;
        }
        if metadata.permissions().mode() & 0o077 != 0 {
            folder.descriptor.set_permissions(std::fs::Permissions::from_mode(0o700)).map_err(not_usable)?;
        }
        Ok(folder)
    }

    /// Its path, as given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the lock, or says that another live process has it. The first owner marks the folder.
    /// # Errors
    /// [`StateFolderError::NotUsable`] when a file cannot be written.
    pub fn claim(&self) -> Result<Ownership, StateFolderError> {
        let not_usable = |source| StateFolderError::NotUsable { path: self.path.clone(), source };
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(self.path.join(LOCK));
        let mut file = file.map_err(not_usable)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                // for people who look; the lock itself is the kernel's
                file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(not_usable)?;
                if !self.check_format()? {
                    self.mark().map_err(not_usable)?;
                }
                Ok(Ownership::Ours(OwnerLock { _file: file }))
            }
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(Ownership::Another),
            Err(error) => Err(not_usable(error.into())),
        }
    }

    /// The socket's path through the folder's open descriptor: a socket address holds 107 bytes, a folder's path any number.
    pub(super) fn socket_path(&self) -> PathBuf {
        use std::os::fd::AsRawFd;
        PathBuf::from(format!("/proc/self/fd/{}/owner.sock", self.descriptor.as_raw_fd()))
    }

    /// Whether the folder is marked, with a format that this version knows. An empty mark is none: it was never written whole
    /// by a version that wrote it in place.
    fn check_format(&self) -> Result<bool, StateFolderError> {
        let text = match std::fs::read_to_string(self.path.join(MARK)) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(source) => return Err(StateFolderError::NotUsable { path: self.path.clone(), source }),
        };
        match text.trim().parse::<u32>() {
            Ok(found) if found > FORMAT => Err(StateFolderError::Newer { path: self.path.clone(), found }),
            Ok(_) => Ok(true),
            Err(_) if text.is_empty() => Ok(false),
            Err(_) => {
                Err(StateFolderError::NotOurs { path: self.path.clone(), found: text.chars().take(40).collect() })
            }
        }
    }

    /// Refuses a folder with something in it that an owner who has not marked it yet does not put there.
    fn require_empty(&self) -> Result<(), StateFolderError> {
        let not_usable = |source| StateFolderError::NotUsable { path: self.path.clone(), source };
        for entry in std::fs::read_dir(&self.path).map_err(not_usable)? {
            let name = entry.map_err(not_usable)?.file_name();
            // a first owner that is about to mark it, or died before
            if !BEFORE_THE_MARK.iter().any(|ours| name == *ours) {
                return Err(StateFolderError::NotAStateFolder { path: self.path.clone() });
            }
        }
        Ok(())
    }

    /// Writes the mark whole or not at all; only the holder of the lock does.
    fn mark(&self) -> std::io::Result<()> {
        let unfinished = self.path.join(UNFINISHED_MARK);
        std::fs::write(&unfinished, format!("{FORMAT}\n"))?;
        std::fs::rename(&unfinished, self.path.join(MARK))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_private_and_has_one_owner() {
        let outside = tempfile::tempdir().unwrap();
        let path = outside.path().join("state");
        let folder = StateFolder::open(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        let first = folder.claim().unwrap();
        assert!(matches!(first, Ownership::Ours(_)));
        assert!(matches!(StateFolder::open(&path).unwrap().claim().unwrap(), Ownership::Another));
        drop(first);
        assert!(matches!(folder.claim().unwrap(), Ownership::Ours(_)));
    }

    #[test]
    fn a_folder_of_a_newer_version_is_refused_with_both_versions() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("FORMAT"), "7\n").unwrap();
        let error = StateFolder::open(outside.path()).unwrap_err().to_string();
        assert!(error.contains("has format 7, this version knows up to 1"), "{error}");
    }

    #[test]
    fn a_file_in_the_folders_place_is_named() {
        let outside = tempfile::tempdir().unwrap();
        let path = outside.path().join("state");
        std::fs::write(&path, "").unwrap();
        assert!(StateFolder::open(&path).unwrap_err().to_string().contains(path.to_str().unwrap()));
    }

    #[test]
    fn a_folder_that_holds_other_things_is_refused_untouched() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::set_permissions(outside.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::write(outside.path().join("notes.txt"), "mine").unwrap();
        let error = StateFolder::open(outside.path()).unwrap_err().to_string();
        assert!(error.contains("is not empty and no state folder of tidegate"), "{error}");
        assert_eq!(std::fs::metadata(outside.path()).unwrap().permissions().mode() & 0o777, 0o755);
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_first_owner_that_died_half_way_leaves_a_folder_that_the_next_one_marks() {
        for left in [&["lock"][..], &["lock", "FORMAT.tmp"], &["lock", "FORMAT"]] {
            let outside = tempfile::tempdir().unwrap();
            for name in left {
                std::fs::write(outside.path().join(name), "").unwrap();
            }
            let folder = StateFolder::open(outside.path()).unwrap();
            assert!(matches!(folder.claim().unwrap(), Ownership::Ours(_)), "{left:?}");
            assert_eq!(std::fs::read_to_string(outside.path().join("FORMAT")).unwrap(), "1\n", "{left:?}");
            assert!(!outside.path().join("FORMAT.tmp").exists());
        }
    }
}
