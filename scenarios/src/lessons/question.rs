//! Questions: what a learner is asked to predict, and how the runs answer.
//!
//! Owns: what an answer can be, what it is worth, and how it is written. Leaves: asking to the
//! command line.
//! Holds: the right answer is read from the records of the runs, never written down; the story has
//! every fact from which it follows, and every number that goes into it.

use super::derivation;
use super::records::Records;
use std::fmt;

/// A question to be answered before the runs are looked at.
pub struct Question {
    /// Its name, for answers on a command line.
    pub key: &'static str,
    /// The question.
    pub text: &'static str,
    /// What an answer can be, and which one is right.
    pub answer: Answer,
    /// The facts from which the answer follows, in the words of the story.
    pub rests_on: &'static [&'static str],
    /// Why it is so, in up to three sentences.
    pub why: &'static str,
}

/// What an answer can be, and how to read the right one from the records.
#[derive(Clone, Copy)]
pub enum Answer {
    /// A number.
    Number {
        /// What it counts.
        unit: Unit,
        /// The least and the most that can be answered.
        range: (f64, f64),
        /// How far an answer may be off and still be right. With none, answers are whole numbers.
        tolerance: f64,
        /// How the story's numbers lead to it, as arithmetic: `100 / (400 - 250)`. `None` if
        /// nothing is to be calculated.
        derivation: Option<&'static str>,
        /// The right one; `None` if the records do not show it.
        truth: fn(&Records) -> Option<f64>,
    },
    /// One of several.
    Choice {
        /// Each with the word that stands for it, and what it means.
        choices: &'static [(&'static str, &'static str)],
        /// The word of the right one; `None` if the records do not show it.
        truth: fn(&Records) -> Option<&'static str>,
    },
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    one: &'static str,
    many: &'static str,
}

impl Unit {
    /// Virtual seconds.
    pub const SECONDS: Self = Self { one: "s", many: "s" };

    /// This, of which there may be `one` or `many`.
    pub const fn of(one: &'static str, many: &'static str) -> Self {
        Self { one, many }
    }

    /// Its name in the plural.
    pub fn many(self) -> &'static str {
        self.many
    }

    /// So many of it.
    fn counted(self, number: f64) -> String {
        let number = rounded(number);
        format!("{number} {}", if number == 1.0 { self.one } else { self.many })
    }
}

/// Why an answer cannot be graded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// It is not a number.
    #[error("'{answer}' is not a number: expected {expected}")]
    NoNumber {
        /// What was answered.
        answer: String,
        /// What can be.
        expected: String,
    },
    /// It is a number that cannot be the answer.
    #[error("{answer} is out of range: expected {expected}")]
    OutOfRange {
        /// What was answered.
        answer: String,
        /// What can be.
        expected: String,
    },
    /// It is none of the choices.
    #[error("'{answer}' is not one of the choices: expected {expected}")]
    NoChoice {
        /// What was answered.
        answer: String,
        /// The choices.
        expected: String,
    },
}

/// An answer that can be graded.
enum Given {
    Number(f64),
    Choice(&'static str),
}

/// A right answer, as the records have it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Truth {
    /// A number of so many of a unit.
    Number(f64, Unit),
    /// A choice, and what it means.
    Choice(&'static str, &'static str),
}

impl fmt::Display for Truth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number, unit) => f.write_str(&unit.counted(*number)),
            Self::Choice(word, meaning) => write!(f, "{word} ({meaning})"),
        }
    }
}

/// To a thousandth: the laboratory's times are finer than any answer.
fn rounded(number: f64) -> f64 {
    (number * 1_000.0).round() / 1_000.0
}

impl Answer {
    /// What can be answered, in words.
    pub fn expected(&self) -> String {
        match self {
            Self::Number { unit, range: (least, most), tolerance, .. } => {
                let unit = unit.many;
                if *tolerance == 0.0 {
                    return format!("a whole number from {least} to {most} ({unit})");
                }
                format!("a number from {least} to {most} ({unit}; within {tolerance} is right)")
            }
            Self::Choice { choices, .. } => {
                let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
                words.join(" | ")
            }
        }
    }

    /// Whether this can be an answer.
    ///
    /// # Errors
    /// [`AnswerError`] for what cannot.
    pub fn check(&self, answer: &str) -> Result<(), AnswerError> {
        self.given(answer).map(drop)
    }

