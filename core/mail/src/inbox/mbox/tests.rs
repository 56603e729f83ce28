//! Where mails begin and end in mbox files of every variant.

use super::*;
use proptest::prelude::*;

/// The line before a mail.
const LINE: &str = "From ann@example.org Thu Jan  1 00:00:00 2026\n";

fn parted(file: &str) -> Mbox {
    assert!(is_mbox(file.as_bytes()), "{file}");
    split(&Bytes::copy_from_slice(file.as_bytes()), 1_000)
}

/// The subjects of the mails, and how many lines with `From ` are text; whatever lines end with.
#[track_caller]
fn check(file: &str, expected: &[&str], as_text: u64) {
    for end in ["\n", "\r\n", "\r", "\r\r\n"] {
        let file = file.replace('\n', end);
        let mbox = parted(&file);
        let subject = |message: &Message| {
            let text = String::from_utf8_lossy(&message.raw).into_owned();
            let line = text.lines().find_map(|line| line.strip_prefix("Subject: "));
            let mark = match message.sort {
                Sort::Mail => "",
                Sort::Program => " (program)",
                Sort::Deleted => " (deleted)",
            };
            format!("{}{mark}", line.unwrap_or("none").trim_end())
        };
        let subjects: Vec<_> = mbox.messages.iter().map(subject).collect();
        assert_eq!(subjects, expected, "{file}");
        assert_eq!(mbox.from_lines_as_text, as_text, "{file}");
    }
}

fn mail(subject: &str, body: &str) -> String {
    format!("{LINE}Subject: {subject}\n\n{body}\n")
}

#[test]
fn text_that_begins_with_from_is_text_after_a_blank_line_or_not() {
    let two = |body: &str| mail("1", body) + &mail("2", "x\n");
    check(&two("Dear Bob,\n\nFrom now on you can use the door.\nBye\n"), &["1", "2"], 1);
    check(&two("Dear Bob,\nFrom now on you can use the door.\nBye\n"), &["1", "2"], 1);
    check(&two("\nFrom here on: see below\nSubject: to change\n"), &["1", "2"], 1);
    check(&two("\nFrom bob@example.org\nis how it begins\n"), &["1", "2"], 1);
    check(&two("\nFrom Jan 5 on we meet at 12:00 in 2026\n"), &["1", "2"], 1);
    check(&two("a\nFrom carl@example.org Fri Jan  2 00:00:00 2026\nin text\n"), &["1", "2"], 1);
    check(&two("\nFrom the meeting on 2 Jan 2024 10:00\nSubject: to change\n"), &["1", "2"], 1);
    check(&two("\nFrom bob@example.org we heard at 12:00:\nSubject: to change\n"), &["1", "2"], 1);
    check(&two("\nFrom 2 Jan 2024 on\nSubject: to change\n"), &["1", "2"], 1);
    check(&two("a\nFrom ann 2 Jan 2024 00:00:00\nSubject: quoted\n"), &["1", "2"], 1);
    check(&two("From\n From x\n>From y\nfrom z\n"), &["1", "2"], 0);
}

#[test]
fn a_line_with_address_and_date_begins_a_mail_in_every_way_it_is_written() {
    for line in [
        "From ann@example.org Thu Jan  1 00:00:00 2026",
        "From ann@example.org Thu, 1 Jan 2026 00:00:00 +0000",
        "From 1790000000000000000@xxx Thu Jan 01 00:00:00 +0000 2026",
        "From MAILER-DAEMON Thu Jan  1 00:00 2026",
        "From Ann Example <ann@example.org> Thu Jan  1 00:00:00 CET 2026",
        "From ann Thu Jan  1 00:00:00 2026 remote from host",
        "From - Thu Jan 01 00:00:00 2026",
        "From -",
        "From - ",
        "From ",
        "From ann@example.org",
        "From d@e.f 2 Jan 2024 00:00:00 +0000",
        "From d@e.f Tue, 02 Jan 24 00:00:00 GMT",
        "From d@e.f 2024-01-02T00:00:00Z",
        "From d@e.f 2024-01-02 00:00:00",
        "From d@e.f 2024-01-02",
        "From d 2 Jan 2024 00:00",
        "From Tue Jan  2 00:00:00 2024",
    ] {
        check(&format!("{}{line}\nSubject: 2\n\nx\n", mail("1", "x\n")), &["1", "2"], 0);
    }
    // Some programs put no blank line before it.
    check(&format!("{LINE}Subject: 1\n\nx\n{LINE}Subject: 2\n\nx\n"), &["1", "2"], 0);
    // A mail may have no body, and no header.
    check(&format!("{LINE}Subject: 1\n{LINE}Subject: 2\n"), &["1", "2"], 0);
    check(&format!("{LINE}\n{LINE}\n{LINE}Subject: 3\n"), &["none", "none", "3"], 0);
}

