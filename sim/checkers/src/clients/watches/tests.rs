//! Lawful and unlawful histories of watches.

use super::*;
use crate::common::history::{
    History, add_watch, add_watch_recursive, children, created, data_set, deleted, exists, failed,
    get, ok, ok_with, other, remove_watches, watching, z,
};
use EventKind::{ChildrenChanged, Created, DataChanged, Deleted};

/// Client 1 watches `/a`, which exists, as of 1:1.
fn watcher() -> History {
    History::new().connected(1, 7).changed(1, z(1, 1), vec![created("/a")]).done(
        1,
        1,
        watching(get("/a")),
        ok_with(z(1, 1), 0, 0, z(1, 1)),
    )
}

fn reply(history: History, operation: u64, counter: u32) -> History {
    history.done(1, operation, get("/other"), failed(NO_NODE, z(1, counter)))
}

#[test]
fn an_event_before_the_reply_that_shows_the_change_passes() {
    let told = watcher().changed(1, z(1, 2), vec![data_set("/a", 1)]).event(
        1,
        7,
        "/a",
        DataChanged,
        z(1, 2),
    );
    reply(told, 2, 2).passes(Watches::new());
}

#[test]
fn a_client_of_a_lagging_server_need_not_be_told_yet() {
    reply(watcher().changed(1, z(1, 2), vec![data_set("/a", 1)]), 2, 1).passes(Watches::new());
}

#[test]
fn a_reply_before_the_event_is_told() {
    let untold = watcher().changed(1, z(1, 2), vec![data_set("/a", 1)]);
    reply(untold, 2, 2)
        .event(1, 7, "/a", DataChanged, z(1, 2))
        .violates(Watches::new(), "lost_or_late");
}

#[test]
fn a_registration_at_a_lagging_server_counts_from_its_own_state() {
    let behind = || {
        History::new()
            .connected(1, 7)
            .changed(1, z(1, 1), vec![created("/a")])
            .changed(1, z(1, 2), vec![deleted("/a")])
            .done(1, 1, watching(get("/a")), ok_with(z(1, 1), 0, 0, z(1, 1)))
    };
    reply(behind().event(1, 7, "/a", Deleted, z(1, 2)), 2, 2).passes(Watches::new());
    reply(behind(), 2, 2).violates(Watches::new(), "lost_or_late");
}

#[test]
fn each_kind_of_watch_is_for_its_own_changes() {
    let waiting = || {
        History::new().connected(1, 7).done(1, 1, watching(exists("/a")), failed(NO_NODE, z(1, 1)))
    };
    let came = || waiting().changed(1, z(1, 2), vec![created("/a")]);
    reply(came().event(1, 7, "/a", Created, z(1, 2)), 2, 2).passes(Watches::new());
    reply(came(), 2, 2).violates(Watches::new(), "lost_or_late");

    let listing = || {
        History::new()
            .connected(1, 7)
            .done(1, 1, watching(children("/q")), ok(z(1, 1)))
            .changed(1, z(1, 2), vec![data_set("/q", 1)]) // not for it
            .changed(1, z(1, 3), vec![created("/q/a")])
    };
    reply(listing(), 2, 2).passes(Watches::new());
    reply(listing().event(1, 7, "/q", ChildrenChanged, z(1, 3)), 2, 3).passes(Watches::new());
    reply(listing(), 2, 3).violates(Watches::new(), "lost_or_late");
}

#[test]
fn one_deletion_uses_up_both_watches_of_a_path() {
    let both = watcher()
        .done(1, 2, watching(children("/a")), ok(z(1, 1)))
        .changed(1, z(1, 2), vec![deleted("/a")])
        .event(1, 7, "/a", Deleted, z(1, 2));
    reply(both.clone(), 3, 2).passes(Watches::new());
    both.event(1, 7, "/a", Deleted, z(1, 2)).violates(Watches::new(), "unasked");
}

#[test]
fn a_second_event_for_a_one_shot_watch_is_told() {
    watcher()
        .changed(1, z(1, 2), vec![data_set("/a", 1)])
        .changed(1, z(1, 3), vec![data_set("/a", 2)])
        .event(1, 7, "/a", DataChanged, z(1, 2))
        .event(1, 7, "/a", DataChanged, z(1, 3))
        .violates(Watches::new(), "unasked");
}

#[test]
fn an_event_for_nothing_is_told() {
    watcher().event(1, 7, "/a", DataChanged, z(1, 2)).violates(Watches::new(), "invented");
    let changed = watcher().changed(1, z(1, 2), vec![data_set("/a", 1)]);
    changed.event(1, 7, "/a", Deleted, z(1, 2)).violates(Watches::new(), "invented");
}

