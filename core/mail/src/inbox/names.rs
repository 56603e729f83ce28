//! What names say: the id of a mail, the unique name of a Maildir's file, what a file's ending
//! promises.
//!
//! Holds: an id has no control character and at most [`ID_BYTES_MAX`] bytes; paths that differ only
//! in bytes that are no text have different ids.
//! Start at [`id_of`] and [`Named::of`].

use mailstorm_shared::{StateHasher, harmless};
use std::ffi::OsStr;
use std::fmt::Write;
use std::path::Path;

/// Ids stand in znodes, a hundred in one, and in lines that people read: a longer path is cut in
/// the middle.
pub(super) const ID_BYTES_MAX: usize = 300;

/// The id of what lies there below the inbox, with `/` on every system.
pub(super) fn id_of(below: &Path) -> String {
    let mut id = String::new();
    for part in below.components() {
        if !id.is_empty() {
            id.push('/');
        }
        id.push_str(&text_of(part.as_os_str().as_encoded_bytes()));
    }
    shortened(id)
}

/// A name as text: what is no text is written byte by byte, and what a terminal would obey is
/// written out.
pub(super) fn text_of(name: &[u8]) -> String {
    let mut text = String::new();
    for chunk in name.utf8_chunks() {
        text.push_str(&harmless(chunk.valid()));
        for byte in chunk.invalid() {
            write!(text, "\\x{byte:02x}").expect("writing to a string cannot fail");
        }
    }
    text
}

/// Cut in the middle if it is too long; a hash of the whole keeps it apart from similar ones.
fn shortened(id: String) -> String {
    if id.len() <= ID_BYTES_MAX {
        return id;
    }
    let hash = StateHasher::of(&id);
    let (mut head, mut tail) = (180, id.len() - 100);
    while !id.is_char_boundary(head) {
        head -= 1;
    }
    while !id.is_char_boundary(tail) {
        tail += 1;
    }
    format!("{}..{hash:016x}..{}", &id[..head], &id[tail..])
}

/// Whether a name begins with a dot.
pub(super) fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().first() == Some(&b'.')
}

/// The unique name of a Maildir's file: what stands before its flags. Where a colon cannot be part
/// of a name, programs write `;` or `!` instead.
pub(super) fn unique(name: &OsStr) -> &[u8] {
    const MARKS: [&[u8]; 4] = [b":2,", b":1,", b";2,", b"!2,"];
    let name = name.as_encoded_bytes();
    let flags = name.windows(3).rposition(|mark| MARKS.contains(&mark));
    flags.map_or(name, |flags| &name[..flags])
}

/// What the name of a file promises, outside of a Maildir's `cur` and `new`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// One mail.
    Eml,
    /// One mail of Apple Mail.
    Emlx,
    /// Many mails.
    Mbox,
    /// A number: a mail of MH, if it begins like one.
    Number,
    /// A number with a comma or a hash before it: a mail that MH has deleted.
    DeletedNumber,
    /// A mail program's own.
    ProgramFile,
    /// A mailbox of a format that is not read.
    NotRead,
    /// Nothing: its content decides.
    Unknown,
}

/// Files that mail programs keep beside mails, by their whole names.
const PROGRAM_FILES: [&str; 19] = [
    "subscriptions",
    "maildirfolder",
    "maildirsize",
    "courierimapuiddb",
    "courierimapacl",
    "courierimaphieracl",
    "courierimapsubscribed",
    "sqwebmail-curcache",
    "sqwebmail-curcnt",
    "table_of_contents",
    "info.plist",
    "popstate.dat",
    "msgfilterrules.dat",
    "filterlog.html",
    ".mh_sequences",
    ".mh_profile",
    ".xmhcache",
    ".overview",
    ".marks",
];
/// Whose names begin so.
const PROGRAM_FILE_BEGINNINGS: [&str; 4] = ["dovecot-", "dovecot.", ".dovecot", "cyrus."];
/// Whose names end so.
const PROGRAM_FILE_ENDINGS: [&str; 3] = ["msf", "idx", "toc"];
/// Formats of which it is known that they are mailboxes, and that are not read.
const NOT_READ: [&str; 9] = ["pst", "ost", "msg", "dbx", "mbx", "olm", "nsf", "tnef", "mmdf"];
/// What compression appends.
const PACKED: [&str; 6] = ["gz", "bz2", "xz", "zst", "zstd", "zip"];

