//! Short storms of every scenario, and of every kind of inbox.

use crate::support::expect_pass;
use mailstorm_mail::inbox::Inbox;
use mailstorm_record::Run;
use mailstorm_world::RunSpec;
use std::fs;
use std::ops::{ControlFlow, RangeInclusive};
use std::path::Path;

/// As many threads as the slowest machine these tests must be quick on has processors.
const JOBS: usize = 2;

/// Storms a scenario; every run must pass.
#[track_caller]
fn storm(scenario: &str, inbox: Option<&Inbox>, seeds: RangeInclusive<u64>) -> Vec<Run> {
    let found = mailstorm_scenarios::find(scenario, inbox).expect("the scenario exists");
    let count = seeds.clone().count();
    let specs = seeds.map(|seed| RunSpec::new(found.clone(), seed));
    let mut runs = Vec::new();
    mailstorm_world::storm(specs, JOBS, |run| {
        runs.push(run);
        ControlFlow::Continue(())
    });
    assert_eq!(runs.len(), count);
    for run in &runs {
        expect_pass(run, "a storm broke what must hold");
    }
    runs
}

#[test]
fn every_mail_of_the_embedded_inbox_is_processed_exactly_once_in_ten_storms() {
    for run in storm("mail-claims", None, 1..=10) {
        assert_eq!(run.outcome.figures["mails_processed"], 100, "seed {}", run.seed);
    }
}

#[test]
fn five_servers_and_an_observer_survive_ten_storms() {
    storm("ensemble", None, 1..=10);
}

#[test]
fn three_servers_survive_ten_storms() {
    storm("ensemble-3", None, 1..=10);
}

#[test]
fn no_scenario_is_forgotten_here() {
    let names: Vec<_> =
        mailstorm_scenarios::all(None).iter().map(|scenario| scenario.name().to_owned()).collect();
    assert_eq!(names, ["mail-claims", "ensemble", "ensemble-3"]);
}

#[test]
fn a_storm_does_some_harm() {
    let runs = storm("mail-claims", None, 1..=3);
    let effective: u64 =
        runs.iter().flat_map(|run| run.outcome.faults.values()).map(|fault| fault.effective).sum();
    assert!(effective > 0, "no fault changed anything");
}

/// Mails of many shapes; the last few are hardly mails at all.
const MAILS: [&str; 9] = [
    "From: a@example.com\nTo: b@example.com\nSubject: plain\n\nHello.\n",
    "From: a@example.com\r\nSubject: line ends\r\n\r\nas on the wire\r\n",
    "From: a@example.com\nSubject: =?utf-8?q?encoded_=E2=9C=93?=\n\nwords\n",
    "From: a@example.com\nSubject: parts\nMIME-Version: 1.0\n\
     Content-Type: multipart/mixed; boundary=x\n\n--x\n\none\n--x\nContent-Type: text/html\n\n\
     <p>two</p>\n--x--\n",
    "From: a@example.com\nSubject: base64\nContent-Transfer-Encoding: base64\n\naGVsbG8=\n",
    "From: a@example.com\nSubject: no end of parts\nContent-Type: multipart/mixed; boundary=y\n\n--y\n",
    "Subject: no sender and no body\n",
    "neither a header nor a body",
    "",
];

fn write(folder: &Path, name: &str, text: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("below the folder")).unwrap();
    fs::write(path, text).unwrap();
}

/// Storms an inbox; every one of its mails must be processed exactly once.
#[track_caller]
fn storm_inbox(path: &Path, mails: usize) {
    let inbox = Inbox::open(path).unwrap();
    assert_eq!(inbox.len(), mails);
    for run in storm("mail-claims", Some(&inbox), 1..=3) {
        assert_eq!(run.outcome.figures["mails_processed"], mails as u64, "seed {}", run.seed);
    }
}

#[test]
fn a_folder_of_eml_files_is_processed_exactly_once() {
    let folder = tempfile::tempdir().unwrap();
    for (number, mail) in MAILS.iter().enumerate() {
        write(folder.path(), &format!("{}/{number}.eml", number % 2), mail.as_bytes());
    }
    write(folder.path(), "not utf-8.eml", b"Subject: \xff\xfe\xf0\n\n\x00\x01\x02\xff");
    write(folder.path(), "a name with 'quotes', \u{e4} and #1.eml", MAILS[0].as_bytes());
    write(folder.path(), "notes.txt", b"no mail");
    storm_inbox(folder.path(), MAILS.len() + 2);
}

#[test]
fn a_maildir_is_processed_exactly_once() {
    let folder = tempfile::tempdir().unwrap();
    for (number, mail) in MAILS.iter().enumerate() {
        let name = if number % 2 == 0 {
            format!("new/17000000{number}.M1P2.host")
        } else {
            format!("cur/17000000{number}.M1P2.host:2,S")
        };
        write(folder.path(), &name, mail.as_bytes());
    }
    write(folder.path(), "tmp/half", b"Subject: half wri");
    storm_inbox(folder.path(), MAILS.len());
}

#[test]
fn an_mbox_is_processed_exactly_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut mbox = String::new();
    for mail in MAILS.iter().take(7) {
        let quoted = mail.replace("\nFrom ", "\n>From ");
        mbox.push_str(&format!("From a@example.com Thu Jan  1 00:00:00 1970\n{quoted}\n"));
    }
    write(folder.path(), "all.mbox", mbox.as_bytes());
    storm_inbox(&folder.path().join("all.mbox"), 7);
}

#[test]
fn an_inbox_of_one_mail_is_processed_exactly_once() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "only.eml", MAILS[0].as_bytes());
    storm_inbox(folder.path(), 1);
}

#[test]
fn a_large_inbox_has_the_time_that_its_mails_need() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..700 {
        let mail = format!("Subject: number {number}\r\n\r\nhello {number}\r\n");
        write(folder.path(), &format!("{number}.eml"), mail.as_bytes());
    }
    storm_inbox(folder.path(), 700);
}
