//! Histories for tests, written so that they read like what happened.
//!
//! Time moves on by one millisecond with every event, and by more with [`History::after_ms`].

use crate::{Checker, ensemble::servers::node_of};
use mailstorm_record::cast::Meant;
use mailstorm_record::{Event, Happening, Meanings, NodeName, Verdict, Violation};
use mailstorm_shared::facts::{
    ApplicationFact, Asked, Call, CallKind, ClientFact, EnsembleFact, MailFact, MemoryFact,
    Outcome, Shown,
};
use mailstorm_shared::znodes::{Change, EventKind, Owner, WatchKind};
use mailstorm_shared::{Ensemble, Epoch, Millis, Observation, ServerId, SessionId, WallTime, Zxid};
use std::sync::Arc;

pub(crate) const NANOS_PER_MILLI: u64 = 1_000_000;

pub(crate) fn s(number: u8) -> ServerId {
    ServerId::new(number).expect("tests number servers from 1")
}

pub(crate) fn z(epoch: u32, counter: u32) -> Zxid {
    Zxid::new(Epoch(epoch), counter)
}

pub(crate) fn ensemble(voters: u8) -> Ensemble {
    Ensemble::new((1..=voters).map(s), []).expect("tests have voters")
}

/// These mails, each of which is ham.
pub(crate) fn mails(names: &[&str]) -> Vec<(Arc<str>, Arc<str>)> {
    names.iter().map(|name| (Arc::from(*name), "ham".into())).collect()
}

/// The digest that honest servers compute for a transaction.
fn digest(zxid: Zxid) -> u32 {
    zxid.counter().wrapping_mul(31).wrapping_add(zxid.epoch().0)
}

#[derive(Clone, Default)]
pub(crate) struct History {
    events: Vec<Event>,
    now_ms: u64,
}

impl History {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn events(self) -> Vec<Event> {
        self.events
    }

    /// Feeds the checker with everything, then ends the run.
    pub(crate) fn judged_by(self, mut checker: impl Checker) -> Verdict {
        self.feed(&mut checker)
    }

    pub(crate) fn feed(&self, checker: &mut impl Checker) -> Verdict {
        for event in &self.events {
            let wanted = checker.interests().overlaps(crate::Interests::of(event));
            if wanted {
                checker.measure(event);
            }
            if wanted && let Err(violation) = checker.observe(event) {
                return Verdict::Violation(violation);
            }
        }
        checker.measured(self.now_ms * NANOS_PER_MILLI);
        checker.finish(self.now_ms * NANOS_PER_MILLI)
    }

    #[track_caller]
    pub(crate) fn passes(self, checker: impl Checker) {
        let verdict = self.judged_by(checker);
        assert_eq!(verdict, Verdict::Pass);
    }

    #[track_caller]
    pub(crate) fn violates(self, checker: impl Checker, kind: &str) -> Violation {
        let name = checker.name();
        match self.judged_by(checker) {
            Verdict::Violation(violation) => {
                assert_eq!(
                    (violation.checker.as_str(), violation.kind.as_str()),
                    (name, kind),
                    "{violation:?}"
                );
                violation
            }
            other => panic!("expected {name}/{kind}, got {other:?}"),
        }
    }

    pub(crate) fn after_ms(mut self, ms: u64) -> Self {
        self.now_ms += ms;
        self
    }

    fn push(mut self, node: Option<NodeName>, happening: Happening) -> Self {
        self.now_ms += 1;
        self.events.push(Event { at_ns: self.now_ms * NANOS_PER_MILLI, node, happening });
        self
    }

    fn server(self, server: u8, fact: EnsembleFact) -> Self {
        let observation = fact.into();
        self.push(Some(node_of(s(server))), Happening::Observed { observation })
    }

    fn client(self, client: u32, fact: ClientFact) -> Self {
        let observation = fact.into();
        self.push(Some(format!("c{client}").as_str().into()), Happening::Observed { observation })
    }

    pub(crate) fn all(self, servers: &[u8], tell: impl Fn(Self, u8) -> Self) -> Self {
        servers.iter().fold(self, |history, server| tell(history, *server))
    }

    // Processes and the run.

    pub(crate) fn started(self, node: &str) -> Self {
        self.push(Some(node.into()), Happening::Started { incarnation: 0 })
    }

    pub(crate) fn crashed(self, node: &str) -> Self {
        self.push(Some(node.into()), Happening::Crashed { why: "test".into() })
    }