#[test]
fn an_event_from_before_the_registration_is_told() {
    History::new()
        .connected(1, 7)
        .changed(1, z(1, 1), vec![created("/a")])
        .changed(1, z(1, 2), vec![data_set("/a", 1)])
        .done(1, 1, watching(get("/a")), ok_with(z(1, 2), 0, 1, z(1, 2)))
        .event(1, 7, "/a", DataChanged, z(1, 2))
        .violates(Watches::new(), "before_registration");
}

#[test]
fn an_event_for_a_later_change_than_the_first_is_told() {
    watcher()
        .changed(1, z(1, 2), vec![data_set("/a", 1)])
        .changed(1, z(1, 3), vec![data_set("/a", 2)])
        .event(1, 7, "/a", DataChanged, z(1, 3))
        .violates(Watches::new(), "skipped");
}

#[test]
fn events_out_of_order_are_told() {
    watcher()
        .changed(1, z(1, 2), vec![created("/b")])
        .done(1, 2, watching(get("/b")), ok_with(z(1, 2), 0, 0, z(1, 2)))
        .changed(1, z(1, 3), vec![data_set("/a", 1)])
        .changed(1, z(1, 4), vec![data_set("/b", 1)])
        .event(1, 7, "/b", DataChanged, z(1, 4))
        .event(1, 7, "/a", DataChanged, z(1, 3))
        .violates(Watches::new(), "out_of_order");
}

#[test]
fn a_catch_up_after_a_reconnect_passes_and_its_absence_is_told() {
    let away =
        || watcher().disconnected(1).changed(1, z(1, 2), vec![data_set("/a", 1)]).reconnected(1, 7);
    reply(away().event(1, 7, "/a", DataChanged, Zxid::ZERO), 2, 2).passes(Watches::new());
    reply(away(), 2, 2).violates(Watches::new(), "lost_or_late");
    let twice = || away().disconnected(1).reconnected(1, 7);
    reply(twice(), 2, 2).violates(Watches::new(), "lost_or_late");
}

#[test]
fn a_watch_that_was_given_up_is_owed_nothing_over_a_reconnect() {
    let changed = |history: History| history.changed(1, z(1, 2), vec![data_set("/a", 1)]);
    let away = |history: History| changed(history.disconnected(1)).reconnected(1, 7);
    reply(away(watcher().gave_up(1, 7, WatchKind::Data, "/a")), 2, 2).passes(Watches::new());
    reply(away(watcher().gave_up(1, 7, WatchKind::Data, "/b")), 2, 2)
        .violates(Watches::new(), "lost_or_late");
    // The server does not know of it as long as the connection lasts.
    reply(changed(watcher().gave_up(1, 7, WatchKind::Data, "/a")), 2, 2)
        .violates(Watches::new(), "lost_or_late");
    // And who watches once more is owed everything again.
    let again = watcher().gave_up(1, 7, WatchKind::Data, "/a").done(
        1,
        2,
        watching(get("/a")),
        ok_with(z(1, 1), 0, 0, z(1, 1)),
    );
    reply(away(again), 3, 2).violates(Watches::new(), "lost_or_late");
}

#[test]
fn a_client_that_asks_for_nothing_is_told_within_a_bound_after_healing() {
    let changed = || watcher().changed(1, z(1, 2), vec![data_set("/a", 1)]);
    let healed = |history: History| history.phase("heal").after_ms(5_001);
    healed(changed()).heard(2, 7).violates(Watches::new(), "never_told");
    healed(changed()).event(1, 7, "/a", DataChanged, z(1, 2)).heard(2, 7).passes(Watches::new());
    // It storms; it is dead; it is another session; it has just come back; it is not connected.
    changed().after_ms(9_000).heard(2, 7).passes(Watches::new());
    healed(changed()).passes(Watches::new());
    healed(changed()).heard(2, 8).passes(Watches::new());
    healed(changed()).disconnected(1).reconnected(1, 7).heard(2, 7).passes(Watches::new());
    healed(changed()).disconnected(1).heard(2, 7).passes(Watches::new());
    healed(changed().gave_up(1, 7, WatchKind::Data, "/a"))
        .heard(2, 7)
        .violates(Watches::new(), "never_told");
}

#[test]
fn a_catch_up_without_anything_missed_is_told() {
    watcher()
        .disconnected(1)
        .reconnected(1, 7)
        .event(1, 7, "/a", DataChanged, Zxid::ZERO)
        .violates(Watches::new(), "invented");
    let connected = watcher().changed(1, z(1, 2), vec![data_set("/a", 1)]);
    connected.event(1, 7, "/a", DataChanged, Zxid::ZERO).violates(Watches::new(), "invented");
}

