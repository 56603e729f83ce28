//! A leader and its database, played by lines of text.
//!
//! ```text
//! [@SESSION[+IDENTITY]] create PATH [mode=p|e|s|es|c|t|st] [data=..] [acl=..] [ttl=..]
//!                       delete PATH [v=..] · set PATH [data=..] [v=..] · acl PATH [acl=..] [v=..]
//!                       check PATH [v=..] · multi STEP; STEP; ... · open · close · sweep PATH
//! stat PATH · get PATH · ls PATH · below PATH · eph PREFIX · getacl PATH · multiread get PATH; ls PATH
//! ```
//! Sessions are 1 and 2; identities `u` (digest `u:h`) and `super`. An access list is
//! `PERMS:SCHEME:ID`, comma-separated. Answers are paths, versions, `ok`, or the name of an error.

use crate::data::{Applied, DataOptions, Database, Identity, Pending, TxnResult};
use bytes::Bytes;
use mailstorm_shared::{Millis, SessionId, WallTime, Zxid};
use mailstorm_wire::client::{Acl, CreateMode, ErrorCode, MultiReply, Read, Reply, Request, Write};
use mailstorm_wire::peer::LeaderRequest;
use mailstorm_wire::txn::{Txn, TxnBody};
use std::collections::VecDeque;

/// See the module's head.
pub(super) struct Stage {
    pub(super) database: Database,
    pub(super) pending: Pending,
    pub(super) options: DataOptions,
    pub(super) time: i64,
    zxid: Zxid,
    /// Proposed, not applied.
    pub(super) under_way: VecDeque<(Zxid, Txn)>,
    /// Whether transactions stay under way until something is read.
    pub(super) lags: bool,
}

/// Runs the lines twice, with each write applied at once and with the leader looking ahead, and
/// compares the answers.
pub(super) fn check(lines: &[(&str, &str)]) {
    check_with(DataOptions::default(), lines);
}

pub(super) fn check_with(options: DataOptions, lines: &[(&str, &str)]) {
    for lags in [false, true] {
        let mut stage = Stage::new(options);
        stage.lags = lags;
        for (line, expected) in lines {
            assert_eq!(stage.run(line), *expected, "{line}, looking ahead: {lags}");
        }
        stage.settle();
    }
}

impl Stage {
    pub(super) fn new(options: DataOptions) -> Self {
        let mut stage = Self {
            database: Database::new(),
            pending: Pending::new(),
            options,
            time: 1000,
            zxid: Zxid::ZERO,
            under_way: VecDeque::new(),
            lags: false,
        };
        assert_eq!(stage.run("open"), "0x1");
        assert_eq!(stage.run("open"), "0x2");
        stage
    }

    /// Applies what is under way.
    pub(super) fn settle(&mut self) -> Vec<Applied> {
        let mut all = Vec::new();
        while let Some((zxid, txn)) = self.under_way.pop_front() {
            all.push(self.database.apply(zxid, &txn));
            self.pending.applied(zxid);
        }
        assert!(self.pending == Pending::new(), "everything is applied, so nothing is pending");
        all
    }

    pub(super) fn run(&mut self, line: &str) -> String {
        let (session, identities, line) = who(line);
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        if let Some(request) = read(verb, rest) {
            self.settle();
            return match self.database.read(&request, session, &identities, &self.options) {
                Ok(reply) => show_reply(reply),
                Err(code) => format!("{code:?}"),
            };
        }
        let body = match verb {
            "sweep" => {
                let wall = WallTime(self.time);
                let zxid = self.zxid.next().unwrap();
                match self.pending.prepare_sweep(&self.database, zxid, wall, rest, &self.options) {
                    Some(body) => body,
                    None => return "not due".into(),
                }
            }
            _ => {
                let write = |line: &str| write(line.trim());
                let request = match verb {
                    "open" => {
                        LeaderRequest::OpenSession { timeout: Millis(10_000), password: [7; 16] }
                    }
                    "close" => LeaderRequest::CloseSession,
                    "multi" => {
                        let writes = rest.split_terminator(';').map(write).collect();
                        LeaderRequest::Multi { identities, writes }
                    }
                    _ => LeaderRequest::Write { identities, write: write(line) },
                };
                let zxid = self.zxid.next().unwrap();
                self.pending.prepare(&self.database, zxid, session, &request, &self.options)
            }
        };
        let shown = show_body(&body, self.zxid.next().unwrap());
        self.propose(session, body);
        shown
    }

    pub(super) fn propose(&mut self, session: SessionId, body: TxnBody) {
        self.zxid = self.zxid.next().unwrap();
        let txn = Txn { origin: None, session, time: self.time, body };
        self.under_way.push_back((self.zxid, txn));
        if !self.lags {
            self.settle();
        }
    }
}

fn who(line: &str) -> (SessionId, Vec<Identity>, &str) {
    let Some(line) = line.strip_prefix('@') else { return (SessionId(1), vec![], line) };
    let (who, line) = line.split_once(' ').unwrap();
    let (session, identity) = who.split_once('+').unwrap_or((who, ""));
    let identities = match identity {
        "" => vec![],
        "super" => vec![("super".into(), "".into())],
        "u" => vec![("ip".into(), "1.2.3.4".into()), ("digest".into(), "u:h".into())],
        _ => panic!("who is {identity}?"),
    };
    (SessionId(session.parse().unwrap()), identities, line)
}

fn option<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

