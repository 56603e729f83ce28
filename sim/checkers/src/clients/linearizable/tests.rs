//! Lawful and unlawful histories, and the search against all orders.

use super::*;
use crate::common::history::{
    History, asked, at_version, create, create_ephemeral, create_sequential, created, data_set,
    delete, deleted, exists, failed, get, multi, ok, ok_with, set, sync, z,
};
use proptest::prelude::*;
use search::Look;

const A: &str = "/a";

/// `/a` exists with data 1.
fn one_znode() -> History {
    History::new().done(1, 1, create(A, 1), ok(z(1, 1)))
}

/// A synced read, whose answer is `outcome`.
fn synced(history: History, client: u32, operation: u64, call: Call, outcome: Outcome) -> History {
    history.done(client, operation, sync(), ok(z(1, 1))).done(client, operation + 1, call, outcome)
}

fn read(value: u64, version: i32) -> Outcome {
    ok_with(z(1, 99), value, version, z(1, 1))
}

#[test]
fn a_life_of_a_znode_passes() {
    let history = one_znode()
        .done(2, 1, create(A, 9), failed(NODE_EXISTS, z(1, 2)))
        .done(2, 2, at_version(0, set(A, 2)), ok_with(z(1, 3), 0, 1, z(1, 3)))
        .done(1, 2, at_version(0, set(A, 3)), failed(BAD_VERSION, z(1, 4)))
        .done(1, 3, at_version(1, delete(A)), ok(z(1, 5)))
        .done(1, 4, delete(A), failed(NO_NODE, z(1, 6)));
    synced(history, 3, 1, exists(A), failed(NO_NODE, z(1, 6))).passes(Linearizable::new());
}

#[test]
fn a_synced_read_of_an_overwritten_value_is_told() {
    let overwritten = || one_znode().done(1, 2, set(A, 2), ok_with(z(1, 2), 0, 1, z(1, 2)));
    synced(overwritten(), 2, 1, get(A), read(2, 1)).passes(Linearizable::new());
    let violation = synced(overwritten(), 2, 1, get(A), read(1, 0))
        .violates(Linearizable::new(), "not_linearizable");
    assert_eq!(violation.nodes, ["c2".into()]);
}

fn overtaken_session(history: History) -> History {
    history.done(2, 1, sync(), ok(z(1, 2))).session_ended(2, 7, false).connected(2, 8)
}

#[test]
fn a_plain_read_may_be_old() {
    let overwritten = || one_znode().done(1, 2, set(A, 2), ok_with(z(1, 2), 0, 1, z(1, 2)));
    overwritten().done(2, 1, get(A), read(1, 0)).passes(Linearizable::new());
    overwritten()
        .done(2, 1, sync(), ok(z(1, 2)))
        .disconnected(2)
        .reconnected(2, 7)
        .done(2, 2, get(A), read(1, 0))
        .passes(Linearizable::new());
    // The sync was another session's.
    overtaken_session(overwritten()).done(2, 2, get(A), read(1, 0)).passes(Linearizable::new());
    // Another operation stands between the sync and the read.
    let between = overwritten().done(2, 1, sync(), ok(z(1, 2))).done(
        2,
        2,
        get("/b"),
        failed(NO_NODE, z(1, 2)),
    );
    between.done(2, 3, get(A), read(1, 0)).passes(Linearizable::new());
}

#[test]
fn a_synced_read_need_not_see_what_was_written_after_the_sync_began() {
    one_znode()
        .invoked(2, 1, sync())
        .done(1, 2, set(A, 2), ok_with(z(1, 2), 0, 1, z(1, 2)))
        .returned(2, 1, ok(z(1, 1)))
        .done(2, 2, get(A), read(1, 0))
        .passes(Linearizable::new());
}

#[test]
fn two_winners_of_one_version_are_told() {
    one_znode()
        .invoked(1, 2, at_version(0, set(A, 2)))
        .invoked(2, 1, at_version(0, set(A, 3)))
        .returned(1, 2, ok_with(z(1, 2), 0, 1, z(1, 2)))
        .returned(2, 1, ok_with(z(1, 3), 0, 1, z(1, 3)))
        .violates(Linearizable::new(), "not_linearizable");
}

