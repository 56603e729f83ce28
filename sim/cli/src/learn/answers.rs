//! Answers: given as options, or asked for on the terminal.
//!
//! Holds: every answer is one that its question can have; whoever does not know says `?`. An empty
//! line is no answer, and the end of the input ends the asking.

use crate::failure::Failure;
use crate::given::{meant, quoted};
use mailstorm_reports::layout::{wrapped, wrapped_after};
use mailstorm_scenarios::lessons::{Answer, Question};
use std::collections::BTreeMap;
use std::io::{BufRead, Read};
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
                "'{text}' is not an answer: expected something like leaders=2, or leaders=?"
            )),
        }
    }
}

/// Says what is wrong with an answer, if it cannot be one.
type Problem = Box<dyn Fn(&str) -> Option<String>>;

/// What is asked.
pub(super) struct Asked {
    pub key: &'static str,
    pub text: &'static str,
    /// What can be answered: a range of numbers, or the choices.
    pub expected: String,
    /// The choices with their meanings, one a line; empty for a number.
    pub choices: Vec<String>,
    /// What is wrong with an answer, if it cannot be one.
    pub problem: Problem,
}

impl Asked {
    pub(super) fn of(question: &Question) -> Self {
        let (key, text) = (question.key, question.text);
        match question.answer {
            Answer::Choice { choices, .. } => Self::choice(key, text, choices),
            number @ Answer::Number { .. } => {
                let expected = number.expected();
                let problem =
                    move |answer: &str| number.check(answer).err().map(|error| error.to_string());
                Self { key, text, expected, choices: Vec::new(), problem: Box::new(problem) }
            }
        }
    }

    /// A question with these choices, each with its meaning.
    pub(super) fn choice(
        key: &'static str,
        text: &'static str,
        choices: &[(&'static str, &'static str)],
    ) -> Self {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let expected = words.join(" | ");
        let problem = move |answer: &str| {
            let meant = meant(answer, words.iter().copied());
            let expected = words.join(", ");
            (!words.contains(&answer)).then(|| {
                format!("'{answer}' is not one of the choices: {meant}expected one of {expected}")
            })
        };
        let choices = choices.iter().map(|(word, about)| format!("{word}: {about}")).collect();
        Self { key, text, expected, choices, problem: Box::new(problem) }
    }

    /// The question under its number, and what can be answered: the choices, or the range. Whoever
    /// answers by options is told its key as well.
    fn told(&self, number: usize, with_key: bool) -> String {
        const INDENT: &str = "    ";
        let mut out = wrapped(&format!("{number}. {}", self.text)) + "\n";
        for choice in &self.choices {
            out += &(wrapped_after(choice, INDENT) + "\n");
        }
        match (with_key, self.choices.is_empty()) {
            (true, _) => out += &format!("{INDENT}{} = {}\n", self.key, self.expected),
            (false, true) => out += &format!("{INDENT}{}\n", self.expected),
            (false, false) => {}
        }
        out
    }
}

/// Where people are asked: what they type, and where they read.
pub(super) struct Dialogue<'a> {
    /// What is typed.
    pub input: &'a mut dyn BufRead,
    /// Shows a text.
    pub show: &'a mut dyn FnMut(&str) -> Result<(), Failure>,
}

/// What was answered, by question.
#[derive(Debug)]
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
            if by_key.insert(question.key, answer).is_some() {
                return Err(Failure::new(format!(
                    "'{key}' is answered twice: give one --answer for each question"
                )));
            }
        }
        Ok(Self { by_key, is_from_terminal: false })
    }

    /// Whether every question has its answer.
    pub(super) fn is_complete(&self, asked: &[Asked]) -> bool {
        asked.iter().all(|question| self.by_key.contains_key(question.key))
    }

    /// The questions that have no answer yet, and how to answer them as options.
    pub(super) fn how_to_give(&self, asked: &[Asked], lesson: &str) -> String {
        let is_missing = |question: &&Asked| !self.by_key.contains_key(question.key);
        let numbered = asked.iter().zip(1..).filter(|(question, _)| is_missing(question));
        let questions: Vec<String> =
            numbered.map(|(question, number)| question.told(number, true)).collect();
        let options = asked.iter().map(|question| {
            let given = self.by_key.get(question.key).cloned().flatten();
            let answer = given.unwrap_or_else(|| "?".to_owned());
            format!(" --answer {}", quoted(format!("{}={answer}", question.key)))
        });
        format!(
            "{}\nAnswer, and see what happens ('?' for what you do not know):\n  mailstorm learn {lesson}{}\n",
            questions.join("\n"),
            options.collect::<String>(),
        )
    }

    /// Asks for what is missing. `None` if the input ends before the last answer.
    pub(super) fn ask(
        mut self,
        asked: &[Asked],
        dialogue: &mut Dialogue<'_>,
    ) -> Result<Option<Self>, Failure> {
        self.is_from_terminal = true;
        for (question, number) in asked.iter().zip(1..) {
            if self.by_key.contains_key(question.key) {
                continue;
            }
            (dialogue.show)(&question.told(number, false))?;
            let Some(answer) = answer_to(question, dialogue)? else { return Ok(None) };
            self.by_key.insert(question.key, (answer != "?").then_some(answer));
            (dialogue.show)("\n")?;
        }
        Ok(Some(self))
    }

    pub(super) fn of(&self, key: &str) -> Option<&str> {
        self.by_key.get(key)?.as_deref()
    }

    pub(super) fn is_from_terminal(&self) -> bool {
        self.is_from_terminal
    }
}

