//! What scenarios on the coordination service have in common: how a server and a client are set up,
//! and what is checked of the ensemble.

use crate::scale::{LEADER, Scale};
use mailstorm_checkers::{
    Answers, Bounds, Convergence, Linearizable, Quorum, RealTime, SessionOrder, Sessions,
    SplitBrain, Suite, Watches,
};
use mailstorm_client::ClientConfig;
use mailstorm_coordination::node::{NodeSettings, NodeStart};
use mailstorm_coordination::replica::ReplicaConfig;
use mailstorm_coordination::server::ServerConfig;
use mailstorm_coordination::server::config::SWEEP_EVERY;
use mailstorm_platform::{Address, Platform};
use mailstorm_shared::quorum::majority;
use mailstorm_shared::{Ensemble, Millis, ServerId};
use mailstorm_world::{Limits, NodeSpec, Process, Program};

/// Where servers listen for clients.
pub(crate) const CLIENT_PORT: u16 = 2181;
/// Where servers listen for each other.
pub(crate) const PEER_PORT: u16 = 2888;
/// The usual session timeout of a client.
pub(crate) const SESSION_TIMEOUT: Millis = Millis(6_000);
/// Small enough that a storm sees snapshots, and learners too far behind for anything else.
const SNAPSHOT_EVERY_ENTRIES: usize = 150;
const SYNC_ENTRIES_KEPT: usize = 40;
/// Small enough that a storm sees a learner whose window is full, and clients that wait for
/// proposals.
const WINDOW_ENTRIES_MAX: usize = 24;
const OUTSTANDING_PROPOSALS_MAX: usize = 48;
/// Small enough that a snapshot takes many steps, with writes in between.
const SNAPSHOT_CHUNK_BYTES: usize = 256;
/// Small enough that on a slow disk a snapshot of one's own takes long.
const SNAPSHOT_SYNC_BYTES: u64 = 512;
/// Small enough that a storm sees many log files, and that a start reads little.
const LOG_FILE_BYTES: u64 = 64 << 10;
/// Small enough that a storm sees an epoch whose counter is full (ZOOKEEPER-1277).
const EPOCH_ENTRIES_MAX: u32 = 700;
const NS_PER_MS: u64 = 1_000_000;
/// What a node's next session adds to its client number: more than any node has without it.
pub(crate) const NEXT_SESSION: u32 = 30_000;
/// How many sessions a process can have that are told apart: an auditor has one for each server.
const SESSIONS_MAX: u32 = 16;

/// Servers 1 to `voters`, and observers after them.
pub(crate) fn ensemble_of(voters: u64, observers: u64) -> Ensemble {
    let id = |number| u8::try_from(number).ok().and_then(ServerId::new);
    let ids = |range: std::ops::RangeInclusive<u64>| range.filter_map(id);
    Ensemble::new(ids(1..=voters), ids(voters + 1..=voters + observers))
        .expect("distinct servers, and at least one voter")
}

/// The nodes of an ensemble's servers, named `s` and a number: those that vote, then those that
/// observe.
pub(crate) fn servers(ensemble: &Ensemble) -> impl Iterator<Item = NodeSpec> {
    let voters = ensemble.voters().iter().map(|id| NodeSpec::server(&id.to_string()));
    let observers = ensemble.observers().iter();
    let observers = observers.map(|id| NodeSpec::server(&id.to_string()).called("observer"));
    voters.chain(observers)
}

/// The program of the server node `s1`, `s2`, ..., which as leader sweeps this often.
pub(crate) fn boot_server(process: Process, ensemble: &Ensemble, sweep_every: Millis) -> Program {
    boot(process, ensemble, sweep_every, EPOCH_ENTRIES_MAX, None)
}

/// The same, in a design in which so many servers pass for a majority; `None` for half of them.
pub(crate) fn boot_server_of_quorum(
    process: Process,
    ensemble: &Ensemble,
    quorum: Option<usize>,
) -> Program {
    boot(process, ensemble, SWEEP_EVERY, EPOCH_ENTRIES_MAX, quorum)
}

/// The same, for scenarios with thousands of writes that are not about epochs that are full.
pub(crate) fn boot_server_in_long_epochs(process: Process, ensemble: &Ensemble) -> Program {
    boot(process, ensemble, SWEEP_EVERY, u32::MAX, None)
}

