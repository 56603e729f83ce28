//! `mailstorm learn`: predict, run, look, compare.
//!
//! Owns: asking, grading and telling on a terminal or without one, what has been learned, the pages of
//! lessons. Leaves: what is asked, and the right answers, to `scenarios`.
//! Holds: nothing that answers a question is shown before it was asked; without a terminal nothing waits.
//! Start at [`learn`].

pub(crate) mod answers;
mod capstone;
mod path;

use crate::args::LearnArguments;
use crate::failure::{ExitCode, Failure};
use crate::given::meant;
use crate::report;
use crate::storm::{is_terminal, put, write};
use answers::{Answers, Asked};
use mailstorm_record::Violation;
use mailstorm_reports::page::{Shown, page};
use mailstorm_scenarios::lessons::{self, Design, Held, Lesson, Records, SEED};
use path::Path as LearningPath;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Where pages and what was learned are kept, below the folder for results.
const FOLDER: &str = "learn";

/// Lists the path, or goes through a lesson.
pub(crate) fn learn(arguments: &LearnArguments) -> Result<ExitCode, Failure> {
    let folder = arguments.out.join(FOLDER);
    match arguments.name.as_deref() {
        None => {
            crate::print(&LearningPath::read(&folder)?.told())?;
            Ok(ExitCode::Pass)
        }
        Some(capstone::NAME) => capstone::learn(arguments, &folder),
        Some(name) => {
            let lesson = lessons::lesson(name).ok_or_else(|| {
                let all = lessons::all();
                let names = all.iter().map(|lesson| lesson.name).chain([capstone::NAME]);
                let meant = meant(name, names);
                Failure::new(format!(
                    "unknown lesson '{name}': {meant}'mailstorm learn' lists them"
                ))
            })?;
            take(&lesson, arguments, &folder)
        }
    }
}

/// What came of a lesson, for machines.
#[derive(Debug, Serialize)]
struct Taken {
    lesson: &'static str,
    /// How many answers were right.
    right: usize,
    questions: Vec<Graded>,
    designs: Vec<Shows>,
    /// Whether every design showed what the lesson says.
    is_as_expected: bool,
    page: PathBuf,
}

/// A question, and how it was answered.
#[derive(Debug, Serialize)]
pub(crate) struct Graded {
    key: &'static str,
    text: &'static str,
    /// None for whoever did not know.
    answer: Option<String>,
    truth: String,
    is_right: bool,
    why: &'static str,
}

/// What a design showed.
#[derive(Debug, Serialize)]
struct Shows {
    design: String,
    violations: Vec<Violation>,
}

fn take(lesson: &Lesson, arguments: &LearnArguments, folder: &Path) -> Result<ExitCode, Failure> {
    let asked = lesson.questions.iter().map(Asked::of).collect::<Vec<_>>();
    let answers = Answers::given(&arguments.answer, &asked)?;
    let Lesson { number, name, title, story, .. } = lesson;
    say(arguments, &format!("{number}. {name}: \"{title}\"\n\n{}\n\n", wrapped(story)))?;
    let Some(answers) = answers.complete(&asked, lesson.name)? else { return Ok(ExitCode::Pass) };
    let records = Records::of(lesson, SEED);
    let held = records.held(lesson);
    let mut questions = Vec::new();
    for question in &lesson.questions {
        let Some(truth) = question.truth(&records) else {
            return Err(Failure::new(format!(
                "the runs of {} do not show the answer to '{}': please report it",
                lesson.name, question.key
            )));
        };
        let answer = answers.of(question.key).map(str::to_owned);
        let grade = answer.as_ref().map(|answer| question.grade(answer, &records)).transpose();
        let grade = grade.map_err(|error| Failure::new(format!("{}: {error}", question.key)))?;
        questions.push(Graded {
            key: question.key,
            text: question.text,
            answer,
            truth: truth.to_string(),
            is_right: grade.flatten() == Some(true),
            why: question.why,
        });
    }
    let file = folder.join(lesson.name).join(report::FILE);
    write(&file, stacked(lesson, &records).as_bytes())?;
    let shows = |held: &Held| Shows {
        design: held.design.clone(),
        violations: held.broke_as_asked.clone(),
    };
    let taken = Taken {
        lesson: lesson.name,
        right: questions.iter().filter(|question| question.is_right).count(),
        questions,
        designs: held.iter().map(shows).collect(),
        is_as_expected: held.iter().all(Held::is_as_expected),
        page: file.clone(),
    };
    let moment = moment(lesson, &records);
    say(arguments, &told(&taken, &held, &format!("{}{moment}", file.display())))?;
    let mut path = LearningPath::read(folder)?;
    path.add(lesson.name, taken.right, taken.questions.len());
    path.write(folder)?;
    if let Some(next) = path.next() {
        say(arguments, &format!("next     mailstorm learn {next}\n"))?;
    }
    write_json(arguments, &taken)?;
    if answers.is_from_terminal() && !arguments.no_open {
        report::open_at(&file, &moment);
    }
    // Only an error of ours: what learners answer is no failure.
    Ok(if taken.is_as_expected { ExitCode::Pass } else { ExitCode::Violation })
}

