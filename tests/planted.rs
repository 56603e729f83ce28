//! Sources of nondeterminism, planted in a scenario that only this test has: each must be caught by
//! a second process, by the level of comparison that is there for it, and `mailstorm diff` must
//! name the first event.
//!
//! No test of the usual kind, since it is two programs in one: without arguments it runs the cases,
//! and with [`SECOND`] it is the second process of one of them. Start at `main`.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is an answer")]
#![allow(clippy::print_stdout, reason = "a test without a harness says itself what it did")]
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "they are what is planted")]

use mailstorm_checkers::{Goal, Suite};
use mailstorm_platform::Platform;
use mailstorm_record::{Event, Happening, Run, Settings};
use mailstorm_reports::Divergence;
use mailstorm_shared::facts::ApplicationFact;
use mailstorm_shared::{Millis, Observation};
use mailstorm_world::twin::{Answer, Twin, answer_orders, elsewhere};
use mailstorm_world::{
    NodeSpec, Process, Progress, Recording, RunSpec, Scenario, Topology, Window, run,
};
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufReader, stdin, stdout};
use std::pin::Pin;
use std::process::Command;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The word that makes this program the second process.
const SECOND: &str = "second-process";

/// What a round visits. So many have more orders than two processes come to by chance.
const TOWNS: [&str; 16] = [
    "athens", "berlin", "cairo", "dublin", "essen", "ferrara", "geneva", "hanoi", "izmir", "jena",
    "kyoto", "lima", "madrid", "nancy", "oslo", "paris",
];

/// The last milestone of a round.
const HOME: &str = "home";

/// What is wrong with the scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plant {
    /// Nothing.
    Nothing,
    /// Nothing: a map that is made within the run has an order that belongs to the seed.
    MapOfTheWorld,
    /// Nothing: the clock that is read within the run is the world's.
    ClockOfTheWorld,
    /// It goes round in the order of a map that was made outside of the run.
    MapOrder,
    /// It tells the time at which it was made.
    WallClock,
    /// It goes round in an order that comes from where things lie in memory.
    AddressAsKey,
    /// It draws numbers that it does not need, as many as the clock says.
    IdleDraws,
    /// It knows the time and keeps it to itself.
    SilentState,
}

impl Plant {
    const ALL: [Self; 8] = [
        Self::Nothing,
        Self::MapOfTheWorld,
        Self::ClockOfTheWorld,
        Self::MapOrder,
        Self::WallClock,
        Self::AddressAsKey,
        Self::IdleDraws,
        Self::SilentState,
    ];
}

/// One node that visits every town and comes home.
struct Round {
    plant: Plant,
    name: String,
    /// The order of a map that was made with it.
    shuffled: Vec<&'static str>,
    made_ns: u64,
}

impl Round {
    fn with(plant: Plant) -> Arc<dyn Scenario> {
        let (name, shuffled) = (format!("{plant:?}"), in_order_of_a_map());
        Arc::new(Self { plant, name, shuffled, made_ns: clock_ns() })
    }

    fn towns(&self) -> Vec<&'static str> {
        match self.plant {
            Plant::MapOfTheWorld => in_order_of_a_map(),
            Plant::MapOrder => self.shuffled.clone(),
            Plant::AddressAsKey => in_order_of_addresses(),
            _ => TOWNS.to_vec(),
        }
    }
}

fn in_order_of_a_map() -> Vec<&'static str> {
    let map: HashMap<&str, ()> = TOWNS.into_iter().map(|town| (town, ())).collect();
    map.into_keys().collect()
}

/// As a table would have it that is hashed by pointers.
fn in_order_of_addresses() -> Vec<&'static str> {
    let houses: Vec<Box<&str>> = TOWNS.into_iter().map(Box::new).collect();
    let hash = |house: &&str| {
        // It has the same keys in every process.
        let mut hasher = DefaultHasher::new();
        (&raw const *house).addr().hash(&mut hasher);
        hasher.finish()
    };
    let table: BTreeMap<u64, &str> = houses.iter().map(|house| (hash(house), **house)).collect();
    table.into_values().collect()
}

