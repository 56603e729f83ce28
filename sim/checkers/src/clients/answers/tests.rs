//! Lawful and unlawful answers.

use super::*;
use crate::clients::znodes::{BAD_VERSION, NO_NODE, NODE_EXISTS, NOT_EMPTY};
use crate::common::history::{
    History, at_version, children, create, create_sequential, created, data_set, delete, deleted,
    exists, failed, get, ok, ok_with, set, z,
};
use mailstorm_shared::checksum::names_digest;

/// `/a` exists with the data 0 since 1:1, is written at 1:3, and is gone at 1:5.
fn one_znode() -> History {
    History::new()
        .connected(1, 7)
        .changed(1, z(1, 1), vec![created("/a")])
        .changed(1, z(1, 3), vec![data_set("/a", 1)])
        .changed(1, z(1, 5), vec![deleted("/a")])
}

fn reads(call: Call, outcome: Outcome, violates: Option<&str>) {
    answered(one_znode(), call, outcome, violates);
}

#[track_caller]
fn answered(history: History, call: Call, outcome: Outcome, violates: Option<&str>) {
    let history = history.done(1, 1, call, outcome);
    match violates {
        Some(kind) => _ = history.violates(Answers::new(), kind),
        None => history.passes(Answers::new()),
    }
}

#[test]
fn a_read_is_compared_with_the_tree_as_of_its_own_zxid() {
    let wrong = Some("read_differs");
    reads(get("/a"), ok_with(z(1, 1), 0, 0, z(1, 1)), None);
    reads(get("/a"), ok_with(z(1, 2), 0, 0, z(1, 1)), None);
    reads(get("/a"), ok_with(z(1, 4), 0, 1, z(1, 3)), None);
    reads(get("/a"), failed(NO_NODE, z(1, 5)), None);
    reads(get("/a"), failed(NO_NODE, z(2, 0)), None);
    // An older state than the header's, a newer one, other data, no znode, a znode that has gone.
    reads(get("/a"), ok_with(z(1, 4), 0, 0, z(1, 1)), wrong);
    reads(get("/a"), ok_with(z(1, 2), 0, 1, z(1, 3)), wrong);
    reads(get("/a"), ok_with(z(1, 4), 9, 1, z(1, 3)), wrong);
    reads(get("/a"), failed(NO_NODE, z(1, 4)), wrong);
    reads(get("/a"), ok_with(z(1, 6), 0, 1, z(1, 3)), wrong);
    reads(exists("/a"), ok_with(z(1, 4), 0, 0, z(1, 3)), wrong);
    reads(exists("/a"), ok_with(z(1, 4), 0, 1, z(1, 3)), None);
    reads(exists("/b"), ok_with(z(1, 4), 0, 0, z(1, 3)), wrong);
}

#[test]
fn a_list_of_children_is_compared_by_its_names_and_its_pzxid() {
    let family = || {
        History::new()
            .changed(1, z(1, 1), vec![created("/q"), created("/q/b")])
            .changed(1, z(1, 2), vec![created("/q/a")])
            .changed(1, z(1, 3), vec![deleted("/q/b")])
    };
    let lists = |names: &[&str], zxid, pzxid, violates| {
        let digest = names_digest(names.iter().copied());
        answered(family(), children("/q"), ok_with(zxid, digest, 0, pzxid), violates);
    };
    lists(&["b"], z(1, 1), z(1, 1), None);
    lists(&["a", "b"], z(1, 2), z(1, 2), None);
    lists(&["a"], z(1, 3), z(1, 3), None);
    lists(&["a", "b"], z(1, 3), z(1, 3), Some("list_differs"));
    lists(&["b", "a"], z(1, 2), z(1, 2), Some("list_differs"));
    lists(&["a"], z(1, 3), z(1, 2), Some("list_differs"));
    let root = names_digest(["q", "zookeeper"]);
    answered(family(), children("/"), ok_with(z(1, 1), root, 0, z(1, 1)), None);
    let empty = ok_with(z(1, 3), names_digest([]), 0, z(1, 2));
    answered(family(), children("/q/a"), empty.clone(), None);
    answered(family(), children("/q/c"), empty, Some("list_differs"));
}

