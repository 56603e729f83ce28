//! Goals about servers, sessions and clients.
//!
//! Each goal keeps the little it must remember of a run, and nothing of the others'.

use crate::ensemble::servers::{PerNode, Servers};
use crate::{Goal, Interests};
use mailstorm_record::{Event, Happening, NodeName};
use mailstorm_shared::facts::{CallKind, ClientFact, EnsembleFact, MemoryFact, Outcome, Subject};
use mailstorm_shared::{Ensemble, Observation, ServerId, SessionId, Zxid};
use std::collections::{BTreeMap, BTreeSet};

/// The goals of every storm on an ensemble: all of this module but [`own_snapshot_voided`], which
/// takes so much quiet around it that only a plan made for it comes to it for sure.
pub fn all(ensemble: &Ensemble) -> Vec<Goal> {
    vec![
        leader_changed(),
        leader_died_with_writes_in_flight(),
        leader_paused(),
        leader_slept_and_led_on(),
        learner_given_up_for_silence(),
        learner_window_full(),
        two_believed_to_lead(),
        quorum_lost_and_regained(ensemble),
        all_servers_down_at_once(ensemble),
        truncated(),
        snapshot_sent(),
        snapshot_broken_off(),
        unsynced_tail_lost(),
        crash_lost_or_tore_a_sector(ensemble),
        disk_damaged(),
        joiner_caught_up(),
        session_expired(),
        session_expired_while_its_owner_was_paused(),
        session_moved(),
        unknown_write_outcome(),
        watch_fired_after_reconnect(),
    ]
}

/// Another server leads than the one before.
pub fn leader_changed() -> Goal {
    let mut last: Option<NodeName> = None;
    Goal::new(
        "leader_changed",
        "another server was established as leader than the one before",
        Interests::LEADERSHIP,
        move |event| match event.of_server() {
            Some((server, EnsembleFact::Leads { .. })) => {
                last.replace(server.clone()).is_some_and(|before| before != *server)
            }
            _ => false,
        },
    )
}

/// A leader's process dies with proposals that are not committed.
pub fn leader_died_with_writes_in_flight() -> Goal {
    let mut servers: PerNode<(bool, Zxid, Zxid)> = PerNode::default();
    Goal::new(
        "leader_died_with_writes_in_flight",
        "a leader's process died when it had logged writes that were not committed yet",
        Interests::LEADERSHIP | Interests::LOG | Interests::PROCESSES,
        move |event| {
            let Some(node) = &event.node else { return false };
            match &event.happening {
                Happening::Crashed { .. } => {
                    let (leads, logged, committed) = std::mem::take(servers.get_mut(node));
                    return leads && logged > committed;
                }
                Happening::Observed { observation: Observation::Ensemble(fact) } => match *fact {
                    EnsembleFact::Leads { .. } => servers.get_mut(node).0 = true,
                    EnsembleFact::SteppedDown { .. } | EnsembleFact::Looking => {
                        servers.get_mut(node).0 = false;
                    }
                    EnsembleFact::Appended { zxid, .. } => servers.get_mut(node).1 = zxid,
                    EnsembleFact::QuorumCommitted { zxid, .. } => servers.get_mut(node).2 = zxid,
                    _ => {}
                },
                _ => {}
            }
            false
        },
    )
}

/// A leader's process is stopped with its memory intact.
pub fn leader_paused() -> Goal {
    let mut leading = Leading::default();
    Goal::new(
        "leader_paused",
        "a leader's process was stopped while it led",
        Interests::LEADERSHIP | Interests::PROCESSES,
        move |event| {
            let paused = matches!(event.happening, Happening::Paused);
            let leads = event.node.as_ref().is_some_and(|node| leading.servers.contains(node));
            leading.observe(event);
            paused && leads
        },
    )
}