    pub(crate) fn paused(self, node: &str) -> Self {
        self.push(Some(node.into()), Happening::Paused)
    }

    pub(crate) fn resumed(self, node: &str) -> Self {
        self.push(Some(node.into()), Happening::Resumed)
    }

    pub(crate) fn damaged(self, node: &str) -> Self {
        self.push(Some(node.into()), Happening::DiskDamaged)
    }

    pub(crate) fn fault_began(self, index: usize, nodes: &[&str]) -> Self {
        let nodes = nodes.iter().map(|node| NodeName::from(*node)).collect();
        let (kind, meant) = ("test".into(), Meanings::default());
        self.push(None, Happening::FaultBegan { index, kind, nodes, meant })
    }

    /// A fault began whose words mean these nodes.
    pub(crate) fn fault_meant(
        self,
        index: usize,
        nodes: &[&str],
        meant: &[(&str, &[&str])],
    ) -> Self {
        let named = |nodes: &[&str]| nodes.iter().map(|node| NodeName::from(*node)).collect();
        let meant = meant.iter().map(|(word, nodes)| {
            let (is_one, stands_in) = (nodes.len() == 1, false);
            Meant { word: (*word).into(), nodes: named(nodes), is_one, stands_in }
        });
        let (nodes, meant) = (named(nodes), Meanings(meant.collect()));
        self.push(None, Happening::FaultBegan { index, kind: "test".into(), nodes, meant })
    }

    pub(crate) fn fault_ended(self, index: usize) -> Self {
        self.push(None, Happening::FaultEnded { index })
    }

    pub(crate) fn writes_lost(self, node: &str, sectors: usize, torn: usize) -> Self {
        self.push(Some(node.into()), Happening::WritesLost { sectors, torn })
    }

    pub(crate) fn phase(self, name: &str) -> Self {
        self.push(None, Happening::Phase { name: name.into() })
    }

    // Servers.

    pub(crate) fn server_started(self, server: u8, snapshot: Zxid, last_logged: Zxid) -> Self {
        self.server_started_with(server, last_logged.epoch().0, [snapshot, last_logged], true)
    }

    pub(crate) fn server_started_without_vote(
        self,
        server: u8,
        snapshot: Zxid,
        last_logged: Zxid,
    ) -> Self {
        self.server_started_with(server, last_logged.epoch().0, [snapshot, last_logged], false)
    }

    /// Without a snapshot, in an epoch of which it may have no transaction yet.
    pub(crate) fn server_started_in(self, server: u8, epoch: u32, last_logged: Zxid) -> Self {
        self.server_started_with(server, epoch, [Zxid::ZERO, last_logged], true)
    }

    fn server_started_with(self, server: u8, epoch: u32, logged: [Zxid; 2], votes: bool) -> Self {
        let [snapshot, last_logged] = logged;
        let epoch = Epoch(epoch);
        self.server(server, EnsembleFact::ServerStarted { epoch, snapshot, last_logged, votes })
    }

    pub(crate) fn promised(self, servers: &[u8], epoch: u32) -> Self {
        self.all(servers, |history, server| {
            let epoch = Epoch(epoch);
            history.server(server, EnsembleFact::EpochAccepted { epoch })
        })
    }

    /// Leads, with the promises of the first three servers.
    pub(crate) fn elected(self, server: u8, epoch: u32, last_logged: Zxid) -> Self {
        self.promised(&[1, 2, 3], epoch).leads(server, epoch, last_logged)
    }

    pub(crate) fn looking(self, server: u8) -> Self {
        self.server(server, EnsembleFact::Looking)
    }

    pub(crate) fn leads(self, server: u8, epoch: u32, last_logged: Zxid) -> Self {
        self.server(server, EnsembleFact::Leads { epoch: Epoch(epoch), last_logged })
    }

    pub(crate) fn follows(self, server: u8, leader: u8, epoch: u32) -> Self {
        self.server(server, EnsembleFact::Follows { leader: s(leader), epoch: Epoch(epoch) })
    }

    pub(crate) fn stepped_down(self, server: u8, epoch: u32) -> Self {
        self.server(server, EnsembleFact::SteppedDown { epoch: Epoch(epoch), why: "test".into() })
    }

    pub(crate) fn appended(self, servers: &[u8], zxid: Zxid) -> Self {
        self.all(servers, |history, server| history.appended_as(server, zxid, digest(zxid)))
    }

    pub(crate) fn appended_as(self, server: u8, zxid: Zxid, digest: u32) -> Self {
        self.server(server, EnsembleFact::Appended { zxid, digest })
    }

