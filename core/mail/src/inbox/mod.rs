//! An inbox: the mails that are to be processed, each exactly once.
//!
//! Owns: what of a file, a folder or a stream is a mail, in which order, by which ids, and what was
//! left out. Leaves: judging a mail to `processing`, where what is no mail at all becomes a dead
//! letter.
//! Holds: an inbox is never written and read once. The order and the ids follow from the names
//! alone, so the same inbox is the same on every machine. Everything that lies in a folder is a
//! mail or is counted under the [`Reason`] why it is none. Whatever is read is bounded.
//! Start at [`Inbox::open`]; [`Account`] says what was found.

mod account;
pub mod compression;
mod emlx;
mod envelope;
mod folder;
mod mails;
mod mbox;
mod names;
mod open;

pub use account::{Account, Form, LeftOut, Reason};
pub use mails::{Inbox, Mail};
pub(crate) use mbox::split;
pub use open::{INBOX_BYTES_MAX, InboxError, MAIL_UNPACKED_BYTES_MAX, MAILS_MAX, is_stream};