/// The most of a line that is read as one answer.
const ANSWER_BYTES_MAX: u64 = 200;

/// Asks until there is an answer that can be one, or `?`. `None` at the end of the input.
fn answer_to(question: &Asked, dialogue: &mut Dialogue<'_>) -> Result<Option<String>, Failure> {
    loop {
        (dialogue.show)("> ")?;
        let mut line = Vec::new();
        let read = dialogue.input.take(ANSWER_BYTES_MAX).read_until(b'\n', &mut line);
        let bytes = read.map_err(|error| {
            Failure::new(format!("cannot read an answer: {error}; use --answer"))
        })?;
        if bytes == 0 {
            (dialogue.show)("\n")?;
            return Ok(None);
        }
        let line = String::from_utf8_lossy(&line).replace(char::is_control, " ");
        let answer = line.trim();
        if answer == "?" {
            return Ok(Some(answer.to_owned()));
        }
        let problem = if answer.is_empty() {
            Some("no answer yet".to_owned())
        } else {
            (question.problem)(answer)
        };
        match problem {
            None => return Ok(Some(answer.to_owned())),
            Some(problem) => {
                let told = format!("{problem}; type '?' if you do not know");
                (dialogue.show)(&format!("{}\n", wrapped(&told)))?;
            }
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

    /// Asks two questions of somebody who types this: what was answered, and what was shown.
    fn typed(input: &str) -> (Option<Answers>, String) {
        let lesson = mailstorm_scenarios::lessons::lesson("quorum-half").expect("it exists");
        let number = Asked::of(&lesson.questions[0]);
        let asked = [number, Asked::choice("cause", "Why?", &[("fence", "no fence")])];
        let answers = Answers::given(&[], &asked).expect("none is given");
        let mut shown = String::new();
        let mut show = |text: &str| {
            shown += text;
            Ok(())
        };
        let mut dialogue = Dialogue { input: &mut input.as_bytes(), show: &mut show };
        let answers = answers.ask(&asked, &mut dialogue).expect("bytes can be read");
        (answers, shown)
    }

    #[test]
    fn whoever_presses_enter_is_asked_again_and_so_is_whoever_types_nonsense() {
        let cases = [
            ("\n", "no answer yet"),
            ("   \t \n", "no answer yet"),
            ("two\n", "'two' is not a number: expected a whole number from 0 to 5 (leaders)"),
            ("6\n", "6 is out of range: expected a whole number from 0 to 5 (leaders)"),
            ("-1\n", "-1 is out of range"),
            ("1.5\n", "1.5 is out of range"),
            ("\u{1b}[31m\n", "is not a number"),
        ];
        for (wrong, told) in cases {
            let (answers, shown) = typed(&format!("{wrong}2\nfence\n"));
            let answers = answers.expect("both are answered in the end");
            assert_eq!(
                (answers.of("leaders-half"), answers.of("cause")),
                (Some("2"), Some("fence"))
            );
            let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words(&shown).contains(told), "{shown}");
            assert!(words(&shown).contains("type '?' if you do not know"), "{shown}");
            assert_eq!(shown.matches("> ").count(), 3, "asked again: {shown}");
            assert!(!shown.contains('\u{1b}'), "{shown:?}");
        }
        let (_, shown) = typed("2\nfense\nfence\n");
        assert!(shown.contains("did you mean 'fence'?"), "{shown}");
    }

    #[test]
    fn a_question_says_what_can_be_answered_before_anybody_answers() {
        let (_, shown) = typed("?\n?\n");
        let number = "\n    a whole number from 0 to 5 (leaders)\n> ";
        assert!(shown.contains(number) && shown.contains("\n    fence: no fence\n> "), "{shown}");
    }

    #[test]
    fn a_question_mark_answers_that_one_does_not_know() {
        let (answers, _) = typed("?\n ? \n");
        let answers = answers.expect("both are answered");
        assert_eq!((answers.of("leaders-half"), answers.of("cause")), (None, None));
    }

    #[test]
    fn the_end_of_the_input_ends_the_asking_wherever_it_comes() {
        for input in ["", "\n", "2\n", "2\n\n", "two\n"] {
            let (answers, shown) = typed(input);
            assert!(answers.is_none(), "{input:?}");
            assert!(
                shown.ends_with("> \n"),
                "the shell's prompt gets a line of its own: {shown:?}"
            );
        }
        // A last line without its end is an answer like any other.
        assert!(typed("2\nfence").0.is_some());
    }

    #[test]
    fn a_line_without_an_end_is_read_in_parts_and_refused() {
        let (answers, shown) = typed(&format!("{}\n2\nfence\n", "9".repeat(5_000)));
        assert!(answers.is_some() && shown.contains("is out of range"));
    }
}
