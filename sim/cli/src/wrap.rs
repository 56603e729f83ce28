//! Text for a terminal, broken between words.

/// As wide as the narrowest terminal that anybody uses.
pub(crate) const COLUMNS: usize = 80;

/// Broken between words.
pub(crate) fn wrapped(text: &str) -> String {
    wrapped_after(text, "")
}

/// Broken between words, each line after this indent.
pub(crate) fn wrapped_after(text: &str, indent: &str) -> String {
    broken(indent, indent, text)
}

/// Beside what stands before it, with the further lines below it, and a line end.
pub(crate) fn beside(before: &str, text: &str) -> String {
    broken(before, &" ".repeat(before.chars().count()), text) + "\n"
}

/// After what stands before it, with the further lines a little to the right, and a line end: for names of any
/// length below each other.
pub(crate) fn hanging(before: &str, text: &str) -> String {
    broken(before, "        ", text) + "\n"
}

/// Broken between words: the first line begins with `first`, all others with `indent`; a longer word has a
/// line of its own.
pub(crate) fn broken(first: &str, indent: &str, text: &str) -> String {
    broken_between(first, indent, text.split_whitespace())
}

/// Broken between pieces, which stay as they are, whatever blanks they have.
pub(crate) fn broken_between<'a>(
    first: &str,
    indent: &str,
    pieces: impl Iterator<Item = &'a str>,
) -> String {
    let mut lines = vec![first.to_owned()];
    let mut is_empty = true;
    for word in pieces {
        let last = lines.last_mut().expect("it begins with one");
        if !is_empty && last.chars().count() + 1 + word.chars().count() > COLUMNS {
            lines.push(format!("{indent}{word}"));
            continue;
        }
        last.push_str(if is_empty { "" } else { " " });
        last.push_str(word);
        is_empty = false;
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_broken_between_words_and_no_line_is_too_long() {
        let text = "word ".repeat(60);
        for line in wrapped_after(&text, "     ").lines() {
            assert!(line.starts_with("     word") && line.len() <= COLUMNS, "{line:?}");
        }
        assert_eq!(wrapped("  one\n two "), "one two");
    }

    #[test]
    fn a_text_stands_beside_its_name_and_goes_on_below_itself() {
        let told = beside("  name  ", &"word ".repeat(30));
        assert!(told.starts_with("  name  word word "), "{told}");
        for line in told.lines().skip(1) {
            assert!(line.starts_with("        word") && line.len() <= COLUMNS, "{line:?}");
        }
        let long = hanging(&"n".repeat(40), &"word ".repeat(30));
        assert!(long.lines().skip(1).all(|line| line.starts_with("        word")), "{long}");
        assert_eq!(beside("a: ", "b"), "a: b\n");
    }
}