#[test]
fn a_lost_write_is_told_by_the_version_of_the_next() {
    one_znode()
        .done(1, 2, set(A, 2), ok_with(z(1, 2), 0, 1, z(1, 2)))
        .done(2, 1, set(A, 3), ok_with(z(1, 3), 0, 1, z(1, 3)))
        .violates(Linearizable::new(), "not_linearizable");
}

#[test]
fn refusals_are_judged_too() {
    one_znode()
        .done(2, 1, delete(A), failed(NO_NODE, z(1, 2)))
        .violates(Linearizable::new(), "not_linearizable");
    one_znode()
        .done(2, 1, at_version(0, set(A, 2)), failed(BAD_VERSION, z(1, 2)))
        .violates(Linearizable::new(), "not_linearizable");
    History::new()
        .done(2, 1, create(A, 2), failed(NODE_EXISTS, z(1, 2)))
        .violates(Linearizable::new(), "not_linearizable");
    History::new()
        .done(2, 1, delete(A), failed(NOT_EMPTY, z(1, 2)))
        .violates(Linearizable::new(), "not_linearizable");
    // Not allowed to: says nothing about the znode.
    History::new().done(2, 1, delete(A), failed(-102, z(1, 2))).passes(Linearizable::new());
}

#[test]
fn an_unknown_write_may_take_effect_at_once_or_late_or_never_but_not_twice() {
    let unknown = || one_znode().done(1, 2, set(A, 2), Outcome::Unknown);
    synced(unknown(), 2, 1, get(A), read(1, 0)).passes(Linearizable::new());
    synced(unknown(), 2, 1, get(A), read(2, 1)).passes(Linearizable::new());
    let late = synced(unknown(), 2, 1, get(A), read(1, 0));
    let late = synced(late, 2, 3, get(A), read(2, 1));
    late.clone().passes(Linearizable::new());
    synced(late, 2, 5, get(A), read(1, 0)).violates(Linearizable::new(), "not_linearizable");
    synced(unknown(), 2, 1, get(A), read(2, 2)).violates(Linearizable::new(), "not_linearizable");
}

#[test]
fn an_operation_that_never_returned_is_unknown() {
    synced(one_znode().invoked(1, 2, delete(A)), 2, 1, exists(A), failed(NO_NODE, z(1, 2)))
        .passes(Linearizable::new());
}

#[test]
fn an_answer_belongs_to_the_last_operation_of_its_number() {
    let restarted = one_znode().invoked(1, 2, set(A, 2)).crashed("c1").connected(1, 8);
    restarted.done(1, 2, get("/b"), read(7, 7)).passes(Linearizable::new());
}

#[test]
fn a_write_that_was_sent_twice_may_take_effect_twice() {
    let again = |history: History| history.returned(1, 2, ok_with(z(1, 3), 0, 2, z(1, 3)));
    let sent = || one_znode().invoked(1, 2, set(A, 2));
    again(sent().disconnected(1).reconnected(1, 7)).passes(Linearizable::new());
    again(sent()).violates(Linearizable::new(), "not_linearizable");
}

