//! The inbox that comes with the product, and a generator for more of the same.
//!
//! The samples were written for Mailstorm: ordinary mail, spam, several encodings, attachments, a
//! quoted `From ` line, and one mail that nobody sent. The generator's mails follow from a seed
//! alone.

use crate::inbox::{Inbox, Mail, split};
use bytes::Bytes;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use std::fmt::Write;

const SAMPLES: &[u8] = include_bytes!("../samples/harbour.mbox");

/// The samples, and as many generated mails as it takes to have `count`.
pub fn embedded(count: usize, seed: u64) -> Inbox {
    let samples = split(&Bytes::from_static(SAMPLES), count).messages.into_iter().enumerate();
    let samples = samples.map(|(index, message)| Mail {
        id: format!("harbour.mbox#{:04}", index + 1).into(),
        raw: message.raw,
    });
    let mut mails: Vec<Mail> = samples.take(count).collect();
    let missing = count - mails.len();
    mails.extend(generate(missing, seed));
    Inbox::new(mails)
}

/// Mails that follow from `seed`: about one in eight is spam, one in forty lost its headers.
pub fn generate(count: usize, seed: u64) -> Vec<Mail> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (1..=count).map(|number| one(number, &mut random)).collect()
}

fn one(number: usize, random: &mut ChaCha8Rng) -> Mail {
    const PLACES: [&str; 8] =
        ["pier", "lock", "crane", "berth", "channel", "beacon", "slipway", "basin"];
    const THINGS: [&str; 10] = [
        "tide", "rope", "pump", "cargo", "signal", "anchor", "manifest", "crew", "engine", "chart",
    ];
    const STATES: [&str; 8] =
        ["late", "ready", "missing", "repaired", "full", "closed", "expected", "inspected"];
    const OFFERS: [&str; 4] = [
        "you have won the lottery, click here",
        "free money, risk free, act now",
        "verify your account, limited time",
        "work from home, no obligation, click here",
    ];
    let mut pick = |words: &[&'static str]| words[random.next_u32() as usize % words.len()];
    let (place, thing, state) = (pick(&PLACES), pick(&THINGS), pick(&STATES));
    let offer = pick(&OFFERS);
    let kind = random.next_u32() % 40;
    let mut raw = String::new();
    if kind == 0 {
        raw.push_str("X-Spool: damaged\n\nthe head of this message was lost\n");
    } else {
        let body = if kind <= 5 { offer.to_owned() } else { format!("the {thing} is {state}") };
        write!(
            raw,
            "From: {place}{number}@harbour.example\nTo: office@harbour.example\n\
             Subject: {place} {thing}\nDate: Thu, 1 Jan 2026 {:02}:{:02}:00 +0000\n\
             Message-ID: <generated-{number}@mailstorm.example>\n\n{body}\n",
            number / 60 % 24,
            number % 60,
        )
        .expect("writing to a string cannot fail");
        for _ in 0..random.next_u32() % 6 {
            let index = random.next_u32() as usize % THINGS.len();
            writeln!(raw, "At the {place} the {} was seen.", THINGS[index])
                .expect("writing to a string cannot fail");
        }
    }
    Mail { id: format!("generated#{number:04}").into(), raw: raw.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::processing::process;
    use std::collections::BTreeMap;

    #[test]
    fn the_samples_hold_every_verdict() {
        let inbox = embedded(24, 0);
        assert!(inbox.mails().iter().all(|mail| mail.id.starts_with("harbour.mbox#")));
        let mut words = BTreeMap::new();
        for mail in inbox.mails() {
            *words.entry(process(mail).judgement.word()).or_insert(0) += 1;
        }
        assert_eq!(words, BTreeMap::from([("dead_letter", 1), ("ham", 19), ("spam", 4)]));
    }

    #[test]
    fn the_embedded_inbox_is_the_same_in_every_version() {
        // Recorded runs and cases name it so.
        assert_eq!(embedded(100, 1).digest(), 0xd249_aeef_c982_9b5a);
    }

    #[test]
    fn generated_mails_follow_from_the_seed() {
        assert_eq!(generate(50, 7), generate(50, 7));
        assert_ne!(generate(50, 7), generate(50, 8));
        assert_eq!(embedded(60, 1).len(), 60);
    }
}
