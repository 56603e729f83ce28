//! mbox: many mails in one file, each after a line that begins with `From `.
//!
//! Owns: where a mail ends, and which messages are no mails. Leaves: what such a line says to
//! `envelope`, files and ids to `open`.
//! Holds: the file is read once from its beginning to its end; mails without quoting are slices of
//! it. Each line with `From ` begins a message or is counted as text, so nothing vanishes silently.
//!
//! Such a line may be text as well, where whoever wrote the file did not quote it. It begins a mail
//!
//! 1. if it has a whole date, after a sender or alone, and a blank line stands before it or a
//!    header follows; or
//! 2. if it has an address and a date with a time in any form, and a header follows; or
//! 3. if it has no more than a date, or an address, or nothing (`From `, `From - `, as Mozilla
//!    writes it), a blank line stands before it, and a header follows.
//!
//! A `Content-Length` goes before these, if it leads to such a line or to the end of the file; a
//! wrong one is ignored. All other lines are text, and are counted. A line ends with LF, CRLF, or
//! CR alone; a byte-order mark before such a line, where files were joined, belongs to it. Start at
//! [`split`].

use super::envelope::{Envelope, envelope};
use bytes::Bytes;
use std::collections::BTreeSet;

/// The mails of a file.
#[derive(Debug, Default)]
pub(crate) struct Mbox {
    /// In the order of the file.
    pub(crate) messages: Vec<Message>,
    /// Lines with `From ` that were taken as text.
    pub(super) from_lines_as_text: u64,
    /// Mails that begin without a header, so that their first line may be text as well.
    pub(super) without_header: u64,
}

/// One message of a file.
#[derive(Debug)]
pub(crate) struct Message {
    /// The message, unquoted, without the line before it.
    pub(crate) raw: Bytes,
    pub(super) sort: Sort,
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Mail,
    /// The folder's own data, which Pine and c-client keep in the first message.
    Program,
    /// Flagged as expunged by Mozilla, which leaves it in the file until the folder is compacted.
    Deleted,
}

/// The flag of `X-Mozilla-Status` for a message that was deleted.
const MOZILLA_EXPUNGED: u32 = 0x0008;

const FROM: &[u8] = b"From ";

/// UTF-8's byte-order mark.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// So many bytes of a message are read to check whether it begins with a header.
const HEADER_BYTES_MAX: usize = 8 << 10;

/// Whether this is the beginning of an mbox.
pub(super) fn is_mbox(head: &[u8]) -> bool {
    is_from(&head[beginning(head)..])
}

/// Where the first line begins that has something in it: after byte-order marks and blank lines.
pub(super) fn beginning(bytes: &[u8]) -> usize {
    let at = after_blank_lines(bytes, 0);
    at + mark_length(&bytes[at..])
}

/// How many bytes the byte-order mark has that stands here, if one does.
fn mark_length(bytes: &[u8]) -> usize {
    if bytes.starts_with(MARK) { MARK.len() } else { 0 }
}

/// Whether the line that begins here has `From ` at its beginning.
fn is_from(line: &[u8]) -> bool {
    line[mark_length(line)..].starts_with(FROM)
}

/// Whether a line like that before a mail stands further down, with a header after it: the number
/// of the first such line, from 1.
pub(super) fn first_separator(bytes: &[u8]) -> Option<u64> {
    let (mut at, mut number, mut is_after_blank) = (0, 1, false);
    while at < bytes.len() {
        let end = line_end(bytes, at);
        if is_from(&bytes[at..end]) && is_separator(bytes, at, is_after_blank) {
            return Some(number);
        }
        is_after_blank = is_blank(&bytes[at..end]);
        (at, number) = (end, number + 1);
    }
    None
}

/// Whether this line is the beginning of a header: a name, a colon.
pub(super) fn is_header(line: &[u8]) -> bool {
    let name = line.iter().take_while(|byte| byte.is_ascii_graphic() && **byte != b':').count();
    let rest = &line[name..];
    let colon = rest.iter().position(|byte| *byte != b' ' && *byte != b'\t');
    name > 0 && name <= 76 && colon.is_some_and(|at| rest[at] == b':')
}