/// A leader sleeps for longer than most sessions may be silent, and is back before its followers
/// have left it.
pub fn leader_slept_and_led_on() -> Goal {
    /// Longer than a client is silent between two pings of a session of six seconds.
    const SLEPT_NS_MIN: u64 = 4_500_000_000;
    let mut leading = Leading::default();
    let mut asleep: PerNode<Option<u64>> = PerNode::default();
    Goal::new(
        "leader_slept_and_led_on",
        "a leader that had been stopped for at least 4.5 s committed something in the same epoch",
        Interests::LEADERSHIP | Interests::LOG | Interests::PROCESSES,
        move |event| {
            leading.observe(event);
            let Some(node) = &event.node else { return false };
            let leads = leading.servers.contains(node);
            match &event.happening {
                Happening::Paused => *asleep.get_mut(node) = leads.then_some(event.at_ns),
                Happening::Resumed => {
                    let slept = asleep.get_mut(node);
                    *slept = slept.filter(|since| event.at_ns - since >= SLEPT_NS_MIN);
                }
                Happening::Observed {
                    observation: Observation::Ensemble(EnsembleFact::QuorumCommitted { .. }),
                } => return leads && asleep.get_mut(node).take().is_some(),
                _ if !leads => *asleep.get_mut(node) = None,
                _ => {}
            }
            false
        },
    )
}

/// A leader drops a learner that does not answer.
pub fn learner_given_up_for_silence() -> Goal {
    Goal::observed(
        "learner_given_up_for_silence",
        "a leader gave up a learner that did not answer within the sync limit",
        Interests::LEADERSHIP,
        |observation| {
            matches!(
                observation,
                Observation::Ensemble(EnsembleFact::LearnerGivenUp { silent: true, .. })
            )
        },
    )
}

/// As much is on its way to a learner as may be.
pub fn learner_window_full() -> Goal {
    Goal::observed(
        "learner_window_full",
        "a learner took so little that its leader had to wait with what came next",
        Interests::facts_about(Subject::Memory),
        |observation| {
            matches!(
                observation,
                Observation::Memory(MemoryFact::Keeps { load, now, max: Some(max) })
                    if **load == *"window_entries" && now >= max
            )
        },
    )
}

/// Two servers believe to lead at the same time.
pub fn two_believed_to_lead() -> Goal {
    let mut leading = Leading::default();
    Goal::new(
        "two_believed_to_lead",
        "a leader was established while another server still believed to lead",
        Interests::LEADERSHIP | Interests::PROCESSES,
        move |event| {
            let before = leading.servers.len();
            leading.observe(event);
            leading.servers.len() > before && leading.servers.len() > 1
        },
    )
}

/// Who believes to lead.
#[derive(Default)]
struct Leading {
    servers: BTreeSet<NodeName>,
}

impl Leading {
    fn observe(&mut self, event: &Event) {
        let Some(node) = &event.node else { return };
        match &event.happening {
            Happening::Observed { observation: Observation::Ensemble(fact) } => match fact {
                EnsembleFact::Leads { .. } => _ = self.servers.insert(node.clone()),
                EnsembleFact::SteppedDown { .. }
                | EnsembleFact::Looking
                | EnsembleFact::Follows { .. }
                | EnsembleFact::ServerStarted { .. } => _ = self.servers.remove(node),
                _ => {}
            },
            Happening::Crashed { .. } => _ = self.servers.remove(node),
            _ => {}
        }
    }
}

/// Too few voters are up and awake for anything to be decided; then a leader is established again.
pub fn quorum_lost_and_regained(ensemble: &Ensemble) -> Goal {
    let (nodes, ensemble) = (Servers::of(ensemble), ensemble.clone());
    let mut away: BTreeSet<ServerId> = BTreeSet::new();
    let mut lost = false;
    Goal::new(
        "quorum_lost_and_regained",
        "so many voters were down or stopped at once that nothing could be decided, and a leader was established later",
        Interests::LEADERSHIP | Interests::PROCESSES,
        move |event| {
            let server = nodes.on(event.node.as_ref()).filter(|server| ensemble.is_voter(*server));
            match &event.happening {
                Happening::Crashed { .. } | Happening::Paused => away.extend(server),
                Happening::Started { .. } | Happening::Resumed => {
                    if let Some(server) = server {
                        away.remove(&server);
                    }
                }
                Happening::Observed {
                    observation: Observation::Ensemble(EnsembleFact::Leads { .. }),
                } => {
                    return std::mem::take(&mut lost);
                }
                _ => {}
            }
            lost |= away.len() > ensemble.voters().len() - ensemble.majority();
            false
        },
    )
}

