//! The leader's look ahead and the tree, against the naive model.

use super::commands::{Command, history};
use super::leader::{Leader, Proposal};
use super::model::Model;
use crate::data::{DataOptions, Database, Pending};
use mailstorm_shared::znodes::Change;
use mailstorm_shared::{SessionId, StateHasher};
use mailstorm_wire::client::{ErrorCode, Reply, Request};
use mailstorm_wire::txn::TxnBody;
use proptest::prelude::*;
use std::collections::VecDeque;

type Answer = Result<Reply, ErrorCode>;

/// What the model says to a command at the moment it is proposed.
fn expect(
    model: &mut Model,
    leader: &Leader,
    command: &Command,
    proposal: &Proposal,
) -> Option<Answer> {
    let (zxid, time, session) = (proposal.zxid.0, proposal.txn.time, proposal.txn.session.0);
    let lives = model.sessions.contains(&session);
    match command {
        Command::Commit(_) => None,
        Command::Open => {
            model.sessions.push(zxid as i64);
            None
        }
        Command::Sweep(path) => {
            model.remove(zxid, path);
            None
        }
        _ if !lives => Some(Err(ErrorCode::SessionExpired)),
        Command::Close(index) => {
            model.close(zxid, leader.session(*index).0);
            Some(Ok(Reply::Empty))
        }
        Command::Write(_, user, write) => {
            Some(model.write(zxid, time, session, *user, write, false).map(Model::reply))
        }
        Command::Multi(_, user, writes) => {
            Some(Ok(Reply::Multi(model.multi(zxid, time, session, *user, writes))))
        }
    }
}

/// Everything that clients can see is the same.
fn compare(model: &Model, database: &Database, sessions: &[SessionId]) {
    for (path, node) in &model.nodes {
        let path: std::sync::Arc<str> = path.as_str().into();
        let root = [("super".into(), "".into())];
        let read = |request| {
            database.read(&request, SessionId(1), &root, &DataOptions::default()).unwrap()
        };
        let data = node.data.clone().map(Into::into);
        let found = read(Request::GetData { path: path.clone(), watch: false });
        assert_eq!(found, Reply::Data { data, stat: node.stat }, "{path}");
        let found = read(Request::GetAcl { path: path.clone() });
        assert_eq!(found, Reply::Acl { acl: node.acl.clone(), stat: node.stat }, "{path}");
        let names: Vec<_> = model.children(&path).iter().map(|name| name.as_str().into()).collect();
        let found = read(Request::Children { path: path.clone(), watch: false, stat: false });
        assert_eq!(found, Reply::Children { names, stat: None }, "{path}");
        let prefix = format!("{path}/");
        let below =
            model.nodes.keys().filter(|p| *p != "/" && (&*path == "/" || p.starts_with(&prefix)));
        let number = Reply::AllChildrenNumber(below.count() as i32);
        assert_eq!(read(Request::AllChildrenNumber { path: path.clone() }), number, "{path}");
    }
    assert_eq!(database.counts().znodes, model.nodes.len());
    let found: Vec<i64> = database.sessions().map(|(id, _)| id.0).collect();
    assert_eq!(found, model.sessions);
    let mut ephemerals = 0;
    for session in sessions {
        let paths: Vec<_> =
            model.owned(session.0).iter().map(|path| path.as_str().into()).collect();
        ephemerals += paths.len();
        let found = database.read(
            &Request::Ephemerals { prefix: "/".into() },
            *session,
            &[],
            &DataOptions::default(),
        );
        assert_eq!(found, Ok(Reply::Ephemerals(paths)));
    }
    assert_eq!(database.counts().ephemerals, ephemerals);
}

/// Runs a history with the leader looking ahead, applies in bursts, compares each answer and the
/// end.
fn run(commands: &[Command], owners_only: bool) -> Database {
    let options =
        DataOptions { ephemeral_writes_by_owner_only: owners_only, ..DataOptions::default() };
    let mut leader = Leader::new(options);
    let mut model = Model::new(owners_only);
    let mut under_way: VecDeque<(Proposal, Option<Answer>)> = VecDeque::new();
    let commit = |leader: &mut Leader, under_way: &mut VecDeque<(Proposal, Option<Answer>)>| {
        let Some((proposal, expected)) = under_way.pop_front() else { return };
        let applied = leader.database.apply(proposal.zxid, &proposal.txn);
        leader.pending.applied(proposal.zxid);
        if matches!(applied.result, crate::data::TxnResult::Error(_)) {
            assert_eq!(applied.changes, Vec::<Change>::new(), "a refused write changes nothing");
        }
        if let Some(request) = &proposal.request {
            assert_eq!(Some(applied.result.reply(request)), expected, "{request:?}");
        }
    };
    for command in commands {
        if let Command::Commit(count) = command {
            (0..*count).for_each(|_| commit(&mut leader, &mut under_way));
        }
        if let Command::Sweep(path) = command {
            // What is under way may have made it due, or not due: the leader waits for it.
            while !under_way.is_empty() {
                commit(&mut leader, &mut under_way);
            }
            let due = model.is_due(path, leader.time);
            let listed = leader.database.sweepable(
                mailstorm_shared::WallTime(leader.time),
                99,
                &DataOptions::default(),
            );
            assert_eq!(listed.iter().any(|p| &**p == *path), due, "{path}");
        }
        let before = leader.pending.clone();
        if let Some(proposal) = leader.propose(command) {
            if matches!(proposal.txn.body, TxnBody::Error(_) | TxnBody::MultiFailed(_)) {
                assert_eq!(leader.pending, before, "what is refused leaves no trace");
            }
            let expected = expect(&mut model, &leader, command, &proposal);
            under_way.push_back((proposal, expected));
        }
    }
    while !under_way.is_empty() {
        commit(&mut leader, &mut under_way);
    }
    assert!(leader.pending == Pending::new());
    compare(&model, &leader.database, &leader.sessions);
    leader.database
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn the_tree_does_what_a_naive_one_does_however_far_the_leader_looks_ahead(
        commands in history(120), owners_only in any::<bool>(),
    ) {
        let ahead = run(&commands, owners_only);
        // The same with every transaction applied before the next is prepared.
        let prompt: Vec<_> =
            commands.iter().flat_map(|command| [command.clone(), Command::Commit(9)]).collect();
        let at_once = run(&prompt, owners_only);
        prop_assert_eq!(StateHasher::of(&ahead), StateHasher::of(&at_once));
    }
}