fn boot(
    process: Process,
    ensemble: &Ensemble,
    sweep_every: Millis,
    epoch_entries_max: u32,
    minority_quorum: Option<usize>,
) -> Program {
    let me = server_of(&process.node.0).expect("server nodes are named by their id");
    let mut replica = ReplicaConfig::new(me, ensemble.clone());
    replica.snapshot_every_entries = SNAPSHOT_EVERY_ENTRIES;
    replica.sync_entries_kept = SYNC_ENTRIES_KEPT;
    replica.window_entries_max = WINDOW_ENTRIES_MAX;
    replica.outstanding_proposals_max = OUTSTANDING_PROPOSALS_MAX;
    replica.epoch_entries_max = epoch_entries_max;
    replica.defects = process.defects;
    replica.minority_quorum = minority_quorum;
    let address = |id: ServerId, port| Address::from(&*format!("{id}:{port}"));
    let peers = ensemble.servers().map(|id| (id, address(id, PEER_PORT))).collect();
    let config = ServerConfig {
        sweep_every,
        snapshot_chunk_bytes: SNAPSHOT_CHUNK_BYTES,
        ..ServerConfig::new(replica)
    };
    let mut settings = NodeSettings::new(config, address(me, CLIENT_PORT), peers);
    settings.storage.log_file_bytes = LOG_FILE_BYTES;
    settings.storage.snapshot_sync_bytes = SNAPSHOT_SYNC_BYTES;
    // Only the very first start may take an empty folder for the whole truth: later, it is a lost
    // disk.
    settings.initialise = process.incarnation == 0;
    process.host(NodeStart::new(settings))
}

/// The program of a node, which waits with its first start if another server than would be elected
/// is to lead first. Of servers that know nothing yet an election prefers the one with the highest
/// number, so a majority begins of which the wanted leader is that; the others come when it leads,
/// and follow it.
pub(crate) fn in_order(
    scale: &Scale,
    process: Process,
    boot: impl FnOnce(Process) -> Program + 'static,
) -> Program {
    /// By then whoever began has elected a leader and follows it.
    const LATER: Millis = Millis(2_000);
    let leader = scale.find(LEADER).map_or(0, |setting| setting.value);
    let server = server_of(&process.node.0).map_or(0, |id| u64::from(id.number()));
    let is_late = leader > 0 && server > 0 && process.incarnation == 0 && {
        let first = leader.saturating_sub(majority(scale.get("servers") as usize) as u64);
        !(first + 1..=leader).contains(&server)
    };
    if !is_late {
        return boot(process);
    }
    let platform = process.platform.clone();
    Box::pin(async move {
        platform.sleep(LATER).await;
        boot(process).await;
    })
}

/// The session of a client process, with every server of the ensemble. A process that was started
/// again is another client: its operations are numbered from the beginning.
pub(crate) fn client_config(scale: &Scale, ensemble: &Ensemble, process: &Process) -> ClientConfig {
    let node = &*process.node.0;
    let servers = ensemble.servers().map(|id| Address::from(&*format!("{id}:{CLIENT_PORT}")));
    let mut config = ClientConfig::new(servers);
    config.session_timeout = scale.session_timeout();
    config.defects = process.defects;
    config.client_number = process.incarnation * SESSIONS_MAX * NEXT_SESSION + client_number(node);
    config
}

/// The number of the first client on a node, which no other node has: a letter and a number below
/// 10 are digits of their own; greater numbers come behind all of those. A word counts as its
/// letter with 0.
///
/// # Panics
/// When the name is neither a word nor a letter with a number that has room: its author names it
/// otherwise.
fn client_number(node: &str) -> u32 {
    const LETTERS: u32 = 26;
    const PER_LETTER: u32 = 10;
    /// Behind `z9`, in the digits that `c1` = 991 has.
    const OF_SEVERAL_DIGITS: u32 = 2_000;
    let letter = node.bytes().next().filter(u8::is_ascii_lowercase);
    let number = node.get(1..).and_then(|number| match number.parse::<u32>() {
        Ok(number) => Some(number),
        Err(_) => number.bytes().all(|byte| byte.is_ascii_lowercase()).then_some(0),
    });
    let numbered = letter.zip(number).map(|(letter, number)| match number {
        ..PER_LETTER => u32::from(letter) * PER_LETTER + number,
        _ => {
            let place = (number - PER_LETTER).saturating_mul(LETTERS) + u32::from(letter - b'a');
            place.saturating_add(OF_SEVERAL_DIGITS)
        }
    });
    numbered.filter(|number| *number < NEXT_SESSION).unwrap_or_else(|| {
        panic!("{node} is no letter with a number that clients are told apart by")
    })
}

/// Everything that is to hold of an ensemble and its clients, whatever they do.
pub(crate) fn ensemble_checkers(ensemble: &Ensemble, limits: Limits) -> Suite {
    Suite::new()
        .with(Quorum::new(ensemble.clone()))
        .with(SplitBrain::new())
        .with(Answers::new())
        .with(RealTime::new())
        .with(Linearizable::new())
        .with(SessionOrder::new())
        .with(Sessions::new(ensemble))
        .with(Watches::new())
        .with(Bounds::new())
        .with(Convergence::new(ensemble.clone(), (limits.converge + limits.linger).0 * NS_PER_MS))
}

