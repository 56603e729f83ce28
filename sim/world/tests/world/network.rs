//! Byte streams, silence, and the ways in which connections end.

use crate::stage::{Stage, address, connect, count, echo, idle, nodes, tell, told, when};
use mailstorm_platform::{CloseReason, Endpoint, NetworkEvent, Platform};
use mailstorm_record::{FaultKind, Happening};
use mailstorm_shared::Millis;
use mailstorm_shared::facts::{ApplicationFact, Observation};
use mailstorm_world::{NodeSpec, Process};
use std::io;

/// Echoes one byte and tells how long it took, in microseconds of the world (the world's own clock
/// stamps the milestones).
async fn ping(process: Process) {
    let platform = process.platform;
    let endpoint = platform.endpoint();
    let connection = connect(&endpoint, "c2:1").await.expect("c2 listens");
    tell(&platform, "connected");
    endpoint.send(connection, vec![1].into());
    while !matches!(endpoint.next().await, NetworkEvent::Received { .. }) {}
    tell(&platform, "done");
}

#[test]
fn a_message_takes_as_long_as_its_links_say() {
    let stage = Stage::new().client("c1", ping).client("c2", echo);
    stage.check(|run| {
        let events = run.events.as_ref().expect("recorded");
        let at = |wanted: &str| {
            let is = |h: &Happening| matches!(h, Happening::Observed { observation: Observation::Application(ApplicationFact::Milestone { name }) } if &**name == wanted);
            events.iter().find(|e| is(&e.happening)).expect("told").at_ns
        };
        let there_and_back = at("done") - at("connected");
        // Twice 200 to 800 us and up to 400 us of jitter; one in a thousand is later.
        assert!((400_000..2_500_000).contains(&there_and_back), "{there_and_back} ns");
    });
}

#[test]
fn bytes_arrive_whole_and_in_order_however_they_are_cut() {
    const COUNT: u32 = 2_000;
    let stage = Stage::new()
        .client("c1", |process| async move {
            let endpoint = process.platform.endpoint();
            let connection = connect(&endpoint, "c2:1").await.expect("c2 listens");
            for number in 0..COUNT {
                endpoint.send(connection, number.to_le_bytes().to_vec().into());
            }
            idle(process).await;
        })
        .client("c2", |process| async move {
            let endpoint = process.platform.endpoint();
            endpoint.listen(&address("c2:1")).expect("the port is free");
            let mut stream = Vec::new();
            let mut pieces = 0;
            while stream.len() < 4 * COUNT as usize {
                if let NetworkEvent::Received { bytes, .. } = endpoint.next().await {
                    stream.extend_from_slice(&bytes);
                    pieces += 1;
                }
            }
            let expected: Vec<u8> = (0..COUNT).flat_map(u32::to_le_bytes).collect();
            assert!(stream == expected, "bytes were lost, doubled or mixed up");
            assert!(pieces > COUNT, "some messages arrive in two");
            tell(&process.platform, "done");
            idle(process).await;
        });
    stage.check(|_| {});
}

/// Tells how a connect to an address ends.
async fn caller(process: Process, to: &'static str) {
    let endpoint = process.platform.endpoint();
    process.platform.sleep(Millis(10)).await;
    match connect(&endpoint, to).await {
        Ok(_) => tell(&process.platform, "Connected"),
        Err(reason) => tell(&process.platform, &format!("{reason:?}")),
    }
    tell(&process.platform, "done");
    idle(process).await;
}

#[test]
fn a_connect_is_refused_where_nobody_listens() {
    for to in ["c2:2", "nobody:1", "c2", "c2:x"] {
        let stage = Stage::new().client("c1", move |p| caller(p, to)).client("c2", echo);
        stage.check(|run| assert!(when(run, "Refused") < 100));
    }
}

#[test]
fn a_connect_over_a_cut_hangs_until_the_cut_heals() {
    let cut = FaultKind::Isolate { nodes: nodes(&["c2"]) };
    let stage = Stage::new().client("c1", |p| caller(p, "c2:1")).client("c2", echo);
    stage.fault(0, 5_000, cut).check(|run| {
        assert!((5_000..8_000).contains(&when(run, "Connected")), "{:?}", told(run));
    });
}

#[test]
fn a_connect_that_nothing_answers_times_out() {
    let cut = FaultKind::OneWay { from: nodes(&["c2"]), to: nodes(&["c1"]) };
    for listener in ["c2:1", "c2:2"] {
        let stage = Stage::new().client("c1", move |p| caller(p, listener)).client("c2", echo);
        stage.fault(0, 40_000, cut.clone()).check(|run| {
            let own = told(run).into_iter().find(|t| t.1 == "c1" && t.2 == "TimedOut");
            assert!(own.is_some_and(|t| (20_009..=20_011).contains(&t.0)), "{:?}", told(run));
        });
    }
}