/// Every server is down at the same time, as in a power cut.
pub fn all_servers_down_at_once(ensemble: &Ensemble) -> Goal {
    let (nodes, count) = (Servers::of(ensemble), ensemble.servers().count());
    let mut down: BTreeSet<ServerId> = BTreeSet::new();
    Goal::new(
        "all_servers_down_at_once",
        "every server's process was down at the same time",
        Interests::PROCESSES,
        move |event| {
            let Some(server) = nodes.on(event.node.as_ref()) else { return false };
            match event.happening {
                Happening::Crashed { .. } => down.insert(server) && down.len() == count,
                Happening::Started { .. } => {
                    down.remove(&server);
                    false
                }
                _ => false,
            }
        },
    )
}

/// A follower cuts its log on a leader's order.
pub fn truncated() -> Goal {
    Goal::observed(
        "truncated",
        "a server cut uncommitted writes from its log on a leader's order",
        Interests::LOG,
        |observation| matches!(observation, Observation::Ensemble(EnsembleFact::Truncated { .. })),
    )
}

/// A follower that lags too far is sent a snapshot.
pub fn snapshot_sent() -> Goal {
    Goal::observed(
        "snapshot_sent",
        "a server replaced its state by a leader's snapshot",
        Interests::LOG,
        |observation| {
            matches!(observation, Observation::Ensemble(EnsembleFact::SnapshotInstalled { .. }))
        },
    )
}

/// A leader's snapshot comes to no end.
pub fn snapshot_broken_off() -> Goal {
    Goal::observed(
        "snapshot_broken_off",
        "a server lost its leader amid a snapshot of the leader's",
        Interests::LOG,
        |observation| {
            matches!(observation, Observation::Ensemble(EnsembleFact::SnapshotBrokenOff { .. }))
        },
    )
}

/// A leader's snapshot begins while a server writes one of its own.
pub fn own_snapshot_voided() -> Goal {
    Goal::observed(
        "own_snapshot_voided",
        "a leader's snapshot began while the server was writing one of its own",
        Interests::LOG,
        |observation| {
            matches!(
                observation,
                Observation::Ensemble(EnsembleFact::SnapshotBegun { voids_own: true, .. })
            )
        },
    )
}

/// A restart finds less than was handed to the disk: what was not synced was lost, or its torn end
/// cut.
pub fn unsynced_tail_lost() -> Goal {
    let mut handed_over: PerNode<Zxid> = PerNode::default();
    Goal::new(
        "unsynced_tail_lost",
        "a server restarted without the end of its log, which had not reached the disk whole",
        Interests::LOG | Interests::LEADERSHIP | Interests::PROCESSES,
        move |event| {
            let Some(node) = &event.node else { return false };
            let fact = match &event.happening {
                Happening::Observed { observation: Observation::Ensemble(fact) } => fact,
                // What is lost with a damaged disk is another story.
                Happening::DiskDamaged => {
                    *handed_over.get_mut(node) = Zxid::ZERO;
                    return false;
                }
                _ => return false,
            };
            match *fact {
                EnsembleFact::Appended { zxid, .. }
                | EnsembleFact::Truncated { after: zxid }
                | EnsembleFact::SnapshotInstalled { zxid } => {
                    *handed_over.get_mut(node) = zxid;
                    false
                }
                EnsembleFact::ServerStarted { snapshot, last_logged, .. } => {
                    let found = snapshot.max(last_logged);
                    std::mem::replace(handed_over.get_mut(node), found) > found
                }
                _ => false,
            }
        },
    )
}

/// A crash takes what no sync had covered from a server's disk.
pub fn crash_lost_or_tore_a_sector(ensemble: &Ensemble) -> Goal {
    let nodes = Servers::of(ensemble);
    Goal::new(
        "crash_lost_or_tore_a_sector",
        "a server's crash took back, or tore, sectors that no sync had covered",
        Interests::PROCESSES,
        move |event| {
            matches!(event.happening, Happening::WritesLost { .. })
                && nodes.on(event.node.as_ref()).is_some()
        },
    )
}

