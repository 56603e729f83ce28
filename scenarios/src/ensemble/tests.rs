//! What a run asks of the ensemble, and ends that are no ends: each lacks one thing that is owed.

use super::EnsembleStorm;
use super::auditor::{self, READ_THROUGH};
use super::served_again::ServedAgain;
use super::tourist::{ALL_MET, LAST_GATE};
use crate::damaged::{self, Harm, is_stuck};
use crate::nodes::ensemble_of;
use bytes::Bytes;
use mailstorm_client::recipes::election::Election;
use mailstorm_client::{Client, open_acl};
use mailstorm_platform::Platform;
use mailstorm_record::{Event, Happening};
use mailstorm_shared::facts::{ApplicationFact, ClientFact, EnsembleFact, Outcome};
use mailstorm_shared::znodes::Change;
use mailstorm_shared::{Epoch, Millis, Observation, Zxid};
use mailstorm_wire::client::{Acl, CreateMode, permission};
use mailstorm_world::{Progress, Recording, RunSpec, SimPlatform};
use std::collections::BTreeSet;
use std::sync::Arc;

/// As few as make a difference.
const SMALL: &[(&str, u64)] = &[("clients", 2), ("witnesses", 1)];

fn stuck(harm: Harm) -> Option<String> {
    is_stuck(Arc::new(EnsembleStorm::three()), SMALL, harm)
}

#[track_caller]
fn is_missed(harm: Harm, words: &str) {
    let told = stuck(harm).expect("the run must not end like this");
    assert!(told.contains(words), "no '{words}' in: {told}");
}

/// Does it until it succeeds.
async fn until_done<T, E>(client: &Client<SimPlatform>, act: impl AsyncFn() -> Result<T, E>) -> T {
    loop {
        if let Ok(done) = act().await {
            return done;
        }
        client.platform().sleep(Millis(50)).await;
    }
}

#[test]
fn a_run_in_which_nothing_is_damaged_ends() {
    assert_eq!(stuck(damaged::none), None);
}

#[test]
fn a_run_in_which_the_last_gate_is_lost_does_not_end() {
    let harm: Harm = |client| {
        Box::pin(
            async move { until_done(&client, async || client.delete(LAST_GATE, -1).await).await },
        )
    };
    is_missed(harm, "all meet (so far nobody)");
}

#[test]
fn a_run_in_which_somebody_elses_ephemeral_stands_in_the_last_gate_does_not_end() {
    let harm: Harm = |client| {
        Box::pin(async move {
            let enter = async || {
                let path = format!("{LAST_GATE}/m-c2");
                client.create(path, Bytes::new(), CreateMode::Ephemeral, open_acl()).await
            };
            until_done(&client, enter).await;
        })
    };
    // The other one does not wait in vain: somebody of every name is there.
    is_missed(harm, "all meet (so far c1)");
}

#[test]
fn a_run_in_which_no_candidate_reigns_once_more_does_not_end() {
    let harm: Harm = |client| {
        Box::pin(async move {
            let election = Election::new(&client, "/masters", "z1");
            let _reign = until_done(&client, async || election.lead().await).await;
            std::future::pending::<()>().await;
        })
    };
    is_missed(harm, "every candidate reigns (so far nobody)");
}

#[test]
fn a_run_in_which_a_znode_cannot_be_read_back_does_not_end() {
    let harm: Harm = |client| {
        Box::pin(async move {
            let acl = || {
                vec![Acl {
                    permissions: permission::WRITE,
                    scheme: "world".into(),
                    id: "anyone".into(),
                }]
            };
            let hide = async || {
                client.create("/r/hidden", Bytes::new(), CreateMode::Persistent, acl()).await
            };
            until_done(&client, hide).await;
        })
    };
    is_missed(harm, "everything is read through every server (so far none)");
}

