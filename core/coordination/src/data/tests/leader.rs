//! A leader that turns random [`Command`]s into transactions, some of them still under way.

use super::commands::Command;
use crate::data::{DataOptions, Database, Identity, Pending};
use mailstorm_shared::{Millis, SessionId, WallTime, Zxid};
use mailstorm_wire::client::Request;
use mailstorm_wire::peer::LeaderRequest;
use mailstorm_wire::txn::{Txn, TxnBody};

/// See the module's head.
pub(super) struct Leader {
    pub(super) database: Database,
    pub(super) pending: Pending,
    pub(super) options: DataOptions,
    /// Every session ever begun, for commands to choose from: closed ones are chosen, too.
    pub(super) sessions: Vec<SessionId>,
    pub(super) zxid: Zxid,
    pub(super) time: i64,
}

/// A proposal, and the request that led to it.
pub(super) struct Proposal {
    pub(super) zxid: Zxid,
    pub(super) txn: Txn,
    pub(super) request: Option<Request>,
}

fn identities(user: bool) -> Vec<Identity> {
    if user { vec![("digest".into(), "u:h".into())] } else { vec![] }
}

impl Leader {
    pub(super) fn new(options: DataOptions) -> Self {
        Self {
            database: Database::new(),
            pending: Pending::new(),
            options,
            sessions: vec![],
            zxid: Zxid::ZERO,
            time: 1000,
        }
    }

    /// The session that a command means. Of those that came later, the newest are meant.
    pub(super) fn session(&self, index: usize) -> SessionId {
        let from = self.sessions.len().saturating_sub(4);
        *self.sessions[from..].get(index).unwrap_or(&SessionId(i64::MAX))
    }

    /// What the command becomes; `None` if it takes no place.
    pub(super) fn propose(&mut self, command: &Command) -> Option<Proposal> {
        let zxid = self.zxid.next().unwrap();
        let mut session = SessionId::NONE;
        let (forwarded, request) = match command {
            Command::Commit(_) => return None,
            Command::Sweep(path) => {
                let wall = WallTime(self.time);
                let body =
                    self.pending.prepare_sweep(&self.database, zxid, wall, path, &self.options)?;
                return Some(self.place(SessionId::NONE, body, None));
            }
            Command::Open => {
                self.sessions.push(SessionId::created_at(zxid));
                (
                    LeaderRequest::OpenSession {
                        timeout: Millis(zxid.0),
                        password: [zxid.0 as u8; 16],
                    },
                    None,
                )
            }
            Command::Close(index) => {
                session = self.session(*index);
                (LeaderRequest::CloseSession, Some(Request::CloseSession))
            }
            Command::Write(index, user, write) => {
                session = self.session(*index);
                let forwarded =
                    LeaderRequest::Write { identities: identities(*user), write: write.clone() };
                (forwarded, Some(Request::Write(write.clone())))
            }
            Command::Multi(index, user, writes) => {
                session = self.session(*index);
                let forwarded =
                    LeaderRequest::Multi { identities: identities(*user), writes: writes.clone() };
                (forwarded, Some(Request::Multi(writes.clone())))
            }
        };
        let body = self.pending.prepare(&self.database, zxid, session, &forwarded, &self.options);
        Some(self.place(session, body, request))
    }

    fn place(&mut self, session: SessionId, body: TxnBody, request: Option<Request>) -> Proposal {
        self.zxid = self.zxid.next().unwrap();
        self.time += 7;
        let txn = Txn { origin: None, session, time: self.time, body };
        Proposal { zxid: self.zxid, txn, request }
    }
}