#[test]
fn a_znode_that_came_and_went_while_its_watcher_was_away_is_nobodys_fault() {
    let away = || {
        History::new()
            .connected(1, 7)
            .done(1, 1, watching(exists("/a")), failed(NO_NODE, z(1, 1)))
            .disconnected(1)
            .changed(1, z(1, 2), vec![created("/a")])
    };
    reply(away().reconnected(1, 7), 2, 2).violates(Watches::new(), "lost_or_late");
    let gone = away().changed(1, z(1, 3), vec![deleted("/a")]).reconnected(1, 7);
    let gone = reply(gone, 2, 3);
    gone.clone().passes(Watches::new());
    let again = gone.changed(1, z(1, 4), vec![created("/a")]);
    reply(again.clone().event(1, 7, "/a", Created, z(1, 4)), 3, 4).passes(Watches::new());
    reply(again, 3, 4).violates(Watches::new(), "lost_or_late");
}

#[test]
fn a_new_session_watches_nothing() {
    let anew = watcher().session_ended(1, 7, true).connected(1, 8).changed(
        1,
        z(1, 2),
        vec![data_set("/a", 1)],
    );
    reply(anew.clone(), 2, 2).passes(Watches::new());
    anew.event(1, 8, "/a", DataChanged, z(1, 2)).violates(Watches::new(), "unasked");
}

#[test]
fn lasting_watches_may_tell_of_everything_below() {
    History::new()
        .connected(1, 7)
        .done(1, 1, add_watch_recursive("/q"), ok(z(1, 1)))
        .changed(1, z(1, 2), vec![created("/q/a")])
        .event(1, 7, "/q/a", Created, z(1, 2))
        .changed(1, z(1, 3), vec![data_set("/q/a", 1)])
        .event(1, 7, "/q/a", DataChanged, z(1, 3))
        .event(1, 7, "/q/a", DataChanged, Zxid::ZERO)
        .passes(Watches::new());
}

#[test]
fn an_answer_belongs_to_the_last_operation_of_its_number() {
    let restarted = watcher().invoked(1, 2, watching(get("/b"))).crashed("c1").connected(1, 8);
    let read =
        restarted.changed(1, z(1, 2), vec![created("/b")]).done(1, 2, get("/b"), ok(z(1, 2)));
    reply(read.changed(1, z(1, 3), vec![data_set("/b", 1)]), 3, 3).passes(Watches::new());
}

#[test]
fn a_client_whose_calls_are_not_on_record_may_watch_anything() {
    History::new()
        .connected(1, 7)
        .changed(1, z(1, 1), vec![created("/a")])
        .event(1, 7, "/a", Created, z(1, 1))
        .passes(Watches::new());
}

#[test]
fn nothing_is_demanded_of_a_watch_that_may_have_been_removed() {
    let removed = watcher().done(1, 2, remove_watches("/a"), ok(z(1, 1))).changed(
        1,
        z(1, 2),
        vec![data_set("/a", 1)],
    );
    reply(removed.clone(), 3, 2).passes(Watches::new());
    removed.event(1, 7, "/a", DataChanged, z(1, 2)).passes(Watches::new());
    let looked_at = watcher().done(1, 2, other("/a"), ok(z(1, 1)));
    reply(looked_at.changed(1, z(1, 2), vec![data_set("/a", 1)]), 3, 2)
        .violates(Watches::new(), "lost_or_late");
}

/// Client 1 has lasting watches on `/p`, and on `/q` and all below it, as of 1:2.
fn lasting() -> History {
    History::new()
        .connected(1, 7)
        .changed(1, z(1, 1), vec![created("/p"), created("/q")])
        .done(1, 1, add_watch("/p"), ok(z(1, 1)))
        .done(1, 2, add_watch_recursive("/q"), ok(z(1, 1)))
}

#[test]
fn a_lasting_watch_is_owed_every_change_before_the_reply_that_shows_it() {
    let late = "lasting_lost_or_late";
    let once = || lasting().changed(1, z(1, 2), vec![data_set("/p", 1)]);
    let told = |history: History, counter| history.event(1, 7, "/p", DataChanged, z(1, counter));
    reply(told(once(), 2), 3, 2).passes(Watches::new());
    reply(once(), 3, 1).passes(Watches::new());
    reply(once(), 3, 2).violates(Watches::new(), late);
    // The second time, too.
    let twice = || told(once(), 2).changed(1, z(1, 3), vec![data_set("/p", 2)]);
    reply(told(twice(), 3), 3, 3).passes(Watches::new());
    reply(twice(), 3, 3).violates(Watches::new(), late);
    // Of its children it is told by their list, and of nothing below them.
    let child = || lasting().changed(1, z(1, 2), vec![created("/p/a")]);
    reply(child().event(1, 7, "/p", ChildrenChanged, z(1, 2)), 3, 2).passes(Watches::new());
    reply(child(), 3, 2).violates(Watches::new(), late);
    reply(lasting().changed(1, z(1, 2), vec![created("/pp")]), 3, 2).passes(Watches::new());
}

