//! `mailstorm scenarios`: what can be run, what each is to reach, and whether lessons show what
//! they say.
//!
//! Owns: the list, for people and for machines. Leaves: the check of lessons to [`check`].
//! Holds: a name that a storm and a lesson share means both, and each is told under its own
//! heading; the designs of a lesson have names that no storm has, `LESSON/DESIGN`.
//! Start at [`scenarios`].

mod check;
mod faults;

use crate::args::ScenariosArguments;
use crate::artifact::put;
use crate::failure::{ExitCode, Failure};
use crate::given::{find, unknown};
use crate::storm::processors;
use mailstorm_record::{Setting, Settings};
use mailstorm_reports::GOALS_SEEDS_MIN;
use mailstorm_reports::layout::{beside, hanging, wrapped, wrapped_after};
use mailstorm_scenarios::lessons::{self, Lesson};
use mailstorm_world::Scenario;
use serde::Serialize;
use std::sync::Arc;

/// Lists, or checks.
pub(crate) fn scenarios(arguments: &ScenariosArguments) -> Result<ExitCode, Failure> {
    let name = arguments.name.as_deref();
    if arguments.faults {
        crate::print(&faults::list())?;
        return Ok(ExitCode::Pass);
    }
    if arguments.check {
        let lessons: Vec<Lesson> = match name {
            None => lessons::all(),
            Some(name) => vec![lessons::lesson(name).ok_or_else(|| unknown(name))?],
        };
        let jobs = arguments.jobs.map_or_else(processors, usize::from);
        return check::check(&lessons, arguments.storms, jobs);
    }
    let catalogue = match name {
        None => Catalogue::of(&mailstorm_scenarios::all(None), &lessons::all()),
        Some(name) => Catalogue::named(name)?,
    };
    if let Some(file) = &arguments.json {
        let mut json = serde_json::to_string_pretty(&catalogue).expect("plain data");
        json.push('\n');
        put(file, &json)?;
    } else {
        crate::print(&name.map_or_else(|| catalogue.listed(), |name| catalogue.told(name)))?;
    }
    Ok(ExitCode::Pass)
}

/// Storms and lessons, as they are told.
#[derive(Debug, Serialize)]
struct Catalogue {
    storms: Vec<Entry>,
    lessons: Vec<LessonEntry>,
}

/// What can be run by its name: a storm, or a design of a lesson.
#[derive(Debug, Serialize)]
struct Entry {
    name: String,
    about: String,
    settings: Vec<SettingEntry>,
    goals: Vec<GoalEntry>,
}

#[derive(Debug, Serialize)]
struct SettingEntry {
    name: &'static str,
    about: &'static str,
    default: u64,
    min: u64,
    max: u64,
}

/// What must happen, and how often.
#[derive(Debug, Serialize)]
struct GoalEntry {
    name: &'static str,
    about: &'static str,
    /// In how many seeds together it must happen once: in a sweep of so many, or in every run.
    at_least_once_in_seeds: u64,
}

#[derive(Debug, Serialize)]
struct LessonEntry {
    number: u8,
    name: &'static str,
    title: &'static str,
    story: &'static str,
    designs: Vec<DesignEntry>,
}

#[derive(Debug, Serialize)]
struct DesignEntry {
    is_right: bool,
    /// What it breaks under the lesson's own faults, as `checker/kind`.
    breaks: &'static [&'static str],
    #[serde(flatten)]
    entry: Entry,
}

impl Entry {
    /// A goal counts once it was reached in so many seeds.
    fn of(scenario: &Arc<dyn Scenario>, at_least_once_in_seeds: u64) -> Self {
        let setting = |Setting { name, about, default, min, max, .. }| SettingEntry {
            name,
            about,
            default,
            min,
            max,
        };
        let goals = scenario.goals().into_iter().map(|goal| GoalEntry {
            name: goal.name,
            about: goal.about,
            at_least_once_in_seeds,
        });
        Self {
            name: scenario.name().to_owned(),
            about: scenario.about().to_owned(),
            goals: goals.collect(),
            settings: scenario.settings().into_iter().map(setting).collect(),
        }
    }

