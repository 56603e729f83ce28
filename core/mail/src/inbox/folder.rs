//! A folder: which of its files are mails or mailboxes, and what is left out.
//!
//! Owns: the walk, and what a file's place and name mean. Leaves: reading to `open`.
//! Holds: every file, and every folder that is not entered, is found or left out, exactly once.
//! What is no link goes before what is one, so that it depends on nothing but names by which of its
//! paths a file is read. A link is followed once, so the walk ends.
//!
//! | a file in | is |
//! |---|---|
//! | `cur` or `new` of a Maildir | a mail, unless its name begins with a dot |
//! | `tmp` of a Maildir | still being delivered |
//! | any other folder | what its name says, or else its first bytes: of an mbox, or of a header |

use super::account::{Account, Form, Reason};
use super::compression::{Compression, unpack_head};
use super::mbox::{beginning, is_header, is_mail, is_mbox};
use super::names::{self, Named, id_of};
use super::open::{INBOX_BYTES_MAX, InboxError, MAILS_MAX};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// More files than this are no inbox but somebody's disk.
const ENTRIES_MAX: usize = 1_000_000;
/// So much of a file is read to see what it is.
const HEAD_BYTES: u64 = 4_096;

/// A file to be read.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) id: Arc<str>,
    pub(super) form: Form,
    /// Whether its name says nothing, and its first bytes are those of a mail.
    pub(super) is_by_content: bool,
}

/// All files of a folder that are to be read, in the order of their ids; what is left out is noted
/// in the account.
pub(super) fn walk(root: &Path, account: &mut Account) -> Result<Vec<Found>, InboxError> {
    let mut walk = Walk {
        root,
        account,
        found: Vec::new(),
        maildirs: BTreeMap::new(),
        seen: BTreeSet::new(),
        folders: vec![(root.to_owned(), PathBuf::new(), Role::Ordinary)],
        links: BTreeMap::new(),
        entries: 0,
        bytes: 0,
    };
    walk.run()?;
    walk.take_maildirs();
    let Walk { mut found, .. } = walk;
    found.sort_unstable_by(|a, b| (&a.id, &a.path).cmp(&(&b.id, &b.path)));
    Ok(found)
}

/// What a folder is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Ordinary,
    /// `cur` or `new` of a Maildir.
    Mails,
    /// `tmp` of a Maildir.
    Delivery,
}

/// Something in a folder.
struct Entry {
    path: PathBuf,
    /// Its path below the inbox.
    below: PathBuf,
    /// That of the folder it lies in.
    role: Role,
    is_in_maildir: bool,
    is_in_mh: bool,
}

impl Entry {
    fn name(&self) -> &OsStr {
        self.below.file_name().unwrap_or_default()
    }
}

/// Files of one unique name: each as it lies below the inbox, and its path.
type Twins = Vec<(PathBuf, PathBuf)>;

struct Walk<'a> {
    root: &'a Path,
    account: &'a mut Account,
    found: Vec<Found>,
    /// The files of each Maildir by their unique names.
    maildirs: BTreeMap<PathBuf, BTreeMap<Vec<u8>, Twins>>,
    /// Folders and files that were read, by their true paths.
    seen: BTreeSet<PathBuf>,
    folders: Vec<(PathBuf, PathBuf, Role)>,
    links: BTreeMap<PathBuf, Entry>,
    entries: usize,
    bytes: u64,
}