/// A run of one server, client and candidate, in which what matters happens at the end, but not
/// this.
fn end_without(missing: &str) -> ServedAgain {
    let leads =
        Observation::Ensemble(EnsembleFact::Leads { epoch: Epoch(1), last_logged: Zxid::ZERO });
    let outcome = Outcome::Ok { zxid: Zxid::ZERO, value: 0, version: -1, modified: Zxid::ZERO };
    let milestone =
        |name: &str| Observation::Application(ApplicationFact::Milestone { name: name.into() });
    let happens = |observation| Happening::Observed { observation };
    let mut all = vec![
        ("heal", "", Happening::Phase { name: "heal".into() }),
        ("service", "s1", happens(leads)),
        ("met", "c1", happens(milestone(ALL_MET))),
        (
            "reign",
            "c1",
            happens(Observation::Application(ApplicationFact::MasterBelieves {
                candidate: "c1".into(),
                token: 1,
            })),
        ),
        ("reading", auditor::NAME, happens(milestone(auditor::BEGINS))),
        ("unbroken", "", Happening::Phase { name: "converge".into() }),
        ("read", auditor::NAME, happens(milestone(&format!("{READ_THROUGH}s1")))),
    ];
    let done = |number| {
        Observation::Client(ClientFact::Returned {
            client: 1,
            operation: number,
            outcome: outcome.clone(),
            shown: None,
        })
    };
    all.extend((0..8).map(|number| ("done", "c1", happens(done(number)))));
    if missing == "unbroken" {
        let why = "a test".into();
        let down = Observation::Ensemble(EnsembleFact::SteppedDown { epoch: Epoch(1), why });
        let up =
            Observation::Ensemble(EnsembleFact::Leads { epoch: Epoch(2), last_logged: Zxid::ZERO });
        all.splice(5..6, [("", "s1", happens(down)), ("", "s1", happens(up))]);
    }
    let mut progress = ServedAgain::new(ensemble_of(1, 0), 1, 0, 1);
    for (what, node, happening) in all.into_iter().filter(|(what, ..)| *what != missing) {
        let node = (!node.is_empty()).then(|| node.into());
        assert!(!progress.done(), "not before {what}");
        progress.observe(&Event { at_ns: 0, node, happening });
    }
    progress
}

#[test]
fn a_run_ends_when_it_lacks_nothing_and_not_before() {
    assert!(end_without("nothing").done());
    for missing in ["heal", "service", "met", "reign", "reading", "unbroken", "read", "done"] {
        assert!(!end_without(missing).done(), "without {missing}");
    }
}

#[test]
fn storms_ask_for_every_operation_and_sweep_what_is_to_be_swept() {
    let mut asked: BTreeSet<Arc<str>> = BTreeSet::new();
    let mut swept: BTreeSet<Arc<str>> = BTreeSet::new();
    for seed in 1..=3 {
        let scenario = Arc::new(EnsembleStorm::three());
        let run = mailstorm_world::run(&RunSpec {
            recording: Recording::Full,
            ..RunSpec::new(scenario, seed)
        });
        for event in run.events.expect("a full recording has them") {
            match event.happening {
                Happening::Sent { label, .. } => _ = asked.insert(label),
                Happening::Observed {
                    observation: Observation::Ensemble(EnsembleFact::Applied { changes, .. }),
                } => {
                    swept.extend(changes.into_iter().filter_map(|change| match change {
                        // No client deletes these.
                        Change::Deleted { path } => {
                            let is_container = path.strip_prefix("/c/").is_some_and(is_name);
                            (is_container || path.starts_with("/t/")).then(|| path[..3].into())
                        }
                        _ => None,
                    }));
                }
                _ => {}
            }
        }
    }
    let operations = [
        "create ",
        "create ephemeral ",
        "create sequential ",
        "createContainer ",
        "createTTL ",
        "delete ",
        "setData ",
        "setACL ",
        "multi ",
        "multiRead ",
        "exists ",
        "getData ",
        "getACL ",
        "getChildren ",
        "getEphemerals ",
        "getAllChildrenNumber ",
        "sync ",
        "ping",
        "auth ",
        "whoAmI",
        "setWatches",
        "addWatch ",
        "checkWatches ",
        "removeWatches ",
        "closeSession",
    ];
    for operation in operations {
        assert!(asked.iter().any(|label| label.starts_with(operation)), "no {operation}");
    }
    // And everything that is said has words.
    for label in &asked {
        let is_address = label.rsplit_once(':').is_some_and(|(node, _)| is_node(node));
        assert!(!is_address && !label.contains(['{', '}', '(']), "{label}");
    }
    assert_eq!(swept, ["/c/".into(), "/t/".into()].into());
}

fn is_node(name: &str) -> bool {
    name.starts_with('s') && name[1..].parse::<u8>().is_ok()
}

fn is_name(name: &str) -> bool {
    !name.contains('/')
}
