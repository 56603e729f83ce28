//! Words on a screen: lines that end between words, lists in as many columns as there is room for.
//!
//! Holds: no line is longer than it may be, but for a word or a command that is longer by itself;
//! no word is cut, and no number is torn from its unit.
//! Start at [`fold`] and `columns`.

/// As wide as the narrowest terminal that anybody uses: what texts are laid out for when nobody
/// says more.
pub const WIDTH: usize = 80;

/// What a line of text begins with if it is a command or a path to be copied: it is one line,
/// however long.
const COPIED: &[&str] = &["mailstorm ", "cargo "];

/// What a line begins with that people are told besides: its text stands beside it.
const REMARKS: &[&str] = &["note: ", "error: "];

/// What follows a number and belongs to it.
const UNITS: &[&str] = &[
    "ns", "µs", "ms", "s", "min", "h", "d", "kB", "MB", "GB", "TB", "KiB", "KiB/s", "ppm",
    "seeds/s",
];

/// Between two columns.
const GAP: usize = 3;

/// Where the column of names would be narrower, there is one column only.
const NAME_WIDTH_MIN: usize = 12;

/// The text with every line that is longer folded between words, below the place where its words
/// begin. A line that is copied and pasted stays one: only a remark at its end goes to a line of
/// its own.
pub fn fold(text: &str, width: usize) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for line in text.lines() {
        for part in folded(line, width) {
            out.push_str(part.trim_end());
            out.push('\n');
        }
    }
    if !text.ends_with('\n') {
        out.pop();
    }
    out
}

/// A paragraph: broken between words, at [`WIDTH`] as all that follow.
pub fn wrapped(text: &str) -> String {
    wrapped_after(text, "")
}

/// The same, each line after this indent.
pub fn wrapped_after(text: &str, indent: &str) -> String {
    broken(indent, length(indent), text)
}

/// Beside what stands before it, with the further lines below it, and a line end.
pub fn beside(before: &str, text: &str) -> String {
    broken(before, length(before), text) + "\n"
}

/// After what stands before it, with the further lines a little to the right, and a line end: for
/// names of any length below each other.
pub fn hanging(before: &str, text: &str) -> String {
    broken(before, 8, text) + "\n"
}

/// Broken between words: the first line begins with `first`, all others so far to the right; a
/// longer word has a line of its own.
pub fn broken(first: &str, indent: usize, text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = format!("{first}{}", words.join(" "));
    lines_of(&line, WIDTH, indent, length(first)).join("\n")
}

/// Broken between pieces, which stay as they are, whatever blanks they have: names of files.
pub fn broken_between<'a>(
    first: &str,
    indent: usize,
    pieces: impl IntoIterator<Item = &'a str>,
) -> String {
    let mut lines = vec![first.to_owned()];
    let mut is_empty = true;
    for piece in pieces {
        let last = lines.last_mut().expect("it begins with one");
        if !is_empty && length(last) + 1 + length(piece) > WIDTH {
            lines.push(format!("{}{piece}", " ".repeat(indent)));
        } else {
            if !is_empty {
                last.push(' ');
            }
            last.push_str(piece);
        }
        is_empty = false;
    }
    lines.join("\n")
}

fn folded(line: &str, width: usize) -> Vec<String> {
    if length(line) <= width {
        return vec![line.to_owned()];
    }
    let indent = words_begin(line, width);
    let words = line[byte_of(line, indent)..].trim_start();
    if COPIED.iter().any(|command| words.starts_with(command)) {
        return match words.split_once("   ") {
            Some((command, remark)) => {
                let command = format!("{}{command}", &line[..byte_of(line, indent)]);
                let remark = format!("{}{}", " ".repeat(indent), remark.trim_start());
                vec![command, remark]
            }
            None => vec![line.to_owned()],
        };
    }
    hung(line, width, indent)
}

/// In which column the words of a line begin: behind its label or the moment that it is about, or
/// where it is indented to.
fn words_begin(line: &str, width: usize) -> usize {
    let margin = line.chars().take_while(|c| *c == ' ').count();
    let words = &line[margin..];
    let remark = REMARKS.iter().find(|remark| words.starts_with(**remark));
    let behind = remark.map(|remark| length(remark)).or_else(|| moment_of(words)).or_else(|| {
        let end = words.find("  ")?;
        let gap = words[end..].chars().take_while(|c| *c == ' ').count();
        Some(length(&words[..end]) + gap)
    });
    behind.map(|behind| margin + behind).filter(|column| column * 2 <= width).unwrap_or(margin)
}

/// How wide the moment is that a line begins with: `at 4.684 s `, `900 ms `.
fn moment_of(words: &str) -> Option<usize> {
    let at = if words.starts_with("at ") { 3 } else { 0 };
    let (number, rest) = words[at..].split_once(' ')?;
    let (unit, _) = rest.split_once(' ')?;
    let is_moment = is_number(number) && UNITS.contains(&unit);
    is_moment.then(|| at + length(number) + 1 + length(unit) + 1)
}

