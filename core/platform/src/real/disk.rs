//! A data folder of a real file system.
//!
//! Holds: names are plain, so nothing outside the folder is touched; operations are done on threads
//! where waiting for the disk holds up nobody, and not even other operations: whoever wants an
//! order waits for one before asking for the next; one process has the folder.

use crate::Disk;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The file whose lock says that a process has the folder. It stays when the process ends; the lock
/// does not.
const LOCK: &str = "lock";

/// How many files are kept open between operations.
const OPEN_FILES_MAX: usize = 16;

/// Why a data folder cannot be had. One line each, with what to do next.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The data folder cannot be made or opened.
    #[error("cannot use the data folder {}: {source}: check `data` and its owner", folder.display())]
    Unusable {
        /// Which.
        folder: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process has the data folder.
    #[error("the data folder {} is in use: stop the other server, or give this one its own", folder.display())]
    InUse {
        /// Which.
        folder: PathBuf,
    },
    /// The folder has files, and none of them is a server's.
    #[error("{} is not a data folder (it has {file:?}): choose an empty one for `data`", folder.display())]
    NotOurs {
        /// Which.
        folder: PathBuf,
        /// What is in it.
        file: String,
    },
}

/// A data folder, or none.
#[derive(Clone, Debug)]
pub struct RealDisk(Option<Arc<Folder>>);

#[derive(Debug)]
struct Folder {
    path: PathBuf,
    entries: Mutex<Entries>,
    /// Whether this process made it.
    is_new: bool,
    /// Whether no server had written anything into it.
    was_empty: bool,
    /// Held for as long as the folder is used.
    _lock: File,
}

/// What is known of the files. Nobody waits for the disk while holding it.
#[derive(Debug, Default)]
struct Entries {
    open: BTreeMap<String, Arc<File>>,
    /// Files whose directory entry is not durable yet, each with the number of its making.
    new: BTreeMap<String, u64>,
    made: u64,
}

impl RealDisk {
    /// The folder of a server whose files are told from a stranger's by their names.
    pub(super) fn open(path: &Path, is_ours: impl Fn(&str) -> bool) -> Result<Self, FolderError> {
        let unusable = |source| FolderError::Unusable { folder: path.to_owned(), source };
        let is_new = create_folder(path).map_err(unusable)?;
        let listed = list(path).map_err(unusable)?;
        let was_empty = !listed.iter().any(|name| is_ours(name));
        if was_empty
            && !listed.iter().any(|name| name == LOCK)
            && let Some(stranger) = listed.into_iter().next()
        {
            return Err(FolderError::NotOurs { folder: path.to_owned(), file: stranger });
        }
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).open(path.join(LOCK));
        let lock = lock.map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(FolderError::InUse { folder: path.to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        if !is_the_file(&lock, &path.join(LOCK)) {
            // The process that held this lock ended meanwhile and removed the file.
            return Err(FolderError::InUse { folder: path.to_owned() });
        }
        let entries = Mutex::default();
        let folder = Folder { path: path.to_owned(), entries, is_new, was_empty, _lock: lock };
        Ok(Self(Some(Arc::new(folder))))
    }

    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Does something with the folder on a thread that may wait.
    fn on<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Folder) -> io::Result<T> + Send + 'static,
    ) -> impl Future<Output = io::Result<T>> {
        let folder = self.0.clone();
        let done = tokio::task::spawn_blocking(move || {
            let folder = folder.ok_or(io::ErrorKind::Unsupported)?;
            work(&folder)
        });
        async move { done.await.map_err(io::Error::other)? }
    }

    /// As [`Self::on`], with a file's name that was found to be plain.
    fn on_file<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce(&Folder, &str) -> io::Result<T> + Send + 'static,
    ) -> impl Future<Output = io::Result<T>> {
        let name = name.to_owned();
        self.on(move |folder| {
            check(&name)?;
            work(folder, &name)
        })
    }
}

impl Disk for RealDisk {
    fn list(&self) -> impl Future<Output = io::Result<Vec<String>>> {
        self.on(|folder| {
            let mut names = list(&folder.path)?;
            names.retain(|name| name != LOCK);
            Ok(names)
        })
    }

    fn read(&self, name: &str) -> impl Future<Output = io::Result<Bytes>> {
        self.on_file(name, |folder, name| Ok(Bytes::from(fs::read(folder.path.join(name))?)))
    }

    fn write(&self, name: &str, offset: u64, bytes: Bytes) -> impl Future<Output = io::Result<()>> {
        self.on_file(name, move |folder, name| write_at(&*folder.file(name)?, offset, &bytes))
    }

