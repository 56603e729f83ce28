//! What stands after `From ` on a line: a sender and a date as programs write them, or text.
//!
//! Owns: the dates of all the programs. Leaves: what stands before and after such a line to `mbox`.
//! Holds: a date is the end of its line, but for a whole one (weekday, time, year), which is
//! believed wherever it stands if a header follows. Other text goes on after a date, and is taken
//! as text.
//! Start at [`envelope`]; the tests are the list of what is known.

/// What stands after `From `, from the surest to the least sure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Envelope {
    /// A date with weekday, time and year, as C's `asctime` writes it or RFC 5322, after a sender
    /// or alone.
    Dated,
    /// An address and a date with a time, in any form.
    Addressed,
    /// What a program writes and somebody could write as well: a part of the above, or nothing.
    Bare,
    Text,
}

const DAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
/// More bytes and words than any such line has.
const BYTES_MAX: usize = 512;
const WORDS_MAX: usize = 32;

/// What the rest of a line is.
pub(super) fn envelope(rest: &[u8]) -> Envelope {
    let text = String::from_utf8_lossy(&rest[..rest.len().min(BYTES_MAX)]).into_owned();
    let words: Vec<&str> = text.split_whitespace().take(WORDS_MAX).collect();
    // What UUCP appends.
    let words = match &words[..] {
        [before @ .., "remote", "from", _] => before,
        all => all,
    };
    let is_address = |word: &&str| {
        *word == "-" || word.contains('@') || word.eq_ignore_ascii_case("mailer-daemon")
    };
    let is_alone = match words {
        [] => true,
        [word] => *word == "-" || word.contains('@'),
        _ => false,
    };
    if is_alone {
        return Envelope::Bare;
    }
    let mut date = Date::default();
    let date_words = words.iter().rev().take_while(|word| date.takes(word)).count();
    let sender = &words[..words.len() - date_words];
    let has_address = sender.iter().any(is_address);
    let has_sender = sender.len() <= 1 || has_address;
    if date.is_full() && has_sender {
        Envelope::Dated
    } else if date.is_complete() && date.has_time && has_address {
        Envelope::Addressed
    } else if date.is_complete() && has_sender && (date.has_time || has_address) {
        Envelope::Bare
    } else {
        // All of a date, and something that is not known here.
        let mut anywhere = Date::default();
        words.iter().for_each(|word| _ = anywhere.takes(word));
        match (anywhere.is_full(), words.first().is_some_and(is_address)) {
            (true, true) => Envelope::Addressed,
            (true, false) => Envelope::Bare,
            (false, _) => Envelope::Text,
        }
    }
}

/// The parts of a date.
#[derive(Debug, Default)]
struct Date {
    has_weekday: bool,
    has_month: bool,
    has_day: bool,
    /// Numbers of a day or a year.
    numbers: usize,
    has_long_year: bool,
    has_time: bool,
    /// A date in one word, such as `2024-01-02`.
    is_in_one_word: bool,
}

impl Date {
    fn is_complete(&self) -> bool {
        self.is_in_one_word
            || (self.has_month && self.has_day && (self.has_time || self.has_year()))
    }

    fn is_full(&self) -> bool {
        let has_date = self.is_in_one_word || (self.has_month && self.has_day && self.has_year());
        self.has_weekday && has_date && self.has_time
    }

    fn has_year(&self) -> bool {
        self.has_long_year || self.numbers >= 2
    }

    /// Whether this word is a part of a date; it is noted.
    fn takes(&mut self, word: &str) -> bool {
        if is_zone(word) {
            return true;
        }
        let word = word.to_ascii_lowercase();
        let word = word.trim_end_matches([',', '.']);
        if matches!(word, "am" | "pm") {
            return true;
        }
        if is_name(word, &DAYS) {
            self.has_weekday = true;
        } else if is_name(word, &MONTHS) {
            self.has_month = true;
        } else if let Some(number) = number(word.trim_start_matches('\'')) {
            self.has_day |= (1..=31).contains(&number);
            self.has_long_year |= number > 99;
            self.numbers += 1;
        } else if is_time(word) {
            self.has_time = true;
        } else if is_date(word) {
            self.is_in_one_word = true;
        } else if let Some((date, time)) = word.split_once('t')
            && (is_date(date) || is_digits(date, 8))
            && (is_time(time) || is_digits(time.trim_end_matches('z'), 6))
        {
            (self.is_in_one_word, self.has_time) = (true, true);
        } else {
            return false;
        }
        true
    }
}