#[test]
fn keys_that_cannot_be_judged_alone_are_left_out_and_counted() {
    let odd = || {
        one_znode().done(2, 1, get(A), ok(z(1, 1))).done(2, 2, delete(A), failed(NO_NODE, z(1, 2)))
    };
    odd().violates(Linearizable::new(), "not_linearizable");
    odd().done(3, 1, multi(A), ok(z(1, 9))).passes(Linearizable::new());
    odd().done(3, 1, create_ephemeral(A), ok(z(1, 9))).passes(Linearizable::new());
    // A multi that names another znode first, recognised by its zxid.
    let touched = odd().changed(1, z(1, 1), vec![created(A)]).changed(1, z(1, 2), vec![deleted(A)]);
    touched.clone().done(3, 1, multi("/b"), ok(z(1, 2))).passes(Linearizable::new());
    touched.done(3, 1, multi("/b"), Outcome::Unknown).passes(Linearizable::new());
    // One whose steps are told leaves out those alone, however it ended.
    let steps = |path| asked(multi("/b"), Asked::Steps(vec![set("/b", 1), set(path, 1)]));
    odd().done(3, 1, steps(A), Outcome::Unknown).passes(Linearizable::new());
    let other = odd().done(3, 1, steps("/c"), Outcome::Unknown);
    other.violates(Linearizable::new(), "not_linearizable");
    // A container that was swept.
    odd()
        .changed(1, z(1, 1), vec![created(A)])
        .changed(1, z(1, 2), vec![deleted(A)])
        .passes(Linearizable::new());

    let sequential = History::new().done(1, 1, create_sequential("/q/n-"), ok(z(1, 1))).done(
        1,
        2,
        delete("/q/n-0000000000"),
        ok(z(1, 2)),
    );
    let mut checker = Linearizable::new();
    assert_eq!(sequential.feed(&mut checker), Verdict::Pass);
    let left_out =
        checker.figures().into_iter().find(|figure| figure.name == "linearizable_keys_left_out");
    assert_eq!(left_out.map(|figure| figure.sum), Some(1));
}

#[test]
fn a_write_that_took_effect_without_being_asked_for_is_told() {
    one_znode()
        .changed(1, z(1, 1), vec![created(A)])
        .changed(1, z(1, 2), vec![data_set(A, 1)])
        .done(2, 1, set(A, 2), ok_with(z(1, 3), 0, 2, z(1, 3)))
        .changed(1, z(1, 3), vec![data_set(A, 2)])
        .violates(Linearizable::new(), "not_linearizable");
}

#[test]
fn a_search_that_would_take_too_much_is_unknown() {
    // Sixteen concurrent writes that tell neither version nor a usable order, and no order can
    // explain the read in the end.
    let mut history = one_znode();
    for client in 0..16 {
        history = history.invoked(client + 10, 1, set(A, u64::from(client) + 10));
    }
    for client in 0..16 {
        history = history.returned(client + 10, 1, ok(z(1, 50 - client)));
    }
    for client in 0..16 {
        history = synced(history, client + 40, 1, get(A), read(u64::from(client) + 10, -1));
    }
    let bounds = Bounds { configurations_max: 1_000, steps_max: 100_000 };
    let verdict = history.clone().judged_by(Linearizable { bounds, ..Linearizable::new() });
    assert!(matches!(verdict, Verdict::Unknown { .. }), "{verdict:?}");
}

/// A run of a real znode under `clients` clients: each operation takes effect somewhere between its
/// invocation and its return; some outcomes get lost.
fn honest_run(operations: u64, clients: u32, keys: u64, lost_per_mille: u64) -> History {
    let mut draw = {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        }
    };
    let mut history = History::new();
    let mut znodes: BTreeMap<u64, (i32, u64)> = BTreeMap::new();
    let mut under_way: BTreeMap<u32, (u64, Call, u64, Option<Outcome>)> = BTreeMap::new();
    let mut counter = 0;
    let mut next = 0;
    while next < operations || !under_way.is_empty() {
        let client = (draw() % u64::from(clients)) as u32;
        match under_way.remove(&client) {
            None if next < operations => {
                next += 1;
                let key = draw() % keys;
                let path = format!("/k{key}");
                let call = match draw() % 8 {
                    0 | 1 => create(&path, next),
                    2 => delete(&path),
                    3..6 => set(&path, next),
                    6 => at_version((draw() % 4) as i32, set(&path, next)),
                    _ => get(&path),
                };
                if call.kind == CallKind::GetData {
                    history = history.done(client, next + 1_000_000, sync(), ok(z(1, counter)));
                }
                history = history.invoked(client, next, call.clone());
                under_way.insert(client, (next, call, key, None));
            }
            None => {}
            Some((operation, call, key, None)) => {
                counter += 1;
                let outcome = take_effect(&mut znodes, key, &call, counter);
                under_way.insert(client, (operation, call, key, Some(outcome)));
            }
            Some((operation, _, _, Some(outcome))) => {
                let lost = draw() % 1_000 < lost_per_mille;
                let outcome = if lost { Outcome::Unknown } else { outcome };
                history = history.returned(client, operation, outcome);
            }
        }
    }
    history
}

