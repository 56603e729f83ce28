//! What a process finds on its disk after a crash, and what a sick disk answers.

use crate::stage::{Stage, idle, nodes, tell, told, when};
use mailstorm_platform::{Disk, Platform};
use mailstorm_record::{FaultKind, Run};
use mailstorm_shared::Millis;
use mailstorm_world::{Process, SimPlatform};
use std::io;

const SYNCED: u8 = 1;
const UNSYNCED: u8 = 2;
const SECTORS: usize = 20;

/// Writes twenty sectors, syncs, overwrites them, and waits for its death.
async fn writer(process: Process) {
    let platform = process.platform.clone();
    let disk = platform.disk();
    if process.incarnation == 0 {
        disk.write("f", 0, vec![SYNCED; SECTORS * 512].into()).await.expect("the disk is well");
        disk.sync("f").await.expect("the disk is well");
        disk.write("f", 0, vec![UNSYNCED; SECTORS * 512].into()).await.expect("the disk is well");
        disk.write("g", 0, vec![UNSYNCED].into()).await.expect("the disk is well");
        disk.rename("g", "h").await.expect("g is there");
    } else {
        let content = disk.read("f").await.expect("f was synced");
        assert_eq!(content.len(), SECTORS * 512);
        for sector in content.chunks(512) {
            let new = sector.iter().take_while(|byte| **byte == UNSYNCED).count();
            assert!(
                sector[new..].iter().all(|byte| *byte == SYNCED),
                "a mixture that no crash makes"
            );
            tell(
                &platform,
                if new == 0 {
                    "lost"
                } else if new == 512 {
                    "kept"
                } else {
                    "torn"
                },
            );
        }
        tell(&platform, disk.list().await.expect("the disk is well").join(" ").as_str());
        tell(&platform, "done");
    }
    idle(process).await;
}

/// How many times each of these was reported, over many seeds.
fn tally(stage: &Stage, words: &[&str]) -> Vec<usize> {
    let mut counts = vec![0; words.len()];
    for seed in 0..60 {
        let run: Run = stage.run(seed);
        assert_eq!(run.outcome.violations().count(), 0, "{:?}", run.outcome.verdicts);
        for (_, _, told) in told(&run) {
            words.iter().position(|word| *word == told).into_iter().for_each(|at| counts[at] += 1);
        }
    }
    counts
}

#[test]
fn what_was_synced_survives_and_the_rest_is_kept_lost_or_torn() {
    for kind in
        [FaultKind::Crash { nodes: nodes(&["c1"]) }, FaultKind::PowerCut { nodes: nodes(&["c1"]) }]
    {
        let stage = Stage::new().client("c1", writer).fault(1_000, 500, kind);
        let counts = tally(&stage, &["kept", "lost", "torn", "f", "f g", "f h"]);
        assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
        assert_eq!(counts[..3].iter().sum::<usize>(), 60 * SECTORS);
        assert_eq!(counts[3..].iter().sum::<usize>(), 60, "a rename happens or does not");
    }
}

#[test]
fn a_killed_process_leaves_what_it_wrote_to_be_read_by_the_next_one() {
    let kill = FaultKind::Kill { nodes: nodes(&["c1"]) };
    let stage = Stage::new().client("c1", writer).fault(1_000, 500, kill);
    let counts = tally(&stage, &["kept", "lost", "torn", "f", "f g", "f h"]);
    assert_eq!(counts, [60 * SECTORS, 0, 0, 0, 0, 60]);
}

#[test]
fn what_a_killed_process_left_in_the_page_cache_goes_with_its_machine() {
    for kind in
        [FaultKind::Crash { nodes: nodes(&["c1"]) }, FaultKind::PowerCut { nodes: nodes(&["c1"]) }]
    {
        let kill = FaultKind::Kill { nodes: nodes(&["c1"]) };
        // The power goes while nothing runs: what the dead process wrote is settled all the same.
        let stage =
            Stage::new().client("c1", writer).fault(1_000, 500, kill).fault(1_200, 600, kind);
        let counts = tally(&stage, &["kept", "lost", "torn", "f", "f g", "f h"]);
        assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    }
}

