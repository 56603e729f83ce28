//! Opening an inbox: what kind it is, and reading it.
//!
//! Owns: single files and streams, reading what `folder` has found, the errors. Leaves: where mails
//! begin in a file to `mbox`.
//! Holds: what an error says about a file that is refused is true of it. No more than
//! [`INBOX_BYTES_MAX`] bytes are held, unpacked. Start at [`Inbox::open`].

use super::account::{Account, Form, Reason};
use super::compression::{Compression, UnpackError, unpack};
use super::mbox::{self, Sort, beginning, first_separator, is_header, is_mbox, with_line_feeds};
use super::names::{Named, id_of};
use super::{Inbox, Mail, emlx, folder};
use bytes::Bytes;
use mailstorm_shared::harmless;
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The most mails an inbox may hold: more are refused by name, since a storm keeps them in memory.
pub const MAILS_MAX: usize = 100_000;
/// The most bytes all mails may have together, unpacked.
pub const INBOX_BYTES_MAX: u64 = 1 << 30;
/// The most bytes that a single compressed mail may have, unpacked.
pub const MAIL_UNPACKED_BYTES_MAX: u64 = 64 << 20;

/// What an inbox can be, for errors.
const EXPECTED: &str = "give an mbox file, a mail (.eml, .emlx), a Maildir, or a folder of these";

/// Why an inbox cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum InboxError {
    /// The operating system refused.
    #[error("cannot read the inbox {}: {source}; {EXPECTED}", shown(path))]
    Unreadable {
        /// What was read.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file without a byte, or with blank lines alone.
    #[error("the inbox {} is empty: {EXPECTED}", shown(path))]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A file that begins neither like an mbox nor like a mail.
    #[error(
        "{} is no mbox and no mail: its first line is neither 'From ' with a sender and a date nor a header such as \
         'Subject: ...'; {EXPECTED}",
        shown(path)
    )]
    NoMail {
        /// The file.
        path: PathBuf,
    },
    /// A file that begins with a header, and has lines like those before the mails of an mbox
    /// further down.
    #[error(
        "{} is no mbox, since it does not begin with 'From ', and line {line} begins like a mail of an mbox: \
         take out what stands before it, or name the file .eml if all of it is one mail",
        shown(path)
    )]
    NoMbox {
        /// The file.
        path: PathBuf,
        /// The line that begins like a mail, from 1.
        line: u64,
    },
    /// A file that is compressed with something that is not unpacked here, or damaged.
    #[error("the inbox {} is {}{}: unpack it first", shown(path), packed(*with), if *is_damaged { " and damaged" } else { "" })]
    Compressed {
        /// The file.
        path: PathBuf,
        /// With what.
        with: Compression,
        /// Whether it is of a kind that could be unpacked.
        is_damaged: bool,
    },
    /// Neither a file nor a folder.
    #[error("the inbox {} is neither a file nor a folder: {EXPECTED}", shown(path))]
    NotAFile {
        /// What was given.
        path: PathBuf,
    },
    /// Nothing to process: everything was left out, or nothing is there.
    #[error(
        "the inbox {} holds no mail: {}; expected messages in cur/ or new/, files ending in .eml or .emlx, or \
         mbox files",
        shown(path),
        why_none(account)
    )]
    NoMails {
        /// The file or folder.
        path: PathBuf,
        /// What was left out.
        account: Box<Account>,
    },
    /// More than a storm can keep in memory.
    #[error(
        "the inbox {} is too large: at most {MAILS_MAX} mails and {INBOX_BYTES_MAX} bytes; give a part of it",
        shown(path)
    )]
    TooLarge {
        /// The file or folder.
        path: PathBuf,
    },
    /// A folder with more in it than anybody has mails.
    #[error("the inbox {} has over a million files: give the folder with the mails", shown(path))]
    TooManyFiles {
        /// The folder.
        path: PathBuf,
    },
}

/// A path in a sentence.
fn shown(path: &Path) -> String {
    harmless(&path.display().to_string()).into_owned()
}

fn packed(with: Compression) -> String {
    let name = with.name();
    if with.is_archive() { format!("a {name} archive") } else { format!("compressed with {name}") }
}

fn why_none(account: &Account) -> String {
    let lines = account.told();
    if lines.len() < 2 { "nothing is in it".to_owned() } else { lines[1..].join("; ") }
}

/// Whether a path stands for something that can be read once only: standard input, as `-`, or a
/// pipe.
pub fn is_stream(path: &Path) -> bool {
    path == Path::new("-") || fs::metadata(path).is_ok_and(|meta| is_pipe(&meta))
}