/// A disk loses what it had.
pub fn disk_damaged() -> Goal {
    Goal::new("disk_damaged", "a disk lost durable data", Interests::PROCESSES, |event| {
        matches!(event.happening, Happening::DiskDamaged)
    })
}

/// A server that had lost its vote with its data follows again.
pub fn joiner_caught_up() -> Goal {
    let mut voteless: PerNode<bool> = PerNode::default();
    Goal::new(
        "joiner_caught_up",
        "a server that had lost its data, and with it its vote, was brought up to date by a leader",
        Interests::LEADERSHIP,
        move |event| match event.of_server() {
            Some((node, EnsembleFact::ServerStarted { votes, .. })) => {
                *voteless.get_mut(node) = !votes;
                false
            }
            Some((node, EnsembleFact::Follows { .. })) => std::mem::take(voteless.get_mut(node)),
            _ => false,
        },
    )
}

/// A leader ends a session of which nothing was heard.
pub fn session_expired() -> Goal {
    Goal::observed(
        "session_expired",
        "a leader ended a session because nothing was heard of it",
        Interests::SESSIONS,
        |observation| {
            matches!(observation, Observation::Ensemble(EnsembleFact::SessionExpired { .. }))
        },
    )
}

/// A session ends while its owner is asleep and cannot know.
pub fn session_expired_while_its_owner_was_paused() -> Goal {
    let mut nodes: BTreeMap<SessionId, NodeName> = BTreeMap::new();
    let mut paused: BTreeSet<NodeName> = BTreeSet::new();
    Goal::new(
        "session_expired_while_its_owner_was_paused",
        "a session expired while its client's process was stopped, so that it woke up with a belief that was wrong",
        Interests::SESSIONS | Interests::CONNECTIONS | Interests::PROCESSES,
        move |event| {
            match (&event.happening, &event.node) {
                (Happening::Paused, Some(node)) => _ = paused.insert(node.clone()),
                (Happening::Resumed | Happening::Crashed { .. }, Some(node)) => {
                    _ = paused.remove(node)
                }
                (Happening::Observed { observation }, node) => match (observation, node) {
                    (
                        Observation::Client(ClientFact::ClientConnected { session, .. }),
                        Some(node),
                    ) => {
                        nodes.insert(*session, node.clone());
                    }
                    (Observation::Client(ClientFact::ClientSessionEnded { session, .. }), _) => {
                        _ = nodes.remove(session)
                    }
                    (Observation::Ensemble(EnsembleFact::SessionExpired { session, .. }), _) => {
                        return nodes.get(session).is_some_and(|node| paused.contains(node));
                    }
                    _ => {}
                },
                _ => {}
            }
            false
        },
    )
}

/// A session goes on at another server.
pub fn session_moved() -> Goal {
    let mut servers: BTreeMap<SessionId, NodeName> = BTreeMap::new();
    Goal::new(
        "session_moved",
        "a session went on at another server than before",
        Interests::SESSIONS | Interests::CONNECTIONS,
        move |event| match (&event.happening, &event.node) {
            (Happening::Observed { observation }, Some(node)) => match observation {
                Observation::Ensemble(EnsembleFact::SessionHeard { session }) => {
                    let last = servers.get(session);
                    let moved = last.is_some_and(|last| last != node);
                    if moved || last.is_none() {
                        servers.insert(*session, node.clone());
                    }
                    moved
                }
                Observation::Client(ClientFact::ClientSessionEnded { session, .. }) => {
                    servers.remove(session);
                    false
                }
                _ => false,
            },
            _ => false,
        },
    )
}

