//! Life and death of processes, their clocks and their memory.

use crate::stage::{Stage, address, connect, count, echo, idle, nodes, tell, told, when};
use mailstorm_platform::{Disk, Endpoint, NetworkEvent, Platform};
use mailstorm_record::{FaultKind, Happening};
use mailstorm_shared::Millis;
use mailstorm_world::{NodeSpec, Process, SimPlatform};

/// Counts every 100 ms, in memory, and tells of each number.
async fn counter(process: Process) {
    for number in 0.. {
        tell(&process.platform, &format!("{number}"));
        process.platform.sleep(Millis(100)).await;
    }
}

#[test]
fn a_paused_process_wakes_with_its_memory() {
    let pause = FaultKind::Pause { nodes: nodes(&["c1"]) };
    Stage::new().client("c1", counter).until("50").fault(1_050, 9_000, pause).check(|run| {
        assert!(when(run, "10").abs_diff(1_000) <= 1);
        let woken = when(run, "11");
        assert!((10_050..10_060).contains(&woken), "{woken}: its sleep was over long ago");
        assert!(when(run, "12").abs_diff(woken + 100) <= 1);
        assert_eq!(count(run, "11"), 1);
    });
}

#[test]
fn a_process_that_is_started_again_has_forgotten_everything() {
    let crash = FaultKind::Crash { nodes: nodes(&["c1"]) };
    Stage::new().client("c1", counter).until("50").fault(1_050, 2_000, crash).check(|run| {
        assert_eq!((count(run, "0"), count(run, "10"), count(run, "11")), (2, 2, 1));
        let again = told(run).into_iter().filter(|t| t.2 == "0").nth(1).expect("told twice").0;
        assert_eq!(again, 3_050);
    });
}

#[test]
fn sleeps_and_timers_are_over_when_the_nodes_own_clock_says_so() {
    let drift = FaultKind::Drift { nodes: nodes(&["c1"]), ppm: -500_000 };
    let stage = Stage::new().client("c1", |process| async move {
        let platform = process.platform.clone();
        let began = platform.now().monotonic;
        let endpoint = platform.endpoint();
        platform.sleep(Millis(2_000)).await;
        assert_eq!(platform.now().monotonic, began + Millis(2_000));
        tell(&platform, "slept");
        endpoint.wake_at(Some(began + Millis(10_000)));
        endpoint.wake_at(Some(began + Millis(3_000)));
        endpoint.wake_at(Some(began + Millis(4_000)));
        assert_eq!(endpoint.next().await, NetworkEvent::Woken);
        assert_eq!(platform.now().monotonic, began + Millis(4_000));
        tell(&platform, "done");
        endpoint.wake_at(Some(began));
        endpoint.wake_at(None);
        endpoint.next().await;
        tell(&platform, "woken though nobody asked");
    });
    // From 1 s on at half the speed (to a few millionths, by which every clock is wrong).
    stage.fault(1_000, 20_000, drift).check(|run| {
        assert!((2_998..=3_002).contains(&when(run, "slept")), "{:?}", told(run));
        assert!((6_998..=7_002).contains(&when(run, "done")), "{:?}", told(run));
        assert_eq!(told(run).len(), 2);
    });
}

/// Does everything a process can do, when it is dropped: too late.
struct Ghost {
    platform: SimPlatform,
    endpoint: mailstorm_world::platform::SimEndpoint,
    connection: mailstorm_platform::ConnectionId,
}

impl Drop for Ghost {
    fn drop(&mut self) {
        let Self { platform, endpoint, connection } = self;
        tell(platform, "a ghost tells");
        assert_eq!(platform.entropy(), 0);
        endpoint.send(*connection, vec![66].into());
        endpoint.connect(&address("c2:1"));
        assert_eq!(endpoint.backlog(*connection), 0);
        assert!(endpoint.listen(&address("c1:9")).is_ok());
        let (disk, late) = (platform.disk(), platform.clone());
        platform.endpoint().connect(&address("c2:1"));
        platform.spawn(async move {
            tell(&late, "a ghost spawns");
            let _ = disk.write("f", 0, vec![66].into()).await;
            tell(&late, "a ghost writes");
        });
        assert!(!platform.start_node("c2"));
    }
}