#[test]
fn a_write_is_the_transaction_that_its_answer_names() {
    let wrong = Some("write_differs");
    let made = |call: Call, outcome| reads(call, outcome, None);
    let not = |call: Call, outcome| reads(call, outcome, wrong);
    made(create("/a", 0), ok(z(1, 1)));
    not(create("/a", 0), ok(z(1, 2)));
    not(create("/a", 5), ok(z(1, 1)));
    made(set("/a", 0), ok_with(z(1, 3), 0, 1, z(1, 3)));
    made(at_version(0, set("/a", 0)), ok_with(z(1, 3), 0, 1, z(1, 3)));
    not(at_version(4, set("/a", 0)), ok_with(z(1, 3), 0, 1, z(1, 3)));
    not(set("/a", 0), ok_with(z(1, 3), 0, 2, z(1, 3)));
    not(set("/a", 1), ok_with(z(1, 3), 0, 1, z(1, 3)));
    made(delete("/a"), ok(z(1, 5)));
    not(delete("/a"), ok(z(1, 4)));
    not(delete("/b"), ok(z(1, 5)));
}

#[test]
fn a_refusal_has_its_reason_in_the_tree() {
    let wrong = Some("refusal_differs");
    reads(create("/a", 0), failed(NODE_EXISTS, z(1, 2)), None);
    reads(create("/a", 0), failed(NODE_EXISTS, z(1, 6)), wrong);
    reads(create("/a/b", 0), failed(NO_NODE, z(1, 6)), None);
    reads(create("/a/b", 0), failed(NO_NODE, z(1, 2)), wrong);
    reads(delete("/a"), failed(NO_NODE, z(1, 6)), None);
    reads(delete("/a"), failed(NO_NODE, z(1, 2)), wrong);
    reads(delete("/a"), failed(NOT_EMPTY, z(1, 2)), wrong);
    reads(at_version(0, set("/a", 1)), failed(BAD_VERSION, z(1, 4)), None);
    reads(at_version(0, set("/a", 1)), failed(BAD_VERSION, z(1, 2)), wrong);
    // Nobody answered.
    reads(delete("/a"), failed(NO_NODE, Zxid::ZERO), None);
    reads(delete("/a"), Outcome::Unknown, None);
}

#[test]
fn a_sequence_number_counts_the_creations_under_the_parent_since_it_is_there() {
    let queue = |numbers: [u32; 2]| {
        let [first, second] = numbers.map(|number| created(&format!("/q/n-{number:010}")));
        let gone = vec![deleted(&format!("/q/n-{:010}", numbers[0]))];
        History::new()
            .changed(1, z(1, 1), vec![created("/q"), created("/q/other")])
            .changed(1, z(1, 2), vec![first])
            .changed(1, z(1, 3), gone)
            .changed(1, z(1, 4), vec![second])
    };
    let make = || create_sequential("/q/n-");
    answered(queue([1, 2]), make(), ok(z(1, 2)), None);
    answered(queue([1, 2]), make(), ok(z(1, 4)), None);
    answered(queue([1, 3]), make(), ok(z(1, 4)), Some("wrong_sequence"));
    answered(queue([1, 1]), make(), ok(z(1, 4)), Some("wrong_sequence"));
    answered(queue([1, 2]), make(), ok(z(1, 3)), Some("write_differs"));
    // A parent that is created anew counts anew.
    let anew = queue([1, 2])
        .changed(1, z(1, 5), vec![deleted("/q/other"), deleted("/q/n-0000000002"), deleted("/q")])
        .changed(1, z(1, 6), vec![created("/q")])
        .changed(1, z(1, 7), vec![created("/q/n-0000000000")]);
    answered(anew, make(), ok(z(1, 7)), None);
}

#[test]
fn a_record_that_tells_of_no_transactions_says_nothing_of_answers() {
    let history = History::new().connected(1, 7);
    answered(history, get("/a"), ok_with(z(1, 4), 9, 1, z(1, 3)), None);
}