/// Reads what its predecessor left, and syncs it before it says so.
async fn reader_that_syncs(process: Process) {
    let (platform, disk) = (process.platform.clone(), process.platform.disk());
    match process.incarnation {
        0 => {
            disk.write("f", 0, vec![UNSYNCED; 512].into()).await.expect("the disk is well");
            disk.rename("f", "g").await.expect("f is there");
        }
        1 => {
            disk.sync("g").await.expect("g was left in the cache");
            disk.sync_folder().await.expect("the disk is well");
        }
        _ => {
            assert_eq!(disk.read("g").await.expect("g was synced")[..], [UNSYNCED; 512]);
            tell(&platform, "done");
        }
    }
    idle(process).await;
}

#[test]
fn a_sync_makes_durable_what_a_dead_process_wrote() {
    let kill = FaultKind::Kill { nodes: nodes(&["c1"]) };
    let dark = FaultKind::PowerCut { nodes: nodes(&["c1"]) };
    let stage = Stage::new().client("c1", reader_that_syncs);
    stage.fault(1_000, 500, kill).fault(3_000, 500, dark).check(|run| {
        assert_eq!(run.outcome.faults["power_cut"].effective, 1);
    });
}

#[test]
fn a_process_that_ends_by_itself_leaves_its_writes_to_the_next_one() {
    let ends = |process: Process| async move {
        let disk = process.platform.disk();
        if process.incarnation == 0 {
            disk.write("f", 0, vec![UNSYNCED; 512].into()).await.expect("the disk is well");
            return;
        }
        assert_eq!(disk.read("f").await.expect("it was written")[..], [UNSYNCED; 512]);
        tell(&process.platform, "done");
        idle(process).await;
    };
    Stage::new().client("c1", ends).check(|_| ());
}

/// Appends a record every 10 ms, syncs, and tells of it; after a death, of how many it finds.
async fn journal(process: Process) {
    let platform = process.platform.clone();
    let disk = platform.disk();
    let mut written = match disk.read("log").await {
        Ok(content) => {
            let whole = content.iter().take_while(|byte| **byte == SYNCED).count();
            tell(&platform, &format!("found {}", whole / 100));
            whole as u64 / 100
        }
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
            tell(&platform, "found nothing");
            0
        }
    };
    loop {
        let begun = disk.write("log", written * 100, vec![SYNCED; 100].into()).await;
        let done = match begun {
            Ok(()) => disk.sync("log").await,
            failed => failed,
        };
        match done {
            Ok(()) => {
                written += 1;
                tell(&platform, &format!("wrote {written}"));
            }
            Err(error) => tell(&platform, &format!("{:?}", error.kind())),
        }
        if written == 300 {
            tell(&platform, "done");
        }
        platform.sleep(Millis(10)).await;
    }
}

/// The last number told with this word before some time, and the number found after a death.
fn acknowledged_and_found(run: &Run) -> (u64, u64) {
    let number = |text: &str, word: &str| text.strip_prefix(word)?.trim().parse::<u64>().ok();
    let told = told(run);
    let died = told.iter().rposition(|t| t.2.starts_with("found")).expect("it was started");
    let wrote = told[..died].iter().rev().find_map(|t| number(&t.2, "wrote")).unwrap_or(0);
    (wrote, number(&told[died].2, "found").unwrap_or(0))
}

#[test]
fn a_torn_write_tears_only_what_was_not_synced() {
    let torn = FaultKind::TornWrites { nodes: nodes(&["c1"]) };
    let stage = Stage::new().client("c1", journal).fault(1_000, 500, torn);
    stage.check(|run| {
        let (wrote, found) = acknowledged_and_found(run);
        assert!(wrote > 50 && (wrote..=wrote + 1).contains(&found), "{wrote} {found}");
        assert_eq!(run.outcome.faults["torn_writes"].effective, 1);
    });
}

