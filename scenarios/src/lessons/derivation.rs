//! The arithmetic by which an answer follows from the numbers of a story: `100 / (400 - 250)`.
//!
//! Holds: what is no arithmetic has no value.

/// Its value; `None` for what is not made of numbers, `+`, `-`, `*`, `/` and parentheses.
pub(super) fn value(text: &str) -> Option<f64> {
    let mut rest = text;
    let value = sum(&mut rest)?;
    rest.trim().is_empty().then_some(value)
}

fn sum(rest: &mut &str) -> Option<f64> {
    let mut value = product(rest)?;
    while let Some(sign) = taken(rest, &['+', '-']) {
        let next = product(rest)?;
        value += if sign == '+' { next } else { -next };
    }
    Some(value)
}

fn product(rest: &mut &str) -> Option<f64> {
    let mut value = term(rest)?;
    while let Some(sign) = taken(rest, &['*', '/']) {
        let next = term(rest)?;
        value = if sign == '*' { value * next } else { value / next };
    }
    Some(value)
}

fn term(rest: &mut &str) -> Option<f64> {
    if taken(rest, &['(']).is_some() {
        let value = sum(rest)?;
        taken(rest, &[')'])?;
        return Some(value);
    }
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
    let (digits, after) = rest.split_at(end);
    *rest = after;
    digits.parse().ok()
}

/// The next character, if it is one of these, without the spaces around it.
fn taken(rest: &mut &str, signs: &[char]) -> Option<char> {
    let trimmed = rest.trim_start();
    let next = trimmed.chars().next().filter(|next| signs.contains(next))?;
    *rest = trimmed[1..].trim_start();
    Some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_has_a_value_and_anything_else_has_none() {
        for (text, expected) in [
            ("250", 250.0),
            ("100 / (400 - 250)", 100.0 / 150.0),
            ("5.0 + 6 + 2 / 2", 12.0),
            ("4 - (4 / 2 + 1)", 1.0),
            ("(25.0 - 10.0) * 3 / 0.8", 56.25),
        ] {
            assert_eq!(value(text), Some(expected), "{text}");
        }
        for text in ["", "two", "2 +", "(2", "2)", "2 2", "-1", "1..2"] {
            assert_eq!(value(text), None, "{text}");
        }
    }
}