mod whole_answers {
    //! Answers that show more than an outcome: whole `Stat`s, steps, lists, counts, identities.

    use super::*;
    use crate::common::history::{asked, call};
    use mailstorm_shared::znodes::{Acl, Owner, permission};

    const WRONG_READ: Option<&str> = Some("read_differs");
    const WRONG_WRITE: Option<&str> = Some("write_differs");
    const WRONG_STEPS: Option<&str> = Some("steps_differ");
    const GRANTED: Option<&str> = Some("granted");
    const REFUSAL: Option<&str> = Some("refusal_differs");

    fn entry(permissions: i32, scheme: &str, id: &str) -> Acl {
        Acl { permissions, scheme: scheme.into(), id: id.into() }
    }

    fn made(path: &str, owner: Owner, acl: &[Acl]) -> Change {
        let acl = (!acl.is_empty()).then(|| acl.into());
        Change::Created { path: path.into(), owner, value: 0, bytes: 3, acl }
    }

    /// `/g` is Anne's, everybody may read it; `/s` nobody but Anne may. Each has a child. `/n` is
    /// near.
    fn guarded() -> History {
        let anne = || entry(permission::ALL, "digest", "anne:h");
        let all_read = [entry(permission::READ, "world", "anyone"), anne()];
        let near = [entry(permission::ALL, "ip", "10.0.0.0/29")];
        History::new().connected(1, 7).connected(2, 8).changed_at(
            1,
            z(1, 1),
            7,
            5_000,
            vec![
                made("/g", Owner::Nobody, &all_read),
                made("/s", Owner::Nobody, &[anne()]),
                made("/g/c", Owner::Session(SessionId(7)), &[]),
                made("/n", Owner::Nobody, &near),
            ],
        )
    }

    /// Client 1 is Anne from here on.
    fn anne(history: History) -> History {
        let identity = Asked::Identity { scheme: "digest".into(), id: "anne:h".into() };
        history.done(1, 1, asked(call(CallKind::Auth, ""), identity), ok(z(1, 1)))
    }

    #[track_caller]
    fn check(history: History, call: Call, outcome: Outcome, shown: Shown, violates: Option<&str>) {
        let history = history.shown(1, 2, call, outcome, shown);
        match violates {
            Some(kind) => _ = history.violates(Answers::new(), kind),
            None => history.passes(Answers::new()),
        }
    }

    #[track_caller]
    fn judge(history: History, call: Call, outcome: Outcome, violates: Option<&str>) {
        let history = history.done(1, 2, call, outcome);
        match violates {
            Some(kind) => _ = history.violates(Answers::new(), kind),
            None => history.passes(Answers::new()),
        }
    }

    fn stat_of_g() -> Stat {
        Stat {
            czxid: z(1, 1),
            mzxid: z(1, 1),
            pzxid: z(1, 1),
            ctime: 5_000,
            mtime: 5_000,
            cversion: 1,
            num_children: 1,
            data_length: 3,
            ..Stat::default()
        }
    }

    fn znode(stat: Stat) -> Shown {
        Shown::Znode(Step { stat: Some(stat), ..Step::default() })
    }

    #[test]
    fn every_field_of_a_stat_is_compared() {
        let right = stat_of_g();
        let reads = |stat, violates| {
            let outcome = ok_with(z(1, 1), 0, 0, z(1, 1));
            check(guarded(), get("/g"), outcome, znode(stat), violates);
        };
        reads(right, None);
        let wrong = [
            Stat { czxid: z(1, 2), ..right },
            Stat { mzxid: z(1, 2), ..right },
            Stat { pzxid: z(1, 2), ..right },
            Stat { ctime: 0, ..right },
            Stat { mtime: 0, ..right },
            Stat { version: 1, ..right },
            Stat { cversion: 2, ..right },
            Stat { aversion: 1, ..right },
            Stat { ephemeral_owner: SessionId(7), ..right },
            Stat { data_length: 4, ..right },
            Stat { num_children: 2, ..right },
        ];
        wrong.into_iter().for_each(|stat| reads(stat, WRONG_READ));
        let list = |stat, violates| {
            let outcome = ok_with(z(1, 1), names_digest(["c"]), 0, z(1, 1));
            check(guarded(), children("/g"), outcome, znode(stat), violates);
        };
        list(right, None);
        list(Stat { cversion: 2, ..right }, Some("list_differs"));
    }