#[test]
fn a_sync_that_lies_loses_what_it_said_was_safe() {
    let stage = Stage::new().client("c1", journal).lifting_the_atlas();
    let stage = stage.fault(500, 600, FaultKind::SyncLies { nodes: nodes(&["c1"]) }).fault(
        1_000,
        500,
        FaultKind::PowerCut { nodes: nodes(&["c1"]) },
    );
    let losses = (0..20).filter(|seed| {
        let (wrote, found) = acknowledged_and_found(&stage.run(*seed));
        found < wrote
    });
    assert!(losses.count() > 5);
}

#[test]
fn a_stalled_disk_answers_when_it_is_well_again_and_a_slow_one_late() {
    let stall = FaultKind::DiskStall { nodes: nodes(&["c1"]) };
    Stage::new().client("c1", journal).fault(1_000, 3_000, stall).check(|run| {
        let silent = told(run).iter().filter(|t| (1_010..4_000).contains(&t.0)).count();
        assert_eq!((silent, run.outcome.faults["disk_stall"].effective), (0, 1));
    });
    let slow = FaultKind::DiskSlow { nodes: nodes(&["c1"]), factor: 100 };
    Stage::new().client("c1", journal).fault(1_000, 3_000, slow).check(|run| {
        let wrote = told(run).iter().filter(|t| (1_010..4_000).contains(&t.0)).count();
        assert!((5..60).contains(&wrote), "{wrote}");
    });
}

#[test]
fn a_disk_that_was_slow_for_several_reasons_is_well_as_soon_as_they_are_gone() {
    let slow = |factor| FaultKind::DiskSlow { nodes: nodes(&["c1"]), factor };
    let stage = Stage::new().client("c1", journal);
    let stage = stage.fault(1_000, 2_000, slow(1_000)).fault(1_000, 3_000, slow(1_000_000));
    stage.check(|run| {
        assert!(when(run, "done") < 4_000 + 300 * 20, "{:?}", told(run));
        assert!(told(run).iter().any(|t| (4_000..4_100).contains(&t.0)));
    });
}

#[test]
fn a_full_disk_and_a_failing_sync_say_so() {
    let full = FaultKind::DiskFull { nodes: nodes(&["c1"]) };
    Stage::new().client("c1", journal).fault(1_000, 1_000, full).check(|run| {
        assert!((1_000..1_100).contains(&when(run, "StorageFull")));
    });
    let fails = FaultKind::SyncFails { nodes: nodes(&["c1"]) };
    Stage::new().client("c1", journal).fault(1_000, 1_000, fails).check(|run| {
        assert!((1_000..1_100).contains(&when(run, "Other")));
    });
}

#[test]
fn a_failing_write_is_half_done_and_says_so() {
    let write = |process: Process| async move {
        let (platform, disk) = (process.platform.clone(), process.platform.disk());
        platform.sleep(Millis(1_500)).await;
        let failed = disk.write("f", 0, vec![UNSYNCED; 100].into()).await;
        assert_eq!(failed.expect_err("writes fail").kind(), io::ErrorKind::Other);
        assert_eq!(disk.read("f").await.expect("half of it was written").len(), 50);
        tell(&platform, "done");
        idle(process).await;
    };
    let fails = FaultKind::WriteFails { nodes: nodes(&["c1"]) };
    Stage::new().client("c1", write).fault(1_000, 1_000, fails).check(|run| {
        assert_eq!(run.outcome.faults["write_fails"].effective, 1);
    });
}

