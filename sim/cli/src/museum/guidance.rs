//! `mailstorm museum --compare-guidance`: what guidance by coverage is worth, defect by defect.
//!
//! A hunt is a sweep of its own, plain or guided, that ends with the first violation or at the cap. The plain
//! and the guided hunt of one repeat have the same seeds, and no other hunt has them. What a hunt takes is
//! told in runs and in events of the clockwork: these stand for processor time, and are the same on every
//! machine.
//! Start at [`compare`].

use super::hunt::{Bounds, Find, attempt, percentile};
use super::{Storms, exhibit};
use crate::failure::Failure;
use crate::given::find;
use mailstorm_record::{Run, Settings};
use mailstorm_shared::defect::Defect;
use mailstorm_world::{RunSpec, Scenario};
use std::fmt::Write;
use std::ops::ControlFlow;
use std::sync::Arc;

/// A defect that plain hunts find within so many runs, in the median, is found before a guided hunt has
/// learnt anything.
const AT_ONCE: u64 = 3;

/// After so many repeats in which neither kind of hunt found anything, a defect is given up.
const VAIN_MAX: usize = 2;

/// Of so many parts each, guided and plain work are called equal unless they differ by more than one.
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
    defect: Defect,
    plain: Vec<Hunt>,
    guided: Vec<Hunt>,
}

/// Hunts a defect in both ways.
pub(super) fn compare(defect: Defect, bounds: Bounds, jobs: usize) -> Result<Compared, Failure> {
    let names = exhibit::scenarios(defect);
    let scenarios = names
        .iter()
        .map(|name| find(name, None, &Settings::default()))
        .collect::<Result<Vec<_>, _>>()?;
    let mut compared = Compared { defect, plain: Vec::new(), guided: Vec::new() };
    let hunt = |repeat: u64, is_guided: bool| {
        let first = repeat * bounds.seeds;
        Hunter { defect, names, scenarios: &scenarios, jobs }.hunt(first, bounds.seeds, is_guided)
    };
    for repeat in 0..bounds.repeats {
        compared.plain.push(hunt(repeat, false));
        let is_vain = compared.plain.len() == VAIN_MAX && found(&compared.plain) == 0;
        if is_vain {
            compared.guided = (0..VAIN_MAX as u64).map(|repeat| hunt(repeat, true)).collect();
            if found(&compared.guided) == 0 {
                return Ok(compared);
            }
        }
    }
    if !compared.is_at_once() {
        let done = compared.guided.len() as u64;
        compared.guided.extend((done..bounds.repeats).map(|repeat| hunt(repeat, true)));
    }
    Ok(compared)
}

struct Hunter<'a> {
    defect: Defect,
    names: &'static [&'static str],
    scenarios: &'a [Arc<dyn Scenario>],
    jobs: usize,
}

impl Hunter<'_> {
    /// Hunts from this attempt on.
    fn hunt(&self, first: u64, cap: u64, is_guided: bool) -> Hunt {
        let specs = (first..first + cap).map(|number| {
            let (place, seed) = attempt(number, self.scenarios.len());
            let spec = RunSpec::new(self.scenarios[place].clone(), seed);
            RunSpec { defect: Some(self.defect), ..spec }
        });
        let mut hunt = Hunt { runs: 0, events: 0, is_found: false };
        let right = exhibit::right(self.defect);
        let tell = |run: Run| {
            let place = attempt(first + hunt.runs, self.names.len());
            hunt.runs += 1;
            hunt.events += run.outcome.events;
            let fired = run.outcome.violations();
            match Find::of((self.names[place.0], place.1), fired, right) {
                Some(find) => {
                    hunt.is_found = find.is_right;
                    ControlFlow::Break(())
                }
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

    fn is_vain(&self) -> bool {
        found(&self.plain) + found(&self.guided) == 0
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
        let name = self.defect.name();
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
         ```sh\ncargo run --release -- museum --compare-guidance --repeats {repeats} --seeds {seeds} --markdown docs/guidance.md\n```\n\n\
         A hunt ends with the first violation or after {seeds} runs. The two hunts of a repeat have the same seeds, no\n\
         other hunt has them, and every guided hunt begins with nothing learnt. *Median* and *p95* are runs until a\n\
         right checker fires; *events* are thousands of events of the clockwork, which stand for processor time: a\n\
         guided run may be longer or shorter than a plain one. *Won* counts the repeats that the plain and that the\n\
         guided hunt won, by events. *Work* is what all guided hunts took, in percent of all plain ones.\n"
    )?;
    out.push_str(HEAD);
    let (mut won, mut work) = ([0; 2], [0; 2]);
    let mut decided = [Vec::new(), Vec::new()];
    let told = |compared: &&Compared| !compared.is_at_once() && !compared.is_vain();
    for compared in all.iter().filter(told) {
        out.push_str(&compared.line());
        let (plain, guided) = compared.won();
        won = [won[0] + plain, won[1] + guided];
        work[0] += sum(&compared.plain, |hunt| hunt.events);
        work[1] += sum(&compared.guided, |hunt| hunt.events);
        let percent = compared.work_percent();
        let name = format!("`{}`", compared.defect.name());
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
        "\nTogether: plain hunts won {} repeats, guided hunts {}; guided hunts took {} % of the work of plain ones.\n\n\
         Less work by more than a tenth when guided: {}. More: {}.\n",
        won[0],
        won[1],
        work[1] * 100 / work[0].max(1),
        listed(&decided[1]),
        listed(&decided[0])
    )?;
    let names = |is: fn(&Compared) -> bool| {
        let named = all.iter().filter(|compared| is(compared));
        listed(&named.map(|compared| format!("`{}`", compared.defect.name())).collect::<Vec<_>>())
    };
    writeln!(
        out,
        "Found at once, within {AT_ONCE} runs in the median, before there is anything to learn: {}.\n\n\
         Not found by {VAIN_MAX} hunts of either kind: {}.",
        names(Compared::is_at_once),
        names(Compared::is_vain)
    )
}
