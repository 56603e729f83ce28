//! What processing makes of a mail: a verdict and index terms.
//!
//! A pure function of the mail's bytes, so that every worker, in every attempt, comes to the same
//! result. The parser is a library's; what it cannot parse is a dead letter with a reason.

use crate::inbox::compression::Compression;
use crate::inbox::{MAIL_UNPACKED_BYTES_MAX, Mail};
use mail_parser::{Message, MessageParser};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// From this score on a mail is spam.
pub const SPAM_SCORE: u32 = 5;
/// At most this many index terms per mail: the most frequent, ties in alphabetical order.
pub const TERMS_MAX: usize = 32;
/// Only so much text of a mail is indexed.
pub const INDEXED_BYTES_MAX: usize = 64 * 1024;

/// What became of a mail.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Judgement {
    /// Wanted.
    Ham,
    /// Unwanted: the score reached [`SPAM_SCORE`].
    Spam {
        /// The sum of the rules that matched.
        score: u32,
    },
    /// Not a mail; kept aside with the reason.
    DeadLetter {
        /// What is missing or broken.
        reason: Arc<str>,
    },
    /// Whoever processes it dies; set aside untouched.
    Poison {
        /// How many workers it has cost.
        attempts: u32,
    },
}

impl Judgement {
    /// The verdict in one word, as observations report it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Ham => "ham",
            Self::Spam { .. } => "spam",
            Self::DeadLetter { .. } => "dead_letter",
            Self::Poison { .. } => "poison",
        }
    }
}

/// A mail's result: what the sink receives.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Processed {
    /// The verdict.
    pub judgement: Judgement,
    /// The words to find it by, in alphabetical order.
    pub terms: Vec<Arc<str>>,
}

/// Judges and indexes a mail.
pub fn process(mail: &Mail) -> Processed {
    if let Some(with) = Compression::of(&mail.raw) {
        return dead_letter(&why_packed(with));
    }
    match MessageParser::default().parse(&mail.raw[..]) {
        Some(message) => match why_no_mail(&message) {
            None => Processed { judgement: judge(&message), terms: index_terms(&message) },
            Some(reason) => dead_letter(reason),
        },
        None => dead_letter("no header and no body could be found"),
    }
}

fn dead_letter(reason: &str) -> Processed {
    Processed { judgement: Judgement::DeadLetter { reason: reason.into() }, terms: Vec::new() }
}

/// What an inbox could not unpack.
fn why_packed(with: Compression) -> String {
    let name = with.name();
    match with {
        Compression::Gzip => format!(
            "compressed with {name}, and damaged, compressed twice, or over {} MiB unpacked",
            MAIL_UNPACKED_BYTES_MAX >> 20
        ),
        _ => format!("compressed with {name}; unpack it first"),
    }
}

