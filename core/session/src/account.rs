//! How an operation is reported to onlookers: the request as a [`Call`], its end as an [`Outcome`].

use crate::error::CallError;
use crate::io::Answer;
use mailstorm_shared::Zxid;
use mailstorm_shared::checksum::{names_digest, value_digest};
use mailstorm_shared::facts::{Call, CallKind, Outcome};
use mailstorm_wire::client::{
    AddWatchMode, CreateMode, ErrorCode, MultiReply, Read, Reply, Request, Stat, Write,
};
use std::sync::Arc;

/// The operation, as a checker sees it.
pub fn call(request: &Request) -> Call {
    let about = |kind, path: &Arc<str>| Call {
        kind,
        path: path.clone(),
        value: 0,
        version: -1,
        watch: false,
    };
    match request {
        Request::Write(write) => call_of_write(write),
        Request::Multi(writes) => {
            let path = writes.first().map_or_else(|| Arc::from(""), |w| path_of_write(w).clone());
            about(CallKind::Multi, &path)
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
        Request::GetAcl { path }
        | Request::AllChildrenNumber { path }
        | Request::Ephemerals { prefix: path }
        | Request::CheckWatches { path, .. } => about(CallKind::Other, path),
        Request::RemoveWatches { path, .. } => about(CallKind::RemoveWatches, path),
        Request::MultiRead(reads) => {
            let path = match reads.first() {
                Some(Read::GetData { path } | Read::Children { path }) => path.clone(),
                None => Arc::from(""),
            };
            about(CallKind::Other, &path)
        }
        Request::Ping
        | Request::Auth { .. }
        | Request::WhoAmI
        | Request::SetWatches(_)
        | Request::CloseSession => about(CallKind::Other, &Arc::from("")),
    }
}

fn call_of_write(write: &Write) -> Call {
    let (kind, value, version) = match write {
        Write::Create { mode, data, .. } => {
            let kind = match mode {
                CreateMode::Persistent | CreateMode::Container | CreateMode::PersistentTtl => {
                    CallKind::Create
                }
                CreateMode::Ephemeral => CallKind::CreateEphemeral,
                CreateMode::PersistentSequential
                | CreateMode::EphemeralSequential
                | CreateMode::PersistentSequentialTtl => CallKind::CreateSequential,
            };
            (kind, value_digest(data.as_deref()), -1)
        }
        Write::Delete { version, .. } => (CallKind::Delete, 0, *version),
        Write::SetData { data, version, .. } => {
            (CallKind::SetData, value_digest(data.as_deref()), *version)
        }
        Write::SetAcl { version, .. } | Write::Check { version, .. } => {
            (CallKind::Other, 0, *version)
        }
    };
    Call { kind, path: path_of_write(write).clone(), value, version, watch: false }
}

fn path_of_write(write: &Write) -> &Arc<str> {
    match write {
        Write::Create { path, .. }
        | Write::Delete { path, .. }
        | Write::SetData { path, .. }
        | Write::SetAcl { path, .. }
        | Write::Check { path, .. } => path,
    }
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
        Reply::Empty
        | Reply::Ephemerals(_)
        | Reply::AllChildrenNumber(_)
        | Reply::Synced(_)
        | Reply::WhoAmI(_)
        | Reply::WatchAdded => ok(0, None, |stat| stat.mzxid),
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