/// A client cannot tell whether its write took effect.
pub fn unknown_write_outcome() -> Goal {
    let mut writes: BTreeSet<(u32, u64)> = BTreeSet::new();
    Goal::observed(
        "unknown_write_outcome",
        "a client's write ended without the client knowing whether it took effect",
        Interests::OPERATIONS,
        move |observation| match observation {
            Observation::Client(ClientFact::Invoked { client, operation, call }) => {
                if CallKind::is_write(call.kind) {
                    writes.insert((*client, *operation));
                } else {
                    // A number comes again when another session counts from the beginning.
                    writes.remove(&(*client, *operation));
                }
                false
            }
            Observation::Client(ClientFact::Returned { client, operation, outcome, .. }) => {
                writes.remove(&(*client, *operation)) && *outcome == Outcome::Unknown
            }
            _ => false,
        },
    )
}

/// A client is told after a reconnect what it has missed.
pub fn watch_fired_after_reconnect() -> Goal {
    Goal::observed(
        "watch_fired_after_reconnect",
        "a client that had been disconnected was told of a change that it watched for and had missed",
        Interests::WATCH_EVENTS,
        |observation| {
            matches!(
                observation,
                Observation::Client(ClientFact::EventDelivered { zxid: Zxid::ZERO, .. })
            )
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::history::{History, create, ensemble, get, ok, z};
    use mailstorm_shared::znodes::EventKind;

    #[track_caller]
    fn check(mut goal: Goal, history: History, times: usize) {
        let events = history.events();
        let reached = events.iter().filter(|event| goal.is_reached_by(event)).count();
        assert_eq!(reached, times, "{}", goal.name);
    }

    fn led() -> History {
        History::new().leads(1, 1, Zxid::ZERO)
    }

    #[test]
    fn a_leader_that_comes_back_is_no_change() {
        check(leader_changed(), led().leads(1, 2, Zxid::ZERO), 0);
        check(leader_changed(), led().leads(2, 2, Zxid::ZERO).leads(1, 3, Zxid::ZERO), 2);
    }

    #[test]
    fn a_leaders_death_counts_only_with_writes_in_flight() {
        let goal = leader_died_with_writes_in_flight;
        let logged = || led().appended(&[1, 2], z(1, 1));
        check(goal(), logged().crashed("s1"), 1);
        check(goal(), logged().committed(1, 1, z(1, 1)).crashed("s1"), 0);
        check(goal(), logged().crashed("s2"), 0);
        check(goal(), logged().stepped_down(1, 1).crashed("s1"), 0);
    }

    #[test]
    fn only_a_leader_that_still_leads_is_a_paused_leader() {
        check(leader_paused(), led().paused("s1").resumed("s1").paused("s2"), 1);
        check(leader_paused(), led().looking(1).paused("s1"), 0);
    }

    #[test]
    fn a_leader_has_slept_and_leads_on_once_it_commits_again_in_its_epoch() {
        let slept = |ms| led().paused("s1").after_ms(ms).resumed("s1");
        let commits = |history: History| history.committed(1, 1, z(1, 2)).committed(1, 1, z(1, 3));
        check(leader_slept_and_led_on(), commits(slept(7_000)), 1);
        check(leader_slept_and_led_on(), commits(slept(1_000)), 0);
        check(leader_slept_and_led_on(), slept(7_000), 0);
        let again = slept(7_000).stepped_down(1, 1).leads(1, 2, Zxid::ZERO);
        check(leader_slept_and_led_on(), again.committed(1, 2, z(2, 1)), 0);
    }

    #[test]
    fn a_learner_counts_as_given_up_for_silence_and_its_window_as_full_at_the_bound() {
        let given_up = |silent| led().given_up(1, 2, silent);
        check(learner_given_up_for_silence(), given_up(true), 1);
        check(learner_given_up_for_silence(), given_up(false), 0);
        let keeps = |load, now| led().keeps("s1", load, now, Some(24));
        check(learner_window_full(), keeps("window_entries", 24), 1);
        check(learner_window_full(), keeps("window_entries", 23), 0);
        check(learner_window_full(), keeps("log_entries", 24), 0);
    }

    #[test]
    fn a_snapshot_counts_as_broken_off_or_as_one_that_voids_another() {
        let begun = |voids_own| led().snapshot_begun(2, z(1, 1), voids_own);
        check(own_snapshot_voided(), begun(true), 1);
        check(own_snapshot_voided(), begun(false), 0);
        check(snapshot_broken_off(), begun(false).snapshot_broken_off(2, z(1, 1)), 1);
    }

    #[test]
    fn two_believe_to_lead_until_one_gives_up() {
        check(two_believed_to_lead(), led().leads(2, 2, Zxid::ZERO), 1);
        check(two_believed_to_lead(), led().crashed("s1").leads(2, 2, Zxid::ZERO), 0);
    }

    #[test]
    fn a_quorum_is_lost_with_a_majority_and_regained_with_a_leader() {
        let goal = || quorum_lost_and_regained(&ensemble(3));
        check(goal(), led().crashed("s1").leads(2, 2, Zxid::ZERO), 0);
        check(goal(), led().crashed("s1").paused("s2").resumed("s2").leads(2, 2, Zxid::ZERO), 1);
        check(goal(), led().crashed("s1").paused("s2"), 0);
    }

    #[test]
    fn a_power_cut_takes_all_servers() {
        let goal = || all_servers_down_at_once(&ensemble(2));
        check(goal(), led().crashed("s1").crashed("s2").crashed("w1"), 1);
        check(goal(), led().crashed("s1").crashed("w1"), 0);
    }

    #[test]
    fn what_happens_to_logs_counts() {
        check(truncated(), led().truncated(2, Zxid::ZERO), 1);
        check(snapshot_sent(), led().snapshot_installed(2, z(1, 1)), 1);
        check(disk_damaged(), led().damaged("s2"), 1);
        let lost = || led().crashed("s2").writes_lost("s2", 1, 2).writes_lost("w1", 1, 2);
        check(crash_lost_or_tore_a_sector(&ensemble(3)), lost(), 1);
        let logged = || led().appended(&[2], z(1, 1)).crashed("s2");
        check(unsynced_tail_lost(), logged().server_started(2, Zxid::ZERO, Zxid::ZERO), 1);
        check(unsynced_tail_lost(), logged().server_started(2, Zxid::ZERO, z(1, 1)), 0);
    }

    #[test]
    fn a_joiner_counts_once_it_follows() {
        let joiner = || led().server_started_without_vote(2, Zxid::ZERO, Zxid::ZERO);
        check(joiner_caught_up(), joiner().follows(2, 1, 1).follows(2, 1, 1), 1);
        check(
            joiner_caught_up(),
            led().server_started(2, Zxid::ZERO, Zxid::ZERO).follows(2, 1, 1),
            0,
        );
    }

    #[test]
    fn sessions_expire_with_and_without_a_sleeping_owner() {
        let connected = || led().connected(1, 7);
        let goal = session_expired_while_its_owner_was_paused;
        check(session_expired(), connected().expired(1, 7, 10, 10), 1);
        check(goal(), connected().paused("c1").expired(1, 7, 10, 10), 1);
        check(goal(), connected().paused("c1").resumed("c1").expired(1, 7, 10, 10), 0);
        check(goal(), connected().paused("c2").expired(1, 7, 10, 10), 0);
    }

    #[test]
    fn a_session_moves_with_the_server_that_hears_it() {
        check(session_moved(), led().heard(1, 7).heard(1, 7).heard(2, 7).heard(3, 8), 1);
    }

    #[test]
    fn only_writes_have_unknown_outcomes() {
        check(unknown_write_outcome(), led().done(1, 1, create("/a", 1), Outcome::Unknown), 1);
        check(unknown_write_outcome(), led().done(1, 1, get("/a"), Outcome::Unknown), 0);
        check(unknown_write_outcome(), led().done(1, 1, create("/a", 1), ok(z(1, 1))), 0);
    }

    #[test]
    fn a_catch_up_has_no_zxid() {
        let event = |zxid| led().event(1, 7, "/a", EventKind::Created, zxid);
        check(watch_fired_after_reconnect(), event(Zxid::ZERO), 1);
        check(watch_fired_after_reconnect(), event(z(1, 1)), 0);
    }

    #[test]
    fn all_goals_have_their_own_names() {
        let names: BTreeSet<&str> = all(&ensemble(3)).iter().map(|goal| goal.name).collect();
        assert_eq!(names.len(), all(&ensemble(3)).len());
    }
}