fn take_effect(
    znodes: &mut BTreeMap<u64, (i32, u64)>,
    key: u64,
    call: &Call,
    counter: u32,
) -> Outcome {
    let zxid = z(1, counter);
    let znode = znodes.get(&key).copied();
    match (call.kind, znode) {
        (CallKind::Create, Some(_)) => failed(NODE_EXISTS, zxid),
        (CallKind::Create, None) => {
            znodes.insert(key, (0, call.value));
            ok(zxid)
        }
        (_, None) => failed(NO_NODE, zxid),
        (CallKind::Delete, Some(_)) => {
            znodes.remove(&key);
            ok(zxid)
        }
        (CallKind::SetData, Some((version, _)))
            if call.version != -1 && call.version != version =>
        {
            failed(BAD_VERSION, zxid)
        }
        (CallKind::SetData, Some((version, _))) => {
            znodes.insert(key, (version + 1, call.value));
            ok_with(zxid, 0, version + 1, zxid)
        }
        (_, Some((version, value))) => ok_with(zxid, value, version, zxid),
    }
}

#[test]
fn ten_thousand_honest_operations_pass() {
    honest_run(10_000, 20, 1, 0).passes(Linearizable::new());
    honest_run(10_000, 20, 10, 5).passes(Linearizable::new());
}

#[test]
fn many_unknown_outcomes_on_few_keys_pass() {
    honest_run(4_000, 8, 4, 100).passes(Linearizable::new());
}

/// Whether some order explains the operations, by trying them all.
fn explained_by_some_order(
    operations: &[Operation],
    taken: u32,
    znode: Option<(i32, u64)>,
) -> bool {
    let is_taken = |index: usize| taken & 1 << index != 0;
    let open = || (0..operations.len()).filter(|index| !is_taken(*index));
    if open().all(|index| matches!(operations[index].answer, Answer::Maybe(_))) {
        return true;
    }
    open().any(|index| {
        let this = &operations[index];
        // What returned before this was invoked must have had its turn.
        let may_be_next = open()
            .all(|other| operations[other].returned.is_none_or(|returned| returned > this.invoked));
        let after = || match this.answer {
            Answer::Looked(look) => looks_like(znode, look).then_some(znode),
            Answer::Maybe(write) => written(znode, write),
            Answer::Done { write, version } => written(znode, write)
                .filter(|znode| version == -1 || znode.is_none_or(|(at, _)| at == version)),
        };
        may_be_next
            && after()
                .is_some_and(|znode| explained_by_some_order(operations, taken | 1 << index, znode))
    })
}

fn written(znode: Option<(i32, u64)>, write: Write) -> Option<Option<(i32, u64)>> {
    let fits = |version: i32| znode.is_some_and(|(at, _)| version == -1 || version == at);
    match write {
        Write::Create { value } => znode.is_none().then(|| Some((0, value.unwrap_or(0)))),
        Write::Delete { version } => fits(version).then_some(None),
        Write::SetData { version, value } => {
            fits(version).then(|| znode.map(|(at, _)| (at + 1, value.unwrap_or(0))))
        }
    }
}

fn looks_like(znode: Option<(i32, u64)>, look: Look) -> bool {
    match (look, znode) {
        (Look::Absent, znode) => znode.is_none(),
        (_, None) => false,
        (Look::OtherVersion { than }, Some((version, _))) => than != version,
        (Look::Present { value, version }, Some((at, has))) => {
            value.is_none_or(|value| value == has) && (version == -1 || version == at)
        }
    }
}

fn any_version() -> impl Strategy<Value = i32> {
    prop_oneof![2 => Just(-1), 3 => 0..3_i32]
}

fn any_write() -> impl Strategy<Value = Write> {
    prop_oneof![
        (1..4_u64).prop_map(|value| Write::Create { value: Some(value) }),
        any_version().prop_map(|version| Write::Delete { version }),
        (any_version(), 1..4_u64)
            .prop_map(|(version, value)| Write::SetData { version, value: Some(value) }),
    ]
}

