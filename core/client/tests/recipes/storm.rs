//! Workers in a storm: connections break around any request, machines are cut off for longer than a
//! session lives, processes die and come back. Whatever happens, each item is noted once and
//! finished once, tokens only grow, nobody misses the last change, and nothing is left behind.

use crate::network::Break;
use crate::world::{Process, World};
use bytes::Bytes;
use mailstorm_client::claims::{ClaimError, Claims};
use mailstorm_client::election::Election;
use mailstorm_client::lock::Lock;
use mailstorm_client::{CallError, Client, WatchStream, open_acl};
use mailstorm_shared::facts::{ApplicationFact, ClientFact, Outcome};
use mailstorm_shared::{Instant, Millis, Observation, Zxid};
use mailstorm_wire::client::{CreateMode, ErrorCode, Request, Write};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

const WORKERS: usize = 4;
const ITEMS: u64 = 24;
const STORM_MS: u64 = 30_000;
const CONVERGE_MS: u64 = 20_000;

/// What the workers' results are judged by: the one place outside that all of them reach.
#[derive(Default)]
struct Ledger {
    /// The highest token seen for each item.
    fences: BTreeMap<u64, Zxid>,
    /// Who was refused.
    fenced_off: usize,
    takeovers: usize,
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % bound
    }
}

/// A worker's life: one session after another.
async fn work(process: Process, ledger: Rc<RefCell<Ledger>>) {
    loop {
        let client = process.client();
        if let Err(error) = work_with(&process, &client, &ledger).await {
            let doubtful = matches!(error, ClaimError::Call(CallError::ConnectionLoss));
            assert!(client.state().is_over() || doubtful, "{error}");
        }
        client.close().await;
    }
}

async fn work_with(
    process: &Process,
    client: &Client<Process>,
    ledger: &RefCell<Ledger>,
) -> Result<(), ClaimError> {
    client.ensure_path("/locks/note").await?;
    client.ensure_path("/results").await?;
    let claims = Claims::new(client, "/claims");
    claims.prepare().await?;
    let lock = Lock::new(client, "/locks/note");
    let mut changes = claims.watch().await?;
    loop {
        changes.clear();
        let Some(mut claim) = claims.take().await? else {
            note_or_wait(&claims, &lock, &mut changes).await?;
            continue;
        };
        ledger.borrow_mut().takeovers += usize::from(claim.is_taken_over());
        let begun = format!("begun {}", claim.token());
        let worked = match claim.renew(begun.into()).await {
            Ok(()) => {
                // Long enough to lose the session over.
                let span = 200 + 150 * u64::from(claim.token().counter() % 20);
                process.world.sleep(Millis(span)).await;
                effect(ledger, claim.number(), claim.token())
            }
            Err(ClaimError::Lost) => false,
            Err(error) => return Err(error),
        };
        if !worked {
            continue;
        }
        let result = Write::Create {
            path: format!("/results/{:010}", claim.number()).into(),
            data: Some(Bytes::from(claim.token().to_string())),
            acl: open_acl(),
            mode: CreateMode::Persistent,
            ttl: 0,
            stat: true,
        };
        match claim.finish(Bytes::from_static(b"done"), vec![result]).await {
            Ok(()) | Err(ClaimError::Lost) => {}
            // A result that exists already would mean: finished twice.
            Err(error @ ClaimError::Step { .. }) => panic!("{error}"),
            Err(error) => return Err(error),
        }
    }
}

/// The outside world takes the effect, unless a later holder was there before.
fn effect(ledger: &RefCell<Ledger>, item: u64, token: Zxid) -> bool {
    let mut ledger = ledger.borrow_mut();
    let highest = ledger.fences.entry(item).or_default();
    if *highest > token {
        ledger.fenced_off += 1;
        return false;
    }
    *highest = token;
    true
}

