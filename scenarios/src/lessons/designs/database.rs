//! A database: one server with one table of mails, a log on its disk, and the client's side of it.
//!
//! ```text
//!   mail | holder | fence | lease ends | done
//! ```
//! Every request is one statement under the row's lock, and takes the server a while. A change
//! stands in the log before it is answered; whether the log is on the disk by then is a setting
//! ([`SyncLog`]).
//! Holds: the highest fence only grows, so that of two holders of a row the later has the higher
//! one. Leases are counted on the server's own clock, and begin anew when it is started again.
//! Start at [`Ask`].

mod log;
mod table;

pub(crate) use table::{Answer, Ask, Table};

use crate::lessons::stage::Program;
use crate::talk::{Caller, Desk};
use log::Log;
use mailstorm_platform::{Address, Platform};
use mailstorm_shared::Millis;
use mailstorm_world::{NodeSpec, Process, SimPlatform, Subject};
use std::io;

/// The server's node.
pub(crate) const DATABASE: &str = "db";
const ADDRESS: &str = "db:5432";
/// How long a client waits for an answer, and before it asks again.
const PATIENCE: Millis = Millis(1_000);
const BACKOFF: Millis = Millis(200);

/// When the log is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SyncLog {
    /// Before a change is answered.
    BeforeAnswer,
    /// Every so often: quicker, and what came last can be lost.
    Every(Millis),
}

/// The machine. Its process, network and clock may fail; if its disk rots, there is no second copy,
/// and no design around it could be right.
pub(crate) fn node() -> NodeSpec {
    NodeSpec::client(DATABASE)
        .called("database")
        .subject_to(Subject { disk: false, ..Subject::ALL })
}

/// The server's program: `table` as it is at first, so long for each request.
pub(crate) fn boot(process: Process, table: Table, takes: Millis, sync: SyncLog) -> Program {
    let platform = process.platform;
    Box::pin(async move {
        if let Err(error) = serve(platform.clone(), table, takes, sync).await {
            platform.last_words(&error.to_string());
        }
    })
}

/// Serves until the disk fails: what is on it is known only after another look, by the next
/// process.
async fn serve(
    platform: SimPlatform,
    mut table: Table,
    takes: Millis,
    sync: SyncLog,
) -> io::Result<()> {
    let mut log = Log::open(platform.disk()).await?;
    log.recovered().for_each(|change| table.apply(change));
    table.renew_leases(platform.now().monotonic);
    if let SyncLog::Every(span) = sync {
        let (platform, file) = (platform.clone(), log.file());
        platform.clone().spawn(async move {
            loop {
                platform.sleep(span).await;
                // Nobody waits for it, so nobody would hear that it failed.
                let _ = file.sync().await;
            }
        });
    }
    let mut desk = Desk::open(&platform, &Address::from(ADDRESS))?;
    loop {
        let (asker, ask) = desk.next().await;
        platform.sleep(takes).await;
        let (answer, change) = table.answer(platform.now().monotonic, &ask);
        if let Some(change) = change {
            log.append(&change).await?;
            if sync == SyncLog::BeforeAnswer {
                log.file().sync().await?;
            }
        }
        desk.answer(asker, answer);
    }
}

/// A client of the database.
pub(crate) struct Connection {
    platform: SimPlatform,
    caller: Caller<SimPlatform, Ask, Answer>,
}

impl Connection {
    pub(crate) fn new(platform: &SimPlatform) -> Self {
        let caller = Caller::new(platform, Address::from(ADDRESS), PATIENCE);
        Self { platform: platform.clone(), caller }
    }

    /// Asks until there is an answer. The server may have heard the question several times.
    pub(crate) async fn ask(&mut self, ask: Ask) -> Answer {
        loop {
            if let Ok(answer) = self.caller.ask(ask.clone()).await {
                return answer;
            }
            self.platform.sleep(BACKOFF).await;
        }
    }
}
