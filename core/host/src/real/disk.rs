//! A data folder of a real file system.
//!
//! Holds: names are plain, so nothing outside the folder is touched; operations are done one at a time,
//! on a thread where waiting for the disk holds up nobody; one process has the folder.

use crate::{Disk, HostError};
use bytes::Bytes;
use mailstorm_coordination::storage::FileName;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::future::Future;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The file whose lock says that a process has the folder. It stays when the process ends; the lock does
/// not.
const LOCK: &str = "lock";

/// How many files are kept open between operations.
const OPEN_FILES_MAX: usize = 16;

/// A data folder, or none.
#[derive(Clone, Debug)]
pub struct RealDisk(Option<Arc<Mutex<Folder>>>);

#[derive(Debug)]
struct Folder {
    path: PathBuf,
    open: BTreeMap<String, File>,
    /// Files whose directory entry is not durable yet.
    new: BTreeSet<String>,
    /// Held for as long as the folder is used.
    _lock: File,
}

impl RealDisk {
    pub(super) fn open(path: &Path) -> Result<Self, HostError> {
        let unusable = |source| HostError::Folder { folder: path.to_owned(), source };
        fs::create_dir_all(path).map_err(unusable)?;
        let listed = list(path).map_err(unusable)?;
        let ours = |name: &String| name == LOCK || FileName::parse(name).is_some();
        if !listed.iter().any(ours)
            && let Some(stranger) = listed.into_iter().next()
        {
            return Err(HostError::NotOurs { folder: path.to_owned(), file: stranger });
        }
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).open(path.join(LOCK));
        let lock = lock.map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(HostError::InUse { folder: path.to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        let folder = Folder {
            path: path.to_owned(),
            open: BTreeMap::new(),
            new: BTreeSet::new(),
            _lock: lock,
        };
        Ok(Self(Some(Arc::new(Mutex::new(folder)))))
    }

    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Does something with the folder on a thread that may wait.
    fn on<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Folder) -> io::Result<T> + Send + 'static,
    ) -> impl Future<Output = io::Result<T>> {
        let folder = self.0.clone();
        let done = tokio::task::spawn_blocking(move || {
            let folder = folder.ok_or(io::ErrorKind::Unsupported)?;
            // A panic half-way leaves at worst a file that is no longer kept open.
            let mut folder = folder.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut folder)
        });
        async move { done.await.map_err(io::Error::other)? }
    }

    /// As [`Self::on`], with a file's name that was found to be plain.
    fn on_file<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce(&mut Folder, &str) -> io::Result<T> + Send + 'static,
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
        self.on_file(name, move |folder, name| {
            let file = folder.file(name)?;
            file.seek(SeekFrom::Start(offset))?;
            file.write_all(&bytes)
        })
    }

    fn truncate(&self, name: &str, bytes: u64) -> impl Future<Output = io::Result<()>> {
        self.on_file(name, move |folder, name| folder.file(name)?.set_len(bytes))
    }

    fn sync(&self, name: &str) -> impl Future<Output = io::Result<()>> {
        self.on_file(name, |folder, name| {
            // `sync_data` includes the length; a new file also needs its entry in the folder.
            folder.file(name)?.sync_data()?;
            if folder.new.contains(name) {
                sync_folder(&folder.path)?;
                folder.new.remove(name);
            }
            Ok(())
        })
    }

    fn rename(&self, from: &str, to: &str) -> impl Future<Output = io::Result<()>> {
        let to = to.to_owned();
        self.on_file(from, move |folder, from| {
            check(&to)?;
            folder.forget(&to);
            folder.forget(from);
            fs::rename(folder.path.join(from), folder.path.join(&to))
        })
    }

    fn remove(&self, name: &str) -> impl Future<Output = io::Result<()>> {
        self.on_file(name, |folder, name| {
            folder.forget(name);
            match fs::remove_file(folder.path.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        })
    }

    fn sync_folder(&self) -> impl Future<Output = io::Result<()>> {
        self.on(|folder| {
            sync_folder(&folder.path)?;
            folder.new.clear();
            Ok(())
        })
    }
}

impl Folder {
    /// The file of this name, made if it does not exist.
    fn file(&mut self, name: &str) -> io::Result<&mut File> {
        if !self.open.contains_key(name) {
            if self.open.len() >= OPEN_FILES_MAX {
                self.open.clear();
            }
            let path = self.path.join(name);
            let is_new = !path.try_exists()?;
            let file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .read(true)
                .write(true)
                .open(path)?;
            if is_new {
                self.new.insert(name.to_owned());
            }
            self.open.insert(name.to_owned(), file);
        }
        Ok(self.open.get_mut(name).expect("opened above"))
    }

    fn forget(&mut self, name: &str) {
        self.open.remove(name);
        self.new.remove(name);
    }
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