impl Walk<'_> {
    fn run(&mut self) -> Result<(), InboxError> {
        loop {
            if let Some((path, below, role)) = self.folders.pop() {
                self.enter(&path, &below, role)?;
            } else if let Some((_, link)) = self.links.pop_first() {
                self.follow(link)?;
            } else {
                return Ok(());
            }
        }
    }

    fn enter(&mut self, path: &Path, below: &Path, role: Role) -> Result<(), InboxError> {
        let unreadable = |source| InboxError::Unreadable { path: path.to_owned(), source };
        let true_path = fs::canonicalize(path).map_err(unreadable)?;
        if !self.seen.insert(true_path.clone()) {
            self.leave_out(Reason::LinkedAgain, below);
            return Ok(());
        }
        let mut entries = Vec::new();
        for entry in fs::read_dir(path).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            entries.push((entry.file_name(), entry.file_type().map_err(unreadable)?));
            self.entries += 1;
            if self.entries > ENTRIES_MAX {
                return Err(InboxError::TooManyFiles { path: self.root.to_owned() });
            }
        }
        entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let is_in_maildir = role == Role::Ordinary && is_maildir(path);
        let is_in_mh = entries.iter().any(|(name, _)| names::is_mh_mark(name));
        for (name, kind) in entries {
            let below = below.join(&name);
            let path = path.join(&name);
            let entry = Entry { path, below, role, is_in_maildir, is_in_mh };
            if kind.is_symlink() {
                self.links.insert(entry.below.clone(), entry);
            } else {
                let meta = fs::symlink_metadata(&entry.path).map_err(|source| {
                    InboxError::Unreadable { path: entry.path.clone(), source }
                })?;
                let true_path = true_path.join(&name);
                self.take(entry, &meta, true_path)?;
            }
        }
        Ok(())
    }

    fn follow(&mut self, link: Entry) -> Result<(), InboxError> {
        let meant = fs::canonicalize(&link.path).and_then(|path| Ok((fs::metadata(&path)?, path)));
        match meant {
            Ok((meta, true_path)) => self.take(link, &meta, true_path),
            Err(source) if is_promised_mail(&link) => {
                // The mail it stands for would be missing.
                Err(InboxError::Unreadable { path: link.path, source })
            }
            Err(_) => {
                let is_hidden = names::is_hidden(link.name());
                let reason = if is_hidden { Reason::LeadingDot } else { Reason::DeadLink };
                self.leave_out(reason, &link.below);
                Ok(())
            }
        }
    }

    /// Takes what lies there, of which `meta` is known and the path without links.
    fn take(
        &mut self,
        entry: Entry,
        meta: &Metadata,
        true_path: PathBuf,
    ) -> Result<(), InboxError> {
        if meta.is_dir() {
            self.take_folder(entry);
            return Ok(());
        }
        let is_hidden = names::is_hidden(entry.name());
        let is_known =
            entry.role == Role::Ordinary && Named::of(entry.name()) == Named::ProgramFile;
        let decided = if entry.role == Role::Delivery {
            Err(Reason::InDelivery)
        } else if is_hidden && !is_known {
            Err(Reason::LeadingDot)
        } else if !meta.is_file() {
            Err(Reason::NotAFile)
        } else if entry.role == Role::Mails {
            Ok(Form::Maildir)
        } else {
            form_of(&entry, meta)?
        };
        match decided {
            Err(reason) => self.leave_out(reason, &entry.below),
            Ok(_) if !self.seen.insert(true_path) => {
                self.leave_out(Reason::LinkedAgain, &entry.below);
            }
            Ok(form) => {
                self.bytes = self.bytes.saturating_add(meta.len());
                let count =
                    self.found.len() + self.maildirs.values().map(BTreeMap::len).sum::<usize>();
                if count >= MAILS_MAX || self.bytes > INBOX_BYTES_MAX {
                    return Err(InboxError::TooLarge { path: self.root.to_owned() });
                }
                self.keep(entry, form);
            }
        }
        Ok(())
    }

    fn take_folder(&mut self, entry: Entry) {
        let name = entry.name();
        let is_called = |expected: &str| name == expected;
        let role = match entry.role {
            Role::Delivery => return self.leave_out(Reason::InDelivery, &entry.below),
            Role::Ordinary if entry.is_in_maildir && (is_called("cur") || is_called("new")) => {
                Role::Mails
            }
            Role::Ordinary if entry.is_in_maildir && is_called("tmp") => Role::Delivery,
            // `.Sub` is a folder of a Maildir++.
            _ if names::is_hidden(name) && !is_maildir(&entry.path) => {
                return self.leave_out(Reason::LeadingDot, &entry.below);
            }
            _ => Role::Ordinary,
        };
        self.folders.push((entry.path, entry.below, role));
    }

    fn keep(&mut self, entry: Entry, form: Form) {
        if form == Form::Maildir {
            let maildir = entry.below.parent().and_then(Path::parent).unwrap_or(Path::new(""));
            let files = self.maildirs.entry(maildir.to_owned()).or_default();
            let twins = files.entry(names::unique(entry.name()).to_owned()).or_default();
            twins.push((entry.below, entry.path));
        } else {
            let id = id_of(&entry.below).into();
            let is_by_content = form == Form::Eml && Named::of(entry.name()) != Named::Eml;
            self.found.push(Found { path: entry.path, id, form, is_by_content });
        }
    }

    /// One mail for each unique name of a Maildir: a mail that was read is in `cur`, and one that
    /// was moved or flagged while somebody listed the folder may be there twice.
    fn take_maildirs(&mut self) {
        for (maildir, files) in std::mem::take(&mut self.maildirs) {
            for (unique, mut twins) in files {
                // `cur` comes before `new`.
                twins.sort_unstable();
                for (below, _) in twins.drain(1..).collect::<Vec<_>>() {
                    self.leave_out(Reason::Twin, &below);
                }
                let (_, path) = twins.swap_remove(0);
                let id = id_of(&maildir.join(names::text_of(&unique))).into();
                let (form, is_by_content) = (Form::Maildir, false);
                self.found.push(Found { path, id, form, is_by_content });
            }
        }
    }

    fn leave_out(&mut self, reason: Reason, below: &Path) {
        self.account.leave_out(reason, id_of(below).into());
    }
}

