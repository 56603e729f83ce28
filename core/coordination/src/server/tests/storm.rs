//! Three servers and a few clients in random trouble: what clients may rely on holds throughout.
//!
//! Connections break, servers crash and start, are cut off, freeze; messages between different
//! servers overtake each other. The clients each write a counter of their own, make ephemerals with
//! names of their own, and read after a sync. Checked, besides what [`World`] checks of every reply
//! (order, and that no client is shown an older state than before):
//! 1. a value read after a sync is not older than what was acknowledged before the sync was sent;
//! 2. after a reconnect, a znode that is not there will not come any more;
//! 3. at the end all trees are equal, what was acknowledged is there, and no ephemeral outlives its
//!    session.

use super::world::*;
use crate::data::DataOptions;
use crate::io::ClientId;
use mailstorm_shared::{ServerId, SessionId, StateHasher, Zxid};
use mailstorm_wire::client::*;
use std::collections::{BTreeMap, VecDeque};

const CLIENTS: usize = 4;
const ROUNDS: usize = 400;

/// A client with at most one session and one connection at a time.
#[derive(Default)]
struct Actor {
    /// The connection, and whether its handshake has been answered.
    connection: Option<(ClientId, bool)>,
    /// The session, with the connection on which it was last alive.
    session: Option<ConnectResponse>,
    seen: Zxid,
    asked: VecDeque<(i32, Asked)>,
    xid: i32,
    /// How often the counter was written, and what was acknowledged of it.
    written: u64,
    acknowledged: u64,
    /// Ephemerals whose creation has no answer, to be looked for after a reconnect.
    lost: Vec<String>,
    made: u64,
}

enum Asked {
    Counter(u64),
    Ephemeral(String),
    LookedFor(String),
    /// Of whose counter at least this value must be seen.
    ReadAfterSync(u64),
    Nothing,
}

struct Storm {
    world: World,
    chance: Chance,
    actors: Vec<Actor>,
    /// Znodes that a reconnected client did not find.
    never: Vec<String>,
    counts: BTreeMap<&'static str, u64>,
}

fn counter(actor: usize) -> String {
    format!("/counter-{actor}")
}

