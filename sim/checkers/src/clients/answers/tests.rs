//! Lawful and unlawful answers.

use super::*;
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
            .changed(1, z(1, 1), vec![created("/q")])
            .changed(1, z(1, 2), vec![created("/q/other"), first])
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
        .changed(1, z(1, 5), vec![deleted("/q")])
        .changed(1, z(1, 6), vec![created("/q")])
        .changed(1, z(1, 7), vec![created("/q/n-0000000000")]);
    answered(anew, make(), ok(z(1, 7)), None);
}

#[test]
fn a_record_that_tells_of_no_transactions_says_nothing_of_answers() {
    let history = History::new().connected(1, 7);
    answered(history, get("/a"), ok_with(z(1, 4), 9, 1, z(1, 3)), None);
}