/// Whether a file is a mail by its content: it begins with a header that a blank line ends, and has
/// two lines that mails must have or servers add. Other files begin with names and colons, too.
pub(super) fn is_mail(file: &[u8]) -> bool {
    const TELLING: [&str; 7] =
        ["from", "date", "received", "message-id", "return-path", "delivered-to", "mime-version"];
    let (mut telling, mut place) = (BTreeSet::<&str>::new(), 0);
    for line in lines(file) {
        // Of the last line only the beginning may be known.
        if is_blank(line) || !line.ends_with(b"\n") && !line.ends_with(b"\r") {
            break;
        }
        let is_continued = is_continued(line, place);
        if !is_continued && !is_header(line) {
            return false;
        }
        let name = name_of(line);
        let known = TELLING.iter().find(|known| name.eq_ignore_ascii_case(known.as_bytes()));
        telling.extend(known.filter(|_| !is_continued).copied());
        place += 1;
    }
    telling.len() >= 2
}

/// The name of a header, as it is written.
fn name_of(line: &[u8]) -> &[u8] {
    line.split(|byte| *byte == b':').next().unwrap_or_default().trim_ascii()
}

/// Whether a line at this place of a header goes on with the one before it.
fn is_continued(line: &[u8], place: usize) -> bool {
    place > 0 && (line.starts_with(b" ") || line.starts_with(b"\t"))
}

/// Splits an mbox, whose first line with something in it begins with `From `; stops after so many
/// messages.
pub(crate) fn split(file: &Bytes, messages_max: usize) -> Mbox {
    let mut mbox = Mbox::default();
    let mut at = beginning(file);
    while at < file.len() && mbox.messages.len() < messages_max {
        let begin = line_end(file, at);
        if !mbox.messages.is_empty() && !begins_with_header(&file[begin..]) {
            mbox.without_header += 1;
        }
        let (end, head) = message_end(file, begin, &mut mbox.from_lines_as_text);
        let sort = if head.is_program_message() {
            Sort::Program
        } else if head.mozilla_status & MOZILLA_EXPUNGED != 0 {
            Sort::Deleted
        } else {
            Sort::Mail
        };
        let raw = if head.is_quoted { unquoted(&file[begin..end]) } else { file.slice(begin..end) };
        mbox.messages.push(Message { raw: with_line_feeds(raw), sort });
        at = if is_from(&file[end..]) { end } else { after_blank_lines(file, end) };
    }
    mbox
}

/// What a message's header says that matters here.
#[derive(Default)]
struct Head {
    content_length: Option<usize>,
    mozilla_status: u32,
    has_program_subject: bool,
    has_program_sender: bool,
    has_x_imap: bool,
    /// Whether a line of the message is quoted.
    is_quoted: bool,
}

impl Head {
    fn note(&mut self, line: &[u8]) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return };
        let Ok(value) = std::str::from_utf8(&line[colon + 1..]) else { return };
        let (name, value) = (name_of(line), value.trim());
        let is = |expected: &str| name.eq_ignore_ascii_case(expected.as_bytes());
        if is("content-length") {
            self.content_length = value.parse().ok();
        } else if is("x-mozilla-status") {
            self.mozilla_status = u32::from_str_radix(value, 16).unwrap_or(0);
        } else if is("subject") {
            self.has_program_subject =
                value.starts_with("DON'T DELETE THIS MESSAGE") && value.contains("INTERNAL DATA");
        } else if is("from") {
            self.has_program_sender = value.starts_with("Mail System Internal Data");
        } else if is("x-imap") {
            // `X-IMAPbase`, in contrast, stands in the first real mail.
            self.has_x_imap = true;
        }
    }

    fn is_program_message(&self) -> bool {
        self.has_program_subject || (self.has_program_sender && self.has_x_imap)
    }
}

/// Where the message that begins here ends, and what its header says. Counts the lines that could
/// have been its end and are text.
fn message_end(file: &[u8], begin: usize, as_text: &mut u64) -> (usize, Head) {
    let mut head = Head::default();
    let (mut at, mut is_in_header, mut is_after_blank) = (begin, true, false);
    while at < file.len() {
        let end = line_end(file, at);
        let line = &file[at..end];
        if is_from(line) {
            if is_separator(file, at, is_after_blank) {
                return (at, head);
            }
            *as_text += 1;
        }
        head.is_quoted |= is_quoted(line);
        is_after_blank = is_blank(line);
        if is_in_header && is_after_blank {
            is_in_header = false;
            if let Some(body_end) = head.content_length.and_then(|n| end_by_length(file, end, n)) {
                let froms = lines(&file[end..body_end]).filter(|line| is_from(line));
                let froms = froms.count() as u64;
                *as_text += froms;
                // Who does not quote such lines has quoted none, and what looks quoted is so
                // itself.
                let body = &file[end..body_end];
                head.is_quoted |= froms == 0 && lines(body).any(is_quoted);
                return (body_end, head);
            }
        } else if is_in_header {
            head.note(line);
        }
        at = end;
    }
    (file.len(), head)
}