impl Named {
    /// What this name promises; what compression has appended does not count.
    pub(super) fn of(name: &OsStr) -> Self {
        let name = name.to_string_lossy().to_lowercase();
        if PROGRAM_FILES.contains(&&*name)
            || PROGRAM_FILE_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
        {
            return Self::ProgramFile;
        }
        let split = |name: &str| name.rsplit_once('.').map(|(a, b)| (a.to_owned(), b.to_owned()));
        let name = match split(&name) {
            Some((stem, ending)) if PACKED.contains(&&*ending) => stem,
            _ => name,
        };
        let is_number = |text: &str| {
            !text.is_empty() && text.len() <= 10 && text.bytes().all(|b| b.is_ascii_digit())
        };
        // Cyrus puts a dot behind the number.
        if is_number(name.strip_suffix('.').unwrap_or(&name)) {
            return Self::Number;
        }
        if name.strip_prefix([',', '#']).is_some_and(is_number) {
            return Self::DeletedNumber;
        }
        match split(&name).map(|(_, ending)| ending).as_deref() {
            Some("eml") => Self::Eml,
            Some("emlx") => Self::Emlx,
            Some("mbox") => Self::Mbox,
            Some(ending) if PROGRAM_FILE_ENDINGS.contains(&ending) => Self::ProgramFile,
            Some(ending) if NOT_READ.contains(&ending) => Self::NotRead,
            _ => Self::Unknown,
        }
    }
}

/// Whether a name says that the file is a zip archive.
pub(super) fn is_zip(name: &OsStr) -> bool {
    name.to_string_lossy().to_lowercase().ends_with(".zip")
}

/// Files that only a folder of MH has.
pub(super) fn is_mh_mark(name: &OsStr) -> bool {
    name == ".mh_sequences" || name == ".xmhcache"
}

#[cfg(test)]
mod tests {
    use super::*;
    use mailstorm_shared::harmless::is_obeyed;
    use proptest::prelude::*;

    #[test]
    fn a_name_promises_what_its_ending_says_whatever_compression_appends() {
        for (names, promised) in [
            (&["a.eml", "a.EML", "a.eml.gz", "a b.eml.xz"][..], Named::Eml),
            (&["1.emlx", "1.partial.emlx"], Named::Emlx),
            (&["a.mbox", "a.mbox.gz"], Named::Mbox),
            (&["1", "12", "12.", "7.gz"], Named::Number),
            (&[",12", "#3"], Named::DeletedNumber),
            (&["dovecot-uidlist", "dovecot.index.log", "Inbox.msf"], Named::ProgramFile),
            (&["archive.pst", "x.MSG"], Named::NotRead),
            (&["Inbox", "mbox", "notes.txt", "a.gz", "", "12345678901"], Named::Unknown),
        ] {
            for name in names {
                assert_eq!(Named::of(OsStr::new(name)), promised, "{name}");
            }
        }
    }

    #[test]
    fn the_unique_name_ends_where_the_flags_begin() {
        for (name, expected) in [
            ("1.M1P1.host,S=120,W=125:2,RSa", "1.M1P1.host,S=120,W=125"),
            ("1.a.host", "1.a.host"),
            ("1.a.host;2,S", "1.a.host"),
            ("1.a:2,b:2,S", "1.a:2,b"),
        ] {
            assert_eq!(unique(OsStr::new(name)), expected.as_bytes());
        }
    }

    #[test]
    fn a_long_path_is_cut_in_the_middle_and_stays_apart_from_its_likes() {
        let long = |middle: char| {
            let folder = "ä".repeat(200);
            id_of(Path::new(&format!("{folder}/{}{middle}/{folder}.eml", "x".repeat(200))))
        };
        assert!(long('a').len() <= ID_BYTES_MAX, "{}", long('a').len());
        assert!(long('a').starts_with("ää") && long('a').ends_with("ä.eml"));
        assert_ne!(long('a'), long('b'));
    }

    #[cfg(unix)]
    proptest! {
        #[test]
        fn any_path_has_an_id_that_can_be_shown(bytes in proptest::collection::vec(1u8.., 1..400)) {
            use std::os::unix::ffi::OsStrExt;
            let id = id_of(Path::new(OsStr::from_bytes(&bytes)));
            prop_assert!(!id.chars().any(is_obeyed), "{id:?}");
            prop_assert!(id.len() <= ID_BYTES_MAX);
        }
    }
}
