//! Lawful and unlawful histories of servers and their logs.

use super::*;
use crate::common::history::{History, closed, deleted, ensemble, z};

fn three() -> Quorum {
    Quorum::new(ensemble(3))
}

/// Three servers, s1 leads epoch 1, and 1:1 is everywhere.
fn one_write() -> History {
    History::new()
        .all(&[1, 2, 3], |h, server| h.server_started(server, Zxid::ZERO, Zxid::ZERO))
        .elected(1, 1, Zxid::ZERO)
        .follows(2, 1, 1)
        .follows(3, 1, 1)
        .written(&[1, 2, 3], 1, z(1, 1))
        .acknowledged(1, 7, z(1, 1))
}

#[test]
fn writes_over_two_reigns_with_a_crash_and_a_truncation_pass() {
    one_write()
        .appended(&[1, 2], z(1, 2)) // reaches s1 and s2, is acknowledged to nobody
        .durable(&[1], z(1, 2))
        .crashed("s1")
        .crashed("s2")
        .server_started(2, Zxid::ZERO, z(1, 1)) // its copy did not reach the disk
        .elected(2, 2, z(1, 1))
        .applied(&[2], z(1, 1))
        .follows(3, 2, 2)
        .written(&[2, 3], 2, z(2, 1))
        .acknowledged(3, 7, z(2, 1))
        .server_started(1, Zxid::ZERO, z(1, 2))
        .truncated(1, z(1, 1))
        .applied(&[1], z(1, 1))
        .appended(&[1], z(2, 1))
        .durable(&[1], z(2, 1))
        .applied(&[1], z(2, 1))
        .passes(three());
}

#[test]
fn what_a_majority_had_becomes_committed_with_the_next_leader() {
    one_write()
        .appended(&[1, 2, 3], z(1, 2))
        .durable(&[1, 2], z(1, 2))
        .crashed("s1")
        .durable(&[3], z(1, 2))
        .elected(2, 2, z(1, 2))
        .applied(&[2, 3], z(1, 2))
        .passes(three());
}

#[test]
fn a_lagging_server_that_is_sent_a_snapshot_passes() {
    one_write()
        .crashed("s3")
        .written(&[1, 2], 1, z(1, 2))
        .server_started(3, Zxid::ZERO, z(1, 1))
        .snapshot_installed(3, z(1, 2))
        .durable(&[3], z(1, 2))
        .follows(3, 1, 1)
        .written(&[1, 2, 3], 1, z(1, 3))
        .crashed("s3")
        .server_started(3, z(1, 2), z(1, 3))
        .applied(&[3], z(1, 3))
        .passes(three());
}

#[test]
fn a_snapshot_may_contain_more_than_its_name_says() {
    let lagging = || {
        one_write()
            .crashed("s3")
            .written(&[1, 2], 1, z(1, 2))
            .written(&[1, 2], 1, z(1, 3))
            .written(&[1, 2], 1, z(1, 4))
            .server_started(3, Zxid::ZERO, z(1, 1))
            .snapshot_installed(3, z(1, 2))
            .appended(&[3], z(1, 3))
            .appended(&[3], z(1, 4))
            .durable(&[3], z(1, 4))
    };
    lagging().applied(&[3], z(1, 4)).passes(three());
    lagging().applied(&[3], z(1, 3)).applied(&[3], z(1, 4)).passes(three());
    lagging().applied(&[3], z(1, 1)).violates(three(), "applied_out_of_order");
}

#[test]
fn a_crash_in_the_middle_of_a_snapshot_may_leave_the_old_log_or_the_snapshot() {
    let interrupted = || {
        one_write()
            .crashed("s3")
            .written(&[1, 2], 1, z(1, 2))
            .server_started(3, Zxid::ZERO, z(1, 1))
            .snapshot_installed(3, z(1, 2))
            .crashed("s3")
    };
    interrupted().server_started(3, Zxid::ZERO, z(1, 1)).passes(three());
    interrupted().server_started(3, z(1, 2), z(1, 2)).passes(three());
}

#[test]
fn a_damaged_disk_without_a_vote_passes_and_its_acknowledgement_still_counts() {
    one_write()
        .appended(&[1, 2], z(1, 2))
        .durable(&[1, 2], z(1, 2)) // s2's acknowledgement leaves
        .damaged("s2")
        .crashed("s2")
        .server_started_without_vote(2, Zxid::ZERO, Zxid::ZERO)
        .committed(1, 1, z(1, 2)) // and arrives
        .applied(&[1], z(1, 2))
        .acknowledged(1, 7, z(1, 2))
        .passes(three());
}

#[test]
fn a_leader_that_is_established_late_passes_if_it_has_what_was_committed_before() {
    // s1 sleeps with the last acknowledgement of its history in its inbox.
    one_write()
        .stepped_down(1, 1)
        .promised(&[1, 2], 2)
        .promised(&[2, 3], 3)
        .leads(3, 3, z(1, 1))
        .written(&[3, 2], 3, z(3, 1))
        .leads(1, 2, z(1, 1))
        .committed(1, 2, z(1, 1))
        .passes(three());
}