/// The server that runs on the node of this name.
pub(crate) fn server_of(node: &str) -> Option<ServerId> {
    let number = node.strip_prefix('s')?;
    ServerId::new(number.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lessons;
    use mailstorm_record::{Fault, FaultKind, Happening, Plan, Settings};
    use mailstorm_shared::Observation;
    use mailstorm_shared::facts::MemoryFact;
    use mailstorm_world::{Recording, RunSpec, Scenario, scenario};
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    /// The same with as many machines as its settings allow.
    fn at_its_largest(of: &Arc<dyn Scenario>) -> Arc<dyn Scenario> {
        let largest =
            of.settings().into_iter().map(|setting| (setting.name.to_owned(), setting.max));
        let largest = Settings(largest.collect());
        scenario::with_settings(of, &largest).expect("the largest settings go together")
    }

    #[test]
    fn every_load_with_a_bound_that_a_storm_tells_is_a_kind_of_violation() {
        let kinds = mailstorm_checkers::common::kinds::of("bounds");
        let mut told = BTreeSet::new();
        for seed in 1..=3 {
            let spec = RunSpec::new(Arc::new(crate::EnsembleStorm::three()), seed);
            let run = mailstorm_world::run(&RunSpec { recording: Recording::Full, ..spec });
            for event in run.events.expect("everything was recorded") {
                if let Happening::Observed { observation: Observation::Memory(fact) } =
                    event.happening
                {
                    let MemoryFact::Keeps { load, max, .. } = fact;
                    assert!(max.is_none() || kinds.contains(&&*load), "{load}");
                    told.insert(load);
                }
            }
        }
        let told = |load: &str| told.iter().any(|told| **told == *load);
        assert!(["log_entries", "silence_of_learner_ms", "znodes"].into_iter().all(told));
    }

    #[test]
    fn a_server_that_slept_amid_its_own_snapshot_gives_it_up_for_the_leader_s() {
        let nodes = vec!["s1".into()];
        let slow = FaultKind::DiskSlow { nodes: nodes.clone(), factor: 250 };
        let faults = vec![
            Fault { at_ms: 2_000, lasts_ms: 22_500, kind: slow },
            Fault { at_ms: 6_500, lasts_ms: 13_000, kind: FaultKind::Pause { nodes } },
        ];
        let plan = Plan { faults, lasts_ms: Some(30_000), ..Plan::default() };
        let mut voided = 0;
        for seed in 1..=6 {
            let spec = RunSpec::new(Arc::new(crate::EnsembleStorm::three()), seed);
            let (recording, plan) = (Recording::Full, Some(plan.clone()));
            let run = mailstorm_world::run(&RunSpec { recording, plan, ..spec });
            assert_eq!(run.outcome.violations().next(), None, "seed {seed}");
            let mut goal = mailstorm_checkers::ensemble::goals::own_snapshot_voided();
            let events = run.events.expect("everything was recorded");
            voided += events.iter().filter(|event| goal.is_reached_by(event)).count();
        }
        assert!(voided > 0);
    }

    #[test]
    fn no_two_clients_of_any_scenario_share_a_number_with_the_largest_settings() {
        let designs = lessons::all().into_iter().flat_map(|lesson| lesson.designs);
        let designs = designs.map(|design| design.scenario);
        for scenario in crate::all(None).into_iter().chain(designs) {
            let scenario = at_its_largest(&scenario);
            let mut nodes = BTreeMap::new();
            for node in
                scenario.topology().nodes.iter().filter(|node| server_of(&node.name.0).is_none())
            {
                let before = nodes.insert(client_number(&node.name.0), node.name.clone());
                assert!(before.is_none(), "{}: {before:?} is {}", scenario.name(), node.name.0);
            }
        }
    }

    #[test]
    fn every_letter_and_every_number_up_to_999_is_a_client_of_its_own() {
        assert_eq!(
            ["c1", "w9", "c11", "d1", "sink"].map(client_number),
            [991, 1_199, 2_028, 1_001, 1_150]
        );
        let letters = (b'a'..=b'z').flat_map(|letter| (0..=999).map(move |n| (letter, n)));
        let number = |(letter, n)| client_number(&format!("{}{n}", char::from(letter)));
        let numbers: BTreeSet<u32> = letters.map(number).collect();
        assert_eq!(numbers.len(), 26 * 1_000);
        assert!(numbers.last().is_some_and(|last| *last < NEXT_SESSION));
    }

    #[test]
    #[should_panic = "c2000 is no letter with a number that clients are told apart by"]
    fn a_name_that_clients_are_not_told_apart_by_is_no_client_s() {
        client_number("c2000");
    }
}
