//! An inbox: the mails that are to be processed, each exactly once.
//!
//! Read-only, and read once: an mbox file, a Maildir, or a folder of `.eml` files. The order and the
//! ids follow from the names alone, so the same inbox is the same on every machine.
//! Reading judges nothing: what turns out to be no mail at all becomes a dead letter in processing.

use bytes::Bytes;
use mail_parser::mailbox::mbox::MessageIterator;
use mailstorm_shared::StateHasher;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The most mails an inbox may hold: more are refused by name, since a storm keeps them in memory.
pub const MAILS_MAX: usize = 100_000;
/// The most bytes all mails may have together.
pub const INBOX_BYTES_MAX: u64 = 1 << 30;

/// One mail, unparsed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mail {
    /// Unique in its inbox and stable: the file's path below the inbox, or `name.mbox#0001`.
    pub id: Arc<str>,
    /// As it lies in the inbox.
    pub raw: Bytes,
}

/// Mails in a fixed order, with unique ids. Clones share them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inbox {
    mails: Arc<[Mail]>,
}

/// Why an inbox cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum InboxError {
    /// The operating system refused.
    #[error("cannot read the inbox {}: {source}; give an mbox file, a Maildir, or a folder of .eml files", path.display())]
    Unreadable {
        /// What was read.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that does not begin like an mbox.
    #[error("{} is no mbox: its first line must begin with 'From '; a single mail belongs into a folder as .eml", path.display())]
    NoMbox {
        /// The file.
        path: PathBuf,
    },
    /// Nothing to process.
    #[error("the inbox {} holds no mail: expected messages in cur/ or new/, or files ending in .eml", path.display())]
    Empty {
        /// The file or folder.
        path: PathBuf,
    },
    /// More than a storm can keep in memory.
    #[error("the inbox {} is too large: at most {MAILS_MAX} mails and {INBOX_BYTES_MAX} bytes; give a part of it", path.display())]
    TooLarge {
        /// The file or folder.
        path: PathBuf,
    },
}

impl Inbox {
    /// The inbox of these mails, in this order.
    ///
    /// A mail whose id was taken already gets a number appended, so that ids are unique.
    pub fn new(mails: impl IntoIterator<Item = Mail>) -> Self {
        let mut taken = std::collections::BTreeSet::new();
        let mails = mails
            .into_iter()
            .map(|mut mail| {
                let mut copy = 1;
                while !taken.insert(mail.id.clone()) {
                    copy += 1;
                    let base = mail.id.split('~').next().unwrap_or_default();
                    mail.id = format!("{base}~{copy}").into();
                }
                mail
            })
            .collect();
        Self { mails }
    }

    /// Reads an mbox file, a Maildir (it has `cur` or `new`), or a folder with `.eml` files at any
    /// depth.
    ///
    /// # Errors
    /// [`InboxError`] when something cannot be read, or there is no mail.
    pub fn open(path: &Path) -> Result<Self, InboxError> {
        let unreadable = |source| InboxError::Unreadable { path: path.to_owned(), source };
        let kind = fs::metadata(path).map_err(unreadable)?;
        let mails = if kind.is_file() {
            read_mbox(path)?
        } else if path.join("cur").is_dir() || path.join("new").is_dir() {
            read_files(path, |file| {
                file.parent().and_then(Path::file_name).is_some_and(|f| f == "cur" || f == "new")
            })?
        } else {
            read_files(path, |file| {
                file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("eml"))
            })?
        };
        if mails.is_empty() {
            return Err(InboxError::Empty { path: path.to_owned() });
        }
        Ok(Self::new(mails))
    }

    /// All mails, in order.
    pub fn mails(&self) -> &[Mail] {
        &self.mails
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.mails.len()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.mails.is_empty()
    }

    /// A hash of all ids and bytes, equal for equal inboxes on every machine.
    pub fn digest(&self) -> u64 {
        StateHasher::of(&self.mails)
    }
}