    pub(crate) fn durable(self, servers: &[u8], zxid: Zxid) -> Self {
        self.all(servers, |history, server| history.server(server, EnsembleFact::Durable { zxid }))
    }

    pub(crate) fn disk_holds(self, server: u8, last_logged: Zxid, epochs: [u32; 2]) -> Self {
        let [accepted_epoch, current_epoch] = epochs.map(Epoch);
        self.server(server, EnsembleFact::DiskHolds { last_logged, accepted_epoch, current_epoch })
    }

    pub(crate) fn truncated(self, server: u8, after: Zxid) -> Self {
        self.server(server, EnsembleFact::Truncated { after })
    }

    pub(crate) fn given_up(self, server: u8, learner: u8, silent: bool) -> Self {
        self.server(server, EnsembleFact::LearnerGivenUp { learner: s(learner), silent })
    }

    pub(crate) fn snapshot_begun(self, server: u8, zxid: Zxid, voids_own: bool) -> Self {
        self.server(server, EnsembleFact::SnapshotBegun { zxid, voids_own })
    }

    pub(crate) fn snapshot_broken_off(self, server: u8, zxid: Zxid) -> Self {
        self.server(server, EnsembleFact::SnapshotBrokenOff { zxid })
    }

    pub(crate) fn snapshot_installed(self, server: u8, zxid: Zxid) -> Self {
        self.server(server, EnsembleFact::SnapshotInstalled { zxid })
    }

    pub(crate) fn committed(self, server: u8, epoch: u32, zxid: Zxid) -> Self {
        self.server(server, EnsembleFact::QuorumCommitted { epoch: Epoch(epoch), zxid })
    }

    pub(crate) fn applied(self, servers: &[u8], zxid: Zxid) -> Self {
        self.all(servers, |history, server| history.applied_as(server, zxid, digest(zxid)))
    }

    pub(crate) fn applied_as(self, server: u8, zxid: Zxid, digest: u32) -> Self {
        self.server(
            server,
            EnsembleFact::Applied {
                zxid,
                digest,
                session: SessionId::NONE,
                wall: WallTime::UNIX_EPOCH,
                changes: Vec::new(),
            },
        )
    }

    /// One server applies a transaction with these changes; the first to do so makes them global.
    pub(crate) fn changed(self, server: u8, zxid: Zxid, changes: Vec<Change>) -> Self {
        self.changed_at(server, zxid, 0, 0, changes)
    }

    /// On behalf of a session, when the leader's clock said this.
    pub(crate) fn changed_at(
        self,
        server: u8,
        zxid: Zxid,
        session: i64,
        wall_ms: i64,
        changes: Vec<Change>,
    ) -> Self {
        let (session, wall, digest) = (SessionId(session), WallTime(wall_ms), digest(zxid));
        self.server(server, EnsembleFact::Applied { zxid, digest, session, wall, changes })
    }

    pub(crate) fn acknowledged(self, server: u8, session: i64, zxid: Zxid) -> Self {
        self.server(server, EnsembleFact::Acknowledged { session: SessionId(session), zxid })
    }

    pub(crate) fn heard(self, server: u8, session: i64) -> Self {
        self.server(server, EnsembleFact::SessionHeard { session: SessionId(session) })
    }

    pub(crate) fn expired(self, server: u8, session: i64, timeout_ms: u64, silent_ms: u64) -> Self {
        self.server(
            server,
            EnsembleFact::SessionExpired {
                session: SessionId(session),
                timeout: Millis(timeout_ms),
                silent_for: Millis(silent_ms),
            },
        )
    }

    /// The whole life of a transaction on these servers, all of which log it durably: appended,
    /// durable, committed by the first of them, applied by all.
    pub(crate) fn written(self, servers: &[u8], epoch: u32, zxid: Zxid) -> Self {
        self.appended(servers, zxid)
            .durable(servers, zxid)
            .committed(servers[0], epoch, zxid)
            .applied(servers, zxid)
    }

    // Clients.

    pub(crate) fn connected(self, client: u32, session: i64) -> Self {
        let session = SessionId(session);
        self.client(client, ClientFact::ClientConnected { client, session, resumed: false })
    }

    pub(crate) fn reconnected(self, client: u32, session: i64) -> Self {
        let session = SessionId(session);
        self.client(client, ClientFact::ClientConnected { client, session, resumed: true })
    }

    pub(crate) fn disconnected(self, client: u32) -> Self {
        self.client(client, ClientFact::ClientDisconnected { client })
    }