/// RFC 5322 section 3.6 demands an origination date and an originator. Mail in the wild often lacks
/// one of the two; what has neither, and no subject or recipient either, was not sent by anybody.
fn why_no_mail(message: &Message<'_>) -> Option<&'static str> {
    let named = message.from().is_some()
        || message.sender().is_some()
        || message.date().is_some()
        || message.to().is_some()
        || message.subject().is_some();
    (!named).then_some("no From, Sender, Date, To or Subject header")
}

/// The rules: a word or trait, and what it weighs. Plain on purpose; the point is that the verdict
/// arrives once, not that it is clever.
fn judge(message: &Message<'_>) -> Judgement {
    const PHRASES: [(&str, u32); 14] = [
        ("xjs*c4jdbqadn1.nsbn3*2idnen*gtube-standard-anti-ube-test-email*c.34x", 100),
        ("viagra", 4),
        ("lottery", 3),
        ("you have won", 3),
        ("million dollars", 3),
        ("wire transfer", 2),
        ("act now", 2),
        ("click here", 2),
        ("free money", 3),
        ("no obligation", 2),
        ("risk free", 2),
        ("verify your account", 3),
        ("limited time", 2),
        ("work from home", 2),
    ];
    let subject = message.subject().unwrap_or_default();
    let text = text_of(message).to_lowercase();
    let mut score = PHRASES
        .iter()
        .filter(|(phrase, _)| text.contains(phrase))
        .map(|(_, weight)| weight)
        .sum::<u32>();
    let letters = subject.chars().filter(|c| c.is_alphabetic()).count();
    if letters >= 8 && subject.chars().all(|c| !c.is_lowercase()) {
        score += 2;
    }
    if subject.matches('!').count() >= 3 {
        score += 2;
    }
    if message.message_id().is_none() {
        score += 1;
    }
    if message.date().is_none() {
        score += 1;
    }
    if message.from().is_none() {
        score += 2;
    }
    if score >= SPAM_SCORE { Judgement::Spam { score } } else { Judgement::Ham }
}

/// Subject and text, cut at [`INDEXED_BYTES_MAX`].
fn text_of(message: &Message<'_>) -> String {
    let mut text = message.subject().unwrap_or_default().to_owned();
    for part in 0..message.text_body_count() {
        if text.len() >= INDEXED_BYTES_MAX {
            break;
        }
        if let Some(body) = message.body_text(part) {
            text.push('\n');
            text.push_str(&body);
        }
    }
    let mut end = text.len().min(INDEXED_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

fn index_terms(message: &Message<'_>) -> Vec<Arc<str>> {
    let text = text_of(message).to_lowercase();
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for word in text.split(|c: char| !c.is_alphanumeric()) {
        if (3..=32).contains(&word.chars().take(33).count()) {
            *counts.entry(word).or_default() += 1;
        }
    }
    let mut by_count: Vec<_> = counts.into_iter().collect();
    by_count.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let mut terms: Vec<Arc<str>> =
        by_count.into_iter().take(TERMS_MAX).map(|(word, _)| word.into()).collect();
    terms.sort_unstable();
    terms
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn processed(raw: &str) -> Processed {
        process(&Mail { id: "m".into(), raw: raw.to_owned().into() })
    }

    fn check(raw: &str, word: &str) {
        assert_eq!(processed(raw).judgement.word(), word, "{raw}");
    }

    const HEAD: &str =
        "From: a@example.com\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\nMessage-ID: <1@x>\r\n";

    #[test]
    fn a_verdict_follows_from_the_words_and_the_shape() {
        check(&format!("{HEAD}Subject: lunch\r\n\r\nAt noon?\r\n"), "ham");
        check(&format!("{HEAD}Subject: hi\r\n\r\nYou have won the LOTTERY\r\n"), "spam");
        check(&format!("{HEAD}Subject: BUY THIS NOW!!!\r\n\r\nclick here\r\n"), "spam");
    }

    #[test]
    fn what_nobody_sent_is_a_dead_letter_with_a_reason() {
        check("", "dead_letter");
        check("just some text without any header\r\n", "dead_letter");
        check("X-Only: this\r\n\r\nbody\r\n", "dead_letter");
    }

    #[test]
    fn a_dead_letter_that_is_compressed_says_so() {
        for (raw, reason) in [
            (&b"\xfd7zXZ\0..."[..], "compressed with xz; unpack it first"),
            (b"BZh91AY&SY", "compressed with bzip2; unpack it first"),
            (b"\x28\xb5\x2f\xfd", "compressed with zstd; unpack it first"),
            (
                b"\x1f\x8b\x08cut",
                "compressed with gzip, and damaged, compressed twice, or over 64 MiB unpacked",
            ),
        ] {
            let judgement = process(&Mail { id: "m".into(), raw: raw.into() }).judgement;
            assert_eq!(judgement, Judgement::DeadLetter { reason: reason.into() });
        }
    }

    #[test]
    fn terms_are_the_most_frequent_words_in_alphabetical_order() {
        let processed = processed(&format!("{HEAD}Subject: zebra\r\n\r\nant ant bee of zebra\r\n"));
        assert_eq!(
            processed.terms.iter().map(|t| &**t).collect::<Vec<_>>(),
            ["ant", "bee", "zebra"]
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_judged_and_never_panic(raw in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            let mail = Mail { id: "m".into(), raw: raw.into() };
            let first = process(&mail);
            prop_assert!(first.terms.len() <= TERMS_MAX);
            prop_assert_eq!(first, process(&mail));
        }
    }
}