fn read_mbox(path: &Path) -> Result<Vec<Mail>, InboxError> {
    let unreadable = |source| InboxError::Unreadable { path: path.to_owned(), source };
    let file = fs::File::open(path).map_err(unreadable)?;
    let bytes = file.metadata().map_err(unreadable)?.len();
    if bytes > INBOX_BYTES_MAX {
        return Err(InboxError::TooLarge { path: path.to_owned() });
    }
    if bytes == 0 {
        return Ok(Vec::new());
    }
    let mut file = BufReader::new(file);
    // The parser skips whatever comes before the first such line; it could be a mail.
    if !file.fill_buf().map_err(unreadable)?.starts_with(b"From ") {
        return Err(InboxError::NoMbox { path: path.to_owned() });
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut mails = Vec::new();
    for (index, message) in MessageIterator::new(file).enumerate() {
        let message = message.map_err(unreadable)?;
        if index == MAILS_MAX {
            return Err(InboxError::TooLarge { path: path.to_owned() });
        }
        mails.push(Mail {
            id: format!("{name}#{:04}", index + 1).into(),
            raw: message.unwrap_contents().into(),
        });
    }
    Ok(mails)
}

/// All files below `root` that `wanted` accepts, ordered by their path. Symbolic links to folders are
/// not followed, so the walk ends.
fn read_files(root: &Path, wanted: impl Fn(&Path) -> bool) -> Result<Vec<Mail>, InboxError> {
    let too_large = || InboxError::TooLarge { path: root.to_owned() };
    let mut found = Vec::new();
    // Summed up before anything is read: what is too large does not have to fit into the memory first.
    let mut bytes = 0;
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let unreadable = |source| InboxError::Unreadable { path: folder.clone(), source };
        for entry in fs::read_dir(&folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let path = entry.path();
            if entry.file_type().map_err(unreadable)?.is_dir() {
                folders.push(path);
            } else if wanted(&path) {
                // A link that leads nowhere is an error: the mail it stood for would be missing.
                let meant = fs::metadata(&path)
                    .map_err(|source| InboxError::Unreadable { path: path.clone(), source })?;
                if meant.is_file() {
                    bytes += meant.len();
                    found.push(path);
                }
            }
            if found.len() > MAILS_MAX || bytes > INBOX_BYTES_MAX {
                return Err(too_large());
            }
        }
    }
    // Names that differ only where they are no text have one id: their order must not be the folder's.
    found.sort_unstable();
    let mut mails = Vec::with_capacity(found.len());
    for path in found {
        let raw = fs::read(&path)
            .map_err(|source| InboxError::Unreadable { path: path.clone(), source })?;
        let below = path.strip_prefix(root).unwrap_or(&path);
        let id = below
            .components()
            .map(|part| part.as_os_str().to_string_lossy())
            .collect::<Vec<_>>()
            .join("/");
        mails.push(Mail { id: id.into(), raw: raw.into() });
    }
    mails.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(mails)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    fn ids(inbox: &Inbox) -> Vec<&str> {
        inbox.mails().iter().map(|m| &*m.id).collect()
    }

    #[test]
    fn a_folder_gives_its_eml_files_at_any_depth_in_the_order_of_their_names() {
        let folder = folder_with(&[("b.eml", "x"), ("a/z.EML", "y"), ("a/readme.txt", "no")]);
        assert_eq!(ids(&Inbox::open(folder.path()).unwrap()), ["a/z.EML", "b.eml"]);
    }

    #[test]
    fn a_maildir_gives_cur_and_new_but_not_tmp() {
        let folder = folder_with(&[("cur/1:2,S", "x"), ("new/2", "y"), ("tmp/3", "half written")]);
        assert_eq!(ids(&Inbox::open(folder.path()).unwrap()), ["cur/1:2,S", "new/2"]);
    }

    #[test]
    fn an_mbox_is_cut_at_its_from_lines_and_unquoted() {
        let mbox = "From a@example.com Thu Jan  1 00:00:00 1970\nSubject: 1\n\n>From here\n\
                    From b@example.com Thu Jan  1 00:00:00 1970\nSubject: 2\n\nbody\n";
        let folder = folder_with(&[("all.mbox", mbox)]);
        let inbox = Inbox::open(&folder.path().join("all.mbox")).unwrap();
        assert_eq!(ids(&inbox), ["all.mbox#0001", "all.mbox#0002"]);
        assert!(inbox.mails()[0].raw.ends_with(b"\nFrom here\n"));
    }

    #[test]
    fn what_is_no_inbox_is_refused_with_a_next_step() {
        let folder = folder_with(&[("note.txt", "hello\n")]);
        let said = |path: &Path| Inbox::open(path).unwrap_err().to_string();
        assert!(said(folder.path()).contains("holds no mail"));
        assert!(said(&folder.path().join("note.txt")).contains("is no mbox"));
        assert!(said(&folder.path().join("absent")).contains("cannot read"));
    }

    #[test]
    fn a_file_with_something_before_its_first_from_line_is_no_mbox() {
        let mbox = "Subject: lost\n\nFrom a@example.com Thu Jan  1 00:00:00 1970\nSubject: 1\n\n";
        let folder = folder_with(&[("all.mbox", mbox), ("empty.mbox", "")]);
        let said = |name| Inbox::open(&folder.path().join(name)).unwrap_err().to_string();
        assert!(said("all.mbox").contains("is no mbox"));
        assert!(said("empty.mbox").contains("holds no mail"));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_a_mail_is_followed_and_one_that_leads_nowhere_is_an_error() {
        use std::os::unix::fs::symlink;
        let folder = folder_with(&[("a.eml", "x"), ("elsewhere/b", "y")]);
        symlink(folder.path().join("elsewhere/b"), folder.path().join("b.eml")).unwrap();
        assert_eq!(ids(&Inbox::open(folder.path()).unwrap()), ["a.eml", "b.eml"]);
        symlink("nowhere", folder.path().join("c.eml")).unwrap();
        let said = Inbox::open(folder.path()).unwrap_err().to_string();
        assert!(said.contains("cannot read") && said.contains("c.eml"), "{said}");
    }

    #[cfg(unix)]
    #[test]
    fn names_that_are_no_text_give_the_same_ids_however_the_folder_lists_them() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [(&b"\xfe.eml"[..], "2"), (b"\xfd.eml", "1")] {
            // Some file systems take no such names; then there is nothing to confuse.
            if fs::write(folder.path().join(OsStr::from_bytes(name)), text).is_err() {
                return;
            }
        }
        let inbox = Inbox::open(folder.path()).unwrap();
        assert_eq!(inbox.mails().iter().map(|m| &m.raw[..]).collect::<Vec<_>>(), [b"1", b"2"]);
        assert_ne!(inbox.mails()[0].id, inbox.mails()[1].id);
    }

    #[test]
    fn a_digest_tells_inboxes_apart_by_ids_bytes_and_order() {
        let mail = |id: &str, raw: &'static str| Mail { id: id.into(), raw: raw.into() };
        let digest = |mails: &[Mail]| Inbox::new(mails.to_vec()).digest();
        let (a, b) = (mail("a", "x"), mail("b", "y"));
        let both = digest(&[a.clone(), b.clone()]);
        assert_eq!(both, digest(&[a.clone(), b.clone()]));
        for other in [
            &[b.clone(), a.clone()][..],
            &[mail("a", "x")],
            &[a, mail("b", "z")],
            &[mail("a", "xby")],
        ] {
            assert_ne!(both, digest(other));
        }
    }

    #[test]
    fn two_mails_never_share_an_id() {
        let mail = |id: &str| Mail { id: id.into(), raw: Bytes::new() };
        let inbox = Inbox::new([mail("a"), mail("a"), mail("a~2"), mail("a")]);
        assert_eq!(ids(&inbox), ["a", "a~2", "a~3", "a~4"]);
    }
}