    pub(crate) fn session_ended(self, client: u32, session: i64, expired: bool) -> Self {
        let session = SessionId(session);
        self.client(client, ClientFact::ClientSessionEnded { client, session, expired })
    }

    pub(crate) fn invoked(self, client: u32, operation: u64, call: Call) -> Self {
        self.client(client, ClientFact::Invoked { client, operation, call })
    }

    pub(crate) fn returned(self, client: u32, operation: u64, outcome: Outcome) -> Self {
        self.client(client, ClientFact::Returned { client, operation, outcome, shown: None })
    }

    /// Invoked and returned at once.
    pub(crate) fn done(self, client: u32, operation: u64, call: Call, outcome: Outcome) -> Self {
        self.invoked(client, operation, call).returned(client, operation, outcome)
    }

    /// Done at once, and the reply shows more.
    pub(crate) fn shown(
        self,
        client: u32,
        operation: u64,
        call: Call,
        outcome: Outcome,
        shown: Shown,
    ) -> Self {
        let shown = Some(Box::new(shown));
        self.invoked(client, operation, call)
            .client(client, ClientFact::Returned { client, operation, outcome, shown })
    }

    pub(crate) fn event(
        self,
        client: u32,
        session: i64,
        path: &str,
        kind: EventKind,
        zxid: Zxid,
    ) -> Self {
        let session = SessionId(session);
        self.client(
            client,
            ClientFact::EventDelivered { client, session, path: path.into(), kind, zxid },
        )
    }

    pub(crate) fn gave_up(self, client: u32, session: i64, watch: WatchKind, path: &str) -> Self {
        let session = SessionId(session);
        let path = path.into();
        self.client(client, ClientFact::WatchGivenUp { client, session, path, watch })
    }

    pub(crate) fn protocol_broken(self, client: u32, session: i64) -> Self {
        let session = SessionId(session);
        self.client(client, ClientFact::ProtocolBroken { client, session, why: "test".into() })
    }

    // Mail.

    pub(crate) fn attempted(self, mail: &str, worker: &str, token: u64, attempt: u32) -> Self {
        let observation = Observation::Mail(MailFact::MailAttempted {
            worker: worker.into(),
            mail: mail.into(),
            token,
            attempt,
        });
        self.push(Some(worker.into()), Happening::Observed { observation })
    }

    /// The sink accepts a result of a claim that has the mail's name.
    pub(crate) fn accepted(self, mail: &str, worker: &str, token: u64) -> Self {
        self.accepted_as(mail, worker, token, "ham")
    }

    pub(crate) fn accepted_as(self, mail: &str, worker: &str, token: u64, verdict: &str) -> Self {
        self.accepted_of(mail, mail, worker, token, verdict)
    }

    pub(crate) fn accepted_of(
        self,
        resource: &str,
        mail: &str,
        worker: &str,
        token: u64,
        verdict: &str,
    ) -> Self {
        let observation = Observation::Mail(MailFact::SinkAccepted {
            resource: resource.into(),
            mail: mail.into(),
            worker: worker.into(),
            token,
            verdict: verdict.into(),
        });
        self.push(Some("sink".into()), Happening::Observed { observation })
    }

    /// Attempted for the first time, and accepted.
    pub(crate) fn processed(self, mail: &str, worker: &str, token: u64) -> Self {
        self.attempted(mail, worker, token, 1).accepted(mail, worker, token)
    }

    pub(crate) fn refused(self, mail: &str, worker: &str, token: u64, highest: u64) -> Self {
        let observation = Observation::Mail(MailFact::SinkRefused {
            resource: mail.into(),
            mail: mail.into(),
            worker: worker.into(),
            token,
            highest,
        });
        self.push(Some("sink".into()), Happening::Observed { observation })
    }

    /// The sink raises the fence of a claim that has the mail's name.
    pub(crate) fn fence_raised(self, mail: &str, token: u64) -> Self {
        let observation = Observation::Mail(MailFact::FenceRaised { resource: mail.into(), token });
        self.push(Some("sink".into()), Happening::Observed { observation })
    }

    pub(crate) fn believes(self, candidate: &str, token: u64) -> Self {
        let observation = Observation::Application(ApplicationFact::MasterBelieves {
            candidate: candidate.into(),
            token,
        });
        self.push(Some(candidate.into()), Happening::Observed { observation })
    }