#[cfg(unix)]
fn is_pipe(meta: &Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_fifo(&meta.file_type())
}

#[cfg(not(unix))]
fn is_pipe(_meta: &Metadata) -> bool {
    false
}

impl Inbox {
    /// Reads an mbox file, a single mail, a Maildir, or a folder of all these at any depth.
    ///
    /// # Errors
    /// [`InboxError`] when something cannot be read, or there is no mail.
    pub fn open(path: &Path) -> Result<Self, InboxError> {
        let unreadable = |source| InboxError::Unreadable { path: path.to_owned(), source };
        let kind = fs::metadata(path).map_err(unreadable)?;
        if kind.is_dir() {
            return Reader::new(path).folder();
        }
        if !kind.is_file() && !is_pipe(&kind) {
            return Err(InboxError::NotAFile { path: path.to_owned() });
        }
        let file = File::open(path).map_err(unreadable)?;
        Self::read(file, path)
    }

    /// Reads an mbox or a single mail from a stream; `name` stands for it in ids and errors.
    ///
    /// # Errors
    /// [`InboxError`] when it cannot be read, or is no mail.
    pub fn read(stream: impl Read, name: &Path) -> Result<Self, InboxError> {
        Reader::new(name).single(stream)
    }
}

/// What is read so far.
struct Reader<'a> {
    path: &'a Path,
    mails: Vec<Mail>,
    account: Account,
    bytes_left: u64,
}

impl<'a> Reader<'a> {
    fn new(path: &'a Path) -> Self {
        let account = Account::default();
        Self { path, mails: Vec::new(), account, bytes_left: INBOX_BYTES_MAX }
    }

    fn folder(mut self) -> Result<Inbox, InboxError> {
        let mut places = std::collections::BTreeSet::new();
        for file in folder::walk(self.path, &mut self.account)? {
            let unreadable = |source| InboxError::Unreadable { path: file.path.clone(), source };
            let raw = self.all_of(File::open(&file.path).map_err(unreadable)?, &file.path)?;
            match file.form {
                Form::Mbox => match self.mailbox(raw) {
                    Ok(raw) => self.add_mbox(&raw, &file.id)?,
                    Err(UnpackError::Damaged) => {
                        self.account.leave_out(Reason::Compressed, file.id);
                    }
                    Err(UnpackError::TooLarge) => return Err(self.too_large()),
                },
                form => {
                    // A Maildir and a folder of MH is one place, however many mails it has.
                    let place = match form {
                        Form::Maildir => file.path.parent().and_then(Path::parent),
                        Form::Mh => file.path.parent(),
                        _ => None,
                    };
                    let is_new = place.is_none_or(|place| places.insert(place.to_owned()));
                    let raw = self.unpacked(raw);
                    // Programs save several mails into one such file, too.
                    if form == Form::Eml && is_mbox(&raw) {
                        self.add_mbox(&raw, &file.id)?;
                        continue;
                    }
                    if file.is_by_content && first_separator(&raw).is_some() {
                        self.account.leave_out(Reason::NoMbox, file.id);
                        continue;
                    }
                    let raw = if form == Form::Emlx { emlx::mail_of(&raw) } else { raw };
                    let raw = match form {
                        _ if file.is_by_content => by_content(&raw),
                        Form::Eml | Form::Mh => with_line_feeds(raw),
                        _ => raw,
                    };
                    self.add(form, is_new, Mail { id: file.id, raw })?;
                }
            }
        }
        self.ended()
    }

    fn single(mut self, stream: impl Read) -> Result<Inbox, InboxError> {
        let path = || self.path.to_owned();
        let raw = self.all_of(stream, self.path)?;
        let with = Compression::of(&raw);
        let raw = match self.mailbox(raw) {
            Ok(raw) => raw,
            Err(UnpackError::TooLarge) => return Err(self.too_large()),
            Err(UnpackError::Damaged) => {
                return Err(InboxError::Compressed {
                    path: path(),
                    with: Compression::Gzip,
                    is_damaged: true,
                });
            }
        };
        let with = with.filter(|with| *with != Compression::Gzip).or(Compression::of(&raw));
        if let Some(with) = with {
            return Err(InboxError::Compressed { path: path(), with, is_damaged: false });
        }
        let begin = beginning(&raw);
        if begin == raw.len() {
            return Err(InboxError::Empty { path: path() });
        }
        let name = self.path.file_name().unwrap_or_default();
        let (id, named): (Arc<str>, _) = (id_of(Path::new(name)).into(), Named::of(name));
        match named {
            Named::Emlx => {
                let raw = emlx::mail_of(&raw);
                self.add(Form::Emlx, true, Mail { id, raw })?;
            }
            // A mail that is saved with its line `From ` has that name as well.
            _ if is_mbox(&raw) => self.add_mbox(&raw, &id)?,
            Named::Eml => {
                let raw = with_line_feeds(raw);
                self.add(Form::Eml, true, Mail { id, raw })?;
            }
            _ if is_header(&raw[begin..]) => match first_separator(&raw) {
                None => {
                    let raw = by_content(&raw);
                    self.add(Form::Eml, true, Mail { id, raw })?;
                }
                Some(line) => return Err(InboxError::NoMbox { path: path(), line }),
            },
            _ => return Err(InboxError::NoMail { path: path() }),
        }
        self.ended()
    }

