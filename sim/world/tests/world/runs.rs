//! Runs: the same again, and what ends them before their time.

use crate::stage::{Stage, address, asker, count, echo, idle, logger, nodes, tell, told};
use mailstorm_platform::{Endpoint, NetworkEvent, Platform};
use mailstorm_record::{Event, FaultKind, Happening, Run};
use mailstorm_shared::Millis;
use mailstorm_world::{Limits, Process, Recording, RunSpec, Scenario, Window, run, storm};
use std::ops::ControlFlow;

fn stormy() -> Stage {
    Stage::new()
        .server(1, logger)
        .server(2, logger)
        .server(3, logger)
        .client("c1", |p| asker(p, &["s1:1", "s2:1", "s3:1"]))
        .client("c2", |p| asker(p, &["s3:1", "s2:1"]))
        .until("asked")
        .in_a_swarm()
}

#[track_caller]
fn check_same_again(spec: &RunSpec) -> Run {
    let (first, second) = (run(spec), run(spec));
    assert!(first == second, "seed {} is not deterministic", spec.seed);
    first
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    for seed in 0..10 {
        check_same_again(&stormy().spec(seed));
    }
    let (one, two) = (stormy().run(1).outcome, stormy().run(2).outcome);
    assert_ne!(one.trace_hash, two.trace_hash);
    assert_ne!(one.draws, two.draws);
    assert_ne!(one.states, two.states);
}

#[test]
fn a_run_is_the_same_whether_it_is_recorded_or_not() {
    for seed in 0..5 {
        let full = stormy().run(seed);
        let digest = run(&RunSpec { recording: Recording::Digest, ..stormy().spec(seed) });
        assert_eq!(full.outcome, digest.outcome);
        assert!(digest.events.is_none());
        let faults = run(&RunSpec { recording: Recording::Faults, ..stormy().spec(seed) });
        assert_eq!(full.outcome, faults.outcome);
        let all = full.events.expect("everything is recorded");
        let began = |event: &&Event| matches!(event.happening, Happening::FaultBegan { .. });
        let told = faults.events.expect("faults are recorded");
        assert!(told.iter().filter(began).eq(all.iter().filter(began)));
        assert!(told.len() < all.len());
    }
}

#[test]
fn a_plan_given_back_to_its_run_gives_the_same_run() {
    for seed in 0..5 {
        let drawn = stormy().run(seed);
        let text = drawn.plan.to_toml();
        let names = stormy().topology().names();
        let plan = mailstorm_record::Plan::parse(&text, "plan.toml", &names);
        let plan = Some(plan.expect("our own words"));
        let again = run(&RunSpec { plan, ..stormy().spec(seed) });
        assert!(drawn == again, "seed {seed}: {text}");
    }
}

#[test]
fn a_storm_is_as_long_as_its_plan_says() {
    let quick = |lasts_ms| {
        let stage = Stage::new().client("c1", |process| async move {
            tell(&process.platform, "done");
            loop {
                process.platform.sleep(Millis(1_000)).await;
            }
        });
        let plan = mailstorm_record::Plan { lasts_ms, ..mailstorm_record::Plan::default() };
        run(&RunSpec { plan: Some(plan), ..stage.spec(1) }).outcome.virtual_ns / 1_000_000
    };
    assert_eq!((quick(None), quick(Some(7_000))), (50, 7_000));
}

/// What a process shows that counts to some number.
struct Counted(u64);

impl Window for Counted {
    fn glance(&self) -> Option<u64> {
        Some(self.0)
    }
    fn look(&self) -> Option<u64> {
        Some(self.0)
    }
}

#[test]
fn what_a_process_shows_is_part_of_its_states_and_every_look_is_recorded() {
    let shows = |number| {
        Stage::new().client("c1", move |process| async move {
            process.platform.show(Counted(number));
            process.platform.sleep(Millis(3_500)).await;
            tell(&process.platform, "done");
            idle(process).await;
        })
    };
    let (one, two) = (shows(1).run(1), shows(2).run(1));
    assert_eq!(one.outcome.trace_hash, two.outcome.trace_hash);
    assert_eq!(one.outcome.draws, two.outcome.draws);
    assert_ne!(one.outcome.states, two.outcome.states);
    let state = |event: &mailstorm_record::Event| match event.happening {
        mailstorm_record::Happening::State { hash } => Some((event.at_ns / 1_000_000_000, hash.0)),
        _ => None,
    };
    let looks: Vec<_> = one.events.expect("recorded").iter().filter_map(state).collect();
    assert_eq!(looks, [(1, 1), (2, 1), (3, 1)]);
}

