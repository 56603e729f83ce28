//! `mailstorm museum --compare-guidance`: what guidance by coverage is worth, defect by defect.
//!
//! A hunt is a sweep of its own, plain or guided, that ends with the first violation or at the cap.
//! The plain and the guided hunt of one repeat have the same seeds, and no other hunt has them.
//! What a hunt takes is told in runs and in events of the clockwork: these stand for processor
//! time, and are the same on every machine.
//! Start at [`compare`].

use super::exhibit::Exhibit;
use super::hunt::{Bounds, Find, attempt, percentile};
use super::{Storms, Visit};
use crate::failure::Failure;
use crate::given::find;
use mailstorm_record::{Run, Settings};
use mailstorm_world::{RunSpec, Scenario};
use std::fmt::Write;
use std::ops::ControlFlow;
use std::sync::Arc;

/// A defect that plain hunts find within so many runs, in the median, is found before a guided hunt
/// has learnt anything.
const AT_ONCE: u64 = 3;

/// A defect that so many plain hunts, the first of all, found at most once is too rare to be
/// compared.
const TRIED: usize = 4;

/// Of so many parts each, guided and plain work are called equal unless they differ by more than
/// one.
const DECIDED_PARTS: u64 = 10;

/// One hunt.
#[derive(Clone, Copy)]
struct Hunt {
    runs: u64,
    events: u64,
    is_found: bool,
}

/// The hunts for one defect, repeat by repeat.
pub(super) struct Compared {
    exhibit: &'static Exhibit,
    plain: Vec<Hunt>,
    guided: Vec<Hunt>,
}

/// Hunts a defect in both ways.
pub(super) fn compare(exhibit: &'static Exhibit, visit: Visit) -> Result<Compared, Failure> {
    let Visit { bounds, jobs, is_over, .. } = visit;
    let scenarios = exhibit
        .scenarios
        .iter()
        .map(|name| find(name, None, &Settings::default()))
        .collect::<Result<Vec<_>, _>>()?;
    let mut compared = Compared { exhibit, plain: Vec::new(), guided: Vec::new() };
    let hunt = |repeat: u64, is_guided: bool| {
        let first = repeat * bounds.seeds;
        Hunter { exhibit, scenarios: &scenarios, jobs, is_over }.hunt(
            first,
            bounds.seeds,
            is_guided,
        )
    };
    for repeat in 0..bounds.repeats {
        compared.plain.push(hunt(repeat, false));
        if compared.is_rare() {
            return Ok(compared);
        }
    }
    if !compared.is_at_once() {
        compared.guided = (0..bounds.repeats).map(|repeat| hunt(repeat, true)).collect();
    }
    Ok(compared)
}

struct Hunter<'a> {
    exhibit: &'static Exhibit,
    scenarios: &'a [Arc<dyn Scenario>],
    jobs: usize,
    is_over: fn() -> bool,
}

impl Hunter<'_> {
    /// Hunts from this attempt on.
    fn hunt(&self, first: u64, cap: u64, is_guided: bool) -> Hunt {
        let specs = (first..first + cap).map(|number| {
            let (place, seed) = attempt(number, self.scenarios.len());
            let spec = RunSpec::new(self.scenarios[place].clone(), seed);
            RunSpec { defect: Some(self.exhibit.id()), ..spec }
        });
        let mut hunt = Hunt { runs: 0, events: 0, is_found: false };
        if (self.is_over)() {
            return hunt;
        }
        let Exhibit { scenarios: names, right, .. } = *self.exhibit;
        let tell = |run: Run| {
            let place = attempt(first + hunt.runs, names.len());
            hunt.runs += 1;
            hunt.events += run.outcome.events;
            let fired = run.outcome.violations();
            match Find::of((names[place.0], place.1), fired, right) {
                Some(find) => {
                    hunt.is_found = find.is_right;
                    ControlFlow::Break(())
                }
                None if (self.is_over)() => ControlFlow::Break(()),
                None => ControlFlow::Continue(()),
            }
        };
        Storms { has_all_faults: false, is_guided }.sweep(specs, self.jobs, tell);
        hunt
    }
}

fn found(hunts: &[Hunt]) -> usize {
    hunts.iter().filter(|hunt| hunt.is_found).count()
}

