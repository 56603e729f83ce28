//! Events in words: one short sentence each, for traces and pages.
//!
//! Holds: the sentence depends on the event alone. Start at [`words`].

use crate::text::numbered;
use mailstorm_record::time::span_of_ms;
use mailstorm_record::{Happening, NodeName, spaced};
use mailstorm_shared::observation::{Call, CallKind, Change, EventKind, Outcome, WatchKind};
use mailstorm_shared::{Observation, SessionId};
use mailstorm_wire::client::ErrorCode;

/// What happened, in a few words; the time and the node stand before it.
pub fn words(happening: &Happening) -> String {
    match happening {
        Happening::Observed { observation } => observed(observation),
        Happening::Started { incarnation: 0 } => "starts".into(),
        Happening::Started { incarnation } => format!("starts again, incarnation {incarnation}"),
        Happening::Crashed { why } => format!("dies: {why}"),
        Happening::Paused => "is paused".into(),
        Happening::Resumed => "wakes up again".into(),
        Happening::FaultBegan { index, kind, nodes } => {
            format!("fault {index} begins: {} of {}", spaced(kind), list(nodes))
        }
        Happening::FaultEnded { index } => format!("fault {index} ends"),
        Happening::Phase { name } => format!("phase {name}"),
        Happening::DiskDamaged => "has lost durable data on its disk".into(),
        Happening::WritesLost { sectors, torn } => {
            format!("had not synced {}: gone; and {torn} torn", numbered(*sectors as u64, "sector"))
        }
        Happening::State { hash } => format!("is in state {hash}"),
        Happening::Sent { message, to, bytes, label } => {
            format!("sends #{message} to {to}: {label} ({})", numbered(*bytes as u64, "byte"))
        }
        Happening::Delivered { message } => format!("receives #{message}"),
    }
}

/// The event's kind, in `snake_case`, as records spell it.
pub fn kind(happening: &Happening) -> &'static str {
    match happening {
        Happening::Observed { observation } => observed_kind(observation),
        Happening::Started { .. } => "started",
        Happening::Crashed { .. } => "crashed",
        Happening::Paused => "paused",
        Happening::Resumed => "resumed",
        Happening::FaultBegan { .. } => "fault_began",
        Happening::FaultEnded { .. } => "fault_ended",
        Happening::Phase { .. } => "phase",
        Happening::DiskDamaged => "disk_damaged",
        Happening::WritesLost { .. } => "writes_lost",
        Happening::State { .. } => "state",
        Happening::Sent { .. } => "sent",
        Happening::Delivered { .. } => "delivered",
    }
}

fn list(nodes: &[NodeName]) -> String {
    let names: Vec<&str> = nodes.iter().map(|node| &*node.0).collect();
    names.join(", ")
}

fn observed_kind(observation: &Observation) -> &'static str {
    match observation {
        Observation::ServerStarted { .. } => "server_started",
        Observation::Looking { .. } => "looking",
        Observation::EpochAccepted { .. } => "epoch_accepted",
        Observation::Follows { .. } => "follows",
        Observation::Leads { .. } => "leads",
        Observation::SteppedDown { .. } => "stepped_down",
        Observation::Appended { .. } => "appended",
        Observation::Truncated { .. } => "truncated",
        Observation::SnapshotInstalled { .. } => "snapshot_installed",
        Observation::Durable { .. } => "durable",
        Observation::DiskHolds { .. } => "disk_holds",
        Observation::QuorumCommitted { .. } => "quorum_committed",
        Observation::Applied { .. } => "applied",
        Observation::Acknowledged { .. } => "acknowledged",
        Observation::SessionHeard { .. } => "session_heard",
        Observation::SessionExpired { .. } => "session_expired",
        Observation::Invoked { .. } => "invoked",
        Observation::Returned { .. } => "returned",
        Observation::ClientConnected { .. } => "client_connected",
        Observation::ClientDisconnected { .. } => "client_disconnected",
        Observation::ClientSessionEnded { .. } => "client_session_ended",
        Observation::EventDelivered { .. } => "event_delivered",
        Observation::WatchGivenUp { .. } => "watch_given_up",
        Observation::ProtocolBroken { .. } => "protocol_broken",
        Observation::MailAttempted { .. } => "mail_attempted",
        Observation::SinkAccepted { .. } => "sink_accepted",
        Observation::SinkRefused { .. } => "sink_refused",
        Observation::MasterBelieves { .. } => "master_believes",
        Observation::MasterResigns { .. } => "master_resigns",
        Observation::Measured { .. } => "measured",
        Observation::Milestone { .. } => "milestone",
    }
}