async fn note_or_wait(
    claims: &Claims<Process>,
    lock: &Lock<Process>,
    changes: &mut WatchStream,
) -> Result<(), ClaimError> {
    let noted = |bytes: &Bytes| -> u64 {
        std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
    };
    if noted(&claims.progress().await?.bytes) >= ITEMS {
        changes.next().await.map_err(|_| CallError::SessionExpired)?;
        return Ok(());
    }
    let held = lock.acquire("").await?;
    let seen = claims.progress().await?;
    let next = noted(&seen.bytes);
    if next < ITEMS {
        let note = Bytes::from(format!("item {next}"));
        match claims.note(&note, &seen, Bytes::from((next + 1).to_string())).await {
            Ok(()) | Err(ClaimError::Lost) => {}
            Err(error) => return Err(error),
        }
    }
    held.release().await?;
    Ok(())
}

/// Stands for election again and again; what is reported to onlookers is judged at the end.
async fn stand(process: Process, name: usize) {
    loop {
        let client = process.client();
        let stands = async {
            client.ensure_path("/election").await?;
            loop {
                let election = Election::new(&client, "/election", name.to_string());
                let reign = election.lead().await?;
                process.world.sleep(Millis(400)).await;
                if name.is_multiple_of(2) {
                    reign.resign().await?;
                } else {
                    drop(reign);
                }
            }
        };
        let ended: Result<std::convert::Infallible, CallError> = stands.await;
        ended.map(drop).expect_err("candidates stand for ever");
        client.close().await;
    }
}

/// Reads a znode each time a watch says that it changed; `seen` is always the last state read.
async fn follow(process: Process, seen: Rc<RefCell<Option<Bytes>>>) {
    loop {
        let client = process.client();
        loop {
            match client.get_data_and_watch("/news").await {
                Ok((data, _, watch)) => {
                    *seen.borrow_mut() = data;
                    if watch.await.is_err() {
                        break;
                    }
                }
                Err(CallError::Refused(ErrorCode::NoNode)) => {
                    let Ok((_, watch)) = client.exists_and_watch("/news").await else { break };
                    if watch.event().is_none() && watch.await.is_err() {
                        break;
                    }
                }
                Err(_) => break,
            }
        }
        client.close().await;
    }
}

async fn storm(
    world: World,
    mut random: Random,
    ledger: Rc<RefCell<Ledger>>,
    mut workers: Vec<Process>,
    others: Vec<Process>,
) -> Vec<Process> {
    let calm_at = world.now() + Millis(STORM_MS);
    while world.now() < calm_at {
        world.sleep(Millis(random.below(400))).await;
        let count = (workers.len() + others.len()) as u64;
        let victim = random.below(count) as usize;
        let process = workers.get(victim).unwrap_or_else(|| &others[victim - workers.len()]).id;
        match random.below(8) {
            0 => world.cut(process),
            1 => {
                world.isolate(process);
                let back = world.clone();
                world.after(Millis(random.below(3_000)), move |_| back.rejoin(process));
            }
            2 if victim < workers.len() => {
                workers[victim].kill();
                workers[victim] = world.process();
                let worker = workers[victim].clone();
                world.spawn(worker.id, work(worker.clone(), ledger.clone()));
            }
            kind => {
                let when = if kind < 6 { Break::AfterServer } else { Break::BeforeServer };
                let nth = std::cell::Cell::new(random.below(6));
                world.break_around(process, when, move |request| {
                    let counts = !matches!(request, Request::Ping);
                    counts && nth.replace(nth.get().saturating_sub(u64::from(counts))) == 0
                });
            }
        }
    }
    world.disarm();
    workers.into_iter().chain(others).collect()
}