#[test]
fn a_commit_before_a_majority_synced_is_a_minority() {
    let history = one_write().appended(&[1, 2, 3], z(1, 2)).durable(&[1], z(1, 2));
    let violation = history.committed(1, 1, z(1, 2)).violates(three(), "minority");
    assert_eq!(violation.nodes, ["s1".into()]);
}

#[test]
fn half_of_an_even_ensemble_is_a_minority() {
    History::new()
        .elected(1, 1, Zxid::ZERO)
        .appended(&[1, 2], z(1, 1))
        .durable(&[1, 2], z(1, 1))
        .committed(1, 1, z(1, 1))
        .violates(Quorum::new(ensemble(4)), "minority");
}

#[test]
fn an_acknowledgement_before_the_commit_is_told() {
    one_write()
        .appended(&[1, 2, 3], z(1, 2))
        .acknowledged(1, 7, z(1, 2))
        .violates(three(), "acknowledged_uncommitted");
}

#[test]
fn an_acknowledgement_before_the_answering_server_applied_is_told() {
    one_write()
        .appended(&[1, 2], z(1, 2))
        .durable(&[1, 2], z(1, 2))
        .committed(1, 1, z(1, 2))
        .acknowledged(2, 7, z(1, 2))
        .violates(three(), "acknowledged_unapplied");
}

#[test]
fn a_leader_without_a_committed_write_has_lost_it() {
    one_write()
        .written(&[1, 2], 1, z(1, 2))
        .crashed("s1")
        .elected(3, 2, z(1, 1))
        .violates(three(), "lost");
}

#[test]
fn a_leader_whose_history_is_not_yet_on_a_majority_is_established_early() {
    one_write()
        .appended(&[2], z(1, 2))
        .durable(&[2], z(1, 2))
        .appended(&[3], z(1, 2))
        .elected(2, 2, z(1, 2))
        .violates(three(), "established_early");
}

#[test]
fn an_old_leader_that_commits_past_a_new_one_forks_the_history() {
    one_write()
        .elected(2, 2, z(1, 1))
        .appended(&[1, 3], z(1, 2))
        .durable(&[1, 3], z(1, 2))
        .committed(1, 1, z(1, 2))
        .violates(three(), "forked");
}

#[test]
fn cutting_what_is_committed_is_told_even_if_others_still_have_it() {
    one_write().truncated(3, Zxid::ZERO).violates(three(), "truncated_committed");
}

#[test]
fn a_restart_that_finds_less_than_was_durable_is_told() {
    let history = one_write().crashed("s2").server_started(2, Zxid::ZERO, Zxid::ZERO);
    history.violates(three(), "recovery_lost");
}

#[test]
fn what_a_server_says_to_have_on_its_disk_must_be_there() {
    one_write().disk_holds(2, z(1, 1), [1, 1]).passes(three());
    one_write().disk_holds(2, Zxid::ZERO, [1, 1]).violates(three(), "not_on_disk");
    one_write().disk_holds(2, z(1, 1), [0, 1]).violates(three(), "not_on_disk");
    one_write().disk_holds(2, z(1, 1), [1, 0]).violates(three(), "not_on_disk");
    // A cut that is under way may be done already.
    let uncommitted = || one_write().appended(&[2], z(1, 2)).durable(&[2], z(1, 2));
    uncommitted().disk_holds(2, z(1, 1), [1, 1]).violates(three(), "not_on_disk");
    uncommitted().truncated(2, z(1, 1)).disk_holds(2, z(1, 1), [1, 1]).passes(three());
    // What was damaged is not there, and a restart tells.
    one_write().damaged("s2").disk_holds(2, Zxid::ZERO, [0, 0]).passes(three());
}

#[test]
fn a_damaged_disk_costs_the_vote() {
    one_write()
        .damaged("s2")
        .crashed("s2")
        .server_started(2, Zxid::ZERO, Zxid::ZERO)
        .violates(three(), "voted_after_loss");
}

#[test]
fn a_snapshot_that_sets_one_server_back_is_survived_and_a_second_endangers_the_write() {
    let set_back = |history: History, server| {
        history.snapshot_installed(server, z(1, 1)).durable(&[server], z(1, 1))
    };
    let two_writes = || one_write().written(&[1, 2, 3], 1, z(1, 2));
    set_back(two_writes(), 2).passes(three());
    let violation = set_back(set_back(two_writes(), 2), 3).violates(three(), "endangered");
    assert_eq!(violation.nodes, ["s3".into(), "s2".into()]);
}

#[test]
fn a_server_that_takes_part_in_an_epoch_before_one_it_promised_is_told() {
    let promised = || one_write().promised(&[2, 3], 3);
    promised().promised(&[2], 3).follows(2, 3, 3).passes(three());
    promised().promised(&[2], 2).violates(three(), "promise_broken");
    promised().follows(2, 1, 2).violates(three(), "promise_broken");
    promised().promised(&[1], 2).leads(3, 2, z(1, 1)).violates(three(), "promise_broken");
    // A disk that is lost forgets promises, too.
    promised()
        .damaged("s2")
        .server_started_without_vote(2, Zxid::ZERO, Zxid::ZERO)
        .follows(2, 1, 1)
        .passes(three());
}