fn observed(observation: &Observation) -> String {
    match observation {
        Observation::ServerStarted { epoch, snapshot, last_logged, votes, .. } => format!(
            "has recovered epoch {epoch}, snapshot {snapshot}, log to {last_logged}{}",
            if *votes { "" } else { "; lost data, does not vote until it is admitted" }
        ),
        Observation::Looking { .. } => "looks for a leader".into(),
        Observation::EpochAccepted { epoch, .. } => format!("promises epoch {epoch}"),
        Observation::Follows { leader, epoch, .. } => format!("follows {leader} in epoch {epoch}"),
        Observation::Leads { epoch, last_logged, .. } => {
            format!("leads epoch {epoch}, which begins after {last_logged}")
        }
        Observation::SteppedDown { epoch, why, .. } => format!("leaves epoch {epoch}: {why}"),
        Observation::Appended { zxid, .. } => format!("appends {zxid}"),
        Observation::Truncated { after, .. } => format!("truncates its log after {after}"),
        Observation::SnapshotInstalled { zxid, .. } => format!("installs a snapshot of {zxid}"),
        Observation::DiskHolds { last_logged, accepted_epoch, current_epoch, .. } => format!(
            "has a log up to {last_logged}, the promise of epoch {accepted_epoch} and current epoch {current_epoch} on disk"
        ),
        Observation::Durable { zxid, .. } => format!("has everything to {zxid} on disk"),
        Observation::QuorumCommitted { epoch, zxid, .. } => {
            format!("counts a majority for {zxid} in epoch {epoch}")
        }
        Observation::Applied { zxid, changes, .. } => format!("applies {zxid}: {}", told(changes)),
        Observation::Acknowledged { session, zxid, .. } => {
            format!("acknowledges {zxid} to session {session}")
        }
        Observation::SessionHeard { session, .. } => format!("hears of session {session}"),
        Observation::SessionExpired { session, timeout, silent_for, .. } => {
            let (silent, timeout) = (span_of_ms(silent_for.0), span_of_ms(timeout.0));
            format!("ends session {session}: silent for {silent}, timeout {timeout}")
        }
        Observation::Invoked { client, operation, call } => {
            format!("asks {client}.{operation}: {}", asked(call))
        }
        Observation::Returned { client, operation, outcome } => {
            format!("is told {client}.{operation}: {}", answered(outcome))
        }
        Observation::ClientConnected { session, resumed, .. } => {
            format!("is connected, session {session}{}", if *resumed { " again" } else { "" })
        }
        Observation::ClientDisconnected { .. } => "loses its connection".into(),
        Observation::ClientSessionEnded { session, expired, .. } => {
            format!(
                "learns that session {session} {}",
                if *expired { "expired" } else { "is closed" }
            )
        }
        Observation::EventDelivered { path, kind, zxid, .. } => {
            format!("is notified: {path} {} ({zxid})", notified(*kind))
        }
        Observation::WatchGivenUp { path, watch, .. } => {
            format!("gives its {} watch on {path} up", watched(*watch))
        }
        Observation::ProtocolBroken { session, why, .. } => {
            format!("hangs up on nonsense in session {session}: {why}")
        }
        Observation::MailAttempted { mail, token, attempt, .. } => {
            format!("tries {mail}, attempt {attempt}, token {token}")
        }
        Observation::SinkAccepted { mail, resource, worker, token, verdict } => {
            format!("takes {mail} of {resource} from {worker} as {verdict}, token {token}")
        }
        Observation::SinkRefused { mail, worker, token, highest } => {
            format!("refuses {mail} from {worker}: token {token} is below {highest}")
        }
        Observation::MasterBelieves { candidate, token } => {
            format!("{candidate} believes that it is master, token {token}")
        }
        Observation::MasterResigns { candidate, token } => {
            format!("{candidate} knows that it is no longer master, token {token}")
        }
        Observation::Measured { name, value } => format!("has {} {value}", spaced(name)),
        Observation::Milestone { name } => format!("milestone {}", spaced(name)),
    }
}