fn write(line: &str) -> Write {
    let mut words = line.split(' ');
    let verb = words.next().unwrap();
    let path = words.next().unwrap_or("").into();
    let version = option(line, "v").map_or(-1, |v| v.parse().unwrap());
    let data = option(line, "data").map(|data| Bytes::copy_from_slice(data.as_bytes()));
    let acl = acl(option(line, "acl").unwrap_or("rwcda:world:anyone"));
    match verb {
        "create" => {
            let mode = match option(line, "mode").unwrap_or("p") {
                "p" => CreateMode::Persistent,
                "e" => CreateMode::Ephemeral,
                "s" => CreateMode::PersistentSequential,
                "es" => CreateMode::EphemeralSequential,
                "c" => CreateMode::Container,
                "t" => CreateMode::PersistentTtl,
                "st" => CreateMode::PersistentSequentialTtl,
                mode => panic!("which mode is {mode}?"),
            };
            let ttl = option(line, "ttl").map_or(0, |ttl| ttl.parse().unwrap());
            Write::Create { path, data, acl, mode, ttl, stat: true }
        }
        "delete" => Write::Delete { path, version },
        "set" => Write::SetData { path, data, version },
        "acl" => Write::SetAcl { path, acl, version },
        "check" => Write::Check { path, version },
        _ => panic!("what is {line}?"),
    }
}

pub(super) fn acl(text: &str) -> Vec<Acl> {
    let entry = |text: &str| {
        let mut parts = text.splitn(3, ':');
        let letters = parts.next().unwrap();
        let permissions = letters.chars().map(|l| 1 << "rwcda".find(l).unwrap()).sum();
        let mut next = || parts.next().unwrap_or("").into();
        Acl { permissions, scheme: next(), id: next() }
    };
    text.split_terminator(',').map(entry).collect()
}

fn show_acl(acl: &[Acl]) -> String {
    let entry = |entry: &Acl| {
        let letters: String = (0..5)
            .filter(|bit| entry.permissions & 1 << bit != 0)
            .map(|b| &"rwcda"[b..=b])
            .collect();
        format!("{letters}:{}:{}", entry.scheme, entry.id)
    };
    acl.iter().map(entry).collect::<Vec<_>>().join(",")
}

fn read(verb: &str, rest: &str) -> Option<Request> {
    let path = rest.into();
    Some(match verb {
        "stat" => Request::Exists { path, watch: false },
        "get" => Request::GetData { path, watch: false },
        "ls" => Request::Children { path, watch: false, stat: false },
        "below" => Request::AllChildrenNumber { path },
        "eph" => Request::Ephemerals { prefix: path },
        "getacl" => Request::GetAcl { path },
        "multiread" => {
            let step = |step: &str| match step.trim().split_once(' ').unwrap() {
                ("get", path) => Read::GetData { path: path.into() },
                (_, path) => Read::Children { path: path.into() },
            };
            Request::MultiRead(rest.split(';').map(step).collect())
        }
        _ => return None,
    })
}

fn show_body(body: &TxnBody, zxid: Zxid) -> String {
    match body {
        TxnBody::Error(code) => format!("{code:?}"),
        TxnBody::Create { path, .. } => path.to_string(),
        TxnBody::SetData { version, .. } | TxnBody::SetAcl { version, .. } => format!("v{version}"),
        TxnBody::Delete { .. }
        | TxnBody::Check { .. }
        | TxnBody::CloseSession
        | TxnBody::Nothing => "ok".into(),
        TxnBody::Multi(steps) => {
            steps.iter().map(|step| show_body(step, zxid)).collect::<Vec<_>>().join("; ")
        }
        TxnBody::MultiFailed(errors) => {
            let show = |error: &Option<ErrorCode>| match error {
                None => "0".into(),
                Some(ErrorCode::RuntimeInconsistency) => "-2".into(),
                Some(code) => format!("{code:?}"),
            };
            errors.iter().map(show).collect::<Vec<_>>().join("; ")
        }
        TxnBody::OpenSession { .. } => SessionId::created_at(zxid).to_string(),
    }
}

fn show_data(data: Option<Bytes>) -> String {
    data.map_or("null".into(), |data| format!("{:?}", String::from_utf8_lossy(&data)))
}

fn show_reply(reply: Reply) -> String {
    match reply {
        Reply::Stat(s) => format!(
            "c{} m{} p{} ct{} mt{} v{} cv{} av{} o{} len{} n{}",
            s.czxid.0,
            s.mzxid.0,
            s.pzxid.0,
            s.ctime,
            s.mtime,
            s.version,
            s.cversion,
            s.aversion,
            s.ephemeral_owner.0,
            s.data_length,
            s.num_children
        ),
        Reply::Data { data, .. } => show_data(data),
        Reply::Children { names, .. } => names.join(" "),
        Reply::AllChildrenNumber(count) => count.to_string(),
        Reply::Ephemerals(paths) => paths.join(" "),
        Reply::Acl { acl, .. } => show_acl(&acl),
        Reply::Multi(steps) => {
            let show = |step| match step {
                MultiReply::Data { data, .. } => show_data(data),
                MultiReply::Children(names) => names.join(" "),
                MultiReply::Error(Some(code)) => format!("{code:?}"),
                step => panic!("{step:?} answers no read"),
            };
            steps.into_iter().map(show).collect::<Vec<_>>().join("; ")
        }
        reply => panic!("{reply:?} answers no read"),
    }
}

/// The answer that a client would get for this write.
pub(super) fn reply(result: TxnResult, line: &str) -> Result<Reply, ErrorCode> {
    let request = match line.strip_prefix("multi ") {
        Some(steps) => Request::Multi(steps.split(';').map(|step| write(step.trim())).collect()),
        None => Request::Write(write(line)),
    };
    result.reply(&request)
}