    pub(crate) fn resigns(self, candidate: &str, token: u64) -> Self {
        let observation = Observation::Application(ApplicationFact::MasterResigns {
            candidate: candidate.into(),
            token,
        });
        self.push(Some(candidate.into()), Happening::Observed { observation })
    }

    pub(crate) fn measured(self, name: &str, value: u64) -> Self {
        let observation =
            Observation::Application(ApplicationFact::Measured { name: name.into(), value });
        self.push(None, Happening::Observed { observation })
    }

    pub(crate) fn keeps(self, node: &str, load: &str, now: u64, max: Option<u64>) -> Self {
        let observation = MemoryFact::Keeps { load: load.into(), now, max }.into();
        self.push(Some(node.into()), Happening::Observed { observation })
    }

    pub(crate) fn milestone(self, name: &str) -> Self {
        self.push(
            None,
            Happening::Observed {
                observation: Observation::Application(ApplicationFact::Milestone {
                    name: name.into(),
                }),
            },
        )
    }
}

// Calls.

pub(crate) fn call(kind: CallKind, path: &str) -> Call {
    Call { kind, path: path.into(), value: 0, bytes: 0, version: -1, watch: false, asked: None }
}

pub(crate) fn create(path: &str, value: u64) -> Call {
    Call { value, ..call(CallKind::Create, path) }
}

pub(crate) fn create_ephemeral(path: &str) -> Call {
    call(CallKind::CreateEphemeral, path)
}

pub(crate) fn create_sequential(path: &str) -> Call {
    call(CallKind::CreateSequential, path)
}

pub(crate) fn delete(path: &str) -> Call {
    call(CallKind::Delete, path)
}

pub(crate) fn set(path: &str, value: u64) -> Call {
    Call { value, ..call(CallKind::SetData, path) }
}

pub(crate) fn get(path: &str) -> Call {
    call(CallKind::GetData, path)
}

pub(crate) fn exists(path: &str) -> Call {
    call(CallKind::Exists, path)
}

pub(crate) fn children(path: &str) -> Call {
    call(CallKind::Children, path)
}

pub(crate) fn sync() -> Call {
    call(CallKind::Sync, "/")
}

pub(crate) fn multi(path: &str) -> Call {
    call(CallKind::Multi, path)
}

pub(crate) fn add_watch(path: &str) -> Call {
    watching(call(CallKind::AddWatch, path))
}

pub(crate) fn add_watch_recursive(path: &str) -> Call {
    watching(call(CallKind::AddWatchRecursive, path))
}

pub(crate) fn remove_watches(path: &str) -> Call {
    call(CallKind::RemoveWatches, path)
}

pub(crate) fn other(path: &str) -> Call {
    call(CallKind::Other, path)
}

pub(crate) fn at_version(version: i32, call: Call) -> Call {
    Call { version, ..call }
}

pub(crate) fn asked(call: Call, asked: Asked) -> Call {
    Call { asked: Some(Box::new(asked)), ..call }
}

pub(crate) fn watching(call: Call) -> Call {
    Call { watch: true, ..call }
}

// Outcomes.

/// Done, with nothing but the header.
pub(crate) fn ok(zxid: Zxid) -> Outcome {
    Outcome::Ok { zxid, value: 0, version: -1, modified: Zxid::ZERO }
}

/// Done, and the reply has data and a `Stat`.
pub(crate) fn ok_with(zxid: Zxid, value: u64, version: i32, modified: Zxid) -> Outcome {
    Outcome::Ok { zxid, value, version, modified }
}

pub(crate) fn failed(code: i32, zxid: Zxid) -> Outcome {
    Outcome::Failed { code, zxid }
}

// Changes.

pub(crate) fn created(path: &str) -> Change {
    Change::Created { path: path.into(), owner: Owner::Nobody, value: 0, bytes: 0, acl: None }
}

pub(crate) fn created_by(session: i64, path: &str) -> Change {
    Change::Created {
        path: path.into(),
        owner: Owner::Session(SessionId(session)),
        value: 0,
        bytes: 0,
        acl: None,
    }
}

pub(crate) fn deleted(path: &str) -> Change {
    Change::Deleted { path: path.into() }
}

pub(crate) fn data_set(path: &str, version: i32) -> Change {
    Change::DataSet { path: path.into(), version, value: 0, bytes: 0 }
}

pub(crate) fn opened(session: i64, timeout_ms: u64) -> Change {
    Change::SessionOpened { session: SessionId(session), timeout: Millis(timeout_ms) }
}

pub(crate) fn closed(session: i64) -> Change {
    Change::SessionClosed { session: SessionId(session) }
}
