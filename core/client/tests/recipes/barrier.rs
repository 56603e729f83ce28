//! The barriers.

use crate::network::Break;
use crate::world::{World, give_up_after};
use mailstorm_client::barrier::{Barrier, DoubleBarrier};
use mailstorm_shared::Millis;
use mailstorm_wire::client::{CreateMode, Request, Write};
use std::cell::Cell;
use std::rc::Rc;

#[test]
fn everybody_waits_until_the_barrier_is_lifted() {
    let world = World::new();
    let (_, client) = world.client();
    let story = world.clone();
    world.run(async move {
        let barrier = Barrier::new(&client, "/gate");
        barrier.wait().await.unwrap();
        barrier.lower().await.unwrap();
        barrier.lower().await.unwrap();
        let passed = Rc::new(Cell::new(0));
        for _ in 0..3 {
            let (process, client) = story.client();
            let passed = passed.clone();
            story.spawn(process.id, async move {
                Barrier::new(&client, "/gate").wait().await.unwrap();
                passed.set(passed.get() + 1);
            });
        }
        story.sleep(Millis(200)).await;
        assert_eq!(passed.get(), 0);
        barrier.lift().await.unwrap();
        story.sleep(Millis(10)).await;
        assert_eq!(passed.get(), 3);
    });
}

#[test]
fn a_group_begins_together_and_ends_together_round_after_round() {
    const SIZE: usize = 4;
    let world = World::new();
    let (_, first) = world.client();
    let story = world.clone();
    world.run(async move {
        first.ensure_path("/group").await.unwrap();
        let entered = Rc::new(Cell::new(0));
        let left = Rc::new(Cell::new(0));
        for member in 0..SIZE {
            let (process, client) = story.client();
            let (world, entered, left) = (story.clone(), entered.clone(), left.clone());
            story.spawn(process.id, async move {
                let barrier = DoubleBarrier::new(&client, "/group", &member.to_string(), SIZE);
                for round in 0..3 {
                    // Not all at once, and one of them with a reply lost.
                    world.sleep(Millis(10 * member as u64)).await;
                    if member == round {
                        world.break_around(process.id, Break::AfterServer, |request| {
                            matches!(
                                request,
                                Request::Write(Write::Create { mode: CreateMode::Ephemeral, .. })
                            )
                        });
                    }
                    entered.set(entered.get() + 1);
                    barrier.enter().await.unwrap();
                    assert_eq!(entered.get(), SIZE * (round + 1), "began before all had entered");
                    world.sleep(Millis(10 * (SIZE - member) as u64)).await;
                    left.set(left.get() + 1);
                    barrier.leave().await.unwrap();
                    assert_eq!(left.get(), SIZE * (round + 1), "went before all had ended");
                }
            });
        }
        while left.get() < 3 * SIZE {
            story.sleep(Millis(10)).await;
        }
        story.sleep(Millis(100)).await;
        assert_eq!(story.traps_left(), 0);
        assert!(first.children("/group").await.unwrap().0.is_empty());
    });
}

#[test]
fn a_member_who_learns_late_that_all_have_left_does_not_wait_for_the_next_round() {
    let world = World::new();
    let (_, quick) = world.client();
    let (slow_process, slow) = world.client();
    let story = world.clone();
    world.run(async move {
        quick.ensure_path("/group").await.unwrap();
        let rounds = Rc::new(Cell::new(0));
        let done = rounds.clone();
        story.spawn(slow_process.id, async move {
            let barrier = DoubleBarrier::new(&slow, "/group", "b", 2);
            for _ in 0..2 {
                barrier.enter().await.unwrap();
                barrier.leave().await.unwrap();
                done.set(done.get() + 1);
            }
        });
        let barrier = DoubleBarrier::new(&quick, "/group", "a", 2);
        barrier.enter().await.unwrap();
        // The other one has deleted his znode and waits for ours; what follows reaches him late.
        story.sleep(Millis(50)).await;
        story.isolate(slow_process.id);
        barrier.leave().await.unwrap();
        let again = barrier.enter();
        give_up_after(&story, Millis(50), again).await;
        story.rejoin(slow_process.id);
        barrier.enter().await.unwrap();
        assert_eq!(rounds.get(), 1);
        barrier.leave().await.unwrap();
        story.sleep(Millis(50)).await;
        assert_eq!(rounds.get(), 2);
        assert!(quick.children("/group").await.unwrap().0.is_empty());
    });
}

#[test]
fn a_member_who_dies_inside_does_not_hold_the_others() {
    let world = World::new();
    let (_, alice) = world.client();
    let story = world.clone();
    world.run(async move {
        alice.ensure_path("/group").await.unwrap();
        let (process, bob) = story.client();
        story.spawn(process.id, async move {
            DoubleBarrier::new(&bob, "/group", "bob", 2).enter().await.unwrap();
            std::future::pending::<()>().await;
        });
        let barrier = DoubleBarrier::new(&alice, "/group", "alice", 2);
        barrier.enter().await.unwrap();
        process.kill();
        barrier.leave().await.unwrap();
    });
}