fn is_number(word: &str) -> bool {
    let digits = word.trim_start_matches(['(', '[', '-', '+']);
    digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.chars().all(|c| c.is_ascii_digit() || c == '.' || c == ',')
}

/// Whether the words on both sides of this space belong together: a number and its unit, or two
/// parts of a span as in `2 min 5 s`.
fn is_bound(line: &str, space: usize) -> bool {
    let before = line[..space].rsplit(' ').next().unwrap_or_default();
    let after = line[space + 1..].split(' ').next().unwrap_or_default();
    let unit = after.trim_end_matches(|c: char| c.is_ascii_punctuation());
    (is_number(before) && UNITS.contains(&unit)) || (UNITS.contains(&before) && is_number(after))
}

fn byte_of(line: &str, column: usize) -> usize {
    line.char_indices().nth(column).map_or(line.len(), |(byte, _)| byte)
}

/// The line, and its continuations indented by this much.
pub(crate) fn hung(line: &str, width: usize, indent: usize) -> Vec<String> {
    // What stands before the first word stays there.
    let begins = line.len() - line.trim_start().len();
    lines_of(line, width, indent, begins.max(indent))
}

/// The same; the first line is not broken within what it begins with, which is `keep` wide.
fn lines_of(line: &str, width: usize, indent: usize, keep: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = line;
    let (mut margin, mut keep) = (0, keep);
    loop {
        let room = width.saturating_sub(margin);
        match break_at(rest, room, keep) {
            Some(at) => {
                lines.push(format!("{}{}", " ".repeat(margin), rest[..at].trim_end()));
                rest = rest[at..].trim_start();
                (margin, keep) = (indent, 0);
            }
            None => {
                lines.push(format!("{}{rest}", " ".repeat(margin)));
                return lines;
            }
        }
    }
}

/// The place of the last space at which a line ends within its room; of the first one behind it if
/// a word is longer. None if all of it fits, or if it is one word.
fn break_at(line: &str, room: usize, keep: usize) -> Option<usize> {
    if length(line) <= room {
        return None;
    }
    let mut last = None;
    for (column, (byte, c)) in line.char_indices().enumerate() {
        if c == ' '
            && column >= keep
            && byte > 0
            && !line[byte..].trim().is_empty()
            && !is_bound(line, byte)
        {
            let is_first = line[..byte].trim().is_empty();
            if column > room {
                return last.or((!is_first).then_some(byte));
            }
            if !is_first {
                last = Some(byte);
            }
        }
    }
    last
}

/// Names and values in as many columns as the width has room for, so that a long list stays on a
/// screen; each line begins with the indentation.
pub(crate) fn columns(rows: &[(String, String)], width: usize, indent: usize) -> Vec<String> {
    /// More are hard to find anything in.
    const COLUMNS_MAX: usize = 6;
    for count in (2..=COLUMNS_MAX).rev() {
        let per_column = rows.len().div_ceil(count).max(1);
        let parts: Vec<_> = rows.chunks(per_column).map(Part::of).collect();
        let total: usize = parts.iter().map(|part| part.name + 2 + part.value).sum();
        if parts.len() == count && indent + total + (count - 1) * GAP <= width {
            return side_by_side(&parts, indent);
        }
    }
    let half = width.saturating_sub(indent + GAP) / 2;
    let two: Vec<_> = rows.chunks(rows.len().div_ceil(2).max(1)).map(Part::of).collect();
    let fits = |part: &Part<'_>| {
        half >= part.value + 2 + NAME_WIDTH_MIN.max(part.word) || half >= part.name + 2 + part.value
    };
    if two.len() == 2 && two.iter().all(fits) {
        let mut narrow = two;
        narrow.iter_mut().for_each(|part| part.name = part.name.min(half - 2 - part.value));
        return side_by_side(&narrow, indent);
    }
    let mut one = Part::of(rows);
    one.name = one.name.min(width.saturating_sub(indent + 2 + one.value)).max(one.word);
    side_by_side(&[one], indent)
}

/// One column of names and values.
struct Part<'a> {
    rows: &'a [(String, String)],
    /// How wide its names and values may be, and the longest word of a name.
    name: usize,
    value: usize,
    word: usize,
}

impl<'a> Part<'a> {
    fn of(rows: &'a [(String, String)]) -> Self {
        let words = rows.iter().flat_map(|(name, _)| name.split(' '));
        Self {
            rows,
            name: rows.iter().map(|(name, _)| length(name)).max().unwrap_or(0),
            value: rows.iter().map(|(_, value)| length(value)).max().unwrap_or(0),
            word: words.map(length).max().unwrap_or(0),
        }
    }

    /// Its lines, all of one width: a name that is too long goes on in the next.
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, value) in self.rows {
            let parts = hung(name, self.name, 1);
            let last = parts.len() - 1;
            for (index, part) in parts.iter().enumerate() {
                let value = if index == last { value.as_str() } else { "" };
                let (name_width, value_width) = (self.name, self.value);
                lines.push(format!("{part:<name_width$}  {value:>value_width$}"));
            }
        }
        lines
    }
}

