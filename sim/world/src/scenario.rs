//! What a scenario gives the world: which machines there are, what runs on them, what is checked,
//! what must be reached, and when it is done.
//!
//! Start at [`Scenario`].

use crate::platform::SimPlatform;
use crate::system::{Member, System};
use mailstorm_checkers::{Goal, Suite};
use mailstorm_record::{Event, InboxMark, Names, NodeName, Plan, Setting, SettingError, Settings};
use mailstorm_shared::{Defects, Millis};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// A lesson, or a proof: one world, and what to expect of it.
///
/// A scenario has no state of its own; whatever a run needs to remember is in the values that these
/// methods make for every run.
pub trait Scenario: Send + Sync {
    /// Its name, in `kebab-case`.
    fn name(&self) -> &str;
    /// What it shows, in a sentence.
    fn about(&self) -> &str;
    /// What a sum of its runs begins with.
    fn outline(&self) -> Outline {
        Outline::default()
    }
    /// The violations that it is about, each as `checker/kind`, the foremost first: a run that
    /// shows one leads with it.
    fn leads_with(&self) -> &'static [&'static str] {
        &[]
    }
    /// The machines, and what connects them.
    fn topology(&self) -> Topology;
    /// The program of a node, from its start to its end. A process that must run until it is
    /// stopped returns only to die: it is then started again (see [`NodeSpec::returns`]).
    fn boot(&self, process: Process) -> Pin<Box<dyn Future<Output = ()>>>;
    /// The checkers of one run.
    fn checkers(&self, seed: u64) -> Suite;
    /// What must happen in a sweep, so that no pass is empty.
    fn goals(&self) -> Vec<Goal>;
    /// What one run waits for.
    fn progress(&self, seed: u64) -> Box<dyn Progress>;
    /// The plan that belongs to the scenario; without one, a swarm draws it from the seed.
    fn plan(&self) -> Option<Plan> {
        None
    }
    /// Its numbers that a run may change, with what they are now.
    fn settings(&self) -> Vec<Setting> {
        Vec::new()
    }
    /// The same scenario with these numbers, and its own for all others. Called only with settings
    /// that [`Settings::apply`] accepts: a scenario with settings has this, too.
    fn with(&self, settings: &Settings) -> Option<Arc<dyn Scenario>> {
        let _ = settings;
        None
    }
    /// What is wrong with its numbers together, each of which is in its range, and what was
    /// expected.
    ///
    /// # Errors
    /// A sentence that says so.
    fn check_settings(&self) -> Result<(), String> {
        Ok(())
    }
    /// The inbox, if there is one: a replay needs the same.
    fn inbox(&self) -> Option<InboxMark> {
        None
    }
    /// What this seed has chosen besides its faults, in a sentence: who plays a special part.
    fn cast(&self, seed: u64) -> Option<String> {
        let _ = seed;
        None
    }
    /// Whether a run goes on when a checker has found something, and ends lawfully even if it is
    /// not done: a lesson is looked at to its end, and what is missing then is for its checkers to
    /// tell. Panics and blown bounds end it all the same.
    fn goes_on(&self) -> bool {
        false
    }
    /// Times and bounds.
    fn limits(&self) -> Limits {
        Limits::default()
    }
    /// The interpreter of what is sent on a connection to this address, for a full recording.
    fn interpreter(&self, listener: &str) -> Option<Box<dyn Interpreter>> {
        let _ = listener;
        None
    }
}

/// Listens to one connection, from its beginning and in both directions.
pub trait Interpreter {
    /// What was sent, in a few words; `caller` is whether it comes from the side that connected.
    fn words(&mut self, caller: bool, bytes: &[u8]) -> Option<String>;
}

/// What a scenario does, as parts of a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// Who takes part: `five servers and four workers`.
    pub cast: String,
    /// What held in a run that passes: `every one of 100 mails was processed exactly once`.
    pub promise: String,
}

impl Default for Outline {
    fn default() -> Self {
        Self { cast: String::new(), promise: "everything that is checked held".to_owned() }
    }
}