#[test]
fn a_recursive_watch_is_owed_what_happens_below_but_no_lists() {
    let late = "lasting_lost_or_late";
    let below = || lasting().changed(1, z(1, 2), vec![created("/q/a"), created("/q/a/b")]);
    let a = |history: History| history.event(1, 7, "/q/a", Created, z(1, 2));
    reply(a(below()).event(1, 7, "/q/a/b", Created, z(1, 2)), 3, 2).passes(Watches::new());
    reply(a(below()), 3, 2).violates(Watches::new(), late);
    reply(lasting().changed(1, z(1, 2), vec![created("/r")]), 3, 2).passes(Watches::new());
    // A server that lags was asked: what came after its state is owed.
    let lagged = History::new()
        .connected(1, 7)
        .changed(1, z(1, 1), vec![created("/q")])
        .changed(1, z(1, 2), vec![created("/q/a")])
        .done(1, 1, add_watch_recursive("/q"), ok(z(1, 1)));
    reply(lagged, 2, 2).violates(Watches::new(), late);
}

#[test]
fn what_a_lasting_watch_missed_is_hinted_at_when_its_client_is_back() {
    let late = "lasting_lost_or_late";
    let away =
        || lasting().disconnected(1).changed(1, z(1, 2), vec![created("/q/a"), created("/q/a/b")]);
    let back = |history: History| history.reconnected(1, 7);
    reply(back(away()), 3, 2).violates(Watches::new(), late);
    for at_or_above in ["/q", "/q/a"] {
        let hinted = back(away()).event(1, 7, at_or_above, ChildrenChanged, Zxid::ZERO);
        reply(hinted, 3, 2).passes(Watches::new());
    }
    let beside = back(away()).event(1, 7, "/q/a/b", Created, Zxid::ZERO);
    reply(beside, 3, 2).violates(Watches::new(), late);
    // The change came before the server had the watches: the catch-up tells it.
    let amid = lasting().disconnected(1).reconnected(1, 7);
    let amid = amid.changed(1, z(1, 2), vec![created("/q/a")]);
    reply(amid.event(1, 7, "/q", ChildrenChanged, Zxid::ZERO), 3, 2).passes(Watches::new());
    // A hint does not settle what it was connected for.
    let here = lasting().changed(1, z(1, 2), vec![created("/q/a")]);
    let here = here.event(1, 7, "/q", ChildrenChanged, Zxid::ZERO);
    reply(here, 3, 2).violates(Watches::new(), late);
}

#[test]
fn a_lasting_watch_that_is_given_up_ends_with_its_connection() {
    let given_up = |watch| lasting().gave_up(1, 7, watch, "/q");
    let away = |history: History| {
        history.disconnected(1).changed(1, z(1, 2), vec![created("/q/a")]).reconnected(1, 7)
    };
    reply(away(given_up(WatchKind::Recursive)), 3, 2).passes(Watches::new());
    reply(away(given_up(WatchKind::Persistent)), 3, 2)
        .violates(Watches::new(), "lasting_lost_or_late");
    // The server does not know before.
    let here = given_up(WatchKind::Recursive).changed(1, z(1, 2), vec![created("/q/a")]);
    reply(here, 3, 2).violates(Watches::new(), "lasting_lost_or_late");
}

#[test]
fn a_lasting_watch_of_a_client_that_asks_for_nothing_is_told_after_healing() {
    let healed = lasting()
        .changed(1, z(1, 2), vec![created("/q/a")])
        .phase("heal")
        .after_ms(5_001)
        .heard(2, 7);
    healed.violates(Watches::new(), "never_told");
}

#[test]
fn giving_one_kind_of_watch_up_leaves_the_others_on_the_path() {
    let both = || watcher().done(1, 2, watching(children("/a")), ok_with(z(1, 1), 0, 0, z(1, 1)));
    let away = |history: History| {
        let gone = history.disconnected(1).changed(1, z(1, 2), vec![created("/a/b")]);
        reply(gone.reconnected(1, 7), 3, 2)
    };
    away(both().gave_up(1, 7, WatchKind::Data, "/a")).violates(Watches::new(), "lost_or_late");
    away(both().gave_up(1, 7, WatchKind::Children, "/a")).passes(Watches::new());
}

#[test]
fn a_lasting_watch_is_owed_nothing_that_came_before_it() {
    let renewed = || {
        lasting()
            .changed(1, z(1, 2), vec![data_set("/p", 1)])
            .done(1, 3, remove_watches("/p"), ok(z(1, 1)))
            .done(1, 4, add_watch_recursive("/"), ok(z(1, 2)))
    };
    reply(renewed(), 5, 2).passes(Watches::new());
    reply(renewed().changed(1, z(1, 3), vec![data_set("/p", 2)]), 5, 3)
        .violates(Watches::new(), "lasting_lost_or_late");
}