    /// Everything about it, a line or a few for each setting and each goal.
    fn told(&self) -> String {
        let mut out = beside(&format!("  {}  ", self.name), &self.about);
        for SettingEntry { name, about, default, min, max } in &self.settings {
            let set = format!("    --set {name}={default}  ");
            out += &hanging(&set, &format!("{about} ({min} to {max})"));
        }
        let often = match self.goals.first().map(|goal| goal.at_least_once_in_seeds) {
            None => "No goals: its verdict alone counts.".to_owned(),
            Some(1) => "Goals, each reached at least once in every run:".to_owned(),
            Some(seeds) => {
                format!("Goals, each reached at least once in a sweep of {seeds} seeds or more:")
            }
        };
        out += &format!("\n  {often}\n");
        for GoalEntry { name, about, .. } in &self.goals {
            out += &hanging(&format!("    {name}: "), about);
        }
        out
    }
}

impl LessonEntry {
    fn of(lesson: &Lesson) -> Self {
        let designs = lesson.designs.iter().map(|design| DesignEntry {
            is_right: design.is_right,
            breaks: design.breaks,
            entry: Entry::of(&design.scenario, 1),
        });
        let Lesson { number, name, title, story, .. } = *lesson;
        Self { number, name, title, story, designs: designs.collect() }
    }

    /// The lesson, with its designs.
    fn told(&self) -> String {
        let Self { number, name, title, story, .. } = self;
        let mut out =
            format!("  {number}. {name}  \"{title}\"\n\n{}\n", wrapped_after(story, "  "));
        for DesignEntry { is_right, breaks, entry } in &self.designs {
            let sort = if *is_right { "right" } else { "wrong" };
            let breaks = match breaks {
                [] => "breaks nothing".to_owned(),
                breaks => format!("breaks {}", breaks.join(", ")),
            };
            out += &format!("\n{}{}", beside(&format!("  {sort}: "), &breaks), entry.told());
        }
        out
    }
}

impl Catalogue {
    fn of(storms: &[Arc<dyn Scenario>], lessons: &[Lesson]) -> Self {
        Self {
            storms: storms.iter().map(|storm| Entry::of(storm, GOALS_SEEDS_MIN)).collect(),
            lessons: lessons.iter().map(LessonEntry::of).collect(),
        }
    }

    /// All that has this name: a storm, a lesson, both, or one design.
    fn named(name: &str) -> Result<Self, Failure> {
        let mut storms = mailstorm_scenarios::all(None);
        storms.retain(|storm| storm.name() == name);
        let mut lessons: Vec<Lesson> = lessons::lesson(name).into_iter().collect();
        if storms.is_empty() && lessons.is_empty() {
            // `right` and `wrong` stand for designs that may be called otherwise.
            let design = find(name, None, &Settings::default())?;
            lessons = lessons::all();
            for lesson in &mut lessons {
                lesson.designs.retain(|one| one.scenario.name() == design.name());
            }
            lessons.retain(|lesson| !lesson.designs.is_empty());
        }
        Ok(Self::of(&storms, &lessons))
    }

    /// What has this name, in full.
    fn told(&self, name: &str) -> String {
        let mut out = String::new();
        if let ([storm], [lesson]) = (&self.storms[..], &self.lessons[..]) {
            let designs: Vec<&str> =
                lesson.designs.iter().map(|design| &*design.entry.name).collect();
            let both = format!(
                "There are two: the storm '{}', which 'storm {name}' and 'replay {name}' run, and lesson {}, \
                 '{}', whose designs run as {}.",
                storm.name,
                lesson.number,
                lesson.name,
                designs.join(" and ")
            );
            out += &format!("{}\n\n", wrapped(&both));
        }
        if let [storm] = &self.storms[..] {
            out += &format!("Storm, in which each seed draws its faults:\n\n{}", storm.told());
        }
        if let [lesson] = &self.lessons[..] {
            let space = if out.is_empty() { "" } else { "\n" };
            out += &format!("{space}Lesson, with faults of its own:\n\n{}", lesson.told());
        }
        out
    }