/// The scenario with these numbers, and its own for all others.
///
/// # Errors
/// [`SettingError`] for a setting that it does not have, or that cannot have this value, alone or
/// together with the others.
pub fn with_settings(
    scenario: &Arc<dyn Scenario>,
    settings: &Settings,
) -> Result<Arc<dyn Scenario>, SettingError> {
    settings.apply(&mut scenario.settings())?;
    if *settings == Settings::of(&scenario.settings()) {
        return Ok(scenario.clone());
    }
    let changed =
        scenario.with(settings).expect("a scenario that has settings can be made with others");
    changed.check_settings().map_err(SettingError::Together)?;
    Ok(changed)
}

/// One process, as its program gets it at its start.
pub struct Process {
    /// The node it runs on.
    pub node: NodeName,
    /// How many times it was started before.
    pub incarnation: u32,
    /// The run's seed.
    pub seed: u64,
    /// The defect that is planted in whatever runs here, if any: every configuration is made with
    /// it.
    pub defects: Defects,
    /// Its machine.
    pub platform: SimPlatform,
}

/// What a run waits for; it sees every event, in order.
pub trait Progress {
    /// Looks at the next event.
    fn observe(&mut self, event: &Event);
    /// Whether the storm may begin. Called from the start of the run; `is_led` says whether every
    /// moving target of every system means a node.
    fn ready(&self, is_led: bool) -> bool {
        is_led
    }
    /// Whether everything that was to be done is done. Called often once all faults have ended:
    /// must be cheap.
    fn done(&self) -> bool;
    /// What is still missing, in a few words, for the violation that says so.
    fn waits_for(&self) -> String;
    /// Figures for the summary: mails processed, attempts.
    fn figures(&self) -> BTreeMap<String, u64> {
        BTreeMap::new()
    }
}

/// Times and bounds of a run, in virtual time since the beginning of the respective phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For how long everything is healthy until the storm must be able to begin.
    pub start: Millis,
    /// How long a storm that is drawn from the seed lasts. One with a plan lasts as long as its
    /// plan.
    pub storm: Millis,
    /// How long everything may take to work again once all faults have ended.
    pub converge: Millis,
    /// For how long the run goes on after that, to see what happens too often.
    pub linger: Millis,
    /// After how many events of the clockwork a run of the usual length is a livelock. One that may
    /// last longer may have as many more.
    pub events_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            start: Millis(60_000),
            storm: Millis(60_000),
            converge: Millis(120_000),
            linger: Millis(2_000),
            events_max: 20_000_000,
        }
    }
}

/// The machines and what connects them.
#[derive(Clone, Default)]
pub struct Topology {
    /// The machines. Their addresses are `10.0.0.1`, `10.0.0.2`, ... in this order.
    pub nodes: Vec<NodeSpec>,
    /// The systems that run on them, each node in at most one. What storms strike most often is the
    /// first.
    pub systems: Vec<Arc<dyn System>>,
    /// How fast the network is while it is well.
    pub network: NetworkSpeed,
    /// How fast the disks are while they are well.
    pub disk: DiskSpeed,
}

impl Topology {
    /// What plans may name: the nodes, and the words of the systems.
    pub fn names(&self) -> Names {
        let nodes = self.nodes.iter().map(|node| node.name.clone()).collect();
        let targets = self.systems.iter().flat_map(|system| system.targets().words()).collect();
        Names { nodes, targets }
    }

    /// The system of each node, by its place among them, with what the node is in it.
    pub(crate) fn memberships(&self) -> Vec<Option<Membership>> {
        let mut all = vec![None; self.nodes.len()];
        for (system, of) in self.systems.iter().enumerate() {
            for Member { node, votes } in of.members() {
                let place = self.nodes.iter().position(|spec| spec.name == node);
                let place = place.expect("the members of a system are nodes of its topology");
                assert!(all[place].is_none(), "no node is a member of two systems");
                all[place] = Some(Membership { system, votes });
            }
        }
        all
    }
}

/// What a node is in a system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Membership {
    /// The system, by its place in the topology.
    pub(crate) system: usize,
    pub(crate) votes: bool,
}

/// One machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSpec {
    /// Its name.
    pub name: NodeName,
    /// What runs on it, in a word: `worker`, `supervisor`.
    pub called: Arc<str>,
    /// What may go wrong with it when a swarm draws the faults. A plan may name any node.
    pub subject: Subject,
    /// True if nothing runs on it until a process requests it.
    pub spare: bool,
    /// True if its program may end by itself. Otherwise an end is a death: reported as a crash, and
    /// the process is started again after [`RESTART_DELAY`].
    pub returns: bool,
}

