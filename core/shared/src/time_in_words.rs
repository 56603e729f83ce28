//! Time in words: one form for moments, one for spans, everywhere where people read them.
//!
//! Holds: what took time is never shown as none; a span that is not rounded is given to a millionth
//! or better below a second, to the millisecond up to a minute, and a longer one in the two units
//! that say most.
//! Start at [`moment`] and [`span`].

use std::time::Duration;

const US: u64 = 1_000;
const MS: u64 = 1_000 * US;
const S: u64 = 1_000 * MS;
const MIN: u64 = 60 * S;
const H: u64 = 60 * MIN;
const DAY: u64 = 24 * H;

/// A moment of a run, from its beginning: `17.200 s`. Before the first millisecond, with as many
/// digits as it takes.
pub fn moment(ns: u64) -> String {
    if (1..MS).contains(&ns) {
        return format!("{} s", format!("0.{ns:09}").trim_end_matches('0'));
    }
    format!("{}.{:03} s", ns / S, ns / MS % 1_000)
}

/// How long something takes: `400 ns`, `12.5 ms`, `10.0 s`, `2 min 5 s`, `3 h 20 min`.
pub fn span(ns: u64) -> String {
    // Rounding comes before the choice of the unit: there are no 1000 ms and no 60.0 s.
    let (to_us, to_ms) = (rounded(ns, US), rounded(ns, MS));
    match ns {
        0 => "0 s".to_owned(),
        _ if ns < US => format!("{ns} ns"),
        _ if ns < MS => format!("{} µs", decimal(ns, US, 0)),
        _ if to_us < S => format!("{} ms", decimal(to_us, MS, 0)),
        _ if to_ms < MIN => format!("{} s", decimal(to_ms, S, 1)),
        _ if to_ms < H => with_rest(to_ms / MIN, "min", &decimal(to_ms % MIN, S, 0), "s"),
        _ if ns < DAY => with_rest(ns / H, "h", &(ns % H / MIN).to_string(), "min"),
        _ => with_rest(ns / DAY, "d", &(ns % DAY / H).to_string(), "h"),
    }
}

/// A span of whole milliseconds, as plans give them.
pub fn span_of_ms(ms: u64) -> String {
    span(ms.saturating_mul(MS))
}

/// How long something took in real time, or all runs together: no more digits than anybody reads.
pub fn measured(time: Duration) -> String {
    let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let unit = match ns {
        0..US => 1,
        US..MS => US,
        MS..S => MS,
        S..MIN => S / 10,
        _ => S,
    };
    span(rounded(ns, unit))
}

/// The same of seconds as results hold them.
pub fn measured_seconds(seconds: f64) -> String {
    measured(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

fn rounded(ns: u64, unit: u64) -> u64 {
    ns.saturating_add(unit / 2) / unit * unit
}

/// A number of units with at most three decimals, and at least so many.
fn decimal(ns: u64, unit: u64, digits_min: usize) -> String {
    let text = format!("{}.{:03}", ns / unit, ns % unit * 1_000 / unit);
    let digits = text.trim_end_matches('0').rsplit_once('.').map_or(0, |(_, digits)| digits.len());
    let (whole, all) = text.split_once('.').expect("it was just put there");
    match digits.max(digits_min) {
        0 => whole.to_owned(),
        digits => format!("{whole}.{}", &all[..digits]),
    }
}

fn with_rest(whole: u64, unit: &str, rest: &str, of: &str) -> String {
    if rest == "0" { format!("{whole} {unit}") } else { format!("{whole} {unit} {rest} {of}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_span_is_told_in_the_units_that_say_most_from_nanoseconds_to_days() {
        let cases = [
            (0, "0 s"),
            (1, "1 ns"),
            (999, "999 ns"),
            (1_000, "1 µs"),
            (1_234, "1.234 µs"),
            (999_999, "999.999 µs"),
            (MS, "1 ms"),
            (400 * US, "400 µs"),
            (12_500 * US, "12.5 ms"),
            (MS + 1, "1 ms"),
            (900 * MS, "900 ms"),
            (S - 1, "1.0 s"),
            (S, "1.0 s"),
            (1_234 * MS, "1.234 s"),
            (10 * S, "10.0 s"),
            (MIN - 1, "1 min"),
            (MIN, "1 min"),
            (90_500 * MS, "1 min 30.5 s"),
            (125 * S, "2 min 5 s"),
            (H, "1 h"),
            (200 * MIN, "3 h 20 min"),
            (DAY, "1 d"),
            (49 * H, "2 d 1 h"),
        ];
        for (ns, expected) in cases {
            assert_eq!(span(ns), expected, "{ns} ns");
        }
        assert_eq!(span_of_ms(u64::MAX), span(u64::MAX));
    }

    #[test]
    fn a_moment_has_milliseconds_and_more_only_where_it_would_be_none() {
        let cases = [
            (0, "0.000 s"),
            (1, "0.000000001 s"),
            (400 * US, "0.0004 s"),
            (MS, "0.001 s"),
            (17_200 * MS, "17.200 s"),
            (90_000 * S, "90000.000 s"),
        ];
        for (ns, expected) in cases {
            assert_eq!(moment(ns), expected, "{ns} ns");
        }
    }

    #[test]
    fn what_was_measured_has_no_more_digits_than_anybody_reads() {
        let cases = [
            (0.0, "0 s"),
            (0.000_000_4, "400 ns"),
            (0.000_4, "400 µs"),
            (0.034_567, "35 ms"),
            (0.999_9, "1.0 s"),
            (12.345, "12.3 s"),
            (59.99, "1 min"),
            (125.4, "2 min 5 s"),
            (12_000.0, "3 h 20 min"),
            (f64::NAN, "0 s"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(measured_seconds(seconds), expected, "{seconds} s");
        }
    }

    proptest! {
        #[test]
        fn what_takes_time_is_never_shown_as_none(digits in 0u32..20, fraction in 0.0..1.0f64) {
            let top = 10u64.saturating_pow(digits);
            let ns = 1 + (top as f64 * fraction) as u64;
            for text in [span(ns), moment(ns), measured(Duration::from_nanos(ns))] {
                prop_assert!(text.contains(|c: char| ('1'..='9').contains(&c)), "{ns} ns: {text}");
            }
        }

        #[test]
        fn a_longer_time_is_never_told_as_a_shorter_one(ms in 0u64..200_000, more in 1u64..10_000) {
            let in_ms = |text: &str| -> f64 {
                let words: Vec<&str> = text.split(' ').collect();
                words.chunks(2).map(|pair| {
                    let unit = match pair[1] {
                        "ns" => 1e-6, "µs" => 1e-3, "ms" => 1.0, "s" => 1e3, "min" => 6e4, _ => 36e5,
                    };
                    pair[0].parse::<f64>().unwrap() * unit
                }).sum()
            };
            prop_assert!((in_ms(&span_of_ms(ms)) - ms as f64).abs() < 0.001);
            prop_assert!(in_ms(&span_of_ms(ms)) < in_ms(&span_of_ms(ms + more)));
        }
    }
}