impl Storm {
    fn new(seed: u64) -> Self {
        let mut world = World::with(3, |config| {
            config.replica.snapshot_every_entries = 40;
            config.replica.sync_entries_kept = 10;
            if seed % 3 == 1 {
                // Epochs run out of places, and leaders step down for it.
                config.replica.epoch_entries_max = 50;
            }
            if seed % 3 == 2 {
                // Requests wait at the leader, and clients are held.
                config.replica.outstanding_proposals_max = 2;
                config.outstanding_per_client_max = 4;
            }
            config.snapshot_chunk_bytes = 200;
        });
        let leader = world.elect();
        let maker = world.connect(leader, 40_000);
        for actor in 0..CLIENTS {
            world.call(maker, &create(&counter(actor), CreateMode::Persistent)).unwrap();
        }
        world.chance = Some(Chance(!seed));
        Self {
            world,
            chance: Chance(seed),
            actors: (0..CLIENTS).map(|_| Actor::default()).collect(),
            never: Vec::new(),
            counts: BTreeMap::new(),
        }
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    fn server(&mut self) -> ServerId {
        s(1 + self.chance.below(3) as u8)
    }

    fn run(&mut self) {
        for _ in 0..ROUNDS {
            match self.chance.below(40) {
                0..=31 => {
                    let actor = self.chance.below(CLIENTS as u64) as usize;
                    self.act(actor);
                }
                32..=36 => {
                    let ms = 1 + self.chance.below(1 << self.chance_bits());
                    self.world.pass(ms);
                }
                _ => self.trouble(),
            }
            let steps = self.chance.below(30) as usize;
            self.world.steps(steps);
            for actor in 0..CLIENTS {
                self.hear(actor);
            }
        }
    }

    fn chance_bits(&self) -> u32 {
        // From 1 ms to 4 s, each magnitude as likely as the others.
        1 + (self.world.now % 12) as u32
    }

    fn trouble(&mut self) {
        let server = self.server();
        let runs = self.world.servers.contains_key(&server);
        match self.chance.below(6) {
            0 if runs => {
                self.count("crash");
                self.world.thaw(server);
                self.world.crash(server);
            }
            1 if runs => self.world.cut_off(server),
            2 if runs => self.world.freeze(server),
            3 if runs => self.world.thaw(server),
            _ if runs => self.world.heal(server),
            _ => self.world.start(server),
        }
    }

    fn act(&mut self, index: usize) {
        let server = self.server();
        let what = self.chance.below(12);
        let floor = self.actors[index].acknowledged;
        let other = self.chance.below(CLIENTS as u64) as usize;
        let other_floor = self.actors[other].acknowledged;
        let actor = &mut self.actors[index];
        let Some((connection, connected)) = actor.connection else {
            let request = match &actor.session {
                None => new_session(4_000),
                Some(response) => ConnectRequest {
                    last_zxid_seen: actor.seen,
                    timeout: response.timeout,
                    session: response.session,
                    password: response.password.clone(),
                    read_only: None,
                },
            };
            let client = self.world.post_handshake(server, &request, actor.seen);
            actor.connection = Some((client, false));
            return;
        };
        if what == 0 {
            self.world.hang_up(connection);
            return;
        }
        if !connected {
            return;
        }
        actor.xid += 1;
        let xid = actor.xid;
        let (request, asked) = match what {
            1..=4 => {
                actor.written = actor.written.max(floor) + 1;
                let request = set(&counter(index), &actor.written.to_string());
                (request, Asked::Counter(actor.written))
            }
            5..=7 => {
                actor.made += 1;
                let path = format!("/of-{index}-{}", actor.made);
                (create(&path, CreateMode::Ephemeral), Asked::Ephemeral(path))
            }
            8..=10 => {
                self.world.post(connection, xid, &sync());
                actor.asked.push_back((xid, Asked::Nothing));
                actor.xid += 1;
                (get(&counter(other), false), Asked::ReadAfterSync(other_floor))
            }
            _ => (get("/", true), Asked::Nothing),
        };
        let xid = actor.xid;
        self.world.post(connection, xid, &request);
        actor.asked.push_back((xid, asked));
    }

    /// Takes what a client received, and finds out that its connection is gone.
    fn hear(&mut self, index: usize) {
        let actor = &mut self.actors[index];
        let Some((connection, _)) = actor.connection else { return };
        let client = self.world.clients.get_mut(&connection).unwrap();
        let (got, closed) = (std::mem::take(&mut client.got), client.closed || client.gone);
        actor.seen = actor.seen.max(client.last_zxid);
        for got in got {
            match got {
                Got::Connected(response) if response.session == SessionId::NONE => {
                    // Expired: with the session went its ephemerals.
                    *actor = Actor {
                        written: actor.written,
                        acknowledged: actor.acknowledged,
                        made: actor.made,
                        xid: actor.xid,
                        ..Actor::default()
                    };
                    *self.counts.entry("expired").or_default() += 1;
                    return;
                }
                Got::Connected(response) => {
                    if actor.session.is_some() {
                        *self.counts.entry("resumed").or_default() += 1;
                    }
                    actor.session = Some(response);
                    actor.connection = Some((connection, true));
                    for path in std::mem::take(&mut actor.lost) {
                        actor.xid += 1;
                        self.world.post(connection, actor.xid, &exists(&path, false));
                        actor.asked.push_back((actor.xid, Asked::LookedFor(path)));
                    }
                }
                Got::Event(..) => {}
                Got::Reply(xid, result) => {
                    let (asked_xid, asked) = actor.asked.pop_front().unwrap();
                    assert_eq!(asked_xid, xid);
                    *self.counts.entry("reply").or_default() += 1;
                    match (asked, result) {
                        (Asked::Counter(value), Ok(_)) => actor.acknowledged = value,
                        (Asked::LookedFor(path), Err(ErrorCode::NoNode)) => {
                            *self.counts.entry("never").or_default() += 1;
                            self.never.push(path);
                        }
                        (Asked::ReadAfterSync(floor), result) => {
                            let read = data(result).parse::<u64>().unwrap_or(0);
                            assert!(read >= floor, "read {read} after a sync, {floor} was there");
                        }
                        (Asked::Ephemeral(_), Ok(_))
                        | (Asked::LookedFor(_), Ok(_))
                        | (Asked::Nothing, Ok(_)) => {}
                        (_, Err(ErrorCode::SessionExpired | ErrorCode::SessionMoved)) => {}
                        (_, Err(other)) => panic!("{other}"),
                    }
                }
            }
        }
        if closed {
            actor.connection = None;
            for (_, asked) in std::mem::take(&mut actor.asked) {
                if let Asked::Ephemeral(path) | Asked::LookedFor(path) = asked {
                    actor.lost.push(path);
                }
            }
        }
    }

    fn end(&mut self) {
        for server in (1..=3).map(s) {
            self.world.thaw(server);
            if self.world.servers.contains_key(&server) {
                self.world.heal(server);
            } else {
                self.world.heal(server);
                self.world.start(server);
            }
        }
        self.world.elect();
        for path in std::mem::take(&mut self.never) {
            let found = (1..=3).map(s).any(|server| self.world.has(server, &path));
            assert!(!found, "{path} came although its client had seen that it was not there");
        }
        // Nobody says anything any more: every session expires.
        self.world.pass(60_000);
        self.world.elect();
        let servers = &self.world.servers;
        let hashes: Vec<u64> =
            servers.values().map(|server| StateHasher::of(server.database())).collect();
        assert!(hashes.iter().all(|hash| *hash == hashes[0]), "the trees differ");
        for server in servers.values() {
            let counts = server.database().counts();
            assert_eq!((counts.sessions, counts.ephemerals), (0, 0), "of {}", server.me());
        }
        for (index, actor) in self.actors.iter().enumerate() {
            let request = get(&counter(index), false);
            let read = servers[&s(1)].database().read(
                &request,
                SessionId::NONE,
                &[],
                &DataOptions::default(),
            );
            let value = data(read).parse::<u64>().unwrap_or(0);
            assert!(
                (actor.acknowledged..=actor.written).contains(&value),
                "{value} is none of what was written after {}",
                actor.acknowledged
            );
        }
    }
}

#[test]
fn clients_can_rely_on_their_servers_through_any_storm() {
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    for seed in 0..300 {
        let mut storm = Storm::new(seed);
        storm.run();
        storm.end();
        for (what, count) in storm.counts {
            *counts.entry(what).or_default() += count;
        }
    }
    // A storm in which nothing happens proves nothing.
    for what in ["crash", "expired", "resumed", "reply", "never"] {
        let times = counts.get(what).copied().unwrap_or(0);
        assert!(times >= 10, "{what} happened {times} times in {counts:?}");
    }
}