/// Asks for an echo every 100 ms and tells of each.
async fn talker(process: Process) {
    let platform = process.platform.clone();
    let endpoint = platform.endpoint();
    let connection = connect(&endpoint, "c2:1").await.expect("c2 listens");
    endpoint.wake_at(Some(platform.now().monotonic));
    let mut received = Vec::new();
    for number in 0u8.. {
        loop {
            match endpoint.next().await {
                NetworkEvent::Woken => break,
                NetworkEvent::Received { bytes, .. } => {
                    received.extend_from_slice(&bytes);
                    tell(&platform, "heard");
                }
                NetworkEvent::Closed { reason, .. } => {
                    tell(&platform, &format!("{reason:?}"));
                    tell(&platform, "done");
                    return idle(process).await;
                }
                _ => {}
            }
        }
        if number == 250 {
            assert_eq!(received, (0..250).collect::<Vec<u8>>(), "the echo is complete");
            tell(&platform, "done");
            return idle(process).await;
        }
        endpoint.send(connection, vec![number].into());
        endpoint.wake_at(Some(platform.now().monotonic + Millis(100)));
    }
}

fn talk() -> Stage {
    Stage::new().client("c1", talker).client("c2", echo)
}

#[test]
fn a_cut_holds_what_is_sent_and_loses_nothing() {
    let cut = FaultKind::Partition { sides: vec![nodes(&["c1"]), nodes(&["c2"])] };
    talk().fault(3_000, 5_000, cut).check(|run| {
        let silent =
            told(run).iter().filter(|t| t.2 == "heard" && (3_010..8_000).contains(&t.0)).count();
        assert_eq!((silent, count(run, "heard")), (0, 250));
    });
}

#[test]
fn a_cut_that_outlasts_a_machines_patience_ends_its_connection() {
    let cut = FaultKind::Partition { sides: vec![nodes(&["c1"]), nodes(&["c2"])] };
    talk().fault(3_000, 30_000, cut).check(|run| {
        // The talker's own machine gives up 15 seconds after the first byte that was not
        // acknowledged.
        assert!((18_000..18_200).contains(&when(run, "TimedOut")), "{:?}", told(run));
    });
}

#[test]
fn one_direction_can_be_cut_alone() {
    let cut = FaultKind::OneWay { from: nodes(&["c2"]), to: nodes(&["c1"]) };
    talk().fault(3_000, 4_000, cut).check(|run| {
        let events = run.events.as_ref().expect("recorded");
        let arrived = |at: &str| {
            let within =
                |e: &&mailstorm_record::Event| (3_100_000_000..7_000_000_000).contains(&e.at_ns);
            let is =
                |e: &&mailstorm_record::Event| matches!(e.happening, Happening::Delivered { .. });
            events
                .iter()
                .filter(within)
                .filter(is)
                .filter(|e| e.node.as_ref().is_some_and(|n| &*n.0 == at))
                .count()
        };
        assert_eq!(arrived("c1"), 0);
        assert!(arrived("c2") > 30);
    });
}

#[test]
fn a_reset_ends_a_connection_for_both_sides() {
    let reset = FaultKind::Reset { nodes: nodes(&["c1"]), every_ms: 0 };
    talk().fault(3_000, 0, reset).check(|run| {
        assert_eq!((when(run, "Reset"), count(run, "Reset")), (3_000, 2), "{:?}", told(run));
    });
}

#[test]
fn a_dead_process_is_told_to_its_peers_and_a_dead_machine_is_not() {
    let crash = FaultKind::Crash { nodes: nodes(&["c2"]) };
    talk().fault(3_000, 9_000, crash).check(|run| {
        assert!((3_000..3_100).contains(&when(run, "Reset")), "{:?}", told(run));
    });
    // Silence, until the machine is back and knows of no connection.
    let cut = FaultKind::PowerCut { nodes: nodes(&["c2"]) };
    talk().fault(3_000, 9_000, cut.clone()).check(|run| {
        assert!((12_000..13_200).contains(&when(run, "Reset")), "{:?}", told(run));
    });
    talk().fault(3_000, 30_000, cut).check(|run| {
        assert!((18_000..18_200).contains(&when(run, "TimedOut")), "{:?}", told(run));
    });
}

#[test]
fn an_endpoint_that_is_dropped_closes_in_order_after_what_it_sent() {
    let stage = Stage::new()
        .client("c1", |process| async move {
            let endpoint = process.platform.endpoint();
            let connection = connect(&endpoint, "c2:1").await.expect("c2 listens");
            endpoint.send(connection, vec![7; 100_000].into());
            drop(endpoint);
            idle(process).await;
        })
        .client("c2", |process| async move {
            let endpoint = process.platform.endpoint();
            endpoint.listen(&address("c2:1")).expect("the port is free");
            let mut received = 0;
            loop {
                match endpoint.next().await {
                    NetworkEvent::Received { bytes, .. } => received += bytes.len(),
                    NetworkEvent::Closed { reason, .. } => {
                        assert_eq!((received, reason), (100_000, CloseReason::Closed));
                        tell(&process.platform, "done");
                    }
                    _ => {}
                }
            }
        });
    stage.check(|_| {});
}