    /// All of it, in a line or a few for each.
    fn listed(&self) -> String {
        let names = self.storms.iter().map(|storm| &*storm.name);
        let names = names.chain(self.lessons.iter().map(|lesson| lesson.name));
        let width = names.map(str::len).max().unwrap_or(0);
        let mut out = "Storms, in which each seed draws its faults:\n".to_owned();
        for storm in &self.storms {
            out += &beside(&format!("  {:width$}  ", storm.name), &storm.about);
            let settings = storm.settings.iter().map(|set| format!("{}={}", set.name, set.default));
            let settings = settings.collect::<Vec<_>>().join(", ");
            out += &beside(&format!("  {:width$}    settings ", ""), &settings);
        }
        out += "\nLessons, each with faults of its own ('mailstorm learn' is the path):\n";
        for lesson in &self.lessons {
            let names =
                lesson.designs.iter().filter_map(|design| design.entry.name.split_once('/'));
            let designs = names.map(|(_, design)| design).collect::<Vec<_>>().join(", ");
            let about = format!("{:2}. {} ({designs})", lesson.number, lesson.title);
            out += &beside(&format!("  {:width$}  ", lesson.name), &about);
        }
        let more = "'mailstorm scenarios NAME' tells the settings and the goals of a storm, a lesson, or a \
                    design (LESSON/DESIGN).";
        format!("{out}\n{}\n", wrapped(more))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_storm_and_every_design_is_listed_under_its_own_name_with_its_goals() {
        let all = Catalogue::of(&mailstorm_scenarios::all(None), &lessons::all());
        let designs = all.lessons.iter().flat_map(|lesson| &lesson.designs);
        let entries: Vec<&Entry> =
            all.storms.iter().chain(designs.map(|design| &design.entry)).collect();
        for entry in &entries {
            let same = entries.iter().filter(|other| other.name == entry.name).count();
            assert_eq!(same, 1, "{}: a name means one scenario", entry.name);
            let found = find(&entry.name, None, &Settings::default()).unwrap();
            assert_eq!(found.name(), entry.name);
            let told = entry.told();
            assert_eq!(found.goals().len(), entry.goals.len());
            for goal in found.goals() {
                assert!(told.contains(&format!("\n    {}: ", goal.name)), "{told}");
                let words = told.split_whitespace().collect::<Vec<_>>().join(" ");
                assert!(words.contains(&format!("{}: {}", goal.name, goal.about)), "{told}");
                assert!(goal.about.split(' ').count() >= 3, "{}: {}", goal.name, goal.about);
            }
            let wide = told.lines().find(|line| line.chars().count() > 80);
            assert_eq!(wide, None, "{}", entry.name);
        }
        let wide = all.listed();
        assert_eq!(wide.lines().find(|line| line.chars().count() > 80), None);
    }

    #[test]
    fn a_name_of_a_storm_and_a_lesson_tells_both_and_how_to_name_each() {
        let both = Catalogue::named("mail-claims").unwrap();
        assert_eq!((both.storms.len(), both.lessons.len()), (1, 1));
        let told = both.told("mail-claims");
        assert!(told.starts_with("There are two: the storm 'mail-claims',"), "{told}");
        for word in ["mail-claims/sticky and", "mail-claims/right.", "lesson 4,"] {
            assert!(told.contains(word), "{word}: {told}");
        }
        let (storm, lesson) = told.split_once("\nLesson, with faults of its own:\n").unwrap();
        assert!(storm.contains("in a sweep of 200 seeds or more:\n"), "{storm}");
        assert!(lesson.contains("at least once in every run:\n"), "{lesson}");
        for (name, storms, designs) in [
            ("ensemble", 1, 0),
            ("quorum-half", 0, 2),
            ("quorum-half/wrong", 0, 1),
            ("mail-claims/right", 0, 1),
            ("mail-claims/wrong", 0, 1),
        ] {
            let one = Catalogue::named(name).unwrap();
            let count: usize = one.lessons.iter().map(|lesson| lesson.designs.len()).sum();
            assert_eq!((one.storms.len(), count), (storms, designs), "{name}");
            assert!(!one.told(name).contains("There are two"), "{name}");
        }
        let refused = Catalogue::named("mail-claim").unwrap_err().to_string();
        assert!(refused.contains("did you mean 'mail-claims'?"), "{refused}");
    }
}
