//! Files of Java's properties: lines of a key and a value.
//!
//! Holds: every line of a file is read as Java reads it: `key=value`, `key: value` or `key value`,
//! comments behind `#` or `!` at a line's beginning, lines that go on behind a backslash at their
//! end.

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Property {
    /// Where it begins, from 1.
    pub(super) line: usize,
    pub(super) key: String,
    /// Without blanks around it.
    pub(super) value: String,
}

/// All entries, in the order of the file.
pub(super) fn parse(text: &str) -> Vec<Property> {
    let mut properties = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, first)) = lines.next() {
        let mut whole = first.trim_start().to_owned();
        if whole.is_empty() || whole.starts_with(['#', '!']) {
            continue;
        }
        while goes_on(&whole) {
            whole.pop();
            let Some((_, next)) = lines.next() else { break };
            whole.push_str(next.trim_start());
        }
        let (key, value) = split(&whole);
        properties.push(Property { line: index + 1, key, value });
    }
    properties
}

/// Whether a line ends in a backslash that is not itself escaped.
fn goes_on(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

fn split(line: &str) -> (String, String) {
    let mut escaped = false;
    let ends_key = |c: char| {
        let ends = !escaped && (matches!(c, '=' | ':') || c.is_whitespace());
        escaped = c == '\\' && !escaped;
        ends
    };
    let end = line.find(ends_key).unwrap_or(line.len());
    let rest = line[end..].trim_start();
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (unescaped(&line[..end]), unescaped(value.trim()))
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => plain.push('\t'),
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                plain.push(code.unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some(other) => plain.push(other),
            None => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_java_reads_them() {
        for (text, key, value) in [
            ("a=b", "a", "b"),
            ("  a  =  b  ", "a", "b"),
            ("a: b", "a", "b"),
            ("a b", "a", "b"),
            ("a", "a", ""),
            ("a=", "a", ""),
            ("server.1=h:2888:3888;2181", "server.1", "h:2888:3888;2181"),
            ("a\\=b=c", "a=b", "c"),
            ("a=C:\\\\data", "a", "C:\\data"),
            ("a=x\\u0041\\ty", "a", "xA\ty"),
            ("a=one,\\\n   two", "a", "one,two"),
            ("# no\n! no\n\n a=b", "a", "b"),
            ("a=b\r\n", "a", "b"),
        ] {
            let parsed = parse(text);
            assert_eq!(parsed.len(), 1, "{text:?}");
            assert_eq!((&*parsed[0].key, &*parsed[0].value), (key, value), "{text:?}");
        }
        let lines: Vec<_> = parse("a=1\\\n2\n#x\nb=3").iter().map(|p| p.line).collect();
        assert_eq!(lines, [1, 4]);
    }
}