    #[test]
    fn an_access_list_decides_who_reads_writes_creates_and_deletes() {
        let no_auth = || failed(ErrorCode::NoAuth.code(), z(1, 1));
        // Nobody in particular.
        judge(guarded(), get("/g"), ok(z(1, 1)), None);
        judge(guarded(), get("/g"), no_auth(), REFUSAL);
        judge(guarded(), get("/s"), no_auth(), None);
        judge(guarded(), get("/s"), ok(z(1, 1)), GRANTED);
        judge(guarded(), exists("/s"), ok(z(1, 1)), GRANTED);
        judge(guarded(), set("/g", 0), no_auth(), None);
        judge(guarded(), create("/g/d", 0), no_auth(), None);
        judge(guarded(), create("/d", 0), no_auth(), REFUSAL);
        judge(guarded(), delete("/g/c"), no_auth(), None);
        // Anne.
        judge(anne(guarded()), get("/s"), ok_with(z(1, 1), 0, 0, z(1, 1)), None);
        judge(anne(guarded()), get("/s"), no_auth(), REFUSAL);
        judge(anne(guarded()), create("/g/d", 0), no_auth(), REFUSAL);
        // What was done although it is forbidden.
        let done = |change| guarded().changed_at(1, z(1, 2), 7, 5_000, vec![change]);
        judge(done(data_set("/g", 1)), set("/g", 0), ok(z(1, 2)), GRANTED);
        judge(done(created("/g/d")), create("/g/d", 0), ok(z(1, 2)), GRANTED);
        judge(done(deleted("/g/c")), delete("/g/c"), ok(z(1, 2)), GRANTED);
        judge(anne(done(created("/g/d"))), create("/g/d", 0), ok(z(1, 2)), None);
    }

    #[test]
    fn while_a_proof_is_under_way_either_answer_is_right() {
        let identity = Asked::Identity { scheme: "digest".into(), id: "anne:h".into() };
        let proving = || guarded().invoked(1, 1, asked(call(CallKind::Auth, ""), identity.clone()));
        judge(proving(), get("/s"), failed(ErrorCode::NoAuth.code(), z(1, 1)), None);
        judge(proving(), get("/s"), ok_with(z(1, 1), 0, 0, z(1, 1)), None);
        let refused = proving().returned(1, 1, failed(ErrorCode::AuthFailed.code(), z(1, 1)));
        judge(refused, get("/s"), ok_with(z(1, 1), 0, 0, z(1, 1)), GRANTED);
    }

    #[test]
    fn an_address_counts_once_the_server_has_named_it() {
        let named = |address: &str| {
            let shown = Shown::Identities(vec![("ip".into(), address.into())]);
            guarded().shown(1, 1, call(CallKind::WhoAmI, ""), ok(z(1, 1)), shown)
        };
        let no_auth = || failed(ErrorCode::NoAuth.code(), z(1, 1));
        judge(guarded(), get("/n"), no_auth(), None);
        judge(named("10.0.0.7"), get("/n"), no_auth(), REFUSAL);
        judge(named("10.0.0.8"), get("/n"), no_auth(), None);
        judge(named("10.0.0.8"), get("/n"), ok(z(1, 1)), GRANTED);
    }

