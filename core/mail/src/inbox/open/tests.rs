//! What is a mail in files and folders of every kind, and what is left out with which word.

use super::*;
use crate::inbox::MAIL_UNPACKED_BYTES_MAX;
use flate2::Compression as Level;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use tempfile::TempDir;

const LINE: &str = "From ann@example.org Thu Jan  1 00:00:00 2026\n";
const MAIL: &str = "From: ann@example.org\nSubject: note\n\nhello\n";
const PINE: &str = "From MAILER-DAEMON Thu Jan  1 00:00:00 2026\n\
    Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n\nInternal.\n\n";

/// A folder with these files; a name that ends in `/` is a folder.
fn folder_with(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        if name.ends_with('/') {
            fs::create_dir_all(path).unwrap();
        } else {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }
    folder
}

fn ids(inbox: &Inbox) -> Vec<&str> {
    inbox.mails().iter().map(|mail| &*mail.id).collect()
}

fn two_mails() -> String {
    format!("{LINE}{MAIL}\n{LINE}{MAIL}\n")
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Level::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The mails of a folder, and what was left out, as `reason name`.
#[track_caller]
fn check(files: &[(&str, &str)], mails: &[&str], left_out: &[&str]) -> Inbox {
    let folder = folder_with(files);
    check_folder(folder.path(), mails, left_out)
}

#[track_caller]
fn check_folder(folder: &Path, mails: &[&str], left_out: &[&str]) -> Inbox {
    let inbox = Inbox::open(folder).unwrap();
    assert_eq!(ids(&inbox), mails);
    let left = inbox.account().left_out.iter();
    let left: Vec<_> = left
        .flat_map(|(reason, left)| {
            left.names.iter().map(|name| format!("{} {name}", reason.name()))
        })
        .collect();
    assert_eq!(left, left_out);
    assert_eq!(inbox.account().mails(), mails.len() as u64);
    inbox
}

#[test]
fn a_folder_gives_its_mail_files_at_any_depth_in_the_order_of_their_names() {
    let files = [("b.eml", "x"), ("a/z.EML", "y"), ("a/readme.txt", "no")];
    let inbox = check(&files, &["a/z.EML", "b.eml"], &["not_mail a/readme.txt"]);
    assert_eq!(inbox.account().kind(), "2 mail files");
    check(&[("saved.eml", &two_mails())], &["saved.eml#0001", "saved.eml#0002"], &[]);
}

#[test]
fn a_maildir_gives_cur_and_new_by_unique_names_and_not_tmp() {
    let files =
        [("cur/1:2,S", "x"), ("new/2", "y"), ("tmp/3", "half written"), ("cur/4:2,ST", "z")];
    let inbox = check(&files, &["1", "2", "4"], &["in_delivery tmp/3"]);
    assert_eq!(inbox.account().kind(), "1 Maildir");
}

#[test]
fn what_programs_keep_in_a_maildir_is_no_mail() {
    check(
        &[
            ("cur/.DS_Store", "\0\0"),
            ("cur/.nfs000000000000abcd", "x"),
            ("cur/1.M1P1.host,S=120,W=125:2,RSa", MAIL),
            ("new/.mh_sequences", ""),
            ("maildirfolder", ""),
            ("dovecot.index.cache", "\0\u{1}"),
            ("dovecot-uidlist", "3 V1767225600 N2\n"),
            ("subscriptions", "Sent\n"),
            (".hidden/a.eml", MAIL),
        ],
        &["1.M1P1.host,S=120,W=125"],
        &[
            "leading_dot .hidden",
            "leading_dot cur/.DS_Store",
            "leading_dot cur/.nfs000000000000abcd",
            "leading_dot new/.mh_sequences",
            "program_file dovecot-uidlist",
            "program_file dovecot.index.cache",
            "program_file maildirfolder",
            "program_file subscriptions",
        ],
    );
}

#[test]
fn a_mail_that_is_moved_or_flagged_stays_the_same_mail() {
    let before = folder_with(&[("new/9.z.host", MAIL), ("cur/1.a:2,", MAIL)]);
    let after = folder_with(&[("cur/9.z.host:2,S", MAIL), ("cur/1.a:2,RST", MAIL), ("new/", "")]);
    let digest = |folder: &TempDir| Inbox::open(folder.path()).unwrap().digest();
    assert_eq!(digest(&before), digest(&after));
    fs::write(before.path().join("new/10.z.host"), MAIL).unwrap();
    assert_ne!(digest(&before), digest(&after));
}

#[test]
fn of_twins_in_a_maildir_one_is_read_and_that_in_cur_first() {
    let inbox = check(
        &[("new/1.a", "new"), ("cur/1.a:2,S", "cur"), ("cur/2.b:2,", "x"), ("cur/2.b:2,S", "x")],
        &["1.a", "2.b"],
        &["twin cur/2.b:2,S", "twin new/1.a"],
    );
    assert_eq!(&inbox.mails()[0].raw[..], b"cur");
    // The same name in another Maildir is another mail.
    check(&[("cur/1.a:2,S", "x"), (".Sub/cur/1.a:2,S", "y")], &[".Sub/1.a", "1.a"], &[]);
}

#[test]
fn maildirs_are_found_at_any_depth_and_with_every_layout() {
    let inbox = check(
        &[
            ("work/INBOX/cur/1.a.host:2,S", MAIL),
            ("work/INBOX/cur/3.eml", MAIL),
            ("work/INBOX/new/4.c.host", MAIL),
            ("work/INBOX/.Trash/cur/5:2,T", MAIL),
            ("work/INBOX/.Trash/new/", ""),
            ("work/INBOX/Sent/new/6", MAIL),
            ("work/.hidden/7.eml", MAIL),
        ],
        &[
            "work/INBOX/.Trash/5",
            "work/INBOX/1.a.host",
            "work/INBOX/3.eml",
            "work/INBOX/4.c.host",
            "work/INBOX/Sent/6",
        ],
        &["leading_dot work/.hidden"],
    );
    assert_eq!(inbox.account().kind(), "3 Maildirs");
}

#[test]
fn mh_apple_and_mozilla_keep_mails_in_their_own_ways() {
    let inbox = check(
        &[
            ("mh/.mh_sequences", "cur: 1\n"),
            ("mh/1", MAIL),
            ("mh/2", "no header\n"),
            ("mh/,3", MAIL),
            ("loose/7", MAIL),
            ("loose/2024", "a table of the year\n"),
            ("In.mbox/Messages/12.emlx", "12\nSubject: a\n\n<?xml?>"),
            ("In.mbox/Info.plist", "<?xml?>"),
            ("Old.mbox/mbox", &two_mails()),
            ("Mail/Inbox", &two_mails()),
            ("Mail/Inbox.msf", "// <!-- <mdb"),
            ("Mail/Trash", ""),
            ("beside.mbox", &two_mails()),
            ("broken.mbox", MAIL),
            ("empty.mbox", ""),
            ("archive.pst", "!BDN"),
        ],
        &[
            "In.mbox/Messages/12.emlx",
            "Mail/Inbox#0001",
            "Mail/Inbox#0002",
            "Old.mbox/mbox#0001",
            "Old.mbox/mbox#0002",
            "beside.mbox#0001",
            "beside.mbox#0002",
            "loose/7",
            "mh/1",
            "mh/2",
        ],
        &[
            "program_file In.mbox/Info.plist",
            "program_file Mail/Inbox.msf",
            "program_file mh/.mh_sequences",
            "deleted mh/,3",
            "format_not_read archive.pst",
            "no_mbox broken.mbox",
            "empty empty.mbox",
            "not_mail Mail/Trash",
            "not_mail loose/2024",
        ],
    );
    assert_eq!(&inbox.mails()[0].raw[..], b"Subject: a\n\n");
    assert_eq!(inbox.account().kind(), "3 mbox files, 2 MH folders and 1 .emlx file");
}

#[test]
fn messages_of_an_mbox_that_are_no_mail_keep_their_numbers() {
    let folder = folder_with(&[("pine.mbox", &format!("{PINE}{}", two_mails()))]);
    let path = folder.path().join("pine.mbox");
    let left = ["program_message pine.mbox#0001"];
    check_folder(&path, &["pine.mbox#0002", "pine.mbox#0003"], &left);
    let deleted = format!("{LINE}X-Mozilla-Status: 0009\n{MAIL}\n{}", two_mails());
    fs::write(&path, deleted).unwrap();
    check_folder(&path, &["pine.mbox#0002", "pine.mbox#0003"], &["deleted pine.mbox#0001"]);
    fs::write(&path, PINE).unwrap();
    let said = Inbox::open(&path).unwrap_err().to_string();
    assert!(
        said.contains("holds no mail: 1 kept by a mail program in the mailbox: pine.mbox#0001"),
        "{said}"
    );
}

#[test]
fn a_file_is_an_mbox_or_a_mail_by_what_is_in_it() {
    let file = |name: &str, text: &[u8]| {
        let folder = folder_with(&[]);
        fs::write(folder.path().join(name), text).unwrap();
        let inbox = Inbox::open(&folder.path().join(name)).unwrap();
        (ids(&inbox).join(" "), inbox.account().kind())
    };
    let one = |id: &str, kind: &str| (id.to_owned(), kind.to_owned());
    let mbox = "1 mbox file";
    assert_eq!(file("all", two_mails().as_bytes()), one("all#0001 all#0002", mbox));
    let marked = format!("\u{feff}\r\n{}", two_mails());
    assert_eq!(file("x.txt", marked.as_bytes()), one("x.txt#0001 x.txt#0002", mbox));
    let archive = packed(two_mails().as_bytes());
    assert_eq!(file("x.mbox.gz", &archive), one("x.mbox.gz#0001 x.mbox.gz#0002", mbox));
    assert_eq!(file("a.eml", MAIL.as_bytes()), one("a.eml", "1 mail file"));
    assert_eq!(file("a", MAIL.as_bytes()), one("a", "1 mail file"));
    assert_eq!(file("a.eml", b"no header"), one("a.eml", "1 mail file"));
    assert_eq!(file("a.eml.gz", &packed(MAIL.as_bytes())), one("a.eml.gz", "1 mail file"));
    assert_eq!(file("1.emlx", b"5\nA: b\n<?xml"), one("1.emlx", "1 .emlx file"));
    let read = Inbox::read(two_mails().as_bytes(), Path::new("stdin")).unwrap();
    assert_eq!(ids(&read), ["stdin#0001", "stdin#0002"]);
    assert_eq!(ids(&Inbox::read(MAIL.as_bytes(), Path::new("stdin")).unwrap()), ["stdin"]);
}

#[test]
fn what_is_a_mail_or_compressed_by_content_is_told_so_in_a_folder_too() {
    let whole = "From: ann@example.org\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\n\r\nhello\r\n";
    let lost = format!("{}\n{}", whole.replace('\r', ""), two_mails());
    let archive = format!("{:\0<257}ustar\0", "a.eml");
    let folder = folder_with(&[
        ("mail1", whole),
        ("marked", &format!("\u{feff}\n{whole}")),
        ("1.a.host:2,S", whole),
        ("old", &whole.replace("\r\n", "\r")),
        ("page.txt", &whole.replace("Date", "Note")),
        ("recipe.yaml", "from: flour\nto: bread\n"),
        ("code.txt", "From: a\nDate: b\nno header\n"),
        ("lost", &lost),
        ("a.eml", &archive),
        ("all.tar", &archive),
    ]);
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    write("Sent.xz", b"\xfd7zXZ\0...");
    write("mbox.bz2", b"BZh91AY&SY");
    write("all.tar.gz", &packed(archive.as_bytes()));
    write("mails.zip", b"PK\x03\x04...");
    write("letter.docx", b"PK\x03\x04...");
    let inbox = check_folder(
        folder.path(),
        &["1.a.host:2,S", "a.eml", "mail1", "marked", "old"],
        &[
            "compressed Sent.xz",
            "compressed mbox.bz2",
            "archive all.tar",
            "archive all.tar.gz",
            "archive mails.zip",
            "no_mbox lost",
            "perhaps_mail code.txt",
            "perhaps_mail page.txt",
            "perhaps_mail recipe.yaml",
            "not_mail letter.docx",
        ],
    );
    let raw = |id: &str| &inbox.mails().iter().find(|mail| &*mail.id == id).unwrap().raw;
    assert_eq!(raw("old"), whole.replace("\r\n", "\n").as_bytes());
    assert_eq!(raw("mail1"), whole.as_bytes());
    // Given alone, each is what it is in a folder.
    for name in ["mail1", "marked", "old"] {
        let alone = Inbox::open(&folder.path().join(name)).unwrap();
        assert_eq!(alone.mails()[0].raw, raw(name), "{name}");
    }
    for (name, words) in [
        ("Sent.xz", "is compressed with xz: unpack it first"),
        ("all.tar.gz", "is a tar archive: unpack it first"),
        ("mails.zip", "is a zip archive: unpack it first"),
        ("lost", "is no mbox, since it does not begin with 'From '"),
    ] {
        let said = Inbox::open(&folder.path().join(name)).unwrap_err().to_string();
        assert!(said.contains(words), "{name}: {said}");
    }
}

#[test]
fn what_is_no_inbox_is_refused_with_what_is_true_of_it() {
    let lost = format!("Subject: lost\n\n{LINE}Subject: 1\n\n");
    let folder = folder_with(&[
        ("note.txt", "hello\n"),
        ("empty.mbox", ""),
        ("blank.mbox", "\u{feff}\n\r\n"),
        ("nothing/", ""),
        ("notes/a.txt", "hello"),
        ("maildir/cur/", ""),
        ("lost.mbox", &lost),
        ("binary", "\0\u{1}"),
    ]);
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    write("x.mbox.xz", b"\xfd7zXZ\0...");
    let archive = packed(two_mails().as_bytes());
    write("cut.mbox.gz", &archive[..archive.len() / 2]);
    for (name, words) in [
        ("note.txt", "is no mbox and no mail: its first line is neither"),
        ("binary", "is no mbox and no mail"),
        ("absent", "cannot read the inbox"),
        ("empty.mbox", "is empty: give an mbox file"),
        ("blank.mbox", "is empty"),
        ("nothing", "holds no mail: nothing is in it"),
        ("maildir", "holds no mail: nothing is in it"),
        ("notes", "holds no mail: 1 no mail by name and content: a.txt"),
        ("lost.mbox", "is no mbox, since it does not begin with 'From ', and line 3 begins like"),
        ("x.mbox.xz", "is compressed with xz: unpack it first"),
        ("cut.mbox.gz", "is compressed with gzip and damaged: unpack it first"),
    ] {
        let said = Inbox::open(&folder.path().join(name)).unwrap_err().to_string();
        assert!(said.contains(words), "{name}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn compressed_mails_are_unpacked_and_what_cannot_be_stays_as_it_is() {
    let folder = folder_with(&[("new/", "")]);
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    let bomb = packed(&vec![b' '; MAIL_UNPACKED_BYTES_MAX as usize + 1]);
    write("cur/1:2,SZ", &packed(MAIL.as_bytes()));
    write("cur/2:2,SZ", b"\xfd7zXZ\0...");
    write("cur/3:2,SZ", &bomb);
    write("old.mbox.gz", &packed(two_mails().as_bytes()));
    write("old.mbox.xz", b"\xfd7zXZ\0...");
    let mails = ["1", "2", "3", "old.mbox.gz#0001", "old.mbox.gz#0002"];
    let inbox = check_folder(folder.path(), &mails, &["compressed old.mbox.xz"]);
    let raw: Vec<_> = inbox.mails().iter().map(|mail| mail.raw.clone()).collect();
    assert_eq!(raw[0], MAIL);
    assert_eq!(&raw[1][..], b"\xfd7zXZ\0...");
    assert_eq!(raw[2], bomb, "a bomb is not unpacked");
}

#[cfg(unix)]
#[test]
fn links_to_folders_and_mails_are_followed_once() {
    use std::os::unix::fs::symlink;
    let folder = folder_with(&[
        ("real/cur/1.a.host:2,S", MAIL),
        ("real/cur/2.b.host:2,S", MAIL),
        ("linked/new/9.z.host", MAIL),
    ]);
    symlink("../real/cur", folder.path().join("linked/cur")).unwrap();
    check_folder(&folder.path().join("linked"), &["1.a.host", "2.b.host", "9.z.host"], &[]);
    // Nothing is read twice, and the path without links goes first.
    let mails = ["linked/9.z.host", "real/1.a.host", "real/2.b.host"];
    check_folder(folder.path(), &mails, &["linked_again linked/cur"]);
    symlink("..", folder.path().join("real/up")).unwrap();
    symlink("loop", folder.path().join("loop")).unwrap();
    symlink("nowhere", folder.path().join("notes.txt")).unwrap();
    symlink("nowhere", folder.path().join(".#lock")).unwrap();
    symlink("../real/cur/2.b.host:2,S", folder.path().join("linked/a.eml")).unwrap();
    check_folder(
        folder.path(),
        &mails,
        &[
            "leading_dot .#lock",
            "linked_again linked/a.eml",
            "linked_again linked/cur",
            "linked_again real/up",
            "dead_link loop",
            "dead_link notes.txt",
        ],
    );
}

#[cfg(unix)]
#[test]
fn a_link_to_a_mail_that_leads_nowhere_is_an_error() {
    use std::os::unix::fs::symlink;
    let folder = folder_with(&[("a.eml", "x"), ("elsewhere/b", "y")]);
    symlink(folder.path().join("elsewhere/b"), folder.path().join("b.eml")).unwrap();
    check_folder(folder.path(), &["a.eml", "b.eml"], &["not_mail elsewhere/b"]);
    symlink("nowhere", folder.path().join("c.eml")).unwrap();
    let said = Inbox::open(folder.path()).unwrap_err().to_string();
    assert!(said.contains("cannot read") && said.contains("c.eml"), "{said}");
}

#[cfg(unix)]
#[test]
fn a_pipe_in_a_folder_is_left_out_and_never_waited_for() {
    let folder = folder_with(&[("cur/1", MAIL), ("a.eml", MAIL)]);
    let socket = folder.path().join("cur/2");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    check_folder(folder.path(), &["1", "a.eml"], &["not_a_file cur/2"]);
    let said = Inbox::open(&socket).unwrap_err().to_string();
    assert!(said.contains("is neither a file nor a folder"), "{said}");
}

#[cfg(unix)]
#[test]
fn names_that_are_no_text_or_would_be_obeyed_are_written_out_in_ids() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        (&b"\xfe.eml"[..], "2"),
        (b"\xfd.eml", "1"),
        (b"a\x1b[31m\n.eml", "3"),
        ("b\u{202e}.eml".as_bytes(), "4"),
    ] {
        // Some file systems take no such names; then there is nothing to confuse.
        if fs::write(folder.path().join(OsStr::from_bytes(name)), text).is_err() {
            return;
        }
    }
    let ids = [r"\xfd.eml", r"\xfe.eml", r"a\u001b[31m\u000a.eml", r"b\u202e.eml"];
    let inbox = check_folder(folder.path(), &ids, &[]);
    assert_eq!(inbox.mails().iter().map(|m| m.raw[0]).collect::<Vec<_>>(), b"1234");
    let said = Inbox::open(&folder.path().join("\u{1b}[31m")).unwrap_err().to_string();
    assert!(said.contains(r"\u001b[31m"), "{said}");
}

/// Folders of generated trees; the hidden one is no Maildir.
const FOLDERS: [&str; 11] =
    ["", "cur", "new", "tmp", "cur/sub", "a", "a/cur", "a/new", "a/b", ".Sub/cur", ".hidden"];
const NAMES: [&str; 20] = [
    "1.eml",
    "1:2,S",
    "1:2,",
    "1",
    "2",
    ",3",
    ".dot",
    ".mh_sequences",
    "dovecot-uidlist",
    "x.mbox",
    "y.mbox",
    "Inbox",
    "n.txt",
    "x.pst",
    "9.emlx",
    "z.eml.gz",
    "z.mbox.gz",
    "maildirfolder",
    "cur",
    "tmp",
];

proptest! {
    /// Every file is a mail, a mailbox whose messages are counted, or left out; a hidden folder is
    /// one thing.
    #[test]
    fn whatever_lies_in_a_folder_is_a_mail_or_is_counted_under_a_reason(
        files in proptest::collection::btree_set((0..FOLDERS.len(), 0..NAMES.len(), 0..5usize), 1..40),
    ) {
        let mbox = format!("{PINE}{}", two_mails());
        let contents = ["", MAIL, &mbox, "no mail\n", "\0"];
        let root = tempfile::tempdir().unwrap();
        let mut written = BTreeMap::new();
        for (folder, name, content) in files {
            let below = Path::new(FOLDERS[folder]).join(NAMES[name]);
            let path = root.path().join(&below);
            // A name may be taken by a folder, and a folder's by a file.
            let is_free = fs::create_dir_all(path.parent().unwrap()).is_ok() && !path.is_dir();
            if is_free && fs::write(&path, contents[content]).is_ok() {
                written.insert(below, content);
            }
        }
        let account = match Inbox::open(root.path()) {
            Ok(inbox) => {
                let unique: BTreeSet<_> = ids(&inbox).into_iter().collect();
                prop_assert_eq!(unique.len(), inbox.len());
                inbox.account().clone()
            }
            Err(InboxError::NoMails { account, .. }) => *account,
            Err(other) => panic!("{other}"),
        };
        let is_hidden = |path: &&PathBuf| path.starts_with(".hidden");
        let hidden = u64::from(written.keys().any(|path| is_hidden(&path)));
        let seen = written.keys().filter(|path| !is_hidden(path)).count() as u64;
        // A file that was read as an mbox has three messages, of which one is its program's own.
        let (boxes, messages) = account.found.get(&Form::Mbox).copied().unwrap_or_default();
        prop_assert_eq!(messages, 2 * boxes);
        let expected = hidden + seen + 2 * boxes;
        prop_assert_eq!(account.mails() + account.left_out_count(), expected, "{:?}", account);
    }
}