/// Whether a folder is a Maildir: one that was packed or copied may lack `new` or `cur`.
pub(super) fn is_maildir(path: &Path) -> bool {
    path.join("cur").is_dir() || path.join("new").is_dir()
}

/// Whether a link stands for a mail by its place or its name.
fn is_promised_mail(link: &Entry) -> bool {
    let named = Named::of(link.name());
    let is_mail = matches!(named, Named::Eml | Named::Emlx | Named::Mbox);
    let is_mails = link.is_in_maildir && (link.name() == "cur" || link.name() == "new");
    !names::is_hidden(link.name())
        && (link.role == Role::Mails || is_mails || (link.role == Role::Ordinary && is_mail))
}

/// What a file of an ordinary folder is, by its name and its first bytes.
fn form_of(entry: &Entry, meta: &Metadata) -> Result<Result<Form, Reason>, InboxError> {
    let named = Named::of(entry.name());
    Ok(match named {
        Named::Eml => Ok(Form::Eml),
        Named::Emlx => Ok(Form::Emlx),
        Named::ProgramFile => Err(Reason::ProgramFile),
        Named::NotRead => Err(Reason::FormatNotRead),
        Named::DeletedNumber => Err(Reason::Deleted),
        Named::Mbox if meta.len() == 0 => Err(Reason::Empty),
        Named::Mbox | Named::Number | Named::Unknown => {
            let head = head(&entry.path)
                .map_err(|source| InboxError::Unreadable { path: entry.path.clone(), source })?;
            let begin = beginning(&head);
            match (named, Compression::of(&head)) {
                // Documents of many programs are such archives, too.
                (Named::Unknown, Some(Compression::Zip)) if !names::is_zip(entry.name()) => {
                    Err(Reason::NotMail)
                }
                (_, Some(with)) if with.is_archive() => Err(Reason::Archive),
                (_, Some(_)) => Err(Reason::Compressed),
                _ if is_mbox(&head) => Ok(Form::Mbox),
                (Named::Mbox, _) => Err(Reason::NoMbox),
                (Named::Number, _) if entry.is_in_mh || is_header(&head[begin..]) => Ok(Form::Mh),
                _ if is_mail(&head[begin..]) => Ok(Form::Eml),
                _ if is_header(&head[begin..]) => Err(Reason::PerhapsMail),
                _ => Err(Reason::NotMail),
            }
        }
    })
}

/// The first bytes of a file, unpacked.
fn head(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    File::open(path)?.take(HEAD_BYTES).read_to_end(&mut head)?;
    if Compression::of(&head) == Some(Compression::Gzip) {
        let unpacked = unpack_head(&head, HEAD_BYTES);
        if !unpacked.is_empty() {
            return Ok(unpacked);
        }
    }
    Ok(head)
}
