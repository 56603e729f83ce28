//! Lessons show what they say, and their questions can be answered from their stories.

use super::*;
use std::collections::BTreeSet;

#[test]
fn every_lesson_shows_what_it_says() {
    let mut surprises = Vec::new();
    for lesson in all() {
        let records = Records::of(&lesson, SEED);
        let held = records.held(&lesson).into_iter();
        let unlike = held.filter(|held| !held.is_as_expected());
        surprises.extend(unlike.map(|held| held.to_string()));
        for question in &lesson.questions {
            let problem = match question.truth(&records) {
                None => Some("the records do not answer it".to_owned()),
                Some(truth) => unlike_the_story(question, truth, &records),
            };
            let (lesson, key) = (lesson.name, question.key);
            surprises.extend(problem.map(|problem| format!("{lesson}, {key}: {problem}")));
        }
    }
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
}

/// What is wrong with a question whose answer the records have: whoever calculates with the numbers
/// of the story must be right, and whoever guesses must not be likely to.
fn unlike_the_story(question: &Question, truth: Truth, records: &Records) -> Option<String> {
    let right = question.grade(truth.to_string().split(' ').next()?, records);
    if right != Ok(Some(true)) {
        return Some(format!("{truth} is graded {right:?}"));
    }
    let (Truth::Number(truth, _), Answer::Number { range, tolerance, derivation, .. }) =
        (truth, question.answer)
    else {
        return None;
    };
    if (range.1 - range.0) < 4.0 * tolerance {
        return Some(format!("{tolerance} of {range:?} is a guess"));
    }
    match derivation {
        None if truth == 0.0 => None,
        None => Some(format!("nothing leads to {truth}")),
        Some(derivation) => {
            let value = derivation::value(derivation)?;
            let is_near = (value - truth).abs() <= tolerance;
            (!is_near).then(|| format!("{derivation} = {value}, and the runs show {truth}"))
        }
    }
}

/// The numbers that a text names, in digits or in words.
fn numbers(text: &str) -> Vec<f64> {
    const WORDS: [(&str, f64); 16] = [
        ("half", 2.0),
        ("one", 1.0),
        ("two", 2.0),
        ("three", 3.0),
        ("four", 4.0),
        ("five", 5.0),
        ("six", 6.0),
        ("seven", 7.0),
        ("eight", 8.0),
        ("nine", 9.0),
        ("ten", 10.0),
        ("twelve", 12.0),
        ("sixteen", 16.0),
        ("twenty", 20.0),
        ("twice", 2.0),
        ("once", 1.0),
    ];
    let is_part = |c: char| c.is_alphanumeric() || c == '.' || c == ',';
    let words = text.split(|c: char| !is_part(c));
    let number = |word: &str| {
        let word = word.trim_matches(['.', ',']).replace(',', "").to_lowercase();
        let named = WORDS.iter().find(|(name, _)| *name == word).map(|(_, number)| *number);
        named.or_else(|| word.parse().ok())
    };
    words.filter_map(number).collect()
}

#[test]
fn every_answer_follows_from_facts_and_numbers_of_its_story() {
    let mut holes = Vec::new();
    for lesson in all() {
        for question in &lesson.questions {
            let found = holes_in(&lesson, question).into_iter();
            let (lesson, key) = (lesson.name, question.key);
            holes.extend(found.map(|hole| format!("{lesson}, {key}: {hole}")));
        }
        for design in &lesson.designs {
            if !lesson.story.contains(&format!("'{}'", design.name)) {
                let (lesson, design) = (lesson.name, design.name);
                holes.push(format!("{lesson}: the story does not say what '{design}' is"));
            }
        }
    }
    assert!(holes.is_empty(), "{}", holes.join("\n"));
}

/// What a question needs, or explains with, and the story does not have.
fn holes_in(lesson: &Lesson, question: &Question) -> Vec<String> {
    let mut holes = Vec::new();
    if question.rests_on.is_empty() {
        holes.push("it rests on nothing".to_owned());
    }
    for fact in question.rests_on {
        if !lesson.story.contains(fact) || fact.split(' ').count() < 3 {
            holes.push(format!("'{fact}' is no fact of the story"));
        }
    }
    let facts = numbers(&format!("{} {}", question.rests_on.join(" "), question.text));
    let mut known = numbers(&format!("{} {}", lesson.story, question.text));
    match question.answer {
        Answer::Number { derivation, .. } => {
            for number in derivation.map(numbers).unwrap_or_default() {
                if !facts.contains(&number) {
                    holes.push(format!("{number} is in none of the facts that it rests on"));
                }
            }
            known.extend(question.derived().map(|derived| numbers(&derived)).unwrap_or_default());
        }
        Answer::Choice { choices, .. } => {
            known.extend(choices.iter().flat_map(|(_, about)| numbers(about)));
        }
    }
    let is_known = |number: &f64| {
        let is_difference = |one: &f64| known.iter().any(|other| one - other == *number);
        known.contains(number) || known.iter().any(is_difference)
    };
    for word in question.why.split(' ').filter(|word| begins_with_digit(word)) {
        for number in numbers(word).iter().filter(|number| !is_known(number)) {
            holes.push(format!("its reason has a {number} of its own"));
        }
    }
    for word in question.text.split(|c: char| !c.is_alphanumeric()) {
        let is_machine = word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.get(1..).is_some_and(begins_with_digit);
        if is_machine && !lesson.story.contains(word) {
            holes.push(format!("the story does not name {word}"));
        }
    }
    let quoted = question.text.strip_prefix('\'').and_then(|rest| rest.split_once("': "));
    if let Some((design, _)) = quoted
        && lesson.designs.iter().all(|one| one.name != design)
    {
        holes.push(format!("there is no design '{design}'"));
    }
    holes
}

fn begins_with_digit(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit())
}

#[test]
fn lessons_and_their_designs_have_names_of_their_own() {
    let mut names = BTreeSet::new();
    for (lesson, number) in all().into_iter().zip(1..) {
        assert_eq!(lesson.number, number, "{}: numbers have no holes", lesson.name);
        assert!(lesson.designs.iter().any(|design| design.is_right), "{}", lesson.name);
        assert!((1..=3).contains(&lesson.questions.len()), "{}", lesson.name);
        for design in &lesson.designs {
            let name = format!("{}/{}", lesson.name, design.name);
            assert_eq!(design.scenario.name(), name);
            assert!(names.insert(name));
        }
    }
}

#[test]
fn a_lesson_alone_means_its_right_design() {
    let name = |asked: &str| find(asked).map(|scenario| scenario.name().to_owned());
    assert_eq!(name("quorum-half").as_deref(), Some("quorum-half/right"));
    assert_eq!(name("quorum-half/wrong").as_deref(), Some("quorum-half/wrong"));
    assert_eq!(name("quorum-half/green"), None);
    assert_eq!(name("quorum-third"), None);
}