fn clock_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_nanos()).unwrap()
}

struct Shown(u64);

impl Window for Shown {
    fn glance(&self) -> Option<u64> {
        Some(self.0)
    }
    fn look(&self) -> Option<u64> {
        Some(self.0)
    }
}

struct ComesHome(bool);

impl Progress for ComesHome {
    fn observe(&mut self, event: &Event) {
        self.0 |= milestone(event) == Some(HOME);
    }
    fn ready(&self, _: bool) -> bool {
        true
    }
    fn done(&self) -> bool {
        self.0
    }
    fn waits_for(&self) -> String {
        "somebody is still on the road".to_owned()
    }
}

fn milestone(event: &Event) -> Option<&str> {
    match &event.happening {
        Happening::Observed {
            observation: Observation::Application(ApplicationFact::Milestone { name }),
        } => Some(name),
        _ => None,
    }
}

impl Scenario for Round {
    fn name(&self) -> &str {
        &self.name
    }
    fn about(&self) -> &str {
        "A test."
    }
    fn topology(&self) -> Topology {
        Topology {
            nodes: vec![NodeSpec::client("c1"), NodeSpec::client("c2")],
            ..Topology::default()
        }
    }
    fn boot(&self, process: Process) -> Pin<Box<dyn Future<Output = ()>>> {
        let (plant, towns, made_ns) = (self.plant, self.towns(), self.made_ns);
        let platform = process.platform;
        Box::pin(async move {
            let tell =
                |name: &str| platform.observe(ApplicationFact::Milestone { name: name.into() });
            match plant {
                Plant::ClockOfTheWorld => tell(&format!("made at {}", clock_ns())),
                Plant::WallClock => tell(&format!("made at {made_ns}")),
                Plant::IdleDraws => {
                    (0..made_ns / 100 % 100_000).for_each(|_| _ = platform.entropy())
                }
                Plant::SilentState => platform.show(Shown(made_ns)),
                _ => {}
            }
            loop {
                for town in &towns {
                    tell(town);
                    platform.sleep(Millis(200)).await;
                }
                tell(HOME);
            }
        })
    }
    fn checkers(&self, _: u64) -> Suite {
        Suite::new()
    }
    fn goals(&self) -> Vec<Goal> {
        Vec::new()
    }
    fn progress(&self, _: u64) -> Box<dyn Progress> {
        Box::new(ComesHome(false))
    }
}

fn report(run: &Run) -> Vec<u8> {
    run.to_json().into_bytes()
}

/// This program again, as the second process.
fn second() -> Twin {
    let mut command = Command::new(std::env::current_exe().unwrap());
    Twin::start(elsewhere(command.arg(SECOND))).unwrap()
}

/// Runs the seed here and there: what differs, and the records of both.
fn both(twin: &mut Twin, spec: &RunSpec) -> (Vec<String>, [Run; 2]) {
    twin.orders().send(spec);
    let run = run(spec);
    let report = report(&run);
    let (here, there) =
        (Answer::new(run, &report), twin.answer(spec.seed, spec.recording).unwrap());
    (here.differences(&there), [here.run, there.run])
}

fn full(plant: Plant, seed: u64) -> RunSpec {
    RunSpec { recording: Recording::Full, ..RunSpec::new(Round::with(plant), seed) }
}

