//! Files that are written whole or not at all.
//!
//! Owns: how every file reaches the disk. Leaves: what is in it to those who make it.
//! Holds: under the name of a file stands all of its text, or what stood there before. A disk that
//! fills up in the middle, or a process that ends there, leaves nothing that looks whole.
//! Start at [`write()`].

use crate::failure::Failure;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes a file whose folders may be missing.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    write_with(path, |file| file.write_all(bytes)).map_err(|error| Failure::writing(path, &error))
}

/// Writes to a file, or to the terminal for `-`.
pub(crate) fn put(file: &Path, text: &str) -> Result<(), Failure> {
    if is_terminal(Some(file)) { crate::print_as_it_is(text) } else { write(file, text.as_bytes()) }
}

/// Whether this stands for standard output.
pub(crate) fn is_terminal(file: Option<&Path>) -> bool {
    file == Some(Path::new("-"))
}

/// Makes sure that this file can be written later. What stands there stays.
pub(crate) fn expect_writable(file: &Path) -> Result<(), Failure> {
    let probe = || {
        make_folder(file)?;
        match kind(file) {
            Kind::Special => File::options().append(true).open(file).map(drop),
            Kind::Fresh(path) => beside(&path, |_, _| Ok(())),
            Kind::Regular(path) => match beside(&path, |_, _| Ok(())) {
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    File::options().append(true).open(&path).map(drop)
                }
                done => done,
            },
        }
    };
    probe().map_err(|error| Failure::writing(file, &error))
}

/// Takes away what stands in a file that is written later, so that nobody takes it for that. A link
/// stays.
pub(crate) fn forget(file: &Path) -> Result<(), Failure> {
    let Kind::Regular(path) = kind(file) else { return Ok(()) };
    let gone = match remove(&path) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => File::create(&path).map(drop),
        done => done,
    };
    gone.map_err(|error| Failure::writing(file, &error))
}

/// Takes a file away, if it is there.
pub(crate) fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What stands under a name.
enum Kind {
    /// Nothing yet, with the name of what a link leads to if it is one.
    Fresh(PathBuf),
    /// A file, with its own name if the one given is a link to it.
    Regular(PathBuf),
    /// A device, a pipe, a folder: nothing that another file could take the place of.
    Special,
}

fn kind(path: &Path) -> Kind {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => {
            Kind::Regular(path.canonicalize().unwrap_or_else(|_| path.to_owned()))
        }
        Ok(_) => Kind::Special,
        // A link to what is not there yet is written through. No link leads round here: that is
        // another error.
        Err(error) if error.kind() == ErrorKind::NotFound => match fs::read_link(path) {
            Ok(to) => kind(&path.with_file_name(to)),
            Err(_) => Kind::Fresh(path.to_owned()),
        },
        Err(_) => Kind::Fresh(path.to_owned()),
    }
}

/// Makes the folder in which this file is to be.
fn make_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.map_or(Ok(()), fs::create_dir_all)
}

fn write_with(path: &Path, fill: impl Fn(&mut File) -> io::Result<()>) -> io::Result<()> {
    make_folder(path)?;
    match kind(path) {
        Kind::Special => fill(&mut File::options().write(true).open(path)?),
        Kind::Fresh(path) => replace(&path, None, &fill),
        Kind::Regular(file) => match replace(&file, fs::metadata(&file).ok(), &fill) {
            // A file that may be written in a folder that may not has no room beside it.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                fill(&mut File::create(&file)?)
            }
            done => done,
        },
    }
}

/// Fills a new file beside this one and lets it take its place, with the rights of the one that it
/// replaces.
fn replace(
    path: &Path,
    old: Option<fs::Metadata>,
    fill: &impl Fn(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    beside(path, |mut file, part| {
        if let Some(old) = &old {
            file.set_permissions(old.permissions())?;
        }
        fill(&mut file)?;
        // Some systems say only here that the disk was full.
        file.flush()?;
        drop(file);
        fs::rename(part, path)
    })
}

/// Makes a new file beside this one, for as long as this takes; its name is given with it.
fn beside(path: &Path, with: impl FnOnce(File, &Path) -> io::Result<()>) -> io::Result<()> {
    /// Files of one process that are written at the same time are told apart by it.
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let part = path.with_file_name(format!(".mailstorm-{}-{number}.part", std::process::id()));
    let made = File::options().write(true).create_new(true).open(&part);
    let done = made.and_then(|file| with(file, &part));
    // It is gone if it took the place of the other. The first failure is the one to tell.
    let _ = fs::remove_file(&part);
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// A disk that is full after the first half.
    fn half(file: &mut File) -> io::Result<()> {
        file.write_all(b"first half, ")?;
        Err(io::Error::from(ErrorKind::StorageFull))
    }

    #[test]
    fn a_file_that_is_cut_short_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sub/case.toml");
        let error = write_with(&file, half).expect_err("the disk is full");
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert_eq!(names(file.parent().unwrap()), <[&str; 0]>::default());
        write(&file, b"whole").unwrap();
        assert_eq!(names(file.parent().unwrap()), ["case.toml"]);
    }

    #[test]
    fn a_file_that_cannot_be_replaced_whole_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("case.toml");
        write(&file, b"before").unwrap();
        write_with(&file, half).expect_err("the disk is full");
        assert_eq!(fs::read_to_string(&file).unwrap(), "before");
        assert_eq!(names(folder.path()), ["case.toml"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link_and_a_device_a_device() {
        use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "before").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        symlink(&file, &link).unwrap();
        write(&link, b"after").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "after");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        write(Path::new("/dev/null"), b"gone").unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_what_is_not_there_yet_is_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        std::os::unix::fs::symlink("file", &link).unwrap();
        expect_writable(&link).unwrap();
        write(&link, b"text").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "text");
        // What was there before is forgotten, and the link still leads to where the new one comes.
        expect_writable(&link).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "text");
        forget(&link).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink() && !file.exists());
        assert_eq!(names(folder.path()), ["link"]);
        write(&link, b"new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        std::os::unix::fs::symlink("round", folder.path().join("round")).unwrap();
        expect_writable(&folder.path().join("round/x")).expect_err("it leads nowhere");
    }

    #[test]
    fn a_place_is_tried_and_what_is_in_it_stays_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deep/result.json");
        expect_writable(&file).unwrap();
        assert!(!file.exists() && file.parent().unwrap().is_dir());
        write(&file, b"old").unwrap();
        expect_writable(&file).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "old");
        forget(&file).unwrap();
        forget(&file).unwrap();
        assert!(!file.exists());
        let below = folder.path().join("deep/result.json/x");
        write(&file, b"in the way").unwrap();
        expect_writable(&below).expect_err("a file is no folder");
    }
}
