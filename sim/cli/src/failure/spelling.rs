//! What somebody may have meant who misspelt a name.

/// The name in `known` that is most like `wanted`, if one is like it at all.
pub(crate) fn nearest<'a>(
    wanted: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    /// More differences than this are another word.
    const DIFFERENCES_MAX: usize = 4;
    known
        .into_iter()
        .map(|name| (differences(wanted, name), name))
        .min()
        .filter(|(distance, _)| *distance <= DIFFERENCES_MAX)
        .map(|(_, name)| name)
}

/// How many letters must be inserted, removed or replaced (Levenshtein).
fn differences(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_told_its_nearest() {
        let known = ["mail-claims", "ensemble", "ensemble-3"];
        assert_eq!(nearest("mail-claim", known), Some("mail-claims"));
        assert_eq!(nearest("ensembel", known), Some("ensemble"));
        assert_eq!(nearest("quorum-half", known), None);
    }
}