fn share(hunts: &[Hunt], percent: u64, of: impl Fn(&Hunt) -> u64) -> Option<u64> {
    percentile(hunts.iter().map(|hunt| hunt.is_found.then(|| of(hunt))), percent)
}

fn sum(hunts: &[Hunt], of: impl Fn(&Hunt) -> u64) -> u64 {
    hunts.iter().map(of).sum()
}

fn told(number: Option<u64>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| number.to_string())
}

/// Events in thousands.
fn thousands(events: Option<u64>) -> String {
    told(events.map(|events| events / 1_000))
}

impl Compared {
    fn is_at_once(&self) -> bool {
        share(&self.plain, 50, |hunt| hunt.runs).is_some_and(|median| median <= AT_ONCE)
    }

    fn is_rare(&self) -> bool {
        self.plain.len() == TRIED && found(&self.plain) <= 1
    }

    /// The repeats that one kind of hunt won: it found the defect with fewer events, or alone.
    fn won(&self) -> (usize, usize) {
        let needs = |hunt: &Hunt| if hunt.is_found { hunt.events } else { u64::MAX };
        let pairs = || self.plain.iter().zip(&self.guided).map(|(p, g)| (needs(p), needs(g)));
        let plain = pairs().filter(|(plain, guided)| plain < guided).count();
        (plain, pairs().filter(|(plain, guided)| guided < plain).count())
    }

    /// Events of all guided hunts, in percent of those of all plain hunts.
    fn work_percent(&self) -> u64 {
        let events = |hunts| sum(hunts, |hunt| hunt.events);
        events(&self.guided) * 100 / events(&self.plain).max(1)
    }

    /// Its line, as of a table in Markdown.
    pub(super) fn line(&self) -> String {
        let of = |hunts: &[Hunt]| {
            format!(
                "{}/{} | {} | {} | {} | {}",
                found(hunts),
                hunts.len(),
                told(share(hunts, 50, |hunt| hunt.runs)),
                told(share(hunts, 95, |hunt| hunt.runs)),
                thousands(share(hunts, 50, |hunt| hunt.events)),
                thousands(share(hunts, 95, |hunt| hunt.events)),
            )
        };
        let name = self.exhibit.name();
        if self.guided.is_empty() {
            return format!("| `{name}` | {} | | | | | | | |\n", of(&self.plain));
        }
        let (plain, guided) = self.won();
        format!(
            "| `{name}` | {} | {} | {plain} : {guided} | {} % |\n",
            of(&self.plain),
            of(&self.guided),
            self.work_percent()
        )
    }
}

/// The head of the table.
pub(super) const HEAD: &str = "| defect | plain found | median | p95 | events | p95 | guided found | median | p95 | events | p95 | won | work |\n\
     |---|---|---|---|---|---|---|---|---|---|---|---|---|\n";

/// The page.
pub(super) fn markdown(all: &[Compared], bounds: Bounds) -> String {
    let mut out = String::new();
    write_markdown(&mut out, all, bounds).expect("writing to a string cannot fail");
    out
}