#[test]
fn a_mail_that_begins_with_no_header_is_counted_since_it_may_be_text() {
    let file = mail("1", &format!("one line is\n\n{LINE}as you see\n")) + &mail("2", "x\n");
    let mbox = parted(&file);
    assert_eq!((mbox.messages.len(), mbox.without_header, mbox.from_lines_as_text), (3, 1, 0));
    assert_eq!(parted(&mail("1", "x\n")).without_header, 0);
    let alone = mail("1", &format!("one line is\n\n{LINE}\nas you see\n"));
    assert_eq!((parted(&alone).messages.len(), parted(&alone).without_header), (2, 1));
    // A header that is not known is one in a header that has a known line.
    let other = |header: &str| mail("1", "x\n") + &format!("{LINE}{header}\n\nx\n");
    for (header, without) in [
        ("Priority: urgent\n folded\nSubject: 2", 0),
        ("Priority: urgent\nOrganization: none", 1),
        ("Note: x\nno header\nSubject: 2", 1),
    ] {
        assert_eq!(parted(&other(header)).without_header, without, "{header}");
    }
}

#[test]
fn a_length_that_leads_to_the_next_mail_or_the_end_goes_before_the_look_of_lines() {
    let body = format!("Dear Bob,\n\n{LINE}is how it looks.\n>From stays\n");
    let sized = |length: usize| {
        format!("{LINE}Content-Length: {length}\nSubject: 1\n\n{body}\n{}", mail("2", "x\n"))
    };
    // Lengths differ with the ends of lines, so CRLF is not tried here.
    let mbox = parted(&sized(body.len()));
    assert_eq!((mbox.messages.len(), mbox.from_lines_as_text, mbox.without_header), (2, 1, 0));
    assert!(mbox.messages[0].raw.ends_with(b"\n>From stays\n"), "nothing is quoted here");
    for wrong in [0, 1, body.len() - 2, body.len() + 2, 1 << 40, usize::MAX] {
        assert_eq!(parted(&sized(wrong)).messages.len(), 3, "{wrong}");
    }
    let last = format!("{LINE}Content-Length: 2\n\nx\n");
    for end in ["", "\n", "\n\n"] {
        assert_eq!(
            &parted(&format!("{last}{end}")).messages[0].raw[..],
            b"Content-Length: 2\n\nx\n"
        );
    }
    // A length that would swallow a whole mail does not do so silently.
    let two = mail("2", "x\n");
    let file = format!("{LINE}Content-Length: {}\n\nx\n\n{two}{two}", two.len() + 3);
    let mbox = parted(&file);
    assert_eq!((mbox.messages.len(), mbox.from_lines_as_text), (2, 1));
}

#[test]
fn one_mark_is_taken_from_quoted_lines() {
    let mbox = parted(&mail("1", ">From a\n>>From b\n> From c\n>Fromage\n"));
    assert!(mbox.messages[0].raw.ends_with(b"\n\nFrom a\n>From b\n> From c\n>Fromage\n\n"));
}

#[test]
fn a_byte_order_mark_and_blank_lines_stand_before_no_mail() {
    for before in ["", "\u{feff}", "\n", "\n\n", "\u{feff}\n"] {
        check(&format!("{before}{}{}", mail("1", "x\n"), mail("2", "x\n")), &["1", "2"], 0);
    }
    for none in ["", "\n", "Subject: x\n", " From x\n", "\u{feff}", "from x"] {
        assert!(!is_mbox(none.as_bytes()), "{none:?}");
    }
}

#[test]
fn files_that_were_joined_keep_all_their_mails_whatever_marks_and_line_ends_each_has() {
    let two = mail("1", "x\n") + &mail("2", "y\n");
    let marked = format!("\u{feff}{two}");
    let six = ["1", "2", "1", "2", "1", "2"];
    check(&marked.repeat(3), &six, 0);
    check(&format!("{}\u{feff}From now on\n", mail("1", "x\n")), &["1"], 1);
    let ends = ["\n", "\r\n", "\r"];
    let joined: String = ends.iter().map(|end| marked.replace('\n', end)).collect();
    let mbox = parted(&joined);
    assert_eq!((mbox.messages.len(), mbox.from_lines_as_text), (6, 0));
    for message in &mbox.messages {
        let raw = String::from_utf8_lossy(&message.raw).replace('\r', "");
        assert!(raw.starts_with("Subject: ") && raw.ends_with("\n\n"), "{raw:?}");
        assert_eq!(raw.lines().count(), 4, "{raw:?}");
    }
}