    fn truncate(&self, name: &str, bytes: u64) -> impl Future<Output = io::Result<()>> {
        self.on_file(name, move |folder, name| folder.file(name)?.set_len(bytes))
    }

    fn sync(&self, name: &str) -> impl Future<Output = io::Result<()>> {
        self.on_file(name, |folder, name| {
            // `sync_data` includes the length; a new file also needs its entry in the folder.
            folder.file(name)?.sync_data()?;
            let is_new = folder.entries().new.contains_key(name);
            if is_new { folder.sync() } else { Ok(()) }
        })
    }

    fn rename(&self, from: &str, to: &str) -> impl Future<Output = io::Result<()>> {
        let to = to.to_owned();
        self.on_file(from, move |folder, from| {
            check(&to)?;
            folder.entries().forget(&to);
            folder.entries().forget(from);
            fs::rename(folder.path.join(from), folder.path.join(&to))
        })
    }

    fn remove(&self, name: &str) -> impl Future<Output = io::Result<()>> {
        self.on_file(name, |folder, name| {
            folder.entries().forget(name);
            match fs::remove_file(folder.path.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        })
    }

    fn sync_folder(&self) -> impl Future<Output = io::Result<()>> {
        self.on(Folder::sync)
    }
}

impl Folder {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        // A panic half-way leaves at worst a file that is no longer kept open.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file of this name, made if it does not exist.
    fn file(&self, name: &str) -> io::Result<Arc<File>> {
        if let Some(file) = self.entries().open.get(name) {
            return Ok(file.clone());
        }
        // Each file is used by one lane, so nobody opens the same meanwhile.
        let path = self.path.join(name);
        let is_new = !path.try_exists()?;
        let options =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path);
        let file = Arc::new(options?);
        let mut entries = self.entries();
        if entries.open.len() >= OPEN_FILES_MAX {
            entries.open.clear();
        }
        if is_new {
            entries.made += 1;
            let made = entries.made;
            entries.new.insert(name.to_owned(), made);
        }
        entries.open.insert(name.to_owned(), file.clone());
        Ok(file)
    }

    /// Makes the names durable that are there now. Those made meanwhile need another sync.
    fn sync(&self) -> io::Result<()> {
        let covered = self.entries().made;
        sync_folder(&self.path)?;
        self.entries().new.retain(|_, made| *made > covered);
        Ok(())
    }
}

impl Drop for Folder {
    /// A first start that is refused leaves nothing behind.
    fn drop(&mut self) {
        let is_empty = self.was_empty
            && list(&self.path).is_ok_and(|names| names.iter().all(|name| name == LOCK));
        if is_empty {
            // Neither does harm if it stays.
            let _ = fs::remove_file(self.path.join(LOCK));
            if self.is_new {
                let _ = fs::remove_dir(&self.path);
            }
        }
    }
}

impl Entries {
    fn forget(&mut self, name: &str) {
        self.open.remove(name);
        self.new.remove(name);
    }
}

/// Makes a folder and those above it that are missing, durably; whether it was missing itself.
fn create_folder(path: &Path) -> io::Result<bool> {
    let missing: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    fs::create_dir_all(path)?;
    for folder in missing.iter().rev() {
        match folder.parent() {
            Some(above) if !above.as_os_str().is_empty() => sync_folder(above)?,
            Some(_) => sync_folder(Path::new("."))?,
            None => {}
        }
    }
    Ok(missing.contains(&path))
}

/// Whether a path still leads to this open file.
#[cfg(unix)]
fn is_the_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let there = fs::metadata(path).map(identity).ok();
    there.is_some() && file.metadata().map(identity).ok() == there
}

/// Elsewhere an open file cannot be removed.
#[cfg(not(unix))]
fn is_the_file(_: &File, _: &Path) -> bool {
    true
}

/// Writes at a place without moving anybody's position in the file.
#[cfg(unix)]
fn write_at(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

/// As above; each file is used by one lane.
#[cfg(not(unix))]
fn write_at(mut file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    use std::io::{Seek, SeekFrom, Write};
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(bytes)
}

/// A name that stays within the folder and means the same on every file system.
fn check(name: &str) -> io::Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if name.is_empty() || name.len() > 100 || name.starts_with('.') || !name.bytes().all(plain) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a plain file name"));
    }
    Ok(())
}

/// The names of all files, sorted.
fn list(path: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    // Elsewhere folders cannot be opened, and renames are durable when they return.
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}
