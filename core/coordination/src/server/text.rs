//! Four-letter words and their answers, in ZooKeeper's format, for those who watch over servers.
//!
//! What is not measured here (latencies, proposal sizes) is left out rather than told as zero.

use super::Server;
use crate::replica::Role;
use mailstorm_wire::client::FourLetterWord;
use mailstorm_wire::peer::Standing;
use std::fmt::Write as _;

const VERSION: &str = concat!("mailstorm-", env!("CARGO_PKG_VERSION"));

/// What ZooKeeper says, too, while it looks for a leader.
const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests\n";

impl Server {
    /// The answer to a word.
    pub(super) fn word(&self, word: FourLetterWord) -> String {
        match word {
            FourLetterWord::Ruok => "imok".to_owned(),
            FourLetterWord::Isro => self.read_write().to_owned(),
            FourLetterWord::Srvr if self.mode().is_none() => NOT_SERVING.to_owned(),
            FourLetterWord::Mntr if self.mode().is_none() => NOT_SERVING.to_owned(),
            FourLetterWord::Srvr => self.srvr(),
            FourLetterWord::Mntr => self.mntr(),
        }
    }

    /// Clients look for a writable server with this.
    fn read_write(&self) -> &'static str {
        match (self.serving, self.may_serve_readers()) {
            (true, _) => "rw",
            (false, true) => "ro",
            (false, false) => "null",
        }
    }

    /// ZooKeeper's word for the role; `None` while nobody is served.
    fn mode(&self) -> Option<&'static str> {
        if !self.serving {
            return self.may_serve_readers().then_some("read-only");
        }
        let alone = self.config.replica.ensemble.servers().count() == 1;
        Some(match self.replica.role() {
            Role::Leading if alone => "standalone",
            Role::Leading => "leader",
            Role::Observing => "observer",
            _ => "follower",
        })
    }

    fn srvr(&self) -> String {
        format!(
            "Zookeeper version: {VERSION}\nReceived: {}\nSent: {}\nConnections: {}\n\
             Outstanding: {}\nZxid: {:#x}\nMode: {}\nNode count: {}\n",
            self.traffic.received,
            self.traffic.sent,
            self.clients.len(),
            self.asked.len(),
            self.database.last_applied().0,
            self.mode().unwrap_or_default(),
            self.database.counts().znodes,
        )
    }

    fn mntr(&self) -> String {
        let counts = self.database.counts();
        let mut text = String::new();
        let mut line = |key: &str, value: &dyn std::fmt::Display| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "zk_{key}\t{value}");
        };
        line("version", &VERSION);
        line("server_state", &self.mode().unwrap_or_default());
        line("packets_received", &self.traffic.received);
        line("packets_sent", &self.traffic.sent);
        line("num_alive_connections", &self.clients.len());
        line("outstanding_requests", &self.asked.len());
        line("znode_count", &counts.znodes);
        line("ephemerals_count", &counts.ephemerals);
        line("approximate_data_size", &counts.bytes);
        line("watch_count", &self.watches.load().watches);
        if let Some(leading) = &self.leading {
            line("global_sessions", &leading.sessions.count());
            let learners = self.replica.learners();
            let voters = learners.iter().filter(|(_, s)| *s == Standing::Voter).count();
            line("learners", &learners.len());
            line("synced_followers", &voters);
        }
        text
    }
}