/// Tells people; beside the results for machines, if those have standard output to themselves.
fn say(arguments: &LearnArguments, text: &str) -> Result<(), Failure> {
    if is_terminal(arguments.json.as_deref()) {
        crate::tell(text.trim_end());
        return Ok(());
    }
    crate::print(text)
}

fn write_json(arguments: &LearnArguments, taken: &impl Serialize) -> Result<(), Failure> {
    let Some(file) = &arguments.json else { return Ok(()) };
    let mut json = serde_json::to_string_pretty(taken).expect("plain data with string keys");
    json.push('\n');
    put(file, &json)
}

/// What the designs showed, and how the answers fare.
fn told(taken: &Taken, held: &[Held], address: &str) -> String {
    let mut out = String::new();
    for design in held {
        let shows = match &design.broke_as_asked[..] {
            [] => "holds".to_owned(),
            violations => {
                let line = |v: &Violation| {
                    let (s, ms) = (v.at_ns / 1_000_000_000, v.at_ns / 1_000_000 % 1_000);
                    format!("breaks {}/{} at {s}.{ms:03} s: {}", v.checker, v.kind, v.detail)
                };
                violations.iter().map(line).collect::<Vec<_>>().join("\n         ")
            }
        };
        out += &format!("{}\n         {shows}\n", design.design);
        if !design.is_as_expected() {
            out += &format!(
                "         which is not what the lesson says; please report it: {design}\n"
            );
        }
    }
    out += &graded(&taken.questions);
    out += &format!("page     {address}\n");
    out
}

/// How answers fare, each with its reason.
fn graded(questions: &[Graded]) -> String {
    let mut out = String::new();
    for Graded { text, answer, truth, is_right, why, .. } in questions {
        let verdict = match answer {
            Some(_) if *is_right => format!("right: {truth}"),
            Some(answer) => format!("you said {answer}; it is {truth}"),
            None => format!("it is {truth}"),
        };
        out += &format!("\n{}\n  -> {verdict}\n{}\n", wrapped(text), indented(why));
    }
    let right = questions.iter().filter(|question| question.is_right).count();
    out += &format!("\n{right} of {} right\n", questions.len());
    out
}

/// The first wrong design above the first right one.
fn stacked(lesson: &Lesson, records: &Records) -> String {
    let shown = designs_shown(lesson);
    let replay =
        |design: &&Design| format!("mailstorm replay {} --seed {SEED}", design.scenario.name());
    let replays: Vec<String> = shown.iter().map(replay).collect();
    let mut shown: Vec<Shown<'_>> = shown
        .iter()
        .zip(&replays)
        .map(|(design, replay)| Shown {
            run: records.run(design.name),
            about: None,
            replay,
            missing: None,
        })
        .collect();
    // Once, on top.
    if let Some(first) = shown.first_mut() {
        first.about = Some(lesson.story);
    }
    page(&shown)
}

fn designs_shown(lesson: &Lesson) -> Vec<&Design> {
    ["wrong", "right"].into_iter().filter_map(|sort| lesson.design(sort)).collect()
}

/// Violations that are known when it is too late for anything. What never happened shows nowhere; the fault
/// that kept it from happening does.
const MISSING_AT_THE_END: [&str; 3] = ["lost", "stopped", "unfinished"];

/// The fragment of the page that shows the moment that decides: the violation that a design names first, or
/// the first fault.
fn moment(lesson: &Lesson, records: &Records) -> String {
    /// What is shown before and after it.
    const AROUND_S: f64 = 1.0;
    let first = designs_shown(lesson).into_iter().find_map(|design| {
        let named = records.violation(design.name, design.breaks.first()?)?;
        let shows = !MISSING_AT_THE_END.contains(&&*named.kind);
        shows.then_some(named.at_ns as f64 / 1e9)
    });
    let fault = || {
        let plan = &records.run(designs_shown(lesson).first()?.name).plan;
        plan.faults.iter().map(|fault| fault.at_ms as f64 / 1e3).reduce(f64::min)
    };
    first.or_else(fault).map_or_else(String::new, |at| {
        format!("#t={:.3}-{:.3}", (at - AROUND_S).max(0.0), at + AROUND_S)
    })
}

/// As wide as a terminal is.
const COLUMNS: usize = 100;

fn wrapped(text: &str) -> String {
    wrapped_after(text, "")
}

fn indented(text: &str) -> String {
    wrapped_after(text, "     ")
}

fn wrapped_after(text: &str, indent: &str) -> String {
    let mut lines = vec![indent.to_owned()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("it begins with one");
        let is_empty = last.len() == indent.len();
        if !is_empty && last.chars().count() + 1 + word.chars().count() > COLUMNS {
            lines.push(format!("{indent}{word}"));
        } else {
            last.push_str(if is_empty { "" } else { " " });
            last.push_str(word);
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_broken_between_words_and_no_line_is_too_long() {
        let text = "word ".repeat(60);
        for line in indented(&text).lines() {
            assert!(line.starts_with("     word") && line.len() <= COLUMNS, "{line:?}");
        }
        assert_eq!(wrapped("  one\n two "), "one two");
    }
}
