//! A master: whoever has put its address into `/clusterx/master_ip`, and what it does for those who
//! ask.
//!
//! Owns: standing for it, and serving. Leaves: how applications find the address to `address`, what
//! they ask to `application`.
//! Holds: a candidate's epoch is the `czxid` of its znode, so that a later master has a higher one.
//!
//! The one well-known znode with an address in it is how the course has it; the recipe `Election`
//! keeps a line of candidates instead, and would need a second znode for the address.

use super::ledger::{self, Entry, to_ledger};
use crate::talk::Desk;
use bytes::Bytes;
use mailstorm_client::{CallError, Client, ClientConfig, SessionState, open_acl};
use mailstorm_platform::{Address, Platform};
use mailstorm_shared::facts::ApplicationFact;
use mailstorm_shared::{Millis, Observation, SessionId};
use mailstorm_wire::client::{CreateMode, ErrorCode, Stat};
use mailstorm_world::SimPlatform;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::rc::Rc;

/// Where the master's address stands.
pub(in crate::lessons) const MASTER_IP: &str = "/clusterx/master_ip";
const FOLDER: &str = "/clusterx";
/// Where masters listen.
const PORT: u16 = 7000;

/// The candidates of a lesson, each with its node and when it begins to stand: `m1` before all
/// others, so that it is master first.
pub(in crate::lessons) const CANDIDATES: [(&str, Millis); 3] =
    [("m1", Millis(0)), ("m2", Millis(500)), ("m3", Millis(500))];

/// When the candidate on this node begins, if it is one.
pub(in crate::lessons) fn begins(node: &str) -> Option<Millis> {
    CANDIDATES.iter().find(|(name, _)| *name == node).map(|(_, begins)| *begins)
}

/// What an application asks of a master.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::lessons) enum Question {
    /// Something that changes nothing.
    Read,
    /// To store an entry.
    Write {
        /// The entry.
        id: String,
        /// The epoch of the master that the application means.
        epoch: u64,
    },
}

/// What it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::lessons) enum Reply {
    /// Done.
    Done,
    /// Not by this one, or not in this epoch.
    NotMaster,
}

/// How careful a master is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lessons) struct Manners {
    /// Whether its znode goes with its session; otherwise it stays.
    pub(in crate::lessons) is_ephemeral: bool,
    /// Whether it stops to serve while it is not connected, and serves only who means its own
    /// epoch. Otherwise it serves until it is told that its session is over.
    pub(in crate::lessons) steps_down: bool,
}

/// A candidate, who serves while it is master.
#[derive(Clone)]
pub(in crate::lessons) struct Candidate {
    pub(in crate::lessons) platform: SimPlatform,
    pub(in crate::lessons) config: ClientConfig,
    pub(in crate::lessons) name: String,
    /// When it begins to stand.
    pub(in crate::lessons) begins: Millis,
    pub(in crate::lessons) manners: Manners,
}

/// The epoch in which a candidate is master, as far as it knows.
type Office = Rc<Cell<Option<u64>>>;

/// Where the master of this name listens.
fn address_of(name: &str) -> String {
    format!("{name}:{PORT}")
}

impl Candidate {
    pub(in crate::lessons) async fn run(self) {
        let office = Office::default();
        self.platform.spawn(self.clone().serve(office.clone()));
        self.platform.sleep(self.begins).await;
        loop {
            let client = Client::connect(self.platform.clone(), self.config.clone());
            // Only the end of the session comes out of it.
            let _ = self.stand(&client, &office).await;
        }
    }

    /// Becomes master when there is none, and stays so while the session lives.
    async fn stand(&self, client: &Client<SimPlatform>, office: &Office) -> Result<(), CallError> {
        loop {
            match self.put_address(client).await {
                Ok(epoch) => {
                    self.reign(client, epoch, office).await;
                    return Ok(());
                }
                Err(error) if error.is_final() => return Err(error),
                // In doubt, or too much at once: what is so is looked up again.
                Err(_) => client.settle().await?,
            }
        }
    }

    /// Resolves with the epoch when the znode is there and ours.
    async fn put_address(&self, client: &Client<SimPlatform>) -> Result<u64, CallError> {
        client.ensure_path(FOLDER).await?;
        let address = Bytes::from(address_of(&self.name));
        let mode =
            if self.manners.is_ephemeral { CreateMode::Ephemeral } else { CreateMode::Persistent };
        loop {
            match client.create(MASTER_IP, address.clone(), mode, open_acl()).await {
                Ok((_, stat)) => return Ok(stat.czxid.0),
                Err(CallError::Refused(ErrorCode::NodeExists)) => {}
                Err(error) => return Err(error),
            }
            match client.get_data_and_watch(MASTER_IP).await {
                Ok((data, stat, _))
                    if self.is_ours(client.session(), &address, data.as_ref(), &stat) =>
                {
                    return Ok(stat.czxid.0);
                }
                // Whatever the watch tells, the next create shows it, too.
                Ok((_, _, watch)) => drop(watch.await),
                Err(CallError::Refused(ErrorCode::NoNode)) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether the znode is the one that a create of this candidate has left: an ephemeral of an
    /// earlier session is not, since it goes with that.
    fn is_ours(
        &self,
        session: SessionId,
        address: &Bytes,
        data: Option<&Bytes>,
        stat: &Stat,
    ) -> bool {
        let is_kept = !self.manners.is_ephemeral || stat.ephemeral_owner == session;
        is_kept && data == Some(address)
    }

    /// Until the session is over.
    async fn reign(&self, client: &Client<SimPlatform>, epoch: u64, office: &Office) {
        while !client.state().is_over() {
            let is_sure = client.state() == SessionState::Connected || !self.manners.steps_down;
            self.believe(office, is_sure.then_some(epoch), epoch);
            client.state_changed().await;
        }
        self.believe(office, None, epoch);
    }

    fn believe(&self, office: &Office, now: Option<u64>, token: u64) {
        if office.replace(now) == now {
            return;
        }
        let candidate = self.name.as_str().into();
        self.platform.observe(if now.is_some() {
            Observation::Application(ApplicationFact::MasterBelieves { candidate, token })
        } else {
            Observation::Application(ApplicationFact::MasterResigns { candidate, token })
        });
    }

    async fn serve(self, office: Office) {
        let mut desk = match Desk::open(&self.platform, &Address::from(&*address_of(&self.name))) {
            Ok(desk) => desk,
            Err(error) => return self.platform.last_words(&error.to_string()),
        };
        let mut ledger = to_ledger(&self.platform);
        loop {
            let (asker, question) = desk.next().await;
            let reply = match (question, office.get()) {
                (_, None) => Reply::NotMaster,
                (Question::Read, Some(_)) => Reply::Done,
                (Question::Write { epoch, .. }, Some(own))
                    if self.manners.steps_down && epoch != own =>
                {
                    Reply::NotMaster
                }
                (Question::Write { id, .. }, Some(token)) => {
                    let entry = Entry { id, by: self.name.clone(), token };
                    match ledger.ask(entry).await {
                        Ok(ledger::Answer::Stored) => Reply::Done,
                        Ok(ledger::Answer::Refused) => Reply::NotMaster,
                        // It may be stored: whoever asked has to ask again.
                        Err(_) => continue,
                    }
                }
            };
            desk.answer(asker, reply);
        }
    }
}
