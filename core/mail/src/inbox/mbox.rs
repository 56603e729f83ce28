//! mbox: many mails in one file, each after a line that begins with `From `.
//!
//! Owns: where a mail ends, and which messages are no mails. Leaves: files and ids to `open`.
//! Holds: the file is read once from its beginning to its end; mails without quoting are slices of it.
//!
//! Such a line may be text as well, where whoever wrote the file did not quote it. It begins a mail
//!
//! 1. if it has an address and a date, and a blank line stands before it or a header follows; or
//! 2. if its date is missing, as Mozilla writes it (`From `, `From - `, or an address alone), a blank
//!    line stands before it, and a header follows that mails have.
//!
//! A `Content-Length` goes before both, if it leads to such a line or to the end of the file; a wrong one
//! is ignored. All other lines are text, and are counted. Start at [`split`].

use bytes::Bytes;

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

/// Whether this is the beginning of an mbox.
pub(super) fn is_mbox(head: &[u8]) -> bool {
    head[beginning(head)..].starts_with(FROM)
}

/// Where the first line begins that has something in it: after a byte-order mark and blank lines.
pub(super) fn beginning(bytes: &[u8]) -> usize {
    let mark = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    after_blank_lines(bytes, mark)
}

/// Whether a line like that before a mail stands further down, with a header after it: the number of the
/// first such line, from 1.
pub(super) fn first_separator(bytes: &[u8]) -> Option<u64> {
    let (mut at, mut number, mut is_after_blank) = (0, 1, false);
    while at < bytes.len() {
        let end = line_end(bytes, at);
        if bytes[at..end].starts_with(FROM) && is_separator(bytes, at, is_after_blank) {
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

/// Splits an mbox, whose first line with something in it begins with `From `; stops after so many messages.
pub(crate) fn split(file: &Bytes, messages_max: usize) -> Mbox {
    let mut mbox = Mbox::default();
    let mut at = beginning(file);
    while at < file.len() && mbox.messages.len() < messages_max {
        let begin = line_end(file, at);
        let first = &file[begin..line_end(file, begin)];
        if !mbox.messages.is_empty() && !is_beginning(first) {
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
        mbox.messages.push(Message { raw, sort });
        at = if file[end..].starts_with(FROM) { end } else { after_blank_lines(file, end) };
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
        let (name, value) = (line[..colon].trim_ascii(), value.trim());
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

/// Where the message that begins here ends, and what its header says. Counts the lines that could have
/// been its end and are text.
fn message_end(file: &[u8], begin: usize, as_text: &mut u64) -> (usize, Head) {
    let mut head = Head::default();
    let (mut at, mut is_in_header, mut is_after_blank) = (begin, true, false);
    while at < file.len() {
        let end = line_end(file, at);
        let line = &file[at..end];
        if line.starts_with(FROM) {
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
                let froms = lines(&file[end..body_end]).filter(|line| line.starts_with(FROM));
                let froms = froms.count() as u64;
                *as_text += froms;
                // Who does not quote such lines has quoted none, and what looks quoted is so itself.
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
    if end < file.len() && end > body && file[end - 1] != b'\n' && !is_blank_at(file, end) {
        return None;
    }
    let next = after_blank_lines(file, end);
    (next == file.len() || (file[next..].starts_with(FROM) && is_separator(file, next, true)))
        .then_some(end)
}

/// Whether the line with `From ` that begins here begins a message.
fn is_separator(file: &[u8], at: usize, is_after_blank: bool) -> bool {
    let end = line_end(file, at);
    let next = &file[end..line_end(file, end)];
    match envelope(&file[at + FROM.len()..end]) {
        Envelope::Dated => is_after_blank || is_known_header(next),
        Envelope::Undated => is_after_blank && is_known_header(next),
        Envelope::Text => false,
    }
}

/// What stands after `From `.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Envelope {
    /// An address and a date, as C's `asctime` writes it or RFC 5322.
    Dated,
    /// Nothing, a dash, or an address alone.
    Undated,
    Text,
}

fn envelope(rest: &[u8]) -> Envelope {
    const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    const MONTHS: [&str; 12] =
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    /// More than any such line has.
    const WORDS_MAX: usize = 24;
    let rest = String::from_utf8_lossy(&rest[..rest.len().min(512)]).to_lowercase();
    let words: Vec<&str> = rest.split_whitespace().take(WORDS_MAX).collect();
    let is_undated = match words[..] {
        [] => true,
        [word] => word == "-" || word.contains('@'),
        _ => false,
    };
    if is_undated {
        return Envelope::Undated;
    }
    let is_time = |word: &&str| {
        let parts: Vec<_> = word.split(':').collect();
        let is_number =
            |part: &&str| matches!(part.len(), 1..=2) && part.bytes().all(|b| b.is_ascii_digit());
        matches!(parts.len(), 2..=3) && parts.iter().all(is_number)
    };
    let number = |word: &str| word.trim_end_matches(',').parse::<u32>().ok();
    let date = words.get(1..).unwrap_or_default();
    let has =
        |names: &[&str]| date.iter().any(|word| names.contains(&word.trim_end_matches([',', '.'])));
    let has_day = date.iter().any(|word| number(word).is_some_and(|n| (1..=31).contains(&n)));
    let has_year = date
        .iter()
        .any(|word| word.len() >= 4 && number(word).is_some_and(|n| (1900..3000).contains(&n)));
    if has(&DAYS) && has(&MONTHS) && has_day && has_year && date.iter().any(is_time) {
        Envelope::Dated
    } else {
        Envelope::Text
    }
}

/// Whether this line can be the first of a message: of its header, or of none at all.
fn is_beginning(line: &[u8]) -> bool {
    is_blank(line) || is_known_header(line)
}

/// Whether this line is a header that mails begin with. In text, a word with a colon behind it is common.
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
    let name = line.split(|byte| *byte == b':').next().unwrap_or_default().trim_ascii();
    let name = String::from_utf8_lossy(name).to_lowercase();
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
    bytes.split_inclusive(|byte| *byte == b'\n')
}

/// Where the line ends that begins here: after its line feed.
fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| at + end + 1)
}

fn is_blank(line: &[u8]) -> bool {
    matches!(line, b"\n" | b"\r\n" | b"\r")
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
