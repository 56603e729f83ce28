//! Text from outside, made harmless for whoever reads it on a terminal or in a file of lines.
//!
//! Owns: which characters a person cannot see but a terminal or an editor obeys, and how they are
//! written instead. Leaves: markup (HTML, XML, Markdown, shells) to whoever writes it.
//! Holds: what comes out has no control character and none that turns the direction of writing;
//! what had none comes out as it is. The escapes are those of JSON and TOML, so that a text that
//! stood within quotes there still means the same.
//! Start at [`harmless`].

use std::borrow::Cow;
use std::fmt::Write;

/// Whether a terminal or an editor would obey this character instead of showing it: control
/// characters, ends of lines, marks that turn the direction of writing, and what takes no room.
/// Joiners are none of them: people write with those.
pub fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}')
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        || matches!(c, '\u{fff9}'..='\u{fffb}')
}

/// The text within one line: whatever would be obeyed is written as `\u001b`.
pub fn harmless(text: &str) -> Cow<'_, str> {
    escaped(text, is_obeyed)
}

/// The text with its lines and tabs; whatever else would be obeyed is written as `\u001b`.
pub fn harmless_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| is_obeyed(c) && c != '\n' && c != '\t')
}

fn escaped(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_escaped(c) {
            write!(out, "\\u{:04x}", u32::from(c)).expect("writing to a string cannot fail");
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_takes_no_room_is_written_out_but_not_what_people_write_with() {
        assert_eq!(harmless("a\u{200b}b\u{2060}c\u{fff9}"), "a\\u200bb\\u2060c\\ufff9");
        let family = "👩\u{200d}👧 می\u{200c}خواهم";
        assert_eq!(harmless(family), family);
    }

    #[test]
    fn what_a_terminal_obeys_is_written_out() {
        assert_eq!(harmless("a\u{1b}[31mX\u{7}\r\n"), "a\\u001b[31mX\\u0007\\u000d\\u000a");
        assert_eq!(harmless("gpj.\u{202e}x\u{2066}"), "gpj.\\u202ex\\u2066");
        assert_eq!(harmless_lines("a\tb\nc\r\u{9b}"), "a\tb\nc\\u000d\\u009b");
        assert!(matches!(harmless("Grüße, 世界"), Cow::Borrowed("Grüße, 世界")));
    }

    proptest! {
        #[test]
        fn whatever_goes_in_nothing_that_is_obeyed_comes_out(text in "\\PC*|(?s).*") {
            prop_assert!(!harmless(&text).chars().any(is_obeyed));
            let lines = harmless_lines(&text);
            prop_assert!(!lines.chars().any(|c| is_obeyed(c) && c != '\n' && c != '\t'));
            prop_assert_eq!(lines.lines().count(), text.lines().count());
        }
    }
}
