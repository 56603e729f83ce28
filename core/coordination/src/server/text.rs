//! Four-letter words and their answers, in ZooKeeper's format, for those who watch over servers.
//!
//! Owns: the texts that are about the server as a whole. Leaves: lists of connections and sessions
//! to `listing`, counting to `stats`.
//! Holds: an answer is made of what the server knows at that moment, so equal states give equal
//! texts. What is not measured here (file descriptors, proposal sizes) is left out rather than told
//! as zero.
//! Start at `Server::word`.

use super::Server;
use super::listing::Lines;
use crate::replica::Role;
use mailstorm_shared::{Now, ServerId};
use mailstorm_wire::client::FourLetterWord;
use mailstorm_wire::peer::Standing;
use std::fmt::Write as _;

/// Clients and monitors read three numbers and then a dash: those of the ZooKeeper whose protocol
/// this server follows. What comes behind says which server it is.
const VERSION: &str = concat!("3.9.0-mailstorm-", env!("CARGO_PKG_VERSION"));

/// When this version was released, as parsers of `srvr` want it. The time of a build would make two
/// builds of one source differ.
const RELEASED: &str = "11/01/2026 00:00 UTC";

/// What ZooKeeper says, too, while it looks for a leader.
const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests\n";

impl Server {
    /// The answer to a word, for the connection that asks.
    pub(super) fn word(
        &self,
        now: Now,
        client: crate::io::ClientId,
        word: FourLetterWord,
    ) -> String {
        use FourLetterWord::{Conf, Cons, Dump, Envi, Isro, Mntr, Ruok, Srvr, Stat, Wchs};
        if !self.config.words.contains(&word) {
            let name = String::from_utf8_lossy(word.as_bytes());
            return format!("{name} is not executed because it is not in the whitelist.\n");
        }
        match word {
            Ruok => "imok".to_owned(),
            Isro => self.read_write().to_owned(),
            Conf => self.conf(),
            Envi => self.envi(),
            Srvr | Mntr | Stat | Cons | Dump | Wchs if self.mode().is_none() => {
                NOT_SERVING.to_owned()
            }
            Srvr => format!("{}{}", version_line(), self.figures()),
            Stat => {
                let clients = self.list_clients(client);
                format!("{}Clients:\n{clients}\n{}", version_line(), self.figures())
            }
            Mntr => self.mntr(now),
            Cons => self.list_connections(client),
            Dump => self.dump(now),
            Wchs => self.wchs(),
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

    fn is_alone(&self) -> bool {
        self.config.replica.ensemble.servers().count() == 1
    }

    /// ZooKeeper's word for the role; `None` while nobody is served.
    fn mode(&self) -> Option<&'static str> {
        if !self.serving {
            return self.may_serve_readers().then_some("read-only");
        }
        Some(match self.replica.role() {
            Role::Leading if self.is_alone() => "standalone",
            Role::Leading => "leader",
            Role::Observing => "observer",
            _ => "follower",
        })
    }

    /// What `srvr` and `stat` end with.
    fn figures(&self) -> String {
        let latency = &self.traffic.latency;
        format!(
            "Latency min/avg/max: {}/{}/{}\nReceived: {}\nSent: {}\nConnections: {}\n\
             Outstanding: {}\nZxid: {:#x}\nMode: {}\nNode count: {}\n",
            latency.min(),
            latency.precise_average(),
            latency.max(),
            self.traffic.received,
            self.traffic.sent,
            self.clients.len(),
            self.forwarded.len(),
            self.database.last_applied().0,
            self.mode().unwrap_or_default(),
            self.database.counts().znodes,
        )
    }

    fn mntr(&self, now: Now) -> String {
        let counts = self.database.counts();
        let latency = &self.traffic.latency;
        let mut text = String::new();
        let mut line = |key: &str, value: &dyn std::fmt::Display| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "zk_{key}\t{value}");
        };
        line("version", &format_args!("{VERSION}, built on {RELEASED}"));
        line("server_state", &self.mode().unwrap_or_default());
        line("uptime", &now.monotonic.since(self.began).0);
        line("min_latency", &latency.min());
        line("avg_latency", &latency.precise_average());
        line("max_latency", &latency.max());
        line("packets_received", &self.traffic.received);
        line("packets_sent", &self.traffic.sent);
        line("num_alive_connections", &self.clients.len());
        line("outstanding_requests", &self.forwarded.len());
        line("znode_count", &counts.znodes);
        line("ephemerals_count", &counts.ephemerals);
        line("approximate_data_size", &counts.bytes);
        line("watch_count", &self.watches.load().watches);
        let tracked = self.leading.as_ref().map(|leading| leading.sessions.count());
        line("global_sessions", &tracked.unwrap_or(counts.sessions));
        if self.leading.is_some() && !self.is_alone() {
            let learners = self.replica.learners();
            let with = |standing| learners.iter().filter(|(_, s)| *s == standing).count();
            line("learners", &learners.len());
            line("followers", &with(Standing::Voter));
            line("synced_followers", &with(Standing::Voter));
            line("synced_observers", &with(Standing::Observer));
        }
        text
    }

    fn conf(&self) -> String {
        let (config, host) = (&self.config, &self.config.host);
        let replica = &config.replica;
        let mut lines = Lines::default();
        lines.add(format_args!("clientPort={}", host.client_port));
        lines.add(format_args!("dataDir={}", host.data_folder));
        lines.add(format_args!("dataLogDir={}", host.data_folder));
        lines.add(format_args!("tickTime={}", replica.tick.0));
        lines.add(format_args!("maxClientCnxns={}", host.clients_per_address_max));
        lines.add(format_args!("minSessionTimeout={}", config.session_timeout_min.0));
        lines.add(format_args!("maxSessionTimeout={}", config.session_timeout_max.0));
        lines.add(format_args!(
            "serverId={}",
            if self.is_alone() { 0 } else { replica.me.number() }
        ));
        if self.is_alone() {
            return lines.end();
        }
        lines.add(format_args!("initLimit={}", replica.init_limit_ticks));
        lines.add(format_args!("syncLimit={}", replica.sync_limit_ticks));
        let observes = replica.ensemble.observers().contains(&replica.me);
        lines.add(format_args!("peerType={}", u8::from(observes)));
        lines.add(format_args!("membership: "));
        for server in replica.ensemble.servers() {
            lines.add(format_args!("{}", self.member(server)));
        }
        lines.add(format_args!("version=0"));
        lines.end()
    }

    /// A member as ZooKeeper writes it. Its ports for followers and for elections are one here.
    fn member(&self, server: ServerId) -> String {
        let ensemble = &self.config.replica.ensemble;
        let role = if ensemble.is_voter(server) { "participant" } else { "observer" };
        let address = self.config.host.peers.get(&server).map_or("", |address| address);
        let port = address.rsplit_once(':').map_or("", |(_, port)| port);
        format!("server.{}={address}:{port}:{role}", server.number())
    }

    fn envi(&self) -> String {
        let mut lines = Lines::default();
        lines.add(format_args!("Environment:"));
        lines.add(format_args!("zookeeper.version={VERSION}, built on {RELEASED}"));
        for (key, value) in &self.config.host.environment {
            lines.add(format_args!("{key}={value}"));
        }
        lines.end()
    }

    fn wchs(&self) -> String {
        format!(
            "{} connections watching {} paths\nTotal watches:{}\n",
            self.watches.client_count(),
            self.watches.path_count(),
            self.watches.load().watches,
        )
    }
}

fn version_line() -> String {
    format!("Zookeeper version: {VERSION}, built on {RELEASED}\n")
}