fn side_by_side(parts: &[Part<'_>], indent: usize) -> Vec<String> {
    let all: Vec<Vec<String>> = parts.iter().map(Part::lines).collect();
    let height = all.iter().map(Vec::len).max().unwrap_or(0);
    let line = |row: usize| {
        let cells = all.iter().zip(parts).map(|(lines, part)| {
            let blank = || " ".repeat(part.name + 2 + part.value);
            lines.get(row).cloned().unwrap_or_else(blank)
        });
        let cells: Vec<String> = cells.collect();
        format!("{}{}", " ".repeat(indent), cells.join(&" ".repeat(GAP))).trim_end().to_owned()
    };
    (0..height).map(line).collect()
}

/// How many columns a text takes: one for each character.
fn length(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, width: usize, expected: &[&str]) {
        assert_eq!(fold(line, width).lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_long_line_goes_on_below_where_its_words_begin() {
        check("short", 20, &["short"]);
        check("  speed  one two three four", 20, &["  speed  one two", "         three four"]);
        check("one two three four five", 12, &["one two", "three four", "five"]);
        check("  one two three", 9, &["  one two", "  three"]);
    }

    #[test]
    fn a_story_goes_on_below_its_words_and_no_number_is_torn_from_its_unit() {
        let line = "  at 4.684 s s3 (leader) crashes again, down for 900 ms";
        check(
            line,
            30,
            &[
                "  at 4.684 s s3 (leader)",
                "             crashes again,",
                "             down for 900 ms",
            ],
        );
        check(
            "  900 ms into the storm s1 loses power",
            24,
            &["  900 ms into the storm", "         s1 loses power"],
        );
        check("it stands still for 2 min 5 s.", 28, &["it stands still for", "2 min 5 s."]);
        check("every mail at 1,024 KiB/s, or 5 h", 20, &["every mail at", "1,024 KiB/s, or 5 h"]);
        check(
            "note: 3 runs of an earlier storm moved",
            24,
            &["note: 3 runs of an", "      earlier storm", "      moved"],
        );
        assert_eq!(wrapped(&"waits for 15 s ".repeat(20)).matches("15\n").count(), 0);
    }

    #[test]
    fn a_text_is_broken_between_words_and_no_line_is_too_long() {
        let text = "word ".repeat(60);
        for line in wrapped_after(&text, "     ").lines() {
            assert!(line.starts_with("     word") && line.len() <= WIDTH, "{line:?}");
        }
        assert_eq!(wrapped("  one\n two "), "one two");
    }

    #[test]
    fn a_text_stands_beside_its_name_and_goes_on_below_itself() {
        let told = beside("  name  ", &"word ".repeat(30));
        assert!(told.starts_with("  name  word word "), "{told}");
        for line in told.lines().skip(1) {
            assert!(line.starts_with("        word") && line.len() <= WIDTH, "{line:?}");
        }
        let long = hanging(&"n".repeat(40), &"word ".repeat(30));
        assert!(long.lines().skip(1).all(|line| line.starts_with("        word")), "{long}");
        assert_eq!(beside("a: ", "b"), "a: b\n");
    }

    #[test]
    fn a_word_that_is_too_long_is_not_cut() {
        check(
            "a wonderfully/long/path/of/a/file b",
            12,
            &["a", "wonderfully/long/path/of/a/file", "b"],
        );
        check("  wonderfully/long/path", 12, &["  wonderfully/long/path"]);
    }

    #[test]
    fn a_command_stays_one_line_and_its_remark_goes_below_it() {
        check(
            "  replay   mailstorm replay x --seed 4        (trace 0f)",
            40,
            &["  replay   mailstorm replay x --seed 4", "           (trace 0f)"],
        );
        check(
            "  replay   mailstorm replay a/long/path x y z",
            30,
            &["  replay   mailstorm replay a/long/path x y z"],
        );
    }

    fn rows(names: &[&str]) -> Vec<(String, String)> {
        names.iter().map(|name| ((*name).to_owned(), name.len().to_string())).collect()
    }

    #[test]
    fn a_list_has_as_many_columns_as_there_is_room_for() {
        let short = rows(&["a", "bb", "ccc", "dddd", "e"]);
        assert_eq!(columns(&short, 80, 2), ["  a  1   bb  2   ccc  3   dddd  4   e  1"]);
        let three = ["  a   1   ccc   3   e  1", "  bb  2   dddd  4"];
        assert_eq!(columns(&short, 24, 2), three);
        assert_eq!(columns(&rows(&["a"]), 80, 2), ["  a  1"]);
        assert!(columns(&[], 80, 2).is_empty());
    }

    #[test]
    fn a_long_name_goes_on_in_the_next_line_of_its_column() {
        let long =
            rows(&["session expired while its owner was paused", "all servers down at once"]);
        let two = [
            "  session expired while         all servers down at",
            "   its owner was paused    42    once                    24",
        ];
        assert_eq!(columns(&long, 60, 2), two);
        let one = [
            "  session expired while its",
            "   owner was paused           42",
            "  all servers down at once    24",
        ];
        assert_eq!(columns(&long, 32, 2), one);
    }
}