fn told(changes: &[Change]) -> String {
    if changes.is_empty() {
        return "a refused write, no change".into();
    }
    let each: Vec<String> = changes.iter().map(change).collect();
    each.join(", ")
}

fn change(change: &Change) -> String {
    match change {
        Change::Created { path, owner, .. } if *owner == SessionId::NONE => {
            format!("{path} created")
        }
        Change::Created { path, owner, .. } => format!("{path} created for session {owner}"),
        Change::Deleted { path } => format!("{path} deleted"),
        Change::DataSet { path, version, .. } => format!("{path} set to version {version}"),
        Change::AclSet { path } => format!("{path} has another access list"),
        Change::SessionOpened { session, timeout } => {
            format!("session {session} opened, timeout {}", span_of_ms(timeout.0))
        }
        Change::SessionClosed { session } => format!("session {session} closed"),
    }
}

fn asked(call: &Call) -> String {
    let mut text = format!("{} {}", call_kind(call.kind), call.path);
    if call.version >= 0 {
        text.push_str(&format!(" at version {}", call.version));
    }
    if call.watch {
        text.push_str(", leaving a watch");
    }
    text
}

fn call_kind(kind: CallKind) -> &'static str {
    match kind {
        CallKind::Create => "create",
        CallKind::CreateEphemeral => "create ephemeral",
        CallKind::CreateSequential => "create sequential",
        CallKind::Delete => "delete",
        CallKind::SetData => "set data of",
        CallKind::GetData => "get data of",
        CallKind::Exists => "exists",
        CallKind::Children => "children of",
        CallKind::Sync => "sync",
        CallKind::Multi => "multi, first",
        CallKind::AddWatch => "watch",
        CallKind::AddWatchRecursive => "watch all below",
        CallKind::RemoveWatches => "remove watches of",
        CallKind::Other => "upkeep",
    }
}

fn answered(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ok { zxid, version, .. } if *version >= 0 => {
            format!("ok at {zxid}, version {version}")
        }
        Outcome::Ok { zxid, .. } => format!("ok at {zxid}"),
        Outcome::Failed { code, .. } => format!("refused with {}", error_name(*code)),
        Outcome::Unknown => "nobody knows whether it happened".into(),
    }
}

/// ZooKeeper's name of an error.
fn error_name(code: i32) -> String {
    ErrorCode::from_code(code).map_or_else(|| format!("error {code}"), |e| e.name().to_owned())
}

fn watched(watch: WatchKind) -> &'static str {
    match watch {
        WatchKind::Data => "data",
        WatchKind::Creation => "creation",
        WatchKind::Children => "children",
        WatchKind::Persistent => "persistent",
        WatchKind::Recursive => "recursive",
    }
}

fn notified(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Created => "created",
        EventKind::Deleted => "deleted",
        EventKind::DataChanged => "changed",
        EventKind::ChildrenChanged => "has other children",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mailstorm_shared::Zxid;

    #[test]
    fn an_error_has_its_name_whatever_its_number() {
        let told = |code| answered(&Outcome::Failed { code, zxid: Zxid::ZERO });
        for error in ErrorCode::ALL {
            assert_eq!(told(error.code()), format!("refused with {}", error.name()));
        }
        assert_eq!(told(-110), "refused with NODEEXISTS");
        assert_eq!(told(-999), "refused with error -999");
    }

    #[test]
    fn a_number_of_things_is_singular_for_one_in_a_trace() {
        let sent = |bytes| Happening::Sent {
            message: 7,
            to: "s2".into(),
            bytes,
            label: "ACK 1:28".into(),
        };
        assert_eq!(words(&sent(1)), "sends #7 to s2: ACK 1:28 (1 byte)");
        assert_eq!(words(&sent(30)), "sends #7 to s2: ACK 1:28 (30 bytes)");
        let begun = Happening::FaultBegan {
            index: 2,
            kind: "leader_disk_stall".into(),
            nodes: vec!["s1".into(), "s2".into()],
        };
        assert_eq!(words(&begun), "fault 2 begins: leader disk stall of s1, s2");
    }
}