    fn ended(self) -> Result<Inbox, InboxError> {
        if self.mails.is_empty() {
            let (path, account) = (self.path.to_owned(), Box::new(self.account));
            return Err(InboxError::NoMails { path, account });
        }
        Ok(Inbox::with_account(self.mails, self.account))
    }

    /// All bytes of a stream, if there is room for them.
    fn all_of(&mut self, stream: impl Read, path: &Path) -> Result<Bytes, InboxError> {
        let mut bytes = Vec::new();
        stream
            .take(self.bytes_left + 1)
            .read_to_end(&mut bytes)
            .map_err(|source| InboxError::Unreadable { path: path.to_owned(), source })?;
        self.spend(bytes.len())?;
        Ok(bytes.into())
    }

    fn spend(&mut self, bytes: usize) -> Result<(), InboxError> {
        let left = self.bytes_left.checked_sub(bytes as u64).ok_or_else(|| self.too_large())?;
        self.bytes_left = left;
        Ok(())
    }

    fn too_large(&self) -> InboxError {
        InboxError::TooLarge { path: self.path.to_owned() }
    }

    /// A mailbox, unpacked if it is packed with gzip.
    fn mailbox(&mut self, raw: Bytes) -> Result<Bytes, UnpackError> {
        if Compression::of(&raw) != Some(Compression::Gzip) {
            return Ok(raw);
        }
        let unpacked = unpack(&raw, self.bytes_left)?;
        self.bytes_left -= unpacked.len() as u64;
        Ok(unpacked.into())
    }

    /// A mail, unpacked if it can be: what cannot stays as it is, and is a dead letter that says
    /// so.
    fn unpacked(&mut self, raw: Bytes) -> Bytes {
        if Compression::of(&raw) != Some(Compression::Gzip) {
            return raw;
        }
        match unpack(&raw, MAIL_UNPACKED_BYTES_MAX.min(self.bytes_left)) {
            Ok(unpacked) => {
                self.bytes_left -= unpacked.len() as u64;
                unpacked.into()
            }
            Err(_) => raw,
        }
    }

    fn add(&mut self, form: Form, is_new_place: bool, mail: Mail) -> Result<(), InboxError> {
        if self.mails.len() == MAILS_MAX {
            return Err(self.too_large());
        }
        self.mails.push(mail);
        self.account.add_mail(form, is_new_place);
        Ok(())
    }

    fn add_mbox(&mut self, raw: &Bytes, id: &str) -> Result<(), InboxError> {
        let room = MAILS_MAX - self.mails.len();
        let mbox = mbox::split(raw, room + 1);
        if mbox.messages.len() > room {
            return Err(self.too_large());
        }
        self.account.from_lines_as_text += mbox.from_lines_as_text;
        self.account.mails_without_header += mbox.without_header;
        let mut is_new_place = true;
        for (index, message) in mbox.messages.into_iter().enumerate() {
            // By its place in the file, so that what is left out moves no other.
            let id = format!("{id}#{:04}", index + 1).into();
            match message.sort {
                Sort::Program => self.account.leave_out(Reason::ProgramMessage, id),
                Sort::Deleted => self.account.leave_out(Reason::Deleted, id),
                Sort::Mail => {
                    self.add(Form::Mbox, is_new_place, Mail { id, raw: message.raw })?;
                    is_new_place = false;
                }
            }
        }
        Ok(())
    }
}

/// A mail that is known by what it begins with, which is not always its first byte.
fn by_content(raw: &Bytes) -> Bytes {
    with_line_feeds(raw.slice(beginning(raw)..))
}

#[cfg(test)]
mod tests;