#[test]
fn whoever_is_held_back_sees_its_backlog_and_goes_on_when_released() {
    const PIECE: usize = 10_000;
    const PIECES: usize = 100;
    let stage = Stage::new()
        .client("c1", |process| async move {
            let endpoint = process.platform.endpoint();
            let connection = connect(&endpoint, "c2:1").await.expect("c2 listens");
            (0..PIECES).for_each(|_| endpoint.send(connection, vec![7; PIECE].into()));
            process.platform.sleep(Millis(2_000)).await;
            let backlog = endpoint.backlog(connection);
            assert!(
                (500_000..900_000).contains(&backlog),
                "a window full is taken: {backlog} left"
            );
            process.platform.sleep(Millis(2_000)).await;
            assert_eq!(endpoint.backlog(connection), 0);
            tell(&process.platform, "done");
            idle(process).await;
        })
        .client("c2", |process| async move {
            let endpoint = process.platform.endpoint();
            endpoint.listen(&address("c2:1")).expect("the port is free");
            let mut received = 0;
            let mut caller = None;
            loop {
                match endpoint.next().await {
                    NetworkEvent::Accepted { connection, .. } => {
                        endpoint.hold(connection, true);
                        endpoint.wake_at(Some(process.platform.now().monotonic + Millis(3_000)));
                        caller = Some(connection);
                    }
                    NetworkEvent::Received { bytes, .. } => received += bytes.len(),
                    NetworkEvent::Woken => {
                        assert_eq!(received, 0, "nothing comes of a connection that is held");
                        endpoint.hold(caller.expect("accepted"), false);
                    }
                    NetworkEvent::Connected { .. } | NetworkEvent::Closed { .. } => {}
                }
                if received == PIECE * PIECES {
                    tell(&process.platform, "all");
                }
            }
        });
    stage.check(|run| assert_eq!(count(run, "all"), 1));
}

#[test]
fn an_address_is_listened_on_once_and_only_where_it_belongs() {
    let stage = Stage::new().client("c1", |process| async move {
        let (first, second) = (process.platform.endpoint(), process.platform.endpoint());
        let refused = |endpoint: &mailstorm_world::platform::SimEndpoint, to: &str| {
            endpoint.listen(&address(to)).expect_err("cannot be").kind()
        };
        assert!(first.listen(&address("c1:1")).is_ok());
        assert_eq!(refused(&second, "c1:1"), io::ErrorKind::AddrInUse);
        assert_eq!(refused(&second, "c2:1"), io::ErrorKind::AddrNotAvailable);
        drop(first);
        assert!(second.listen(&address("c1:1")).is_ok());
        tell(&process.platform, "done");
        idle(process).await;
    });
    stage.check(|_| {});
}

#[test]
fn only_links_between_servers_change_bytes() {
    let corrupt = |name: &str| FaultKind::Corrupt { nodes: nodes(&[name]), per_million: 1_000_000 };
    talk().fault(0, 20_000, corrupt("c2")).check(|run| assert_eq!(count(run, "heard"), 250));

    let ask = |process: Process| async move {
        let endpoint = process.platform.endpoint();
        process.platform.sleep(Millis(10)).await;
        let connection = connect(&endpoint, "s2:1").await.expect("s2 listens");
        endpoint.send(connection, vec![0; 8].into());
        while !matches!(endpoint.next().await, NetworkEvent::Received { bytes, .. } if bytes.iter().any(|b| *b != 0))
        {
        }
        tell(&process.platform, "done");
        idle(process).await;
    };
    let stage = Stage::new().server(1, ask).server(2, echo);
    stage.fault(0, 20_000, corrupt("s2")).check(|_| {});
}

#[test]
fn a_callers_address_is_its_machines() {
    let stage = Stage::new().node(NodeSpec::client("c1"), |p| caller(p, "c2:1")).client(
        "c2",
        |process| async move {
            let endpoint = process.platform.endpoint();
            endpoint.listen(&address("c2:1")).expect("the port is free");
            match endpoint.next().await {
                NetworkEvent::Accepted { listener, from, .. } => {
                    assert_eq!(
                        (&*listener.0, from.ip().to_string().as_str()),
                        ("c2:1", "10.0.0.1")
                    );
                }
                other => panic!("{other:?} before anybody called"),
            }
            idle(process).await;
        },
    );
    stage.check(|_| {});
}