/// Whether this is such a name, whole or as its first letters.
fn is_name(word: &str, names: &[&str]) -> bool {
    names
        .iter()
        .any(|name| word == *name || word == &name[..3] || (*name == "september" && word == "sept"))
}

fn is_digits(text: &str, count: usize) -> bool {
    text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A day, or a year with four digits or with two.
fn number(word: &str) -> Option<u32> {
    let number = word.parse().ok().filter(|_| word.bytes().all(|byte| byte.is_ascii_digit()))?;
    let is_one = match word.len() {
        1..=2 => true,
        4 => (1900..3000).contains(&number),
        _ => false,
    };
    is_one.then_some(number)
}

/// `12:00`, `12:00:00.123`, with a zone or half a day behind it.
fn is_time(word: &str) -> bool {
    let end = word.find(['+', '-']).filter(|at| is_offset(&word[*at..])).unwrap_or(word.len());
    let word = &word[..end];
    let word = ["z", "am", "pm"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word);
    let word = word.split_once(['.', ',']).map_or(word, |(time, fraction)| {
        if is_digits(fraction, fraction.len()) { time } else { word }
    });
    let parts: Vec<&str> = word.split(':').collect();
    matches!(parts.len(), 2..=3)
        && parts.iter().all(|part| is_digits(part, 1) || is_digits(part, 2))
}

/// `2024-01-02`, `2.1.2024`, `01/02/24`, `02-Jan-2024`.
fn is_date(word: &str) -> bool {
    ['-', '/', '.'].into_iter().any(|mark| {
        let parts: Vec<&str> = word.split(mark).collect();
        let [one, two, three] = parts[..] else { return false };
        let ends = number(one).zip(number(three));
        let is_middle = is_name(two, &MONTHS) || number(two).is_some_and(|n| (1..=31).contains(&n));
        is_middle && ends.is_some_and(|(one, three)| one <= 99 || three <= 99)
    })
}

/// `+0100`, `-01:00`.
fn is_offset(word: &str) -> bool {
    let Some(digits) = word.strip_prefix(['+', '-']) else { return false };
    is_digits(digits, 2)
        || is_digits(digits, 4)
        || digits.split_once(':').is_some_and(|(a, b)| is_digits(a, 2) && is_digits(b, 2))
}

/// `CET`, `Z`, `GMT+2`, `+0100`, `(CET)`: letters in a zone are large.
fn is_zone(word: &str) -> bool {
    let word = word.strip_prefix('(').and_then(|word| word.strip_suffix(')')).unwrap_or(word);
    let name = word.find(['+', '-']).map_or(word, |at| &word[..at]);
    let offset = &word[name.len()..];
    let is_short =
        offset.len() <= 3 && offset[offset.len().min(1)..].bytes().all(|b| b.is_ascii_digit());
    let is_named = (1..=5).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_uppercase());
    // The names of weekdays and months are no zones, in large letters either.
    let is_other = is_name(&name.to_ascii_lowercase(), &DAYS)
        || is_name(&name.to_ascii_lowercase(), &MONTHS)
        || matches!(name, "AM" | "PM");
    (is_named
        && !is_other
        && (offset.is_empty() || is_offset(offset) || (is_short && offset.len() > 1)))
        || (name.is_empty() && is_offset(offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(expected: Envelope, lines: &[&str]) {
        for line in lines {
            assert_eq!(envelope(line.as_bytes()), expected, "{line:?}");
            assert_eq!(envelope(format!("{line}\r\n").as_bytes()), expected, "{line:?}");
        }
    }

    #[test]
    fn a_sender_and_a_whole_date_are_known_in_every_form() {
        check(
            Envelope::Dated,
            &[
                "ann@example.org Thu Jan  1 00:00:00 2026",
                "ann@example.org Thu Jan  1 00:00 2026",
                "ann@example.org Thu Jan  1 00:00:00 CET 2026",
                "ann@example.org Thu Jan  1 00:00:00 MET DST 2026",
                "ann@example.org Thu Jan 01 00:00:00 +0000 2026",
                "ann@example.org Thu Jan  1 00:00:00 2026 +0100",
                "ann@example.org Thu Jan  1 00:00:00 2026 remote from host",
                "ann@example.org Thu, 1 Jan 2026 00:00:00 +0000",
                "ann@example.org Thu, 1 Jan 2026 00:00:00 +0000 (UTC)",
                "ann@example.org Thu, 1 Jan 2026 00:00:00 GMT",
                "ann@example.org Thu, 4 Sept 2025 00:00:00 +0000",
                "ann@example.org Thu, 01 Jan 26 00:00:00 GMT",
                "ann@example.org Thursday, 01-Jan-26 00:00:00 GMT",
                "ann@example.org Thursday, January 1, 2026 10:00:00 PM",
                "Ann Example <ann@example.org> Thu Jan  1 00:00:00 2026",
                "\"Ann Example\" <ann@example.org> Thu Jan  1 00:00:00 2026",
                "MAILER-DAEMON Thu Jan  1 00:00:00 2026",
                "1790000000000000000@xxx Thu Jan 01 00:00:00 +0000 2026",
                "- Thu Jan 01 00:00:00 2026",
                "??? Thu Jan  1 00:00:00 2026",
                "ann Thu Jan  1 00:00:00 2026",
                "may Thu Jan  1 00:00:00 2026",
                "Thu Jan  1 00:00:00 2026",
                "\tThu Jan  1 00:00:00 2026",
            ],
        );
    }

    #[test]
    fn an_address_and_a_date_with_a_time_are_known_in_every_form() {
        check(
            Envelope::Addressed,
            &[
                "d@e.f 2 Jan 2024 00:00:00 +0000",
                "d@e.f 02 Jan 24 00:00:00 UTC",
                "d@e.f 2 Sept 2024 00:00:00 +0000",
                "d@e.f Jan  2 00:00:00 2024",
                "d@e.f Thu Jan  1 00:00",
                "d@e.f 2024-01-02 00:00:00",
                "d@e.f 2024-01-02T00:00:00Z",
                "d@e.f 2024-01-02T00:00:00.123+01:00",
                "d@e.f 2024/01/02 00:00:00 +0000",
                "d@e.f 20240102T000000Z",
                "d@e.f 2.1.2024 00:00",
                "d@e.f 01/02/24 10:00 AM",
                "d@e.f 01/02/24 10:00am",
                "d@e.f 02-Jan-2024 00:00:00 GMT+2",
                "- 2024-01-02 00:00:00",
                "MAILER-DAEMON 2 Jan 2024 00:00:00",
                // All of a date, and words that are not known.
                "ann@example.org Thu Jan  1 00:00:00 2026 forwarded",
            ],
        );
    }

    #[test]
    fn what_somebody_could_write_as_well_is_told_apart() {
        check(
            Envelope::Bare,
            &[
                "",
                " ",
                "-",
                "ann@example.org",
                "<ann@example.org>",
                "ann@example.org 2 Jan 2024",
                "ann@example.org 2024-01-02",
                "ann 2 Jan 2024 00:00:00",
                "2024-01-02 00:00:00",
                "ann at home Thu Jan  1 00:00:00 2026",
            ],
        );
    }

    #[test]
    fn sentences_are_text_whatever_dates_they_have() {
        check(
            Envelope::Text,
            &[
                "now on you can use the door.",
                "Jan 5 on we meet at 12:00 in 2026",
                "2 Jan 2024 on: see below",
                "the meeting on 2 Jan 2024",
                "the meeting on 2 Jan 2024 10:00",
                "Monday",
                "Monday 5 January 2026",
                "2024-01-02",
                "12:00",
                "1.2.3",
                "bob",
                "bob@example.org to carl@example.org:",
                "bob@example.org we heard at 12:00",
                "ann@example.org 10:00:00",
                "May to June",
                "5 to 10:30",
                "\u{fffd}",
            ],
        );
    }
}
