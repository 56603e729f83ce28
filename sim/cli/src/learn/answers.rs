//! Answers: given as options, or asked for on the terminal.
//!
//! Holds: every answer is one that its question can have; whoever does not know says nothing, or `?`.

use crate::failure::Failure;
use crate::given::{meant, quoted};
use mailstorm_scenarios::lessons::{Answer, Question};
use std::collections::BTreeMap;
use std::io::{BufRead, IsTerminal};
use std::str::FromStr;

/// An answer as an option: `leaders=2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    key: String,
    answer: String,
}

impl FromStr for Given {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=').map(|(key, answer)| (key.trim(), answer.trim())) {
            Some((key, answer)) if !key.is_empty() && !answer.is_empty() => {
                Ok(Self { key: key.to_owned(), answer: answer.to_owned() })
            }
            _ => Err(format!(
                "'{text}' is no answer: expected something like leaders=2, or leaders=?"
            )),
        }
    }
}

/// Says what is wrong with an answer, if it is none.
type Problem = Box<dyn Fn(&str) -> Option<String>>;

/// What is asked.
pub(super) struct Asked {
    pub key: &'static str,
    pub text: &'static str,
    /// What stands for an answer: `NUMBER`, or the choices.
    pub form: String,
    /// The choices with their meanings, one a line; empty for a number.
    pub choices: Vec<String>,
    /// What is wrong with an answer, if it is none.
    pub problem: Problem,
}

impl Asked {
    pub(super) fn of(question: &Question) -> Self {
        let (key, text) = (question.key, question.text);
        match &question.answer {
            Answer::Number { unit, .. } => {
                let unit = *unit;
                let problem = move |answer: &str| {
                    let is_number = answer.parse::<f64>().is_ok_and(f64::is_finite);
                    (!is_number).then(|| {
                        format!("'{answer}' is no number: expected something like 2 ({unit})")
                    })
                };
                let form = format!("NUMBER ({unit})");
                Self { key, text, form, choices: Vec::new(), problem: Box::new(problem) }
            }
            Answer::Choice { choices, .. } => Self::choice(key, text, choices),
        }
    }

    /// A question with these choices, each with its meaning.
    pub(super) fn choice(
        key: &'static str,
        text: &'static str,
        choices: &[(&'static str, &'static str)],
    ) -> Self {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let form = words.join(" | ");
        let problem = move |answer: &str| {
            let meant = meant(answer, words.iter().copied());
            let expected = words.join(", ");
            (!words.contains(&answer)).then(|| {
                format!("'{answer}' is none of the choices: {meant}expected one of {expected}")
            })
        };
        let choices = choices.iter().map(|(word, about)| format!("{word}: {about}")).collect();
        Self { key, text, form, choices, problem: Box::new(problem) }
    }

    fn told(&self) -> String {
        let mut out = format!("{}\n", super::wrapped(self.text));
        for choice in &self.choices {
            out += &format!("    {choice}\n");
        }
        out
    }
}

/// What was answered, by question.
pub(super) struct Answers {
    /// None for whoever does not know.
    by_key: BTreeMap<&'static str, Option<String>>,
    is_from_terminal: bool,
}

impl Answers {
    /// The answers that are given as options.
    pub(super) fn given(given: &[Given], asked: &[Asked]) -> Result<Self, Failure> {
        let mut by_key = BTreeMap::new();
        for Given { key, answer } in given {
            let Some(question) = asked.iter().find(|question| question.key == key) else {
                let keys: Vec<&str> = asked.iter().map(|question| question.key).collect();
                let meant = meant(key, keys.iter().copied());
                return Err(Failure::new(format!(
                    "no question '{key}': {meant}there is {}",
                    keys.join(", ")
                )));
            };
            let answer = (answer != "?").then(|| answer.clone());
            if let Some(problem) = answer.as_deref().and_then(&question.problem) {
                return Err(Failure::new(format!("{key}: {problem}")));
            }
            by_key.insert(question.key, answer);
        }
        Ok(Self { by_key, is_from_terminal: false })
    }

    /// Asks for what is missing. Without a terminal it cannot: then it says how to answer, and there are no
    /// answers.
    pub(super) fn complete(
        mut self,
        asked: &[Asked],
        lesson: &str,
    ) -> Result<Option<Self>, Failure> {
        let missing: Vec<&Asked> =
            asked.iter().filter(|question| !self.by_key.contains_key(question.key)).collect();
        if missing.is_empty() {
            return Ok(Some(self));
        }
        if !std::io::stdin().is_terminal() {
            let questions: Vec<String> = missing.iter().map(|question| question.told()).collect();
            let options = asked.iter().map(|question| {
                let form = self.by_key.get(question.key).cloned().flatten();
                let answer = form.unwrap_or_else(|| "?".to_owned());
                format!(" --answer {}", quoted(&format!("{}={answer}", question.key)))
            });
            let forms: Vec<String> =
                missing.iter().map(|q| format!("  {} = {}\n", q.key, q.form)).collect();
            crate::print(&format!(
                "{}\nAnswer, and see what happens ('?' for what you do not know):\n  mailstorm learn {lesson}{}\n{}",
                questions.join("\n"),
                options.collect::<String>(),
                forms.concat()
            ))?;
            return Ok(None);
        }
        self.is_from_terminal = true;
        for question in missing {
            crate::print(&question.told())?;
            let answer = ask(question)?;
            self.by_key.insert(question.key, answer);
        }
        crate::print("\n")?;
        Ok(Some(self))
    }

    pub(super) fn of(&self, key: &str) -> Option<&str> {
        self.by_key.get(key)?.as_deref()
    }

    pub(super) fn is_from_terminal(&self) -> bool {
        self.is_from_terminal
    }
}

/// Asks until there is an answer, or none.
fn ask(question: &Asked) -> Result<Option<String>, Failure> {
    loop {
        crate::print(&format!("{} > ", question.form))?;
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line);
        let bytes = read.map_err(|error| {
            Failure::new(format!("cannot read an answer: {error}; use --answer"))
        })?;
        let answer = line.trim();
        if bytes == 0 || answer.is_empty() || answer == "?" {
            return Ok(None);
        }
        match (question.problem)(answer) {
            None => return Ok(Some(answer.to_owned())),
            Some(problem) => crate::print(&format!("{problem}; '?' if you do not know\n"))?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_question_and_what_is_said_to_it() {
        let given = |key: &str, answer: &str| Ok(Given { key: key.into(), answer: answer.into() });
        assert_eq!("leaders=2".parse::<Given>(), given("leaders", "2"));
        assert_eq!(" leaders = ? ".parse::<Given>(), given("leaders", "?"));
        for wrong in ["leaders", "=2", "leaders=", ""] {
            assert!(wrong.parse::<Given>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_what_can_be_an_answer_is_taken() {
        let asked =
            [Asked::choice("cause", "Why?", &[("fence", "no fence"), ("quorum", "too few")])];
        let taken = |text: &str| {
            let given = [text.parse().unwrap()];
            let answers = Answers::given(&given, &asked);
            answers.map(|answers| answers.of("cause").map(str::to_owned)).map_err(|e| e.to_string())
        };
        assert_eq!(taken("cause=fence"), Ok(Some("fence".to_owned())));
        assert_eq!(taken("cause=?"), Ok(None));
        assert!(taken("cause=fense").unwrap_err().contains("did you mean 'fence'?"));
        assert!(taken("case=fence").unwrap_err().contains("did you mean 'cause'?"));
    }
}