#[test]
fn a_dead_process_can_touch_nothing() {
    let crash = FaultKind::Crash { nodes: nodes(&["c1"]) };
    let stage = Stage::new()
        .client("c1", |process| async move {
            let platform = process.platform.clone();
            let endpoint = platform.endpoint();
            let listing = platform.disk().list().await.expect("the disk is well");
            assert!(listing.is_empty(), "a ghost wrote {listing:?}");
            endpoint.listen(&address("c1:9")).expect("no ghost listens");
            let connection = connect(&endpoint, "c2:1").await.expect("c2 listens");
            let ghost = Ghost { platform: platform.clone(), endpoint, connection };
            if process.incarnation == 1 {
                platform.sleep(Millis(2_000)).await;
                tell(&platform, "done");
            }
            idle(process).await;
            drop(ghost);
        })
        .client("c2", |process| async move {
            let endpoint = process.platform.endpoint();
            endpoint.listen(&address("c2:1")).expect("the port is free");
            loop {
                match endpoint.next().await {
                    NetworkEvent::Received { .. } => tell(&process.platform, "a ghost sends"),
                    NetworkEvent::Accepted { .. } => tell(&process.platform, "called"),
                    _ => {}
                }
            }
        });
    stage.fault(1_000, 1_000, crash).check(|run| {
        let names: Vec<_> = told(run).into_iter().map(|(_, _, name)| name).collect();
        assert_eq!(names, ["called", "called", "done"]);
    });
}

#[test]
fn a_program_that_ends_is_a_death_unless_it_may() {
    let mortal = |process: Process| async move {
        process.platform.sleep(Millis(1_000)).await;
        process.platform.last_words("the disk is full");
        if process.incarnation == 3 {
            tell(&process.platform, "done");
            process.platform.sleep(Millis(10)).await;
        }
    };
    Stage::new().client("c1", mortal).check(|run| {
        let events = run.events.as_ref().expect("recorded");
        let died =
            |h: &Happening| matches!(h, Happening::Crashed { why } if &**why == "the disk is full");
        let deaths = events.iter().filter(|e| died(&e.happening)).map(|e| e.at_ns / 1_000_000);
        assert!(deaths.zip([1_000, 2_500, 4_000]).all(|(at, expected)| at.abs_diff(expected) <= 4));
        assert!(when(run, "done").abs_diff(5_500) <= 5);
    });
    let lawful = Stage::new()
        .node(NodeSpec::client("c1").returns(), |p| async move { tell(&p.platform, "done") })
        .client("c2", echo);
    lawful.check(|run| assert_eq!(run.outcome.reached["crashes"], 0));
}

#[test]
fn a_process_can_have_a_spare_machine_started() {
    let stage = Stage::new()
        .client("c1", |process| async move {
            assert!(!process.platform.start_node("nobody"));
            process.platform.sleep(Millis(1_000)).await;
            assert!(process.platform.start_node("c2"));
            idle(process).await;
        })
        .node(NodeSpec::client("c2").spare(), |process| async move {
            tell(&process.platform, "done");
            idle(process).await;
        });
    stage.check(|run| assert!(when(run, "done").abs_diff(1_000) <= 1));
}

#[test]
fn overlapping_faults_keep_a_process_down_until_the_last_has_ended() {
    let crash = || FaultKind::Crash { nodes: nodes(&["c1"]) };
    let power = FaultKind::PowerCut { nodes: nodes(&["c1"]) };
    let stage = Stage::new().client("c1", counter).until("20");
    let stage =
        stage.fault(1_000, 3_000, crash()).fault(2_000, 5_000, crash()).fault(3_000, 1_500, power);
    stage.check(|run| {
        let events = run.events.as_ref().expect("recorded");
        let started = |h: &Happening| matches!(h, Happening::Started { .. });
        let times: Vec<u64> =
            events.iter().filter(|e| started(&e.happening)).map(|e| e.at_ns / 1_000_000).collect();
        assert_eq!(times, [0, 7_000]);
        let crashes = run.outcome.faults["crash"];
        assert_eq!((crashes.injected, crashes.effective), (2, 1));
        assert_eq!(run.outcome.faults["power_cut"].effective, 0);
    });
}

#[test]
fn a_pause_that_finds_its_process_down_is_told_and_counts_when_that_is_started() {
    let stage = Stage::new().client("c1", counter).until("20");
    let run = stage
        .fault(1_000, 2_000, FaultKind::Crash { nodes: nodes(&["c1"]) })
        .fault(2_000, 4_000, FaultKind::Pause { nodes: nodes(&["c1"]) })
        .run(1);
    assert_eq!(run.outcome.faults["pause"].effective, 1);
    let at = |wanted: &Happening| {
        let mut events = run.events.iter().flatten();
        events.find(|event| event.happening == *wanted).map(|event| event.at_ns / 1_000_000)
    };
    assert_eq!((at(&Happening::Paused), at(&Happening::Resumed)), (Some(3_000), Some(6_000)));
}

#[test]
fn a_process_that_dies_while_paused_is_started_paused() {
    let stage = Stage::new().client("c1", counter).until("20");
    let stage = stage.fault(1_000, 5_000, FaultKind::Pause { nodes: nodes(&["c1"]) }).fault(
        2_000,
        1_000,
        FaultKind::Crash { nodes: nodes(&["c1"]) },
    );
    stage.check(|run| {
        let again = told(run).into_iter().filter(|t| t.2 == "0").nth(1).expect("told twice").0;
        assert_eq!(again, 6_000);
    });
}
