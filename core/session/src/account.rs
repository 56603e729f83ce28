//! What onlookers are told of an operation: the request as a [`Call`], its end as an [`Outcome`],
//! and what the reply shows beside that.

use crate::error::CallError;
use crate::identity::digest_id;
use crate::io::Answer;
use bytes::Bytes;
use mailstorm_shared::checksum::{names_digest, value_digest};
use mailstorm_shared::facts::{Asked, Call, CallKind, Outcome, Shown, Step};
use mailstorm_shared::znodes::Owner;
use mailstorm_shared::{Millis, SessionId, Zxid};
use mailstorm_wire::client::{
    Acl, AddWatchMode, CreateMode, ErrorCode, MultiReply, Read, Reply, Request, Stat, Write,
    permission,
};
use std::sync::Arc;

/// The operation, as a checker sees it.
pub fn call(request: &Request) -> Call {
    match request {
        Request::Write(write) => call_of_write(write),
        Request::Multi(writes) => {
            let steps = writes.iter().map(call_of_write).collect();
            call_of_steps(CallKind::Multi, steps)
        }
        Request::MultiRead(reads) => {
            let steps = reads.iter().map(|read| match read {
                Read::GetData { path } => about(CallKind::GetData, path),
                Read::Children { path } => about(CallKind::Children, path),
            });
            call_of_steps(CallKind::MultiRead, steps.collect())
        }
        Request::Exists { path, watch } => Call { watch: *watch, ..about(CallKind::Exists, path) },
        Request::GetData { path, watch } => {
            Call { watch: *watch, ..about(CallKind::GetData, path) }
        }
        Request::Children { path, watch, .. } => {
            Call { watch: *watch, ..about(CallKind::Children, path) }
        }
        Request::Sync { path } => about(CallKind::Sync, path),
        Request::AddWatch { path, mode } => {
            let kind = match mode {
                AddWatchMode::Persistent => CallKind::AddWatch,
                AddWatchMode::PersistentRecursive => CallKind::AddWatchRecursive,
            };
            Call { watch: true, ..about(kind, path) }
        }
        Request::RemoveWatches { path, .. } => about(CallKind::RemoveWatches, path),
        Request::GetAcl { path } => about(CallKind::GetAcl, path),
        Request::AllChildrenNumber { path } => about(CallKind::AllChildrenNumber, path),
        Request::Ephemerals { prefix } => about(CallKind::Ephemerals, prefix),
        Request::Auth { scheme, credentials } => {
            let id = match &**scheme {
                "digest" => digest_id(credentials).into(),
                _ => Arc::from(""),
            };
            let asked = Asked::Identity { scheme: scheme.clone(), id };
            Call { asked: Some(Box::new(asked)), ..about_nothing(CallKind::Auth) }
        }
        Request::WhoAmI => about_nothing(CallKind::WhoAmI),
        Request::CheckWatches { path, .. } => about(CallKind::Other, path),
        Request::Ping | Request::SetWatches(_) | Request::CloseSession => {
            about_nothing(CallKind::Other)
        }
    }
}

fn about(kind: CallKind, path: &Arc<str>) -> Call {
    Call { kind, path: path.clone(), value: 0, bytes: 0, version: -1, watch: false, asked: None }
}

fn about_nothing(kind: CallKind) -> Call {
    about(kind, &Arc::from(""))
}

fn call_of_steps(kind: CallKind, steps: Vec<Call>) -> Call {
    let first = steps.first().map_or_else(|| Arc::from(""), |step| step.path.clone());
    Call { asked: Some(Box::new(Asked::Steps(steps))), ..about(kind, &first) }
}

fn call_of_write(write: &Write) -> Call {
    match write {
        Write::Create { path, data, acl, mode, ttl, .. } => {
            let kind = match mode {
                CreateMode::Persistent | CreateMode::Container | CreateMode::PersistentTtl => {
                    CallKind::Create
                }
                CreateMode::Ephemeral => CallKind::CreateEphemeral,
                CreateMode::PersistentSequential
                | CreateMode::EphemeralSequential
                | CreateMode::PersistentSequentialTtl => CallKind::CreateSequential,
            };
            let owner = match mode {
                CreateMode::Persistent | CreateMode::PersistentSequential => Owner::Nobody,
                CreateMode::Ephemeral | CreateMode::EphemeralSequential => {
                    Owner::Session(SessionId::NONE)
                }
                CreateMode::Container => Owner::Container,
                // A negative one is refused, as none is.
                CreateMode::PersistentTtl | CreateMode::PersistentSequentialTtl => {
                    Owner::Ttl(Millis(u64::try_from(*ttl).unwrap_or(0)))
                }
            };
            let acl = (!is_open(acl)).then(|| acl.clone());
            // What the kind says already needs no second word.
            let follows = match kind {
                CallKind::CreateEphemeral => true,
                _ => owner == Owner::Nobody,
            };
            let asked = (!follows || acl.is_some()).then(|| Box::new(Asked::Create { owner, acl }));
            let value = value_digest(data.as_deref());
            Call { value, bytes: length(data), asked, ..about(kind, path) }
        }
        Write::Delete { path, version } => {
            Call { version: *version, ..about(CallKind::Delete, path) }
        }
        Write::SetData { path, data, version } => Call {
            value: value_digest(data.as_deref()),
            bytes: length(data),
            version: *version,
            ..about(CallKind::SetData, path)
        },
        Write::SetAcl { path, acl, version } => Call {
            version: *version,
            asked: Some(Box::new(Asked::Acl(acl.clone()))),
            ..about(CallKind::SetAcl, path)
        },
        Write::Check { path, version } => {
            Call { version: *version, ..about(CallKind::Check, path) }
        }
    }
}