    #[test]
    fn a_client_is_taken_for_whom_it_has_proved_to_be() {
        let who = |names: &[(&str, &str)], violates| {
            let names = names.iter().map(|(scheme, name)| ((*scheme).into(), (*name).into()));
            let shown = Shown::Identities(names.collect());
            let call = call(CallKind::WhoAmI, "");
            check(anne(guarded()), call, ok(z(1, 1)), shown, violates);
        };
        who(&[("ip", "10.0.0.7"), ("digest", "anne")], None);
        who(&[("ip", "10.0.0.7")], Some("identity_differs"));
        let bert = [("ip", "10.0.0.7"), ("digest", "anne"), ("digest", "bert")];
        who(&bert, Some("identity_differs"));
    }

    #[test]
    fn an_access_list_is_shown_as_it_is_and_its_secrets_to_whoever_may_replace_it() {
        let shows = |history: History, digest: &str, violates| {
            let acl = vec![
                entry(permission::READ, "world", "anyone"),
                entry(permission::ALL, "digest", digest),
            ];
            let outcome = ok_with(z(1, 1), 0, 0, z(1, 1));
            let shown = Shown::Acl { acl, stat: stat_of_g() };
            check(history, call(CallKind::GetAcl, "/g"), outcome, shown, violates);
        };
        shows(guarded(), "anne:x", None);
        shows(guarded(), "anne:h", Some("acl_differs"));
        shows(anne(guarded()), "anne:h", None);
        shows(anne(guarded()), "bert:h", Some("acl_differs"));
    }

    #[test]
    fn a_list_that_is_set_is_the_one_that_was_asked_for_with_auth_resolved() {
        let asks = || {
            let acl = vec![entry(permission::ALL, "auth", "")];
            asked(call(CallKind::SetAcl, "/g"), Asked::Acl(acl))
        };
        let set_to = |id: &str| {
            let acl = Some([entry(permission::ALL, "digest", id)].into());
            let change = Change::AclSet { path: "/g".into(), version: 1, acl };
            anne(guarded()).changed_at(1, z(1, 2), 7, 5_000, vec![change])
        };
        judge(set_to("anne:h"), asks(), ok(z(1, 2)), None);
        judge(set_to("bert:h"), asks(), ok(z(1, 2)), WRONG_WRITE);
        let invalid = || failed(ErrorCode::InvalidAcl.code(), z(1, 1));
        judge(guarded(), asks(), invalid(), None);
        judge(anne(guarded()), asks(), invalid(), REFUSAL);
    }

    #[test]
    fn a_session_is_told_its_own_ephemerals_and_no_others() {
        let history = || {
            let others = vec![made("/e", Owner::Session(SessionId(8)), &[])];
            guarded().changed_at(1, z(1, 2), 8, 5_000, others)
        };
        let lists = |prefix: &str, paths: &[&str], violates| {
            let outcome = ok_with(z(1, 2), names_digest(paths.iter().copied()), -1, Zxid::ZERO);
            judge(history(), call(CallKind::Ephemerals, prefix), outcome, violates);
        };
        lists("/", &["/g/c"], None);
        lists("/g/", &["/g/c"], None);
        lists("/s", &[], None);
        lists("/", &["/e", "/g/c"], Some("ephemerals_differ"));
        lists("/", &[], Some("ephemerals_differ"));
    }

    #[test]
    fn a_count_is_of_all_below_and_not_of_the_znode_itself() {
        let counts = |path: &str, count, violates| {
            let outcome = ok_with(z(1, 1), count, -1, Zxid::ZERO);
            judge(guarded(), call(CallKind::AllChildrenNumber, path), outcome, violates);
        };
        counts("/g", 1, None);
        counts("/g", 2, Some("count_differs"));
        // With what comes with the service.
        counts("/", 7, None);
        counts("/", 8, Some("count_differs"));
        counts("/nowhere", 0, WRONG_READ);
        counts("/s", 0, GRANTED);
    }

    fn steps(kind: CallKind, steps: Vec<Call>) -> Call {
        asked(call(kind, &steps[0].path.clone()), Asked::Steps(steps))
    }

    fn codes(codes: &[i32]) -> Shown {
        let step = |code: &i32| Step { code: *code, ..Step::default() };
        Shown::Steps(codes.iter().map(step).collect())
    }