    fn given(&self, answer: &str) -> Result<Given, AnswerError> {
        let answer = answer.trim();
        let (text, expected) = (answer.to_owned(), self.expected());
        match self {
            Self::Number { unit, range: (least, most), tolerance, .. } => {
                let digits = answer
                    .strip_suffix(unit.many)
                    .or_else(|| answer.strip_suffix(unit.one))
                    .map_or(answer, str::trim_end);
                let number = digits.parse::<f64>().ok().filter(|number| number.is_finite());
                let Some(number) = number else {
                    return Err(AnswerError::NoNumber { answer: text, expected });
                };
                let is_whole = number.fract() == 0.0 || *tolerance > 0.0;
                if !(*least..=*most).contains(&number) || !is_whole {
                    return Err(AnswerError::OutOfRange { answer: text, expected });
                }
                Ok(Given::Number(number))
            }
            Self::Choice { choices, .. } => {
                let choice = choices.iter().find(|(word, _)| *word == answer);
                let choice = choice.map(|(word, _)| Given::Choice(word));
                choice.ok_or(AnswerError::NoChoice { answer: text, expected })
            }
        }
    }
}

impl Question {
    /// The right answer; `None` if the records do not show it.
    pub fn truth(&self, records: &Records) -> Option<Truth> {
        match &self.answer {
            Answer::Number { unit, truth, .. } => {
                truth(records).map(|number| Truth::Number(number, *unit))
            }
            Answer::Choice { choices, truth } => {
                let word = truth(records)?;
                let (word, meaning) = choices.iter().find(|(choice, _)| *choice == word)?;
                Some(Truth::Choice(word, meaning))
            }
        }
    }

    /// Whether an answer is the right one; `None` if the records do not show which is.
    ///
    /// # Errors
    /// [`AnswerError`] for what cannot be an answer to this question.
    pub fn grade(&self, answer: &str, records: &Records) -> Result<Option<bool>, AnswerError> {
        let given = self.answer.given(answer)?;
        Ok(self.truth(records).map(|truth| match (given, truth, &self.answer) {
            (Given::Number(number), Truth::Number(right, _), Answer::Number { tolerance, .. }) => {
                (number - right).abs() <= *tolerance
            }
            (Given::Choice(word), Truth::Choice(right, _), _) => word == right,
            _ => false,
        }))
    }

    /// Which answers count as right, in words, if there is more than one.
    pub fn accepted(&self, records: &Records) -> Option<String> {
        match (&self.answer, self.truth(records)?) {
            (Answer::Number { range, tolerance, .. }, Truth::Number(right, _))
                if *tolerance > 0.0 =>
            {
                let from = rounded((right - tolerance).max(range.0));
                let to = rounded((right + tolerance).min(range.1));
                Some(format!("{from} to {to}"))
            }
            _ => None,
        }
    }

    /// How the story's numbers lead to the answer, with the result: `100 / (400 - 250) = 0.667`.
    pub fn derived(&self) -> Option<String> {
        let Answer::Number { derivation: Some(derivation), .. } = self.answer else { return None };
        let value = derivation::value(derivation)?;
        let is_calculated = derivation.contains(['+', '-', '*', '/']);
        is_calculated.then(|| format!("{derivation} = {}", rounded(value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_answered_is_told_and_nothing_else_is_taken() {
        let number = |tolerance, range| Answer::Number {
            unit: Unit::of("leader", "leaders"),
            range,
            tolerance,
            derivation: None,
            truth: |_| None,
        };
        let leaders = number(0.0, (0.0, 5.0));
        assert_eq!(leaders.expected(), "a whole number from 0 to 5 (leaders)");
        for taken in ["0", "5", " 2 ", "2.0", "1 leader", "2 leaders", "2leaders"] {
            assert_eq!(leaders.check(taken), Ok(()), "{taken}");
        }
        for refused in ["two", "", "inf", "NaN", "2 s", "leaders", "0x2"] {
            let error = leaders.check(refused).unwrap_err();
            assert!(matches!(error, AnswerError::NoNumber { .. }), "{refused}: {error}");
        }
        for refused in ["-1", "6", "1e9", "2.5"] {
            let error = leaders.check(refused).unwrap_err();
            let told = format!("{refused} is out of range: expected a whole number from 0 to 5");
            assert!(error.to_string().starts_with(&told), "{error}");
        }
        let about = number(1.5, (6.0, 11.0)).expected();
        assert_eq!(about, "a number from 6 to 11 (leaders; within 1.5 is right)");
        assert_eq!(number(1.5, (6.0, 11.0)).check("7.25"), Ok(()));
        let choice =
            Answer::Choice { choices: &[("yes", "it is"), ("no", "it is not")], truth: |_| None };
        assert_eq!(choice.expected(), "yes | no");
        assert_eq!((choice.check("no").is_ok(), choice.check("No").is_ok()), (true, false));
    }

    #[test]
    fn numbers_of_things_are_singular_for_one() {
        let crashes = Unit::of("crash", "crashes");
        assert_eq!(Truth::Number(1.0, crashes).to_string(), "1 crash");
        assert_eq!(Truth::Number(0.0, crashes).to_string(), "0 crashes");
        assert_eq!(Truth::Number(0.6584, Unit::SECONDS).to_string(), "0.658 s");
    }
}
