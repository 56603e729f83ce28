//! The lock and the election.

use crate::network::Break;
use crate::world::{Process, SESSION_TIMEOUT, World, give_up_after};
use mailstorm_client::election::Election;
use mailstorm_client::lock::Lock;
use mailstorm_client::{CallError, Client, SessionState};
use mailstorm_session::outstanding::OPERATIONS_OUTSTANDING_MAX;
use mailstorm_shared::facts::ApplicationFact;
use mailstorm_shared::{Millis, Observation};
use mailstorm_wire::client::{CreateMode, Request, Write};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

fn joins(request: &Request) -> bool {
    matches!(request, Request::Write(Write::Create { mode: CreateMode::EphemeralSequential, .. }))
}

async fn prepare(client: &Client<Process>) {
    client.ensure_path("/locks/mail").await.expect("nothing is broken yet");
}

async fn contenders(client: &Client<Process>) -> usize {
    client.sync("/").await.expect("a sync is retried");
    client.children("/locks/mail").await.expect("the lock exists").0.len()
}

#[test]
fn never_two_hold_the_lock_and_tokens_grow() {
    let world = World::new();
    let (_, first) = world.client();
    let inside = Rc::new(Cell::new(0));
    let tokens = Rc::new(RefCell::new(Vec::new()));
    let done = Rc::new(Cell::new(0));
    let story = world.clone();
    let (tokens_seen, rounds) = (tokens.clone(), done.clone());
    world.run(async move {
        prepare(&first).await;
        for _ in 0..5 {
            let (process, client) = story.client();
            let (inside, tokens, done) = (inside.clone(), tokens.clone(), done.clone());
            let world = story.clone();
            let machine = process.clone();
            story.spawn(process.id, async move {
                let lock = Lock::new(&client, "/locks/mail");
                for round in 0..4 {
                    let held = lock.acquire("").await.unwrap();
                    assert_eq!(inside.replace(1), 0, "somebody else is inside");
                    tokens.borrow_mut().push(held.token());
                    world.sleep(Millis(7)).await;
                    // A short cut changes nothing: the session lives.
                    if round == 2 {
                        world.cut(machine.id);
                    }
                    world.sleep(Millis(7)).await;
                    inside.set(0);
                    held.release().await.unwrap();
                    done.set(done.get() + 1);
                }
            });
        }
        while rounds.get() < 20 {
            story.sleep(Millis(100)).await;
        }
        assert_eq!(contenders(&first).await, 0);
    });
    let tokens = tokens_seen.borrow();
    assert!(tokens.is_sorted_by(|a, b| a < b), "{tokens:?}");
}

#[test]
fn a_create_whose_reply_is_lost_leaves_no_orphan() {
    for when in [Break::AfterServer, Break::BeforeServer] {
        let world = World::new();
        let (process, client) = world.client();
        let story = world.clone();
        world.run(async move {
            prepare(&client).await;
            for lost in 1..=3 {
                for _ in 0..lost {
                    story.break_around(process.id, when, joins);
                }
                let held = Lock::new(&client, "/locks/mail").acquire("me").await.unwrap();
                assert_eq!(contenders(&client).await, 1, "{when:?}");
                let stat = client.exists(held.path().clone()).await.unwrap().unwrap();
                assert_eq!(stat.czxid, held.token());
                held.release().await.unwrap();
                assert_eq!(contenders(&client).await, 0);
                // Found at once where it was made; otherwise every create was lost.
                let left = if when == Break::AfterServer { lost - 1 } else { 0 };
                assert_eq!(story.traps_left(), left);
                story.disarm();
            }
        });
    }
}

#[test]
fn a_contender_in_doubt_writes_before_it_looks() {
    // Looking alone would do with our own server, which resumes a session only when nothing of its
    // old connection is in flight; others answer sooner.
    let world = World::new();
    let (process, client) = world.client();
    let story = world.clone();
    world.run(async move {
        prepare(&client).await;
        story.break_around(process.id, Break::AfterServer, joins);
        let _held = Lock::new(&client, "/locks/mail").acquire("").await.unwrap();
        let requests = story.requests(process.id);
        let create = requests.iter().position(joins).unwrap();
        assert!(matches!(requests[create + 1], Request::Multi(_)));
        assert!(matches!(requests[create + 2], Request::Children { .. }));
    });
}

