//! Text from outside, made harmless where it is written: in HTML, XML, Markdown, a shell, an
//! address.
//!
//! Holds: what comes out holds no markup of its own, whatever goes in. A subject line is hostile
//! input.

use mailstorm_shared::harmless::is_obeyed;
use mailstorm_shared::harmless_lines;
use std::ffi::OsStr;
use std::fmt::Write;
use std::path::Path;

/// As text or as an attribute's value in HTML.
pub(crate) fn html(text: &str) -> String {
    let text = harmless_lines(text);
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// As text in XML 1.0, with its lines.
pub(crate) fn xml_text(text: &str) -> String {
    xml(text).replace("&#10;", "\n").replace("&#9;", "\t")
}

/// As an attribute's value in XML 1.0. What may not occur there at all, not even escaped,
/// becomes a replacement character; line ends survive.
pub(crate) fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => {
                write!(out, "&#{};", c as u32).expect("writing to a string cannot fail");
            }
            '\0'..' ' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            _ => out.push(c),
        }
    }
    out
}

/// As a fenced block of Markdown: the fence is longer than any within.
pub(crate) fn fenced(language: &str, text: &str) -> String {
    let text = harmless_lines(text);
    let mut longest = 0;
    let mut row = 0;
    for c in text.chars() {
        row = if c == '`' { row + 1 } else { 0 };
        longest = longest.max(row);
    }
    let fence = "`".repeat((longest + 1).max(3));
    let end = if text.ends_with('\n') { "" } else { "\n" };
    format!("{fence}{language}\n{text}{end}{fence}\n")
}

/// As words within a line of Markdown: nothing in them is markup, and they stay on the line.
pub(crate) fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if is_obeyed(c) => out.push(' '),
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            c if c.is_ascii_punctuation() && !"-/.,:;()+%'\"".contains(c) => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

/// A relative path as an address.
pub(crate) fn address(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a string cannot fail");
        }
    }
    out
}

/// As one word of a command line, whatever its bytes: `sh` and its kin take it for exactly these,
/// on one line.
///
/// What is plain stays as it is; else it stands between single quotes. Only where that would break
/// the line, or is no text at all, it is written as `$'...'` with octal escapes, which `bash`,
/// `zsh` and `ksh` know.
pub fn quoted(word: impl AsRef<OsStr>) -> String {
    let bytes = word.as_ref().as_encoded_bytes();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+:,@%=".contains(c);
    match std::str::from_utf8(bytes) {
        // At the beginning of a word, zsh takes '=' for the path of a command.
        Ok(text) if text.chars().all(is_plain) && !text.is_empty() && !text.starts_with('=') => {
            text.to_owned()
        }
        Ok(text) if !text.chars().any(is_obeyed) => {
            format!("'{}'", text.replace('\'', r"'\''"))
        }
        _ => octal(bytes),
    }
}

/// The path of a file as one word of a command line that is no option, whatever its first
/// character.
pub fn quoted_path(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    if path.as_os_str().as_encoded_bytes().starts_with(b"-") {
        return quoted(Path::new(".").join(path));
    }
    quoted(path)
}

/// `$'...'`, in which everything is an escape that is no plain text: shells differ in `\x`, which
/// may take more digits than two, and an interactive one looks for its history behind `!`.
fn octal(bytes: &[u8]) -> String {
    let mut out = "$'".to_owned();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if is_obeyed(c) || matches!(c, '\'' | '\\' | '!') {
                let mut buffer = [0; 4];
                push_octal(&mut out, c.encode_utf8(&mut buffer).as_bytes());
            } else {
                out.push(c);
            }
        }
        push_octal(&mut out, chunk.invalid());
    }
    out.push('\'');
    out
}

fn push_octal(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        write!(out, "\\{byte:03o}").expect("writing to a string cannot fail");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_markup_is_text() {
        assert_eq!(html("<a href=\"x\">&"), "&lt;a href=&quot;x&quot;&gt;&amp;");
        assert_eq!(xml("]]>\u{0}\u{1b}[1m\n\t\u{ffff}\"é"), "]]&gt;��[1m&#10;&#9;�&quot;é");
        assert_eq!(xml_text("a\n\t&#10;<"), "a\n\t&amp;#10;&lt;");
        assert_eq!(
            markdown("a|b\n<script> `x` *y* [z](w)"),
            r"a\|b &lt;script\> \`x\` \*y\* \[z\](w)"
        );
        assert_eq!(fenced("text", "a ```` b"), "`````text\na ```` b\n`````\n");
        assert_eq!(fenced("", "plain\n"), "```\nplain\n```\n");
        // Nor does a text from outside turn lines around or end them.
        assert_eq!(html("a\u{202e}b\nc"), "a\\u202eb\nc");
        assert_eq!(markdown("a\u{202e}b\u{2028}c"), "a b c");
        assert_eq!(fenced("", "a\u{1b}[1m\n"), "```\na\\u001b[1m\n```\n");
    }

    #[test]
    fn a_path_is_an_address_and_a_word_a_word() {
        assert_eq!(address("a b/ü%?#.html"), "a%20b/%C3%BC%25%3F%23.html");
        assert_eq!(quoted("runs/a-1/run.json"), "runs/a-1/run.json");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("in box"), "'in box'");
        assert_eq!(quoted("=ls"), "'=ls'");
        assert_eq!(quoted("a\nb\u{1b}[31m!\u{202e}"), r"$'a\012b\033[31m\041\342\200\256'");
        assert_eq!(quoted("a\u{61c}b"), r"$'a\330\234b'");
        assert_eq!(quoted_path("-x/run.json"), "./-x/run.json");
        assert_eq!(quoted_path("x/-y"), "x/-y");
    }

    /// What a shell takes a word for.
    #[cfg(unix)]
    fn taken_by_a_shell(word: &str) -> Vec<u8> {
        let line = format!("printf %s {word}");
        let ended = std::process::Command::new("bash").args(["-c", &line]).output();
        ended.expect("there is a bash").stdout
    }

    #[cfg(unix)]
    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]
        #[test]
        fn a_shell_takes_a_quoted_word_for_its_bytes(
            bytes in proptest::collection::vec(1_u8..=255, 0..24),
            text in "[ -~äß😀\u{1}-\u{1f}\u{80}-\u{a0}\u{61c}\u{200b}-\u{2069}]{0,16}",
        ) {
            use std::os::unix::ffi::OsStrExt;
            for bytes in [&bytes, text.as_bytes()] {
                let word = quoted(OsStr::from_bytes(bytes));
                proptest::prop_assert!(!word.chars().any(is_obeyed), "{word:?}");
                proptest::prop_assert_eq!(&taken_by_a_shell(&word), bytes, "{}", word);
            }
        }
    }
}
