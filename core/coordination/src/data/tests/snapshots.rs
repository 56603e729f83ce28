//! Snapshots that are taken while the tree changes, damaged, and loaded.

use super::commands::{Command, history};
use super::leader::Leader;
use super::stage::Stage;
use crate::data::fuzzy::Fuzzy;
use crate::data::{CorruptSnapshot, DataOptions, Database, SnapshotCursor, SnapshotLoader};
use bytes::Bytes;
use mailstorm_shared::checksum::crc32c;
use mailstorm_shared::{Defects, StateHasher, Zxid};
use mailstorm_wire::txn::Txn;
use proptest::collection::vec;
use proptest::prelude::*;

/// The transactions of a history, each prepared after the one before was applied.
fn transactions(commands: &[Command]) -> Vec<(Zxid, Txn)> {
    let mut leader = Leader::new(DataOptions::default());
    let mut txns = Vec::new();
    for command in commands {
        if let Some(proposal) = leader.propose(command) {
            leader.database.apply(proposal.zxid, &proposal.txn);
            leader.pending.applied(proposal.zxid);
            txns.push((proposal.zxid, proposal.txn));
        }
    }
    txns
}

/// Applies what comes after the database's last transaction, at most `count` of it.
fn advance(database: &mut Database, txns: &[(Zxid, Txn)], count: usize) {
    let from = txns.partition_point(|(zxid, _)| *zxid <= database.last_applied());
    for (zxid, txn) in txns[from..].iter().take(count) {
        database.apply(*zxid, txn);
    }
}

/// Takes a snapshot; before each chunk some transactions are applied. `pace` gives, over and over,
/// how many, and how large the chunk may be.
fn take(database: &mut Database, txns: &[(Zxid, Txn)], pace: &[(usize, usize)]) -> Vec<Bytes> {
    let mut cursor = SnapshotCursor::begin(database, Defects::NONE);
    let mut chunks = Vec::new();
    for (count, bytes_max) in pace.iter().cycle() {
        match cursor.next_chunk(database, *bytes_max) {
            Some(chunk) => chunks.push(chunk),
            None => break,
        }
        advance(database, txns, *count);
    }
    chunks
}

fn load(chunks: &[Bytes]) -> Result<Database, CorruptSnapshot> {
    let mut loader = SnapshotLoader::new();
    for chunk in chunks {
        loader.push(chunk)?;
    }
    loader.finish()
}

fn pace() -> impl Strategy<Value = Vec<(usize, usize)>> {
    vec((0..8usize, prop_oneof![2 => Just(0), 2 => 60..400usize, 1 => Just(1 << 20)]), 1..12)
}

