//! What the scenarios of lessons have in common: their times, their network, the plan in their
//! file, the end of their work.
//!
//! Holds: the storm begins at once, so the times of a lesson's plan are those of its run.
//! Start at [`Act`].

use crate::nodes::{self, SESSION_TIMEOUT};
use crate::scale::Scale;
use crate::wording;
use mailstorm_checkers::{Goal, Suite};
use mailstorm_coordination::server::config::SWEEP_EVERY;
use mailstorm_record::{InboxMark, Plan, Setting, Settings};
use mailstorm_shared::{Defects, Millis};
use mailstorm_world::scenario::{DiskSpeed, NetworkSpeed};
use mailstorm_world::{Interpreter, Limits, NodeSpec, Process, Progress, Scenario, Topology};
pub(super) use mailstorm_world::{Program, Work, first_of_each};
use std::sync::Arc;

/// The setting with which the faults are drawn from the seed.
pub const DRAWN_FAULTS: &str = "drawn_faults";

/// What a design consists of. It is asked with the scale of its run, which has all its settings.
pub(super) trait Act: Send + Sync + 'static {
    /// The machines beside the servers of the ensemble, which are there if the scale has them.
    fn nodes(&self, scale: &Scale) -> Vec<NodeSpec>;
    /// The program of one of them.
    fn boot(&self, scale: &Scale, process: Process) -> Program;
    /// The program of a server.
    fn boot_server(&self, scale: &Scale, process: Process) -> Program {
        nodes::boot_server(process, &scale.ensemble(), SWEEP_EVERY)
    }
    /// The mistake that the design is about, if it is one that every process must have.
    fn mistake(&self) -> Defects {
        Defects::NONE
    }
    /// What must hold.
    fn checkers(&self, scale: &Scale) -> Suite;
    /// What must happen under the lesson's plan, so that the lesson shows what it says. Faults that
    /// are drawn from a seed may miss it.
    fn goals(&self, scale: &Scale) -> Vec<Goal>;
    /// When the work is done.
    fn work(&self, scale: &Scale) -> Work;
    /// Times and bounds.
    fn limits(&self, _scale: &Scale) -> Limits {
        LIMITS
    }
    /// The inbox, if there is one.
    fn inbox(&self) -> Option<InboxMark> {
        None
    }
}

/// The usual times of a lesson.
pub(super) const LIMITS: Limits = Limits {
    start: Millis(1_000),
    storm: Millis(30_000),
    converge: Millis(60_000),
    linger: Millis(2_000),
    events_max: 20_000_000,
};

/// From one to five milliseconds, one way.
const NETWORK: NetworkSpeed = NetworkSpeed {
    base_us_min: 1_000,
    base_us_max: 4_000,
    jitter_us: 1_000,
    late_per_million: 0,
    late_us: 0,
    bytes_per_second: 125_000_000,
};

/// The bound that a lesson's plan must keep. Faults that are drawn from a seed may make people wait
/// for longer than any bound: then only what is missing at the end counts.
pub(super) fn patience(scale: &Scale, bound: Millis) -> Millis {
    const A_DAY: Millis = Millis(24 * 60 * 60 * 1_000);
    if scale.get(DRAWN_FAULTS) == 1 { A_DAY } else { bound }
}

/// The same for the time that work may stand still, of which the end of a session is a part.
pub(super) fn patience_with_sessions(scale: &Scale, bound: Millis) -> Millis {
    let longer = scale.session_timeout().0.saturating_sub(SESSION_TIMEOUT.0);
    patience(scale, bound + Millis(longer))
}

/// A design as a scenario.
pub(super) struct Staged {
    name: &'static str,
    about: &'static str,
    /// The lesson's plan, as a file.
    plan: &'static str,
    scale: Scale,
    act: Arc<dyn Act>,
}

impl Staged {
    /// The scenario `name`, as `quorum-half/wrong`; `about` it in a sentence. `plan` is TOML as
    /// [`Plan::parse`] reads it; `scale` has its settings.
    pub(super) fn scenario(
        name: &'static str,
        about: &'static str,
        plan: &'static str,
        scale: Scale,
        act: impl Act,
    ) -> Arc<dyn Scenario> {
        let scale = scale.and(DRAWN_FAULTS, "1: the faults are drawn from the seed", 0, 0..=1);
        let staged = Self { name, about, plan, scale, act: Arc::new(act) };
        let names = staged.topology().names();
        Plan::parse(plan, name, &names).expect("a lesson's plan names its own machines");
        Arc::new(staged)
    }
}

impl Scenario for Staged {
    fn name(&self) -> &str {
        self.name
    }

    fn about(&self) -> &str {
        self.about
    }

    fn leads_with(&self) -> &'static [&'static str] {
        super::broken_by(self.name)
    }

    fn topology(&self) -> Topology {
        let ensemble = self.scale.find_ensemble();
        let servers = ensemble.iter().flat_map(nodes::servers);
        let nodes = servers.chain(self.act.nodes(&self.scale)).collect();
        self.scale.topology_at(nodes, NETWORK, DiskSpeed::PLAIN)
    }

    fn boot(&self, mut process: Process) -> Program {
        let (act, scale) = (self.act.clone(), self.scale.clone());
        if act.mistake() != Defects::NONE {
            process.defects = act.mistake();
        }
        if nodes::server_of(&process.node.0).is_none() {
            return act.boot(&scale, process);
        }
        nodes::in_order(&self.scale, process, move |process| act.boot_server(&scale, process))
    }

    fn checkers(&self, _seed: u64) -> Suite {
        self.act.checkers(&self.scale)
    }

    fn goals(&self) -> Vec<Goal> {
        if self.scale.get(DRAWN_FAULTS) == 1 { Vec::new() } else { self.act.goals(&self.scale) }
    }

    fn progress(&self, _seed: u64) -> Box<dyn Progress> {
        Box::new(self.act.work(&self.scale))
    }

    fn plan(&self) -> Option<Plan> {
        if self.scale.get(DRAWN_FAULTS) == 1 {
            return None;
        }
        let names = self.topology().names();
        Some(Plan::among(self.plan, &names).expect("it was parsed when it was made"))
    }

    fn settings(&self) -> Vec<Setting> {
        self.scale.all().to_vec()
    }

    fn check_settings(&self) -> Result<(), String> {
        self.scale.check()
    }

    fn with(&self, settings: &Settings) -> Option<Arc<dyn Scenario>> {
        let scale = self.scale.with(settings);
        Some(Arc::new(Self { scale, act: self.act.clone(), ..*self }))
    }

    fn inbox(&self) -> Option<InboxMark> {
        self.act.inbox()
    }

    fn goes_on(&self) -> bool {
        true
    }

    fn limits(&self) -> Limits {
        self.act.limits(&self.scale)
    }

    fn interpreter(&self, listener: &str) -> Option<Box<dyn Interpreter>> {
        wording::interpreter(listener)
    }
}