/// After how long a process that ended by itself is started again.
pub const RESTART_DELAY: Millis = Millis(500);

/// What may go wrong with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Its process: crashes, pauses.
    pub process: bool,
    /// Its network.
    pub network: bool,
    /// Its disk.
    pub disk: bool,
    /// Its clocks.
    pub clock: bool,
}

impl Subject {
    /// Everything may go wrong.
    pub const ALL: Self = Self { process: true, network: true, disk: true, clock: true };
    /// Nothing may go wrong.
    pub const NOTHING: Self = Self { process: false, network: false, disk: false, clock: false };
}

impl NodeSpec {
    /// A server, with which everything may go wrong.
    pub fn server(name: &str) -> Self {
        Self::new(name, "server", Subject::ALL)
    }

    /// A worker or client without a disk that matters.
    pub fn client(name: &str) -> Self {
        Self::new(name, "client", Subject { disk: false, ..Subject::ALL })
    }

    /// Something of the outside world, which never fails: it is called what it is, the sink, the
    /// ledger.
    pub fn outside(name: &str) -> Self {
        Self::new(name, name.trim_end_matches(|c: char| c.is_ascii_digit()), Subject::NOTHING)
    }

    /// The same node, on which nothing runs until a process requests it.
    #[must_use]
    pub fn spare(self) -> Self {
        Self { spare: true, ..self }
    }

    /// The same node, whose program may end by itself.
    #[must_use]
    pub fn returns(self) -> Self {
        Self { returns: true, ..self }
    }

    /// The same node, with a word of its own for what runs on it.
    #[must_use]
    pub fn called(self, word: &str) -> Self {
        Self { called: word.into(), ..self }
    }

    /// The same node, with other things that may go wrong.
    #[must_use]
    pub fn subject_to(self, subject: Subject) -> Self {
        Self { subject, ..self }
    }

    fn new(name: &str, called: &str, subject: Subject) -> Self {
        let (name, called) = (name.into(), called.into());
        Self { name, called, subject, spare: false, returns: false }
    }
}

/// How fast a healthy network is. Each direction of each link draws its own base latency once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkSpeed {
    /// The smallest base latency of a link, in microseconds.
    pub base_us_min: u64,
    /// The largest.
    pub base_us_max: u64,
    /// What is added to each message, at the most, in microseconds.
    pub jitter_us: u64,
    /// How many of a million messages are late.
    pub late_per_million: u32,
    /// By how much, at the most, in microseconds.
    pub late_us: u64,
    /// The bandwidth of each direction of each link.
    pub bytes_per_second: u64,
}

impl NetworkSpeed {
    /// Every message takes the same time.
    pub const PLAIN: Self = Self {
        base_us_min: 500,
        base_us_max: 500,
        jitter_us: 0,
        late_per_million: 0,
        late_us: 0,
        bytes_per_second: 125_000_000,
    };
}

impl Default for NetworkSpeed {
    /// A data centre: a fraction of a millisecond, a gigabit per second, one message in a thousand
    /// late.
    fn default() -> Self {
        Self {
            base_us_min: 200,
            base_us_max: 800,
            jitter_us: 400,
            late_per_million: 1_000,
            late_us: 20_000,
            bytes_per_second: 125_000_000,
        }
    }
}

/// How fast a healthy disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpeed {
    /// The shortest sync, in microseconds.
    pub sync_us_min: u64,
    /// The longest ordinary one.
    pub sync_us_max: u64,
    /// How many of a million syncs are late.
    pub late_per_million: u32,
    /// By how much, at the most, in microseconds.
    pub late_us: u64,
    /// How long it takes to read a file, in microseconds, apart from its bytes.
    pub read_us: u64,
    /// How fast a file is read.
    pub read_bytes_per_second: u64,
}

impl DiskSpeed {
    /// Every sync takes the same time.
    pub const PLAIN: Self = Self {
        sync_us_min: 1_000,
        sync_us_max: 1_000,
        late_per_million: 0,
        late_us: 0,
        read_us: 100,
        read_bytes_per_second: 500_000_000,
    };
}

impl Default for DiskSpeed {
    /// A solid-state disk behind a busy controller.
    fn default() -> Self {
        Self {
            sync_us_min: 300,
            sync_us_max: 2_000,
            late_per_million: 2_000,
            late_us: 50_000,
            read_us: 100,
            read_bytes_per_second: 500_000_000,
        }
    }
}