/// From which transaction on a database is (or has been) of one moment.
fn exact_from(database: &Database) -> Zxid {
    database.tree().fuzzy().map_or(database.last_applied(), Fuzzy::exact_from)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn a_replay_over_a_fuzzy_snapshot_ends_exactly_where_the_original_does(
        commands in history(140),
        begin in 0..140usize,
        first_pace in pace(),
        between in 0..6usize,
        second_pace in pace(),
    ) {
        let txns = transactions(&commands);
        let mut original = Database::new();
        advance(&mut original, &txns, begin);
        let begun_at = original.last_applied();
        let chunks = take(&mut original, &txns, &first_pace);

        let mut loaded = load(&chunks).unwrap();
        prop_assert_eq!(loaded.last_applied(), begun_at);
        prop_assert!(exact_from(&loaded) <= original.last_applied());
        let first_exact_from = exact_from(&loaded);

        // A snapshot of the loaded one, begun while it is still of several moments.
        advance(&mut loaded, &txns, between);
        let chunks = take(&mut loaded, &txns, &second_pace);
        let mut loaded_twice = load(&chunks).unwrap();
        prop_assert!(exact_from(&loaded_twice) >= first_exact_from.min(loaded.last_applied()));

        for database in [&mut original, &mut loaded, &mut loaded_twice] {
            advance(database, &txns, usize::MAX);
            prop_assert!(database.is_exact());
        }
        prop_assert_eq!(StateHasher::of(&loaded), StateHasher::of(&original));
        prop_assert_eq!(&loaded, &original);
        prop_assert_eq!(&loaded_twice, &original);
    }

    #[test]
    fn replayed_to_where_it_is_exact_a_snapshot_equals_the_original_at_that_moment(
        commands in history(100), begin in 0..100usize, pace in pace(),
    ) {
        let txns = transactions(&commands);
        let mut original = Database::new();
        advance(&mut original, &txns, begin);
        let chunks = take(&mut original, &txns, &pace);
        let mut loaded = load(&chunks).unwrap();
        while !loaded.is_exact() {
            prop_assert!(loaded.last_applied() < exact_from(&loaded));
            advance(&mut loaded, &txns, 1);
        }
        let mut fresh = Database::new();
        while fresh.last_applied() < loaded.last_applied() {
            advance(&mut fresh, &txns, 1);
        }
        prop_assert_eq!(loaded, fresh);
    }

    #[test]
    fn a_damaged_snapshot_is_refused(
        commands in history(40),
        at in any::<prop::sample::Index>(),
        damage in prop_oneof![
            Just(Damage::Drop), Just(Damage::Repeat), Just(Damage::Cut), Just(Damage::Flip),
            Just(Damage::Swap), Just(Damage::Foreign)
        ],
        byte in any::<prop::sample::Index>(),
        bit in 0..8u32,
    ) {
        let txns = transactions(&commands);
        let mut database = Database::new();
        advance(&mut database, &txns, usize::MAX);
        let mut chunks = take(&mut database, &[], &[(0, 200)]);
        let at = at.index(chunks.len());
        match damage {
            Damage::Drop => drop(chunks.remove(at)),
            Damage::Repeat => chunks.insert(at, chunks[at].clone()),
            Damage::Cut => chunks[at] = chunks[at].slice(..byte.index(chunks[at].len())),
            Damage::Flip => {
                let mut bytes = chunks[at].to_vec();
                bytes[byte.index(chunks[at].len())] ^= 1 << bit;
                chunks[at] = bytes.into();
            }
            Damage::Swap => {
                let last = chunks.len() - 1;
                chunks.swap(at, if at == last { 0 } else { at + 1 });
            }
            Damage::Foreign => {
                let mut later = database.clone();
                let nothing = mailstorm_wire::txn::TxnBody::Nothing;
                let session = mailstorm_shared::SessionId(0);
                later.apply(Zxid(9999), &Txn { origin: None, session, time: 0, body: nothing });
                chunks[at] = take(&mut later, &[], &[(0, 200)])[at].clone();
            }
        }
        prop_assert!(load(&chunks).is_err());
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        chunks in vec((prop::option::weighted(0.9, 0..4u8), vec(any::<u8>(), 0..80)), 0..6),
    ) {
        let mut loader = SnapshotLoader::new();
        for (sequence, (kind, body)) in chunks.iter().enumerate() {
            let chunk = match kind {
                None => body.clone(),
                Some(kind) => sealed(sequence as u32, *kind, body),
            };
            let _ = loader.push(&chunk);
        }
        let _ = loader.finish();
    }

    #[test]
    fn a_snapshot_changed_behind_the_checksums_back_never_panics(
        commands in history(40),
        changes in vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let txns = transactions(&commands);
        let mut database = Database::new();
        let mut chunks = take(&mut database, &txns, &[(3, 150)]);
        for (chunk, byte, value) in changes {
            let index = chunk.index(chunks.len());
            let chunk = &mut chunks[index];
            let mut bytes = chunk.to_vec();
            let byte = 4 + byte.index(bytes.len() - 4);
            bytes[byte] = value;
            let checksum = crc32c(&bytes[4..]);
            bytes[..4].copy_from_slice(&checksum.to_be_bytes());
            *chunk = bytes.into();
        }
        let _ = load(&chunks);
    }
}

#[derive(Clone, Copy, Debug)]
enum Damage {
    Drop,
    Repeat,
    Cut,
    Flip,
    Swap,
    Foreign,
}