/// What two nodes that no fault touches do, at which time.
fn bystanders(run: &Run) -> Vec<mailstorm_record::Event> {
    let untouched = |e: &&mailstorm_record::Event| {
        e.node.as_ref().is_some_and(|n| ["c1", "s1"].contains(&&*n.0))
            && !matches!(
                e.happening,
                mailstorm_record::Happening::Sent { .. }
                    | mailstorm_record::Happening::Delivered { .. }
            )
    };
    run.events.as_ref().expect("recorded").iter().filter(untouched).cloned().collect()
}

/// Asks one server again and again, and tells of every answer; gives up after a second.
async fn pinger(process: Process, server: &'static str) {
    let platform = process.platform;
    let endpoint = platform.endpoint();
    let mut answers = 0;
    loop {
        let connection = endpoint.connect(&address(server));
        endpoint.send(connection, vec![7; 100].into());
        endpoint.wake_at(Some(platform.now().monotonic + Millis(1_000)));
        match endpoint.next().await {
            NetworkEvent::Connected { .. } => {}
            _ => continue,
        }
        while let NetworkEvent::Received { .. } = endpoint.next().await {
            answers += 1;
            tell(&platform, &format!("{answers} {}", platform.entropy()));
            if answers == 2_000 && server == "s1:1" {
                tell(&platform, "done");
            }
            endpoint.send(connection, vec![7; 100].into());
            endpoint.wake_at(Some(platform.now().monotonic + Millis(1_000)));
        }
        endpoint.close(connection);
    }
}

/// Tasks that are ready at the same time run in an order that madsim draws, from the one stream of
/// its own. So no two tasks of the nodes that are compared here are ever ready at the same time.
#[test]
fn a_fault_taken_out_moves_no_draw_of_any_other_source() {
    // c1 talks to s1, c2 to s2: two worlds that share nothing but the seed.
    let stage = || {
        Stage::new()
            .server(1, logger)
            .server(2, logger)
            .client("c1", |p| pinger(p, "s1:1"))
            .client("c2", |p| pinger(p, "s2:1"))
    };
    let crash = || FaultKind::Crash { nodes: nodes(&["s1"]) };
    for seed in 0..5 {
        let kept = FaultKind::Slow { nodes: nodes(&["c1"]), delay_ms: 30, kib_per_second: 0 };
        let gone = FaultKind::Corrupt { nodes: nodes(&["s2"]), per_million: 500_000 };
        let other = FaultKind::DiskSlow { nodes: nodes(&["s2"]), factor: 9 };
        let with = stage()
            .fault(500, 2_000, other)
            .fault(700, 1_000, gone)
            .fault(1_000, 1_000, crash())
            .fault(2_500, 1_000, kept.clone());
        let without = stage().fault(1_000, 1_000, crash()).fault(2_500, 1_000, kept);
        let (with, without) = (bystanders(&with.run(seed)), bystanders(&without.run(seed)));
        let differs = with.iter().zip(&without).find(|(with, without)| with != without);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(with.len(), without.len());
    }
}

#[track_caller]
fn check_violation(stage: &Stage, checker: &str, kind: &str, detail: &str) {
    let run = stage.run(1);
    let violation = run.outcome.violations().next().expect("it fires");
    assert_eq!((&*violation.checker, &*violation.kind), (checker, kind), "{violation:?}");
    assert!(violation.detail.contains(detail), "{violation:?}");
    check_same_again(&stage.spec(1));
}