#[test]
fn a_leader_whose_epoch_no_majority_has_promised_is_told() {
    one_write().promised(&[2], 2).leads(2, 2, z(1, 1)).violates(three(), "unpromised");
    // A promise of a later epoch was made after that of this one.
    one_write().promised(&[2], 2).promised(&[3], 4).leads(2, 2, z(1, 1)).passes(three());
}

#[test]
fn a_restart_that_forgets_the_epoch_it_followed_in_is_told() {
    let followed = || one_write().elected(3, 2, z(1, 1)).follows(2, 3, 2).crashed("s2");
    followed().server_started_in(2, 2, z(1, 1)).passes(three());
    followed().server_started_in(2, 1, z(1, 1)).violates(three(), "epoch_forgotten");
}

#[test]
fn a_restart_in_an_epoch_whose_history_it_does_not_have_is_told() {
    let away = || {
        one_write()
            .crashed("s3")
            .written(&[1, 2], 1, z(1, 2))
            .elected(2, 2, z(1, 2))
            .server_started_in(3, 1, z(1, 1))
    };
    // The history must be on the disk before the epoch is.
    away().crashed("s3").server_started_in(3, 1, z(1, 1)).passes(three());
    away()
        .crashed("s3")
        .server_started_in(3, 2, z(1, 1))
        .violates(three(), "epoch_without_history");
    away().appended(&[3], z(1, 2)).crashed("s3").server_started_in(3, 2, z(1, 2)).passes(three());
}

#[test]
fn a_transaction_with_another_effect_on_another_server_is_told() {
    let first = || {
        one_write()
            .appended(&[1, 2, 3], z(1, 2))
            .durable(&[1, 2, 3], z(1, 2))
            .committed(1, 1, z(1, 2))
            .changed(1, z(1, 2), vec![deleted("/lock/a"), closed(7)])
    };
    first().changed(2, z(1, 2), vec![deleted("/lock/a"), closed(7)]).passes(three());
    first().changed(2, z(1, 2), vec![closed(7)]).violates(three(), "diverged");
    // The rows of a fuzzy snapshot may be of later moments.
    first()
        .crashed("s3")
        .server_started_in(3, 1, z(1, 2))
        .snapshot_installed(3, z(1, 1))
        .changed(3, z(1, 2), vec![closed(7)])
        .passes(three());
}

#[test]
fn a_log_with_a_hole_is_told() {
    one_write().appended(&[2], z(1, 3)).violates(three(), "hole");
    let dead_branch = one_write().appended(&[1], z(1, 2)).elected(2, 2, z(1, 1));
    dead_branch.appended(&[1], z(2, 1)).violates(three(), "hole");
}

#[test]
fn other_bytes_in_the_same_place_are_told() {
    one_write().appended_as(2, z(1, 1), 99).violates(three(), "rewritten");
    one_write()
        .appended(&[1], z(1, 2))
        .appended_as(2, z(1, 2), 99)
        .durable(&[1, 2], z(1, 2))
        .committed(1, 1, z(1, 2))
        .violates(three(), "rewritten");
}

#[test]
fn a_repeated_proposal_passes() {
    one_write().appended(&[2], z(1, 1)).passes(three());
    one_write().appended(&[2], z(1, 2)).appended(&[2], z(1, 2)).passes(three());
}

#[test]
fn applying_otherwise_than_committed_is_told() {
    let two = || {
        one_write()
            .appended(&[1, 2], z(1, 2))
            .durable(&[1, 2], z(1, 2))
            .appended(&[1, 2], z(1, 3))
            .durable(&[1, 2], z(1, 3))
            .committed(1, 1, z(1, 3))
    };
    two().applied(&[1, 2], z(1, 2)).applied(&[1], z(1, 3)).passes(three());
    two().applied(&[1], z(1, 3)).violates(three(), "applied_out_of_order");
    two().applied(&[1], z(1, 2)).applied(&[1], z(1, 2)).violates(three(), "applied_out_of_order");
    two().applied_as(1, z(1, 2), 99).violates(three(), "diverged");
    two().applied(&[1], z(1, 4)).violates(three(), "applied_uncommitted");
}

#[test]
fn a_snapshot_beyond_what_is_committed_is_told() {
    let history = one_write().appended(&[1], z(1, 2));
    history.clone().snapshot_installed(3, z(1, 2)).violates(three(), "snapshot_uncommitted");
    history
        .crashed("s1")
        .server_started(1, z(1, 2), z(1, 2))
        .violates(three(), "snapshot_uncommitted");
}

#[test]
fn an_observer_does_not_count_for_a_majority() {
    let voters = [1, 2, 3].map(crate::common::history::s);
    let ensemble = Ensemble::new(voters, [crate::common::history::s(4)]).expect("disjoint");
    History::new()
        .elected(1, 1, Zxid::ZERO)
        .appended(&[1, 4], z(1, 1))
        .durable(&[1, 4], z(1, 1))
        .committed(1, 1, z(1, 1))
        .violates(Quorum::new(ensemble), "minority");
}