#[test]
fn a_failing_read_is_an_error_for_as_long_as_the_fault_lasts() {
    let read = |process: Process| async move {
        let (platform, disk) = (process.platform.clone(), process.platform.disk());
        disk.write("f", 0, vec![SYNCED; 100].into()).await.expect("the disk is well");
        platform.sleep(Millis(1_500)).await;
        assert!(disk.read("f").await.is_err());
        platform.sleep(Millis(1_000)).await;
        assert_eq!(disk.read("f").await.expect("the disk is well again").len(), 100);
        tell(&platform, "done");
        idle(process).await;
    };
    let fails = FaultKind::ReadFails { nodes: nodes(&["c1"]) };
    Stage::new().client("c1", read).fault(1_000, 1_000, fails).check(|run| {
        assert_eq!(run.outcome.faults["read_fails"].effective, 1);
    });
}

#[test]
fn a_sector_that_cannot_be_read_is_found_by_who_reads_it_and_mended_by_who_writes_it() {
    let latent = |process: Process| async move {
        let (platform, disk) = (process.platform.clone(), process.platform.disk());
        if process.incarnation == 0 {
            for file in ["old", "new"] {
                disk.write(file, 0, vec![SYNCED; 2048].into()).await.expect("the disk is well");
                disk.sync(file).await.expect("the disk is well");
                // Only what was durable before the last sync is damaged.
                disk.write(file, 2048, vec![SYNCED; 512].into()).await.expect("the disk is well");
                disk.sync(file).await.expect("the disk is well");
            }
        } else {
            let mut failed = 0;
            for file in ["old", "new"] {
                if disk.read(file).await.is_err() {
                    failed += 1;
                    // The error stays until the sector is written.
                    assert!(disk.read(file).await.is_err());
                    let all = vec![UNSYNCED; 2560];
                    disk.write(file, 0, all.into()).await.expect("the disk is well");
                    disk.read(file).await.expect("every sector was written again");
                }
            }
            tell(&platform, &format!("{failed} failed"));
            tell(&platform, "done");
        }
        idle(process).await;
    };
    let sectors = FaultKind::UnreadableSectors { nodes: nodes(&["c1"]), sectors: 1 };
    Stage::new().client("c1", latent).fault(1_000, 500, sectors).check(|run| {
        assert_eq!(told(run).iter().filter(|t| t.2 == "1 failed").count(), 1, "{:?}", told(run));
    });
}

#[test]
fn a_lost_disk_is_empty() {
    let lost = FaultKind::DiskLost { nodes: nodes(&["c1"]) };
    Stage::new().client("c1", journal).fault(1_000, 500, lost).check(|run| {
        assert_eq!(told(run).iter().filter(|t| t.2 == "found nothing").count(), 2);
    });
}

/// Three voters write a log each; after a death each tells whether it is damaged before its last
/// record.
async fn voter(process: Process) {
    let platform: SimPlatform = process.platform.clone();
    let disk = platform.disk();
    if let Ok(content) = disk.read("log").await {
        let good = content.iter().take_while(|byte| **byte == SYNCED).count();
        let last_good = content.iter().rposition(|byte| *byte == SYNCED).unwrap_or(0);
        tell(&platform, if good < last_good { "damaged inside" } else { "whole" });
    }
    for record in 0..60 {
        disk.write("log", record * 512, vec![SYNCED; 512].into()).await.expect("the disk is well");
        disk.sync("log").await.expect("the disk is well");
    }
    platform.sleep(Millis(5_000)).await;
    tell(&platform, "done");
    idle(process).await;
}

#[test]
fn damage_stays_within_a_minority_of_voters_and_off_the_end_of_logs() {
    let rot = FaultKind::BitRot { nodes: nodes(&["s1", "s2", "s3"]), sectors: 3 };
    let stage = Stage::new().server(1, voter).server(2, voter).server(3, voter);
    stage.fault(1_000, 500, rot).check(|run| {
        let damaged = told(run).iter().filter(|t| t.2 == "damaged inside").count();
        assert_eq!(damaged, 1, "{:?}", told(run));
    });
}