    #[test]
    fn each_of_several_reads_is_compared_and_may_be_refused_alone() {
        let reads = || steps(CallKind::MultiRead, vec![get("/g"), children("/g"), get("/s")]);
        let shows = |list: &str, code: ErrorCode, violates| {
            let read = Step { value: Some(0), stat: Some(stat_of_g()), ..Step::default() };
            let list = Step { value: Some(names_digest([list])), ..Step::default() };
            let refused = Step { code: code.code(), ..Step::default() };
            let shown = Shown::Steps(vec![read, list, refused]);
            check(guarded(), reads(), ok(z(1, 1)), shown.clone(), violates);
            check(guarded(), reads(), failed(code.code(), z(1, 1)), shown, violates);
        };
        shows("c", ErrorCode::NoAuth, None);
        shows("d", ErrorCode::NoAuth, WRONG_STEPS);
        shows("c", ErrorCode::NoNode, WRONG_STEPS);
    }

    #[test]
    fn the_steps_of_a_multi_see_those_before_them() {
        let writes = |version| {
            let check = at_version(version, call(CallKind::Check, "/a"));
            steps(CallKind::Multi, vec![create("/a", 0), set("/a", 0), check, delete("/a")])
        };
        let history = |changes| History::new().changed_at(1, z(1, 1), 7, 5_000, changes);
        let done = || history(vec![created("/a"), data_set("/a", 1), deleted("/a")]);
        judge(done(), writes(1), ok(z(1, 1)), None);
        judge(done(), writes(0), ok(z(1, 1)), WRONG_WRITE);
        judge(history(vec![created("/a")]), writes(1), ok(z(1, 1)), WRONG_WRITE);

        let bad_version = ErrorCode::BadVersion.code();
        let refused = |version, code, shown: &[i32], violates| {
            let outcome = failed(code, z(1, 1));
            check(history(vec![]), writes(version), outcome, codes(shown), violates);
        };
        refused(0, bad_version, &[0, 0, bad_version, -2], None);
        refused(1, bad_version, &[0, 0, bad_version, -2], REFUSAL);
        refused(0, NO_NODE, &[0, 0, NO_NODE, -2], REFUSAL);
        refused(0, bad_version, &[0, bad_version, -2, -2], WRONG_STEPS);
        refused(0, bad_version, &[0, 0, bad_version, 0], WRONG_STEPS);
        refused(0, bad_version, &[0, 0, bad_version], WRONG_STEPS);
    }

    #[test]
    fn what_was_created_is_shown_with_its_path_and_its_stat() {
        let sequential =
            || guarded().changed_at(1, z(1, 2), 7, 6_000, vec![created("/g/c/n-0000000000")]);
        // An ephemeral has no children.
        let no_children = ErrorCode::NoChildrenForEphemerals.code();
        judge(guarded(), create("/g/c/x", 0), failed(no_children, z(1, 1)), None);
        judge(guarded(), create("/s/x", 0), failed(no_children, z(1, 1)), REFUSAL);
        judge(sequential(), create_sequential("/g/c/n-"), ok(z(1, 2)), WRONG_WRITE);

        let stat = Stat {
            czxid: z(1, 2),
            mzxid: z(1, 2),
            pzxid: z(1, 2),
            ctime: 6_000,
            mtime: 6_000,
            ..Stat::default()
        };
        let makes = |path: &str, stat, violates| {
            let history = anne(guarded());
            let history =
                history.changed_at(1, z(1, 2), 7, 6_000, vec![created("/g/n-0000000001")]);
            let shown = Step { path: Some(path.into()), stat: Some(stat), ..Step::default() };
            let outcome = ok_with(z(1, 2), 0, 0, z(1, 2));
            check(history, create_sequential("/g/n-"), outcome, Shown::Znode(shown), violates);
        };
        makes("/g/n-0000000001", stat, None);
        makes("/g/n-0000000002", stat, WRONG_WRITE);
        makes("/g/n-0000000001", Stat { ctime: 5_000, ..stat }, WRONG_WRITE);
    }
}