/// A chunk with everything right but its body.
fn sealed(sequence: u32, kind: u8, body: &[u8]) -> Vec<u8> {
    let mut chunk = vec![0; 4];
    chunk.extend(sequence.to_be_bytes());
    chunk.extend(7u64.to_be_bytes());
    chunk.push(kind);
    chunk.extend(body);
    let checksum = crc32c(&chunk[4..]);
    chunk[..4].copy_from_slice(&checksum.to_be_bytes());
    chunk
}

#[test]
fn a_chunk_is_larger_than_asked_for_only_if_a_single_row_is() {
    let commands = vec![Command::Open; 50];
    let txns = transactions(&commands);
    let mut database = Database::new();
    advance(&mut database, &txns, usize::MAX);
    let chunks = take(&mut database, &[], &[(0, 300)]);
    assert!(chunks.len() > 5);
    assert!(chunks.iter().all(|chunk| chunk.len() <= 300), "rows here have some 100 bytes");
    let rows_alone = take(&mut database, &[], &[(0, 1)]);
    assert_eq!(rows_alone.len(), 1 + 50 + 4 + 1, "a beginning, every row for itself, a trailer");
    assert_eq!(load(&chunks).unwrap(), database);
    assert_eq!(load(&rows_alone).unwrap(), database);
}

/// Runs `before`, takes a snapshot row by row while `during` happens, and compares the replay. Each
/// entry of `during` names the row after which its lines happen.
fn check_fuzzy(before: &[&str], during: &[(&str, &[&str])]) {
    let mut stage = Stage::new(DataOptions::default());
    let mut txns = Vec::new();
    let mut run = |stage: &mut Stage, lines: &[&str]| {
        for line in lines {
            stage.lags = true;
            let answer = stage.run(line);
            assert!(!answer.chars().any(char::is_uppercase), "{line}: {answer}");
            txns.extend(stage.under_way.iter().cloned());
            stage.settle();
        }
    };
    run(&mut stage, before);
    let mut cursor = SnapshotCursor::begin(&stage.database, Defects::NONE);
    let mut loader = SnapshotLoader::new();
    let mut happened = 0;
    while let Some(chunk) = cursor.next_chunk(&stage.database, 0) {
        loader.push(&chunk).unwrap();
        let text = String::from_utf8_lossy(&chunk);
        for (row, lines) in during {
            // The last key stands in the chunk before the row, with its length.
            if text.contains(&format!("\0{row}")) {
                run(&mut stage, lines);
                happened += 1;
            }
        }
    }
    assert_eq!(happened, during.len(), "each row is there once");
    let mut loaded = loader.finish().unwrap();
    assert!(!loaded.is_exact());
    advance(&mut loaded, &txns, usize::MAX);
    assert_eq!(loaded, stage.database);
}

#[test]
fn a_snapshot_may_show_a_child_without_its_parent() {
    // `/p-` stands between the two, so that the piece in which `/p` is absent ends before `/p/c`.
    check_fuzzy(&["create /p-"], &[("\u{3}/p-", &["create /p", "create /p/c", "create /p/d"])]);
}

#[test]
fn a_snapshot_may_show_a_parent_with_the_child_of_its_successor() {
    check_fuzzy(&["create /p"], &[("\u{2}/p", &["delete /p", "create /p mode=c", "create /p/c"])]);
}

#[test]
fn a_snapshot_may_name_two_owners_of_one_path() {
    check_fuzzy(
        &["create /e mode=e", "@2 create /z mode=e"],
        &[("\u{1}\0\0\0\u{2}/e", &["delete /e", "@2 create /e mode=e"])],
    );
}

#[test]
fn a_session_may_end_between_its_ephemerals_and_their_parent() {
    check_fuzzy(&["create /p", "create /p/e mode=e"], &[("\u{2}/p", &["close"])]);
}

#[test]
fn a_new_database_survives_its_snapshot() {
    let mut database = Database::new();
    let chunks = take(&mut database, &[], &[(0, 1 << 20)]);
    assert_eq!(chunks.len(), 3);
    assert_eq!(load(&chunks).unwrap(), database);
    assert_eq!(
        load(&chunks[..2]),
        Err(CorruptSnapshot { chunk: 2, why: "the trailer is missing" })
    );
    assert!(load(&[]).is_err());
}