fn any_answer() -> impl Strategy<Value = Answer> {
    let look = prop_oneof![
        Just(Look::Absent),
        (proptest::option::of(1..4_u64), any_version())
            .prop_map(|(value, version)| Look::Present { value, version }),
        (0..3_i32).prop_map(|than| Look::OtherVersion { than }),
    ];
    prop_oneof![
        5 => (any_write(), prop_oneof![Just(-1), 1..4_i32]).prop_map(|(write, version)| {
            let tells = matches!(write, Write::SetData { .. });
            Answer::Done { write, version: if tells { version } else { -1 } }
        }),
        3 => look.prop_map(Answer::Looked),
        2 => any_write().prop_map(Answer::Maybe),
    ]
}

/// Up to seven operations that begin and end anywhere, with any answers: few of these are lawful.
fn any_history() -> impl Strategy<Value = Vec<Operation>> {
    let operation = (0..100_u64, 1..60_u64, any_answer(), 1..9_u32);
    proptest::collection::vec(operation, 1..8).prop_map(|operations| {
        operations
            .into_iter()
            .enumerate()
            .map(|(index, (invoked, lasts, answer, counter))| {
                // Moments are unique, as in a record.
                let unique = |moment: u64| moment * 16 + index as u64;
                let ends = !matches!(answer, Answer::Maybe(_));
                Operation {
                    client: index as u32,
                    invoked: unique(invoked) * 2,
                    returned: ends.then(|| unique(invoked + lasts) * 2 + 1),
                    at_ns: 0,
                    zxid: matches!(answer, Answer::Done { .. }).then(|| z(1, counter)),
                    answer,
                }
            })
            .collect()
    })
}

/// Like [`any_history`], but each answer is what a znode answered when the operations took effect
/// one by one, in an order that respects real time, apart from a small change here and there.
fn nearly_lawful_history() -> impl Strategy<Value = Vec<Operation>> {
    let change = proptest::option::weighted(0.3, (any::<proptest::sample::Index>(), any_answer()));
    (any_history(), change).prop_map(|(mut operations, change)| {
        let mut order: Vec<usize> = (0..operations.len()).collect();
        order.sort_by_key(|index| operations[*index].invoked);
        let mut znode = None;
        for (turn, index) in order.into_iter().enumerate() {
            let operation = &mut operations[index];
            operation.zxid = operation.zxid.map(|_| z(1, turn as u32 + 1));
            let write = match operation.answer {
                Answer::Done { write, .. } | Answer::Maybe(write) => Some(write),
                Answer::Looked(_) => None,
            };
            let after = write.and_then(|write| written(znode, write));
            operation.answer = match (operation.answer, write, after) {
                (Answer::Maybe(write), ..) => Answer::Maybe(write),
                (_, Some(write), Some(after)) => {
                    Answer::Done { write, version: after.map_or(-1, |(version, _)| version) }
                }
                _ => Answer::Looked(match znode {
                    None => Look::Absent,
                    Some((version, value)) => Look::Present { value: Some(value), version },
                }),
            };
            znode = after.unwrap_or(znode);
            if !matches!(operation.answer, Answer::Done { .. }) {
                operation.zxid = None;
            }
        }
        if let Some((index, answer)) = change {
            let operation = index.get_mut(&mut operations);
            if matches!(answer, Answer::Maybe(_)) == matches!(operation.answer, Answer::Maybe(_)) {
                operation.answer = answer;
                operation.zxid = matches!(answer, Answer::Done { .. }).then(|| z(1, 50));
            }
        }
        operations
    })
}

fn agrees_with_brute_force(operations: &[Operation]) -> Result<bool, TestCaseError> {
    let lawful = explained_by_some_order(operations, 0, None);
    let (finding, _) = search::judge(operations, Bounds::default());
    prop_assert_eq!(finding == Finding::Linearizable, lawful, "{:?}", finding);
    prop_assert!(finding != Finding::GaveUp);
    Ok(lawful)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_search_agrees_with_trying_all_orders(operations in any_history()) {
        agrees_with_brute_force(&operations)?;
    }

    #[test]
    fn the_search_agrees_with_trying_all_orders_of_nearly_lawful_histories(
        operations in nearly_lawful_history(),
    ) {
        agrees_with_brute_force(&operations)?;
    }
}