#[test]
fn a_panic_is_a_violation_that_says_where() {
    let panics = |process: Process| async move {
        process.platform.sleep(Millis(1_000)).await;
        panic!("the log ends before it starts");
    };
    check_violation(
        &Stage::new().client("c1", panics).client("c2", echo),
        "panic",
        "panic",
        "the log ends before it starts (sim/world/tests/world/runs.rs:",
    );
    let spawned = |process: Process| async move {
        let platform = process.platform.clone();
        platform.clone().spawn(async move {
            platform.sleep(Millis(7)).await;
            panic!("in a task of its own");
        });
        idle(process).await;
    };
    let run = Stage::new().client("c1", spawned).run(1);
    let violation = run.outcome.violations().next().expect("it fires").clone();
    assert_eq!((violation.at_ns / 1_000_000, violation.nodes), (7, nodes(&["c1"])));
}

#[test]
fn a_world_in_which_nothing_can_happen_is_a_violation() {
    let stage = Stage::new().client("c1", idle);
    check_violation(&stage, "dead-end", "dead-end", "nothing can ever happen again: no `done`");
}

#[test]
fn a_run_without_progress_is_a_violation() {
    let ticks = |process: Process| async move {
        loop {
            process.platform.sleep(Millis(1_000)).await;
        }
    };
    let stage = Stage::new().client("c1", ticks);
    check_violation(&stage, "convergence", "not-done", "within 2 min of virtual time: no `done`");
}

#[test]
fn a_livelock_is_a_violation_whether_time_passes_in_it_or_not() {
    let busy = |process: Process| async move {
        loop {
            process.platform.sleep(Millis(0)).await;
        }
    };
    let mut stage = Stage::new().client("c1", busy);
    stage.limits = Limits { events_max: 10_000, ..stage.limits };
    check_violation(&stage, "bound", "events", "10000 events and no end");
    let spins = |_: Process| async move {
        std::future::poll_fn(|context| {
            context.waker().wake_by_ref();
            std::task::Poll::<()>::Pending
        })
        .await;
    };
    let stage = Stage::new().client("c1", spins).client("c2", echo);
    check_violation(&stage, "bound", "polls", "run and run");
}

#[test]
fn a_sweep_tells_its_runs_in_order_on_any_number_of_threads() {
    let quick = Stage::new().client("c1", |process| async move {
        process.platform.sleep(Millis(process.platform.entropy() % 1_000)).await;
        tell(&process.platform, "done");
        idle(process).await;
    });
    let sweep = |jobs: usize, last: u64| {
        let mut seen = Vec::new();
        let specs = (0..200).map(|seed| quick.spec(seed));
        let told = storm(specs, jobs, |run| {
            seen.push((run.seed, run.outcome.trace_hash));
            if run.seed == last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(told as usize, seen.len());
        seen
    };
    let alone = sweep(1, 1_000);
    assert_eq!(
        alone.iter().map(|(seed, _)| *seed).collect::<Vec<_>>(),
        (0..200).collect::<Vec<_>>()
    );
    assert_eq!(sweep(3, 1_000), alone);
    assert_eq!(sweep(3, 42), alone[..43]);
}

#[test]
fn a_full_recording_tells_of_every_message_and_its_arrival() {
    use mailstorm_record::Happening::{Delivered, Sent};
    let stage = Stage::new().server(1, logger).client("c1", |p| asker(p, &["s1:1"])).until("asked");
    let run = stage.run(1);
    let events = run.events.as_ref().expect("recorded");
    // Nobody here puts messages into words, so each is marked as what it is: undecoded.
    let with = |words: &str| {
        let is_it = |e: &&Event| matches!(&e.happening, Sent { label, .. } if &**label == words);
        events.iter().filter(is_it).count()
    };
    let (requests, answers) = (with("undecoded, to s1:1"), with("undecoded, from s1:1"));
    assert!(requests > 0 && answers > 0, "{requests} requests, {answers} answers");
    let sent = requests + answers;
    let delivered = events.iter().filter(|e| matches!(e.happening, Delivered { .. })).count();
    assert!(
        sent > 10 && delivered >= sent - 2,
        "{sent} sent, {delivered} delivered, {:?}",
        told(&run)
    );
    assert_eq!(delivered as u64, run.outcome.messages);
    assert!(count(&run, "asked") > 0);
}