fn what_is_sound_is_the_same_in_both_processes(plant: Plant) {
    let mut twin = second();
    let scenario = Round::with(plant);
    let specs: Vec<_> = (1..=20).map(|seed| RunSpec::new(scenario.clone(), seed)).collect();
    // All at once, so that the second process has a choice of what to do first.
    specs.iter().for_each(|spec| twin.orders().send(spec));
    for spec in &specs {
        let run = run(spec);
        let report = report(&run);
        let there = twin.answer(spec.seed, spec.recording).unwrap();
        let different = Answer::new(run, &report).differences(&there);
        assert!(different.is_empty(), "{plant:?} seed {}: {different:?}", spec.seed);
    }
    let (different, _) = both(&mut twin, &full(plant, 1));
    assert!(different.is_empty(), "{plant:?}: {different:?}");
}

/// Demands that the plant is caught by a difference in this part, and in none of those; and that
/// the first event that differs is one of which `is_first` holds, in both runs.
fn check(plant: Plant, part: &str, not: &[&str], is_first: impl Fn(&Event) -> bool) {
    let spec = full(plant, 7);
    let mut twin = second();
    let digest = RunSpec { recording: Recording::Digest, ..spec.clone() };
    let (different, _) = both(&mut twin, &digest);
    assert!(different.iter().any(|name| name == part), "{plant:?}: {different:?}");
    assert!(!different.iter().any(|name| not.contains(&&**name)), "{plant:?}: {different:?}");

    let (_, [here, there]) = both(&mut twin, &spec);
    let divergence = Divergence::between(&here, &there);
    let Some(first) = &divergence.first else {
        assert!(not.contains(&"events"), "{plant:?}: no event differs: {}", divergence.text());
        return;
    };
    let [ours, theirs] = [&here, &there].map(|run| run.events.as_deref().unwrap());
    let place = first.event - 1;
    assert!(place > 0 && ours[..place] == theirs[..place], "{plant:?}: {}", divergence.text());
    assert_ne!(ours[place], theirs[place], "{plant:?}");
    assert!(is_first(&ours[place]) && is_first(&theirs[place]), "{plant:?}: {}", divergence.text());

    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.json"), here.to_json()).unwrap();
    std::fs::write(folder.path().join("b.json"), there.to_json()).unwrap();
    let mut diff = Command::new(env!("CARGO_BIN_EXE_mailstorm"));
    let ended =
        diff.args(["diff", "a.json", "b.json"]).current_dir(folder.path()).output().unwrap();
    let told = String::from_utf8_lossy(&ended.stdout);
    assert_eq!(ended.status.code(), Some(4), "{told}");
    assert!(told.contains(&format!("first difference: event {} ", first.event)), "{told}");
    assert!(told.ends_with(&divergence.text()), "{told}");
}

fn is_milestone(event: &Event) -> bool {
    milestone(event).is_some()
}

fn the_cases() {
    for plant in [Plant::Nothing, Plant::MapOfTheWorld, Plant::ClockOfTheWorld] {
        what_is_sound_is_the_same_in_both_processes(plant);
        println!("test {plant:?} is the same in both processes ... ok");
    }
    let of_a_state = |event: &Event| matches!(event.happening, Happening::State { .. });
    check(Plant::MapOrder, "trace_hash", &["draws"], is_milestone);
    check(Plant::WallClock, "trace_hash", &["draws"], is_milestone);
    check(Plant::AddressAsKey, "trace_hash", &["draws"], is_milestone);
    check(Plant::IdleDraws, "draws", &["plan", "trace_hash", "events"], is_milestone);
    check(Plant::SilentState, "states", &["draws", "trace_hash", "plan"], of_a_state);
    for plant in &Plant::ALL[3..] {
        println!("test {plant:?} is caught by the second process ... ok");
    }
}

fn main() {
    if std::env::args().nth(1).as_deref() != Some(SECOND) {
        the_cases();
        return;
    }
    let find = |name: &str, _: &Settings| {
        let plant = Plant::ALL.into_iter().find(|plant| format!("{plant:?}") == name);
        plant.map(Round::with).ok_or_else(|| format!("no scenario {name}"))
    };
    answer_orders(find, report, 3, BufReader::new(stdin()), stdout()).unwrap();
}