fn length(data: &Option<Bytes>) -> u32 {
    data.as_ref().map_or(0, |data| u32::try_from(data.len()).unwrap_or(u32::MAX))
}

/// Whether it is the list that lets everybody do everything.
fn is_open(acl: &[Acl]) -> bool {
    let all = |entry: &Acl| {
        entry.permissions == permission::ALL && &*entry.scheme == "world" && &*entry.id == "anyone"
    };
    matches!(acl, [entry] if all(entry))
}

/// Whether the operation goes through the total order of writes, so that its loss matters.
pub fn is_write(request: &Request) -> bool {
    matches!(request, Request::Write(_) | Request::Multi(_))
}

/// How an operation ended, as a checker sees it. `zxid` is the one in the reply's header, if a
/// reply came.
pub fn outcome(result: &Result<Answer, CallError>, zxid: Zxid) -> Outcome {
    let answer = match result {
        Ok(answer) => answer,
        Err(error) if error.is_definite() => {
            return Outcome::Failed { code: error.code().code(), zxid };
        }
        Err(_) => return Outcome::Unknown,
    };
    let ok = |value, stat: Option<&Stat>, modified: fn(&Stat) -> Zxid| Outcome::Ok {
        zxid,
        value,
        version: stat.map_or(-1, |stat| stat.version),
        modified: stat.map_or(Zxid::ZERO, modified),
    };
    match &answer.reply {
        Reply::Created { stat, .. } => ok(0, stat.as_ref(), |stat| stat.mzxid),
        Reply::Stat(stat) => ok(0, Some(stat), |stat| stat.mzxid),
        Reply::Data { data, stat } => {
            ok(value_digest(data.as_deref()), Some(stat), |stat| stat.mzxid)
        }
        Reply::Children { names, stat } => {
            ok(names_digest(names.iter().map(|name| &**name)), stat.as_ref(), |stat| stat.pzxid)
        }
        Reply::Acl { stat, .. } => ok(0, Some(stat), |stat| stat.mzxid),
        Reply::Multi(replies) => match culprit(replies) {
            Some((_, code)) => Outcome::Failed { code: code.code(), zxid },
            None => ok(0, None, |stat| stat.mzxid),
        },
        Reply::Ephemerals(paths) => {
            // As a set: ZooKeeper lists them in no order.
            let mut paths: Vec<&str> = paths.iter().map(|path| &**path).collect();
            paths.sort_unstable();
            ok(names_digest(paths), None, |stat| stat.mzxid)
        }
        Reply::AllChildrenNumber(count) => {
            ok(u64::try_from(*count).unwrap_or(u64::MAX), None, |stat| stat.mzxid)
        }
        Reply::Empty | Reply::Synced(_) | Reply::WhoAmI(_) | Reply::WatchAdded => {
            ok(0, None, |stat| stat.mzxid)
        }
    }
}

/// What the reply shows beside the outcome, if anything.
pub fn shown(result: &Result<Answer, CallError>) -> Option<Box<Shown>> {
    let reply = &result.as_ref().ok()?.reply;
    let znode = |stat: Option<Stat>| Step { stat, ..Step::default() };
    Some(Box::new(match reply {
        Reply::Created { path, stat } => {
            Shown::Znode(Step { path: Some(path.clone()), ..znode(*stat) })
        }
        Reply::Stat(stat) | Reply::Data { stat, .. } => Shown::Znode(znode(Some(*stat))),
        Reply::Children { stat: Some(stat), .. } => Shown::Znode(znode(Some(*stat))),
        Reply::Acl { acl, stat } => Shown::Acl { acl: acl.clone(), stat: *stat },
        Reply::Multi(replies) => Shown::Steps(replies.iter().map(step).collect()),
        Reply::WhoAmI(identities) => Shown::Identities(identities.clone()),
        Reply::Empty
        | Reply::Children { stat: None, .. }
        | Reply::Ephemerals(_)
        | Reply::AllChildrenNumber(_)
        | Reply::Synced(_)
        | Reply::WatchAdded => return None,
    }))
}

fn step(reply: &MultiReply) -> Step {
    let nothing = Step::default();
    match reply {
        MultiReply::Created { path, stat } => {
            Step { path: Some(path.clone()), stat: *stat, ..nothing }
        }
        MultiReply::Deleted | MultiReply::Checked | MultiReply::Error(None) => nothing,
        MultiReply::DataSet(stat) => Step { stat: Some(*stat), ..nothing },
        MultiReply::Data { data, stat } => {
            Step { value: Some(value_digest(data.as_deref())), stat: Some(*stat), ..nothing }
        }
        MultiReply::Children(names) => {
            Step { value: Some(names_digest(names.iter().map(|name| &**name))), ..nothing }
        }
        MultiReply::Error(Some(code)) => Step { code: code.code(), ..nothing },
    }
}

/// The step that made a `multi` fail, if one did.
///
/// Before it stand errors of code 0, after it [`ErrorCode::RuntimeInconsistency`], so the first
/// entry with a code is the culprit.
pub fn culprit(replies: &[MultiReply]) -> Option<(usize, ErrorCode)> {
    replies.iter().enumerate().find_map(|(index, reply)| match reply {
        MultiReply::Error(Some(code)) => Some((index, *code)),
        _ => None,
    })
}
