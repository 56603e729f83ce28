//! What each checker can find: the kinds of its violations, by name.
//!
//! Owns: the list, by which names that people write are checked. Leaves: what a kind means to the
//! checker that finds it.
//! Holds: no violation has a kind that does not stand here; whoever makes one is stopped.
//! Start at [`of`].

/// Every checker with its kinds. `convergence` is the checker's and, for runs that never get so
/// far, the world's.
const KINDS: &[(&str, &[&str])] = &[
    (
        "answers",
        &[
            "acl_differs",
            "count_differs",
            "ephemerals_differ",
            "granted",
            "identity_differs",
            "list_differs",
            "read_differs",
            "refusal_differs",
            "steps_differ",
            "write_differs",
            "wrong_sequence",
        ],
    ),
    ("bound", &["exceeded", "events", "polls"]),
    (
        "bounds",
        &[
            "answers_deferred",
            "client_connections",
            "clients_waiting_for_room",
            "credentials",
            "disk_commands",
            "election_links",
            "errands",
            "exceeded",
            "learners",
            "learners_sent_a_snapshot",
            "log_bytes",
            "log_entries",
            "operations_outstanding",
            "peer_connections",
            "peer_dials",
            "proposals_outstanding",
            "request_bytes",
            "request_bytes_in_flight",
            "requests_in_flight",
            "requests_of_one_client",
            "requests_queued",
            "sessions",
            "sessions_ending",
            "silence_of_learner_ms",
            "silent_clients",
            "snapshot_pieces",
            "strangers",
            "syncs_unconfirmed",
            "watch_bytes",
            "watches",
            "window_bytes",
            "window_entries",
        ],
    ),
    (
        "convergence",
        &["divided", "not_healed", "server_left_behind", "too_late", "not-done", "not-ready"],
    ),
    ("dead-end", &["dead-end"]),
    (
        "exactly-once",
        &[
            "attempt_miscounted",
            "attempted_again",
            "attempted_when_done",
            "doubled",
            "invented",
            "lost",
            "set_aside_early",
            "too_many_attempts",
            "unattempted",
            "wrong_verdict",
        ],
    ),
    ("fencing", &["below_the_fence", "lowered", "not_raised", "refused_in_vain"]),
    ("linearizable", &["not_linearizable"]),
    ("live", &["gap", "stopped", "unfinished"]),
    ("panic", &["laboratory", "panic"]),
    (
        "quorum",
        &[
            "acknowledged_unapplied",
            "acknowledged_uncommitted",
            "applied_out_of_order",
            "applied_uncommitted",
            "diverged",
            "endangered",
            "epoch_forgotten",
            "epoch_without_history",
            "established_early",
            "forked",
            "hole",
            "lost",
            "minority",
            "not_on_disk",
            "promise_broken",
            "recovery_lost",
            "rewritten",
            "snapshot_uncommitted",
            "truncated_committed",
            "unpromised",
            "voted_after_loss",
        ],
    ),
    ("real-time", &["stale_after_sync", "written_into_the_past"]),
    (
        "session-order",
        &[
            "broken_protocol",
            "out_of_order",
            "own_write_missed",
            "served_after_close",
            "stale_read",
            "went_back",
        ],
    ),
    (
        "sessions",
        &[
            "closed_twice",
            "created_for_no_session",
            "ephemeral_left",
            "expired_by_follower",
            "expired_early",
            "expired_though_heard",
            "opened_twice",
            "outlived",
            "told_too_early",
            "write_after_close",
        ],
    ),
    ("split-brain", &["commit_by_stranger", "late_commit", "mutex", "shared_token", "two_leaders"]),
    ("staleness", &[]),
    ("sweeps", &["swept_early", "swept_late", "swept_parent", "swept_what_stays"]),
    (
        "watches",
        &[
            "before_registration",
            "invented",
            "lasting_lost_or_late",
            "lost_or_late",
            "never_told",
            "out_of_order",
            "skipped",
            "unasked",
        ],
    ),
];

/// The kinds of violations that a checker of this name can find; none for a name that no checker
/// has.
pub fn of(checker: &str) -> &'static [&'static str] {
    KINDS.iter().find(|(name, _)| *name == checker).map_or(&[], |(_, kinds)| kinds)
}

/// Stops whoever makes a violation that does not stand here: then it could not be expected by name.
pub fn expect_known(checker: &str, kind: &str) {
    assert!(of(checker).contains(&kind), "`{kind}` is among the kinds of `{checker}` in kinds.rs");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkers_and_kinds_stand_in_the_list_once() {
        for (index, (checker, kinds)) in KINDS.iter().enumerate() {
            assert!(KINDS[..index].iter().all(|(other, _)| other != checker), "{checker}");
            let once = |kind: &&str| kinds.iter().filter(|other| *other == kind).count() == 1;
            assert!(kinds.iter().all(once), "{checker}: {kinds:?}");
        }
        assert_eq!(of("quorums"), [""; 0]);
    }

    #[test]
    #[should_panic(expected = "`minoritee` is among the kinds of `quorum`")]
    fn a_kind_that_is_not_in_the_list_cannot_be_found() {
        expect_known("quorum", "minoritee");
    }
}
