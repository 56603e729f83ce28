//! Questions: what a learner is asked to predict, and how the runs answer.
//!
//! Holds: the right answer is read from the records of the runs, never written down.

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
    /// Why it is so, in up to three sentences.
    pub why: &'static str,
}

/// What an answer can be, and how to read the right one from the records.
pub enum Answer {
    /// A number.
    Number {
        /// What it counts: `leaders`, `s`.
        unit: &'static str,
        /// How far beside it an answer may be.
        tolerance: f64,
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

/// Why an answer cannot be graded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// It is no number.
    #[error("'{answer}' is no number: expected something like 2 or 0.7 ({unit})")]
    NoNumber {
        /// What was answered.
        answer: String,
        /// What the number counts.
        unit: &'static str,
    },
    /// It is none of the choices.
    #[error("'{answer}' is none of the choices: expected {expected}")]
    NoChoice {
        /// What was answered.
        answer: String,
        /// The choices.
        expected: String,
    },
}

/// A right answer, as the records have it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Truth {
    /// A number of so many of a unit.
    Number(f64, &'static str),
    /// A choice, and what it means.
    Choice(&'static str, &'static str),
}

impl fmt::Display for Truth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number, unit) => {
                // To a thousandth: the laboratory's times are finer than any answer.
                write!(f, "{} {unit}", (number * 1_000.0).round() / 1_000.0)
            }
            Self::Choice(word, meaning) => write!(f, "{word} ({meaning})"),
        }
    }
}

impl Question {
    /// The right answer; `None` if the records do not show it.
    pub fn truth(&self, records: &Records) -> Option<Truth> {
        match &self.answer {
            Answer::Number { unit, truth, .. } => {
                truth(records).map(|number| Truth::Number(number, unit))
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
        let answer = answer.trim();
        match &self.answer {
            Answer::Number { unit, tolerance, .. } => {
                let number = answer.parse::<f64>().ok().filter(|number| number.is_finite());
                let Some(number) = number else {
                    return Err(AnswerError::NoNumber { answer: answer.to_owned(), unit });
                };
                Ok(self.truth(records).map(|truth| {
                    matches!(truth, Truth::Number(right, _) if (number - right).abs() <= *tolerance)
                }))
            }
            Answer::Choice { choices, .. } => {
                let Some((word, _)) = choices.iter().find(|(word, _)| *word == answer) else {
                    let expected: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
                    let expected = expected.join(", ");
                    return Err(AnswerError::NoChoice { answer: answer.to_owned(), expected });
                };
                Ok(self
                    .truth(records)
                    .map(|truth| matches!(truth, Truth::Choice(right, _) if right == *word)))
            }
        }
    }
}