/// Where a body of so many bytes ends, if that leads to the next message or to the end of the file.
fn end_by_length(file: &[u8], body: usize, length: usize) -> Option<usize> {
    let end = body.checked_add(length).filter(|end| *end <= file.len())?;
    let is_line_end = |byte: u8| byte == b'\n' || byte == b'\r';
    if end < file.len() && end > body && !is_line_end(file[end - 1]) && !is_blank_at(file, end) {
        return None;
    }
    let next = after_blank_lines(file, end);
    (next == file.len() || (is_from(&file[next..]) && is_separator(file, next, true)))
        .then_some(end)
}

/// Whether the line with `From ` that begins here begins a message.
fn is_separator(file: &[u8], at: usize, is_after_blank: bool) -> bool {
    let end = line_end(file, at);
    let has_header = || begins_with_header(&file[end..]);
    match envelope(&file[at + mark_length(&file[at..]) + FROM.len()..end]) {
        Envelope::Dated => is_after_blank || has_header(),
        Envelope::Addressed => has_header(),
        Envelope::Bare => is_after_blank && has_header(),
        Envelope::Text => false,
    }
}

/// Whether a mail's header begins here: with a line that mails begin with, or with a line of any
/// name in a header that has such a line.
fn begins_with_header(message: &[u8]) -> bool {
    let message = &message[..message.len().min(HEADER_BYTES_MAX)];
    for (place, line) in lines(message).enumerate() {
        if is_known_header(line) {
            return true;
        }
        if !is_header(line) && !is_continued(line, place) {
            return false;
        }
    }
    false
}

/// Whether this line is a header that mails begin with. In text, a word with a colon behind it is
/// common.
fn is_known_header(line: &[u8]) -> bool {
    const KNOWN: [&str; 22] = [
        "from",
        "to",
        "cc",
        "bcc",
        "subject",
        "date",
        "sender",
        "reply-to",
        "received",
        "return-path",
        "message-id",
        "in-reply-to",
        "references",
        "mime-version",
        "delivered-to",
        "envelope-to",
        "status",
        "lines",
        "comments",
        "newsgroups",
        "path",
        "authentication-results",
    ];
    if line.starts_with(b">From ") {
        return true;
    }
    if !is_header(line) {
        return false;
    }
    let name = String::from_utf8_lossy(name_of(line)).to_lowercase();
    KNOWN.contains(&&*name)
        || ["x-", "content-", "arc-", "dkim-", "resent-", "list-", "dmarc-", "domainkey-"]
            .iter()
            .any(|beginning| name.starts_with(beginning))
}

/// `>From `, `>>From `: one `>` was put before it.
fn is_quoted(line: &[u8]) -> bool {
    let marks = line.iter().take_while(|byte| **byte == b'>').count();
    marks > 0 && line[marks..].starts_with(FROM)
}

fn unquoted(message: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(message.len());
    for line in lines(message) {
        out.extend_from_slice(if is_quoted(line) { &line[1..] } else { line });
    }
    out.into()
}

/// The lines, each with its end.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let begin = at;
        at = line_end(bytes, begin);
        (begin < at).then(|| &bytes[begin..at])
    })
}

/// Where the line ends that begins here: after its line feed, or after a carriage return that has
/// none.
fn line_end(bytes: &[u8], at: usize) -> usize {
    let end = bytes[at..].iter().position(|byte| matches!(byte, b'\n' | b'\r'));
    let Some(end) = end.map(|end| at + end) else { return bytes.len() };
    // A second carriage return before the line feed is what some transfers put there.
    let feed =
        ["\n", "\r\n", "\r\r\n"].into_iter().find(|feed| bytes[end..].starts_with(feed.as_bytes()));
    end + feed.map_or(1, str::len)
}

/// A message whose lines end with carriage returns alone, as a parser of mails understands it.
pub(super) fn with_line_feeds(message: Bytes) -> Bytes {
    if message.contains(&b'\n') || !message.contains(&b'\r') {
        return message;
    }
    message.iter().map(|byte| if *byte == b'\r' { b'\n' } else { *byte }).collect()
}

/// Whether a line has nothing in it but a byte-order mark.
fn is_blank(line: &[u8]) -> bool {
    matches!(&line[mark_length(line)..], b"\n" | b"\r\n" | b"\r" | b"\r\r\n")
}

fn is_blank_at(bytes: &[u8], at: usize) -> bool {
    is_blank(&bytes[at..line_end(bytes, at)])
}

fn after_blank_lines(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() && is_blank_at(bytes, at) {
        at = line_end(bytes, at);
    }
    at
}

#[cfg(test)]
mod tests;