fn check(seed: u64) -> Ledger {
    let world = World::new();
    let (_, judge) = world.client();
    let ledger = Rc::new(RefCell::new(Ledger::default()));
    let seen = Rc::new(RefCell::new(None));
    let (story, book, news) = (world.clone(), ledger.clone(), seen.clone());
    world.run(async move {
        let workers: Vec<_> = (0..WORKERS).map(|_| story.process()).collect();
        for worker in &workers {
            story.spawn(worker.id, work(worker.clone(), book.clone()));
        }
        let others: Vec<_> = (0..4).map(|_| story.process()).collect();
        for (name, candidate) in others[..3].iter().enumerate() {
            story.spawn(candidate.id, stand(candidate.clone(), name));
        }
        story.spawn(others[3].id, follow(others[3].clone(), news.clone()));
        let reporter = judge.clone();
        let clock = story.clone();
        story.spawn(story.process().id, async move {
            let create = |n: u64| {
                let data = Bytes::from(n.to_string());
                reporter.create("/news", data, CreateMode::Persistent, open_acl())
            };
            create(0).await.expect("nobody else does");
            for n in 1.. {
                clock.sleep(Millis(50)).await;
                if clock.now() > Instant(STORM_MS + 2_000) {
                    break;
                }
                if n % 10 == 0 {
                    reporter.delete("/news", -1).await.expect("nobody else does");
                    create(n).await.expect("nobody else does");
                } else {
                    let data = Bytes::from(n.to_string());
                    reporter.set_data("/news", data, -1).await.expect("nobody else does");
                }
            }
        });

        let random = Random(seed);
        let processes = storm(story.clone(), random, book.clone(), workers, others).await;
        for process in &processes {
            story.rejoin(process.id);
        }
        story.sleep(Millis(CONVERGE_MS)).await;

        let claims = Claims::new(&judge, "/claims");
        let left = claims.open_items().await.expect("calm");
        assert!(left.is_empty(), "seed {seed}: not finished: {left:?}");
        let done = claims.done_items().await.expect("calm");
        assert_eq!(done.len() as u64, ITEMS, "seed {seed}: each item is noted once");
        let (results, _) = judge.children("/results").await.expect("calm");
        assert_eq!(results.len() as u64, ITEMS, "seed {seed}");
        for item in &done {
            let path = format!("/results/{:010}", item.number);
            let (token, _) = judge.get_data(path).await.expect("each item has its result");
            let fence = book.borrow().fences[&item.number];
            assert_eq!(
                token,
                Some(Bytes::from(fence.to_string())),
                "seed {seed}: the last holder's"
            );
        }
        let (contenders, _) = judge.children("/locks/note").await.expect("calm");
        assert!(contenders.is_empty(), "seed {seed}: orphans {contenders:?}");
        let (candidates, _) = judge.children("/election").await.expect("calm");
        assert!(candidates.len() <= 3, "seed {seed}: orphans {candidates:?}");
        let (last, _) = judge.get_data("/news").await.expect("calm");
        assert_eq!(*news.borrow(), last, "seed {seed}: the last change was missed");
    });
    check_account(seed, &world.observed());
    ledger.take()
}

/// What onlookers were told is in order.
fn check_account(seed: u64, observed: &[Observation]) {
    let mut under_way = BTreeSet::new();
    let mut replied: BTreeMap<u32, Zxid> = BTreeMap::new();
    let mut tokens = Zxid::ZERO;
    for observation in observed {
        match observation {
            Observation::Client(ClientFact::Invoked { client, operation, .. }) => {
                // One process may have had several clients, one after the other.
                under_way.insert((*client, *operation));
            }
            Observation::Client(ClientFact::Returned { client, operation, outcome, .. }) => {
                assert!(under_way.remove(&(*client, *operation)), "seed {seed}: {observation:?}");
                if let Outcome::Ok { zxid, .. } | Outcome::Failed { zxid, .. } = outcome {
                    let last = replied.entry(*client).or_default();
                    assert!(*zxid == Zxid::ZERO || zxid >= last, "seed {seed}: {observation:?}");
                    *last = (*last).max(*zxid);
                }
            }
            Observation::Client(ClientFact::EventDelivered { client, zxid, .. })
                if *zxid != Zxid::ZERO =>
            {
                let last = replied.get(client).copied().unwrap_or_default();
                assert!(*zxid > last, "seed {seed}: after a reply that shows it: {observation:?}");
            }
            Observation::Application(ApplicationFact::MasterBelieves { token, .. }) => {
                assert!(Zxid(*token) >= tokens, "seed {seed}: {observation:?}");
                tokens = Zxid(*token);
            }
            _ => {}
        }
    }
}

#[test]
fn in_any_storm_each_item_is_finished_once_and_nothing_is_left_behind() {
    let mut takeovers = 0;
    let mut fenced_off = 0;
    for seed in 1..=100 {
        let ledger = check(seed);
        takeovers += ledger.takeovers;
        fenced_off += ledger.fenced_off;
    }
    // A storm that hits nothing proves nothing.
    assert!(takeovers > 100 && fenced_off > 0, "{takeovers} takeovers, {fenced_off} fenced off");
}