#[test]
fn two_who_begin_with_the_lock_do_not_take_each_others_znode_for_their_own() {
    let world = World::new();
    let (_, first) = world.client();
    let story = world.clone();
    world.run(async move {
        prepare(&first).await;
        let held = Rc::new(RefCell::new(Vec::new()));
        for _ in 0..2 {
            let (process, client) = story.client();
            let held = held.clone();
            story.break_around(process.id, Break::AfterServer, joins);
            story.spawn(process.id, async move {
                // The first call of its life: there is no session yet.
                let lock = Lock::new(&client, "/locks/mail").acquire("").await.unwrap();
                held.borrow_mut().push(lock.path().clone());
                lock.lost().await;
            });
        }
        story.sleep(Millis(500)).await;
        assert_eq!(held.borrow().len(), 1);
        assert_eq!(contenders(&first).await, 2);
    });
}

#[test]
fn giving_the_lock_up_wakes_one_contender_and_not_the_herd() {
    let world = World::new();
    let (_, holder) = world.client();
    let story = world.clone();
    world.run(async move {
        prepare(&holder).await;
        let held = Lock::new(&holder, "/locks/mail").acquire("").await.unwrap();
        let acquired = Rc::new(Cell::new(0));
        let waiting: Vec<_> = (0..6).map(|_| story.client()).collect();
        for (process, client) in &waiting {
            let (client, acquired) = (client.clone(), acquired.clone());
            process.world.clone().spawn(process.id, async move {
                let held = Lock::new(&client, "/locks/mail").acquire("").await.unwrap();
                acquired.set(acquired.get() + 1);
                // Kept, so that nobody else is woken.
                held.lost().await;
            });
            story.sleep(Millis(10)).await;
        }
        // Every later request of a contender but a ping is a sign of having been woken.
        let busy = || -> Vec<usize> {
            let asked = |process: &Process| {
                let requests = story.requests(process.id);
                requests.iter().filter(|request| **request != Request::Ping).count()
            };
            waiting.iter().map(|(process, _)| asked(process)).collect()
        };
        let before = busy();
        held.release().await.unwrap();
        story.sleep(Millis(100)).await;
        assert_eq!(acquired.get(), 1);
        let woken: Vec<bool> = before.iter().zip(busy()).map(|(a, b)| *a != b).collect();
        assert_eq!(woken, [true, false, false, false, false, false]);
    });
}

#[test]
fn a_holder_learns_that_his_session_is_over_and_the_next_one_holds_the_lock() {
    let world = World::new();
    let (process, old) = world.client();
    let (_, new) = world.client();
    let story = world.clone();
    world.run(async move {
        prepare(&old).await;
        let held = Lock::new(&old, "/locks/mail").acquire("old").await.unwrap();
        assert!(held.is_held());
        story.isolate(process.id);
        let next = Lock::new(&new, "/locks/mail").acquire("new").await.unwrap();
        assert!(!held.is_held(), "not certain any more");
        assert!(next.token() > held.token());
        story.rejoin(process.id);
        held.lost().await;
        assert_eq!(held.release().await, Err(CallError::SessionExpired));
        assert!(next.is_held());
    });
}

#[test]
fn a_holder_learns_that_his_znode_was_deleted() {
    let world = World::new();
    let (_, holder) = world.client();
    let (_, operator) = world.client();
    world.run(async move {
        prepare(&holder).await;
        let held = Lock::new(&holder, "/locks/mail").acquire("").await.unwrap();
        // Only looked at: still ours.
        operator.set_data(held.path().clone(), None, -1).await.unwrap();
        holder.sync("/").await.unwrap();
        assert!(held.is_held());
        operator.delete(held.path().clone(), -1).await.unwrap();
        held.lost().await;
        holder.sync("/").await.unwrap();
        assert!(!held.is_held());
        assert_eq!(holder.state(), SessionState::Connected);
    });
}

#[test]
fn whoever_gives_up_waiting_or_drops_the_lock_leaves_no_znode_behind() {
    let world = World::new();
    let (process, client) = world.client();
    let (_, other) = world.client();
    let story = world.clone();
    world.run(async move {
        prepare(&client).await;
        let lock = Lock::new(&client, "/locks/mail");
        let held = lock.acquire("").await.unwrap();
        let (other_lock, one) = (Lock::new(&other, "/locks/mail"), Millis(1));
        // Given up at every stage of waiting: create in flight, reads in flight, watching.
        for patience in [0, 1, 2, 3, 5, 50] {
            give_up_after(&story, Millis(patience), other_lock.acquire("")).await;
        }
        assert_eq!(other_lock.try_acquire("").await.unwrap().map(|held| held.token()), None);
        story.sleep(Millis(20)).await;
        assert_eq!(contenders(&client).await, 1);
        // Dropped, and the delete's reply is lost.
        story.break_around(process.id, Break::BeforeServer, |request| {
            matches!(request, Request::Write(Write::Delete { .. }))
        });
        drop(held);
        story.sleep(one).await;
        let next = other_lock.acquire("").await.unwrap();
        assert_eq!(story.traps_left(), 0);
        assert!(next.is_held());
    });
}