#[test]
fn what_a_mail_program_keeps_for_itself_and_what_was_deleted_are_told_apart() {
    let pine = format!(
        "{LINE}From: Mail System Internal Data <MAILER-DAEMON@host>\n\
         Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nX-IMAP: 1 2\n\nInternal.\n\n"
    );
    let subject = "DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA (program)";
    check(&(pine + &mail("1", "x\n")), &[subject, "1"], 0);
    let based = format!("{LINE}X-IMAPbase: 1 2\nSubject: 1\n\nx\n");
    check(&based, &["1"], 0);
    let status = |status: &str| format!("{LINE}X-Mozilla-Status: {status}\nSubject: 1\n\nx\n");
    check(&status("0009"), &["1 (deleted)"], 0);
    for kept in ["0001", "1006", "", "many"] {
        check(&status(kept), &["1"], 0);
    }
    // Only a header says so.
    check(&mail("1", "X-Mozilla-Status: 0009\n"), &["1"], 0);
}

#[test]
fn a_line_further_down_is_found_with_its_number() {
    let file = format!("Subject: lost\n\n{LINE}Subject: 1\n\n");
    assert_eq!(first_separator(file.as_bytes()), Some(3));
    assert_eq!(first_separator(b"Subject: one\n\nFrom now on\n"), None);
}

proptest! {
    #[test]
    fn every_byte_but_the_lines_between_is_in_a_mail(
        mails in proptest::collection::vec(
            ("[a-z]{1,8}", "((>*From [a-z ]{0,9}|Subject: x|[a-z:]{0,9}|)\n){0,6}"), 1..6),
    ) {
        let quoted = |body: &str| {
            let quote = |line: &str| {
                let is_from = line.trim_start_matches('>').starts_with("From ");
                if is_from { format!(">{line}\n") } else { format!("{line}\n") }
            };
            body.lines().map(quote).collect::<String>()
        };
        let file: String = mails.iter().map(|(subject, body)| mail(subject, &quoted(body))).collect();
        let mbox = parted(&file);
        prop_assert_eq!(mbox.messages.len(), mails.len());
        for (message, (subject, body)) in mbox.messages.iter().zip(&mails) {
            let raw = String::from_utf8_lossy(&message.raw);
            prop_assert_eq!(raw, format!("Subject: {subject}\n\n{body}\n"));
        }
    }

    /// Between the messages is nothing but a line with `From ` and blank lines; each such line
    /// begins a message or is counted.
    #[test]
    fn every_byte_of_whatever_file_is_in_a_message_or_in_a_line_before_one_or_is_counted(
        pieces in proptest::collection::vec(
            proptest::sample::select(vec![
                LINE, "From \n", "From -\n", "From ann@example.org\n", "From now on\n", "\u{feff}",
                "From d@e.f 2 Jan 2024 00:00:00\n", "From ann 2024-01-02 00:00\n", "\n", "\r\n", "\r", "\r\r\n",
                "Subject: x\n", "Note: x\n", " folded\n", "text\n", "Content-Length: 5\n", "Content-Length: 60\r",
            ]),
            0..40,
        ),
    ) {
        let file = Bytes::from(format!("From \n{}", pieces.concat()));
        let mbox = split(&file, 1_000);
        let from_lines = lines(&file).filter(|line| is_from(line)).count() as u64;
        prop_assert_eq!(from_lines, mbox.messages.len() as u64 + mbox.from_lines_as_text);
        let mut at = 0;
        for message in &mbox.messages {
            let begin = line_end(&file, at);
            prop_assert!(is_from(&file[at..begin]), "{:?}", &file[at..begin]);
            let raw = file.slice(begin..begin + message.raw.len());
            prop_assert_eq!(with_line_feeds(raw), &message.raw);
            let end = begin + message.raw.len();
            at = if is_from(&file[end..]) { end } else { after_blank_lines(&file, end) };
        }
        prop_assert_eq!(at, file.len());
    }

    #[test]
    fn whatever_follows_the_first_line_is_split_without_a_panic(
        rest in "(From |From a@b Thu Jan  1 00:00:00 2026|\n|\r\n|Content-Length: [0-9]{1,20}|x: y|\\PC){0,60}",
    ) {
        let file = Bytes::from(format!("From \n{rest}"));
        let mbox = split(&file, 1_000);
        prop_assert!(!mbox.messages.is_empty());
        prop_assert!(mbox.messages.iter().map(|m| m.raw.len()).sum::<usize>() <= file.len());
    }
}