fn write_markdown(out: &mut String, all: &[Compared], bounds: Bounds) -> std::fmt::Result {
    let Bounds { repeats, seeds } = bounds;
    writeln!(
        out,
        "# What guidance by coverage is worth\n\n\
         A guided storm (`mailstorm storm --guided`) keeps the plans of runs that came to a state of the protocol or\n\
         to a goal for the first time, and gives about half of its further runs a plan that varies one of them. Here\n\
         it hunts the defects of the museum beside plain storms. This page is made by\n\n\
         ```sh\ncargo run --release -- museum --compare-guidance --repeats {repeats} --seeds {seeds} --markdown guidance.md\n```\n\n\
         A hunt ends with the first violation or after {seeds} runs. The two hunts of a repeat have the same seeds, no\n\
         other hunt has them, and every guided hunt begins with nothing learnt. *Median* and *p95* are runs until a\n\
         right checker fires; *events* are thousands of events of the clockwork, which stand for processor time: a\n\
         guided run may be longer or shorter than a plain one. *Won* counts the repeats that the plain and that the\n\
         guided hunt won, by events. *Work* is what all guided hunts took, in percent of all plain ones.\n"
    )?;
    out.push_str(HEAD);
    let (mut won, mut work) = ([0; 2], Vec::new());
    let mut decided = [Vec::new(), Vec::new()];
    let told = |compared: &&Compared| !compared.is_at_once() && !compared.is_rare();
    for compared in all.iter().filter(told) {
        out.push_str(&compared.line());
        let (plain, guided) = compared.won();
        won = [won[0] + plain, won[1] + guided];
        let percent = compared.work_percent();
        work.push((percent.max(1) as f64).ln());
        let name = format!("`{}`", compared.exhibit.name());
        if percent * DECIDED_PARTS > 100 * (DECIDED_PARTS + 1) {
            decided[0].push(name);
        } else if percent * (DECIDED_PARTS + 1) < 100 * DECIDED_PARTS {
            decided[1].push(name);
        }
    }
    let listed = |names: &[String]| {
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    writeln!(
        out,
        "\nTogether: plain hunts won {} repeats, guided hunts {}; in the geometric mean over these defects, guided\n\
         hunts took {:.0} % of the work of plain ones.\n\n\
         Less work by more than a tenth when guided: {}. More: {}.\n",
        won[0],
        won[1],
        (work.iter().sum::<f64>() / work.len().max(1) as f64).exp(),
        listed(&decided[1]),
        listed(&decided[0])
    )?;
    let names = |is: fn(&Compared) -> bool| {
        let named = all.iter().filter(|compared| is(compared));
        listed(&named.map(|compared| format!("`{}`", compared.exhibit.name())).collect::<Vec<_>>())
    };
    writeln!(
        out,
        "Found at once, within {AT_ONCE} runs in the median, before there is anything to learn: {}.\n\n\
         Too rare to be compared, found at most once by the first {TRIED} plain hunts: {}.",
        names(Compared::is_at_once),
        names(Compared::is_rare)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hunts told by their runs, of a thousand events each; those of 50 runs came to the cap.
    fn compared(name: &str, plain: &[u64], guided: &[u64]) -> Compared {
        let hunts = |runs: &[u64]| {
            let hunt = |&runs: &u64| Hunt { runs, events: runs * 1_000, is_found: runs < 50 };
            runs.iter().map(hunt).collect()
        };
        let exhibit = Exhibit::named(name).expect("a defect");
        Compared { exhibit, plain: hunts(plain), guided: hunts(guided) }
    }

    #[test]
    fn a_repeat_is_won_by_the_hunt_that_found_it_with_less_work_or_alone() {
        let compared = compared("zxid-overflow", &[10, 50, 20, 7, 50], &[5, 40, 30, 7, 50]);
        assert_eq!(compared.won(), (1, 2));
        assert_eq!(compared.work_percent(), 96);
        let line =
            "| `zxid-overflow` | 3/5 | 20 | - | 20 | - | 4/5 | 30 | - | 30 | - | 1 : 2 | 96 % |\n";
        assert_eq!(compared.line(), line);
    }

    #[test]
    fn the_page_tells_what_is_compared_and_why_the_rest_is_not() {
        let all = [
            compared("zxid-overflow", &[40, 40, 40, 40], &[10, 10, 10, 10]),
            compared("lock-without-fencing", &[10, 10, 10, 10], &[40, 40, 40, 40]),
            compared("ack-before-sync", &[1, 3, 9], &[]),
            compared("joiner-leads", &[50, 50, 40, 50], &[]),
        ];
        let page = markdown(&all, Bounds { repeats: 4, seeds: 50 });
        for words in [
            "--repeats 4 --seeds 50 --markdown guidance.md",
            "plain hunts won 4 repeats, guided hunts 4; in the geometric mean over these defects, guided\n\
             hunts took 100 % of",
            "when guided: `zxid-overflow`. More: `lock-without-fencing`.",
            "before there is anything to learn: `ack-before-sync`.",
            "first 4 plain hunts: `joiner-leads`.",
        ] {
            assert!(page.contains(words), "no '{words}' in {page}");
        }
        assert!(!page.contains("| `ack-before-sync`") && !page.contains("| `joiner-leads`"));
    }
}