#[test]
fn a_lock_that_is_dropped_amid_more_calls_than_may_be_under_way_is_given_up() {
    let world = World::new();
    let (_, client) = world.client();
    let (_, other) = world.client();
    world.run(async move {
        prepare(&client).await;
        let held = Lock::new(&client, "/locks/mail").acquire("").await.unwrap();
        let reads: Vec<_> = (0..OPERATIONS_OUTSTANDING_MAX).map(|_| client.exists("/")).collect();
        assert_eq!(client.exists("/").await, Err(CallError::TooManyOutstanding));
        drop(held);
        for read in reads {
            read.await.unwrap();
        }
        Lock::new(&other, "/locks/mail").acquire("").await.unwrap();
    });
}

#[test]
fn a_contender_in_doubt_waits_until_it_can_find_out() {
    let world = World::new();
    let (process, client) = world.client();
    let story = world.clone();
    world.run(async move {
        prepare(&client).await;
        let (busy, full) = (client.clone(), Rc::new(Cell::new(false)));
        let seen = full.clone();
        story.spawn(process.id, async move {
            // So much is requested, as soon as the connection is lost, that there is no room to
            // settle.
            busy.state_changed().await;
            let reads: Vec<_> = (0..OPERATIONS_OUTSTANDING_MAX).map(|_| busy.exists("/")).collect();
            seen.set(busy.exists("/").await == Err(CallError::TooManyOutstanding));
            for read in reads {
                read.await.unwrap();
            }
        });
        story.sleep(Millis(1)).await;
        story.break_around(process.id, Break::AfterServer, joins);
        let held = Lock::new(&client, "/locks/mail").acquire("").await.unwrap();
        assert!(full.get() && story.traps_left() == 0);
        held.release().await.unwrap();
        assert_eq!(contenders(&client).await, 0);
    });
}

#[test]
fn leadership_passes_on_when_the_leader_is_cut_off_and_he_knows_it_first() {
    let world = World::new();
    let (process, alice) = world.client();
    let (_, bob) = world.client();
    let story = world.clone();
    world.run(async move {
        alice.ensure_path("/election").await.unwrap();
        let reign = Election::new(&alice, "/election", "alice").lead().await.unwrap();
        assert!(reign.leads());
        // Cut for a moment: in doubt, then leader again under the same token.
        story.isolate(process.id);
        assert_eq!(alice.state_changed().await, SessionState::Suspended);
        assert!(!reign.leads());
        story.rejoin(process.id);
        assert_eq!(alice.state_changed().await, SessionState::Connected);
        assert!(reign.leads());
        // Cut for good.
        story.isolate(process.id);
        let cut_at = story.now();
        let next = Election::new(&bob, "/election", "bob").lead().await.unwrap();
        assert!(story.now() - cut_at >= SESSION_TIMEOUT);
        assert!(next.token() > reign.token());
        story.rejoin(process.id);
        reign.lost().await;
        next.resign().await.unwrap();
    });
    let beliefs: Vec<String> = world
        .observed()
        .into_iter()
        .filter_map(|observation| match observation {
            Observation::Application(ApplicationFact::MasterBelieves { candidate, .. }) => {
                Some(format!("{candidate} believes"))
            }
            Observation::Application(ApplicationFact::MasterResigns { candidate, .. }) => {
                Some(format!("{candidate} resigns"))
            }
            _ => None,
        })
        .collect();
    let expected = [
        "alice believes",
        "alice resigns",
        "alice believes",
        "alice resigns",
        "bob believes",
        "bob resigns",
    ];
    assert_eq!(beliefs, expected);
}

#[test]
fn a_reign_that_is_dropped_is_told_to_onlookers_before_the_next_one_begins() {
    let world = World::new();
    let (_, alice) = world.client();
    let (_, bob) = world.client();
    world.run(async move {
        alice.ensure_path("/election").await.unwrap();
        drop(Election::new(&alice, "/election", "alice").lead().await.unwrap());
        let reign = Election::new(&bob, "/election", "bob").lead().await.unwrap();
        reign.resign().await.unwrap();
    });
    let mut leads = false;
    for observation in world.observed() {
        match observation {
            Observation::Application(ApplicationFact::MasterBelieves { .. }) => {
                assert!(!std::mem::replace(&mut leads, true))
            }
            Observation::Application(ApplicationFact::MasterResigns { .. }) => {
                assert!(std::mem::replace(&mut leads, false))
            }
            _ => {}
        }
    }
}
