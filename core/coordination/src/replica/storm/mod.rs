//! Replicas alone in a storm: thousands of short runs with broken links, partitions, pauses,
//! stalled disks, crashes and lost disks, each from one seed.
//!
//! Owns: a deterministic world for replicas ([`world`]), with disks that forget ([`disk`]) and
//! servers that count ([`server`]), and what must hold in it: at most one established leader per
//! epoch, one order of committed entries everywhere, every committed entry on a majority of disks
//! and in every later leader, confirmations that are true, and service again after the storm.
//! Leaves: clients and real time to the laboratory.
//! Holds: same seed, same run. A failure names the seed; `run(shape, seed)` plays it again.

mod disk;
mod server;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use world::{Reached, World};

/// What an ensemble of a run looks like.
#[derive(Clone, Copy, Debug)]
struct Shape {
    voters: u8,
    observers: u8,
    /// Whether disks get lost, as far as an ensemble must survive it.
    losses: bool,
}

/// Plays one seed.
fn run(shape: Shape, seed: u64) -> Result<Reached, String> {
    let played = catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(shape, seed);
        world.storm()?;
        world.heal_and_converge()?;
        Ok(world.reached)
    }));
    let result = played.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text
            .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
            .unwrap_or_default())
    });
    result.map_err(|what| format!("{shape:?} seed {seed}: {what}"))
}

/// Plays many seeds; `STORM_FACTOR` in the environment multiplies them.
fn storm(shape: Shape, seeds: u64) -> Reached {
    let factor = std::env::var("STORM_FACTOR").ok().and_then(|f| f.parse().ok()).unwrap_or(1);
    let mut reached = Reached::default();
    for seed in 1..=seeds * factor {
        match run(shape, seed) {
            Ok(one) => reached.add(&one),
            Err(what) => panic!("{what}"),
        }
    }
    reached
}

#[test]
fn a_single_server_serves_through_crashes() {
    let reached = storm(Shape { voters: 1, observers: 0, losses: false }, 200);
    assert!(reached.established > 200 && reached.committed > 1_000, "{reached:?}");
}

#[test]
fn three_voters_agree_through_any_storm() {
    let reached = storm(Shape { voters: 3, observers: 0, losses: false }, 600);
    reached.assert_full();
}

#[test]
fn four_voters_agree_through_any_storm() {
    let reached = storm(Shape { voters: 4, observers: 0, losses: false }, 300);
    reached.assert_full();
}

#[test]
fn five_voters_agree_through_any_storm() {
    let reached = storm(Shape { voters: 5, observers: 0, losses: false }, 300);
    reached.assert_full();
}

#[test]
fn observers_follow_and_never_count() {
    let reached = storm(Shape { voters: 3, observers: 2, losses: false }, 200);
    reached.assert_full();
}

#[test]
fn voters_that_lose_their_disk_are_admitted_again_and_nothing_is_lost() {
    for (voters, seeds) in [(3, 400), (4, 150), (5, 300)] {
        let reached = storm(Shape { voters, observers: 0, losses: true }, seeds);
        reached.assert_full();
        assert!(reached.disks_lost > 20 && reached.admitted > 20, "{reached:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let shape = Shape { voters: 5, observers: 1, losses: true };
    for seed in 1..20 {
        let hashes = [0, 1].map(|_| {
            let mut world = World::new(shape, seed);
            world.storm().unwrap();
            world.state_hash()
        });
        assert_eq!(hashes[0], hashes[1], "seed {seed}");
    }
}
