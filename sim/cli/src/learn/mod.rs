//! `mailstorm learn`: predict, run, look, compare.
//!
//! Owns: asking, grading and telling on a terminal or without one, what has been learned, the pages
//! of lessons. Leaves: what is asked, and the right answers, to `scenarios`.
//! Holds: nothing that answers a question is shown before it was asked; without a terminal nothing
//! waits.
//! Start at [`learn`].

pub(crate) mod answers;
mod capstone;
mod path;

use crate::args::LearnArguments;
use crate::artifact::{is_terminal, put, write};
use crate::failure::{ExitCode, Failure};
use crate::given::{meant, quoted_path};
use crate::report;
use answers::{Answers, Asked, Dialogue};
use mailstorm_record::Violation;
use mailstorm_reports::layout::{wrapped, wrapped_after};
use mailstorm_reports::page::{Shown, fragment, page};
use mailstorm_scenarios::lessons::{self, Design, Held, Lesson, Records, SEED};
use path::Path as LearningPath;
use serde::Serialize;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Where pages and what was learned are kept, below the folder for results.
const FOLDER: &str = "learn";

/// Lists the path, or goes through a lesson.
pub(crate) fn learn(arguments: &LearnArguments) -> Result<ExitCode, Failure> {
    let folder = arguments.out.join(FOLDER);
    expect_asked(arguments)?;
    match arguments.name.as_deref() {
        None => {
            crate::print(&read_path(&folder)?.told())?;
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

/// Refuses options that the named lesson, or the list of lessons, has no use for.
fn expect_asked(arguments: &LearnArguments) -> Result<(), Failure> {
    let name = arguments.name.as_deref();
    if name.is_none() && !arguments.answer.is_empty() {
        return Err(Failure::new(
            "--answer belongs to a lesson, and none is named: 'mailstorm learn' lists them",
        ));
    }
    if arguments.hidden.is_some() && name != Some(capstone::NAME) {
        return Err(Failure::new(format!(
            "--hidden belongs to the capstone: give 'mailstorm learn {} --hidden 1', or leave it out",
            capstone::NAME
        )));
    }
    Ok(())
}

/// What was learned so far; what the file has that does not count is told.
fn read_path(folder: &Path) -> Result<LearningPath, Failure> {
    let (path, notes) = LearningPath::read(folder)?;
    notes.iter().for_each(|note| crate::tell(note));
    Ok(path)
}

/// Asks for the answers that are missing, or says how to give them where nobody can be asked.
/// `None` if there are none.
fn complete(
    answers: Answers,
    asked: &[Asked],
    lesson: &str,
    arguments: &LearnArguments,
) -> Result<Option<Answers>, Failure> {
    if answers.is_complete(asked) {
        return Ok(Some(answers));
    }
    if !std::io::stdin().is_terminal() {
        say(arguments, &answers.how_to_give(asked, lesson))?;
        return Ok(None);
    }
    let mut show = |text: &str| show(arguments, text);
    let mut dialogue = Dialogue { input: &mut std::io::stdin().lock(), show: &mut show };
    let answers = answers.ask(asked, &mut dialogue)?;
    if answers.is_none() {
        let left = format!(
            "The input ended before the last answer, so nothing counts; 'mailstorm learn {lesson}' begins again."
        );
        say(arguments, &(wrapped(&left) + "\n"))?;
    }
    Ok(answers)
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
    /// Which numbers count as right, if there is more than one.
    accepted: Option<String>,
    is_right: bool,
    /// How the story's numbers lead to it.
    derived: Option<String>,
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
    // Before anybody answers: afterwards it would be too late to say that it cannot be kept.
    let mut path = read_path(folder)?;
    let Lesson { number, name, title, story, .. } = lesson;
    say(arguments, &format!("{number}. {name}: \"{title}\"\n\n{}\n\n", wrapped(story)))?;
    let Some(answers) = complete(answers, &asked, lesson.name, arguments)? else {
        return Ok(ExitCode::Pass);
    };
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
            accepted: question.accepted(&records),
            is_right: grade.flatten() == Some(true),
            derived: question.derived(),
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
    say(arguments, &told(&taken, &held, &format!("{}{moment}", quoted_path(&file))))?;
    path.add(lesson.name, taken.right, taken.questions.len());
    path.write(folder)?;
    if taken.right == 0 {
        say(arguments, "A lesson with nothing right is not done: take it again when you like.\n")?;
    }
    say(arguments, &format!("next     mailstorm learn {}\n", path.next()))?;
    write_json(arguments, &taken)?;
    if answers.is_from_terminal() && !arguments.no_open {
        report::open_at(&file, &moment);
    }
    // Only an error of ours: what learners answer is no failure.
    Ok(if taken.is_as_expected { ExitCode::Pass } else { ExitCode::Violation })
}

/// Shows a text as it is, where people read.
fn show(arguments: &LearnArguments, text: &str) -> Result<(), Failure> {
    if is_terminal(arguments.json.as_deref()) {
        let mut err = std::io::stderr().lock();
        // With nobody there to read it, to nobody.
        let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
        return Ok(());
    }
    crate::print(text)
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
        const INDENT: &str = "         ";
        let line = |v: &Violation| {
            let at = mailstorm_shared::time_in_words::moment(v.at_ns);
            let broke = format!("breaks {} at {at}: {}", v.name(), v.detail);
            wrapped_after(&broke, INDENT) + "\n"
        };
        let shows = match &design.broke_as_asked[..] {
            [] => format!("{INDENT}holds\n"),
            violations => violations.iter().map(line).collect(),
        };
        out += &format!("{}\n{shows}", design.design);
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
    for (question, number) in questions.iter().zip(1..) {
        let Graded { text, answer, truth, accepted, is_right, derived, why, .. } = question;
        let taken = accepted.as_ref().map(|all| format!(" ({all} is right)")).unwrap_or_default();
        let verdict = match (answer, is_right) {
            (Some(answer), true) if !taken.is_empty() => {
                format!("right: you said {answer}, it is {truth}{taken}")
            }
            (Some(_), true) => format!("right: {truth}"),
            (Some(answer), false) => format!("you said {answer}; it is {truth}{taken}"),
            (None, _) => format!("it is {truth}{taken}"),
        };
        out += &format!("\n{}\n", wrapped(&format!("{number}. {text}")));
        out += &format!("  -> {}\n", wrapped_after(&verdict, "     ").trim_start());
        if let Some(derived) = derived {
            out += &format!("     From the story: {derived}\n");
        }
        out += &format!("{}\n", wrapped_after(why, "     "));
    }
    let right = questions.iter().filter(|question| question.is_right).count();
    out += &format!("\n{right} of {} right\n", questions.len());
    out
}

/// The first wrong design above the first right one.
fn stacked(lesson: &Lesson, records: &Records) -> String {
    with_shown(lesson, records, page)
}

/// What is made of the designs that are shown, each opened on the violation that it names first.
fn with_shown(lesson: &Lesson, records: &Records, made: impl Fn(&[Shown<'_>]) -> String) -> String {
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
    made(&shown)
}

fn designs_shown(lesson: &Lesson) -> Vec<&Design> {
    ["wrong", "right"].into_iter().filter_map(|sort| lesson.design(sort)).collect()
}

/// The fragment that opens the page where it opens by itself.
fn moment(lesson: &Lesson, records: &Records) -> String {
    with_shown(lesson, records, fragment)
}
