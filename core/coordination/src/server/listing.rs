//! The four-letter words that list something: connections (`stat`, `cons`) and sessions (`dump`).
//!
//! Holds: a list is cut, and says so, before it fills the memory: a session may own any number of
//! ephemeral znodes, and a path may be as long as a request.

use super::Server;
use super::clients::Client;
use crate::io::ClientId;
use mailstorm_shared::{Instant, Now, SessionId, WallTime};
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// How long an answer may be. The lines of 10,000 connections take less than 3 MiB.
const TEXT_BYTES_MAX: usize = 16 << 20;

/// Lines up to a bound.
#[derive(Debug, Default)]
pub(super) struct Lines {
    text: String,
    left_out: usize,
}

impl Lines {
    /// One more line, if there is room.
    pub(super) fn add(&mut self, line: fmt::Arguments<'_>) {
        if self.text.len() >= TEXT_BYTES_MAX {
            self.left_out += 1;
        } else {
            // Writing to a string cannot fail.
            let _ = writeln!(self.text, "{line}");
        }
    }

    /// All of it.
    pub(super) fn end(mut self) -> String {
        if self.left_out > 0 {
            let _ = writeln!(self.text, "({} more lines are left out)", self.left_out);
        }
        self.text
    }
}

impl Server {
    /// The lines of `stat`.
    pub(super) fn list_clients(&self, this: ClientId) -> String {
        let mut lines = Lines::default();
        for (id, client) in self.clients.iter() {
            lines.add(format_args!(" {})", brief(id == this, client)));
        }
        lines.end()
    }

    /// The lines of `cons`.
    pub(super) fn list_connections(&self, this: ClientId) -> String {
        let mut lines = Lines::default();
        for (id, client) in self.clients.iter() {
            let brief = brief(id == this, client);
            let Some((session, timeout)) = client.attached() else {
                lines.add(format_args!(" {brief})"));
                continue;
            };
            let account = &client.account;
            let latency = &account.traffic.latency;
            lines.add(format_args!(
                " {brief},sid={:#x},lop={},est={},to={},lcxid={:#x},lzxid={:#x},lresp={},llat={},\
                 minlat={},avglat={},maxlat={})",
                session.0,
                account.operation,
                account.established.0,
                timeout.0,
                i64::from(account.xid),
                account.zxid.0,
                account.responded.0,
                account.took.0,
                latency.min(),
                latency.average(),
                latency.max(),
            ));
        }
        lines.add(format_args!(""));
        lines.end()
    }

    /// Sessions, when they expire, and what they own. Only a leader knows the deadlines; others
    /// list the timeouts.
    pub(super) fn dump(&self, now: Now) -> String {
        let mut lines = Lines::default();
        lines.add(format_args!("SessionTracker dump:"));
        match &self.leading {
            Some(leading) => {
                let buckets: Vec<_> = leading.sessions.buckets().collect();
                let count: usize = buckets.iter().map(|(_, sessions)| sessions.len()).sum();
                lines.add(format_args!("Session Sets ({})/({count}):", buckets.len()));
                for (deadline, sessions) in buckets {
                    let date = date(now.wall + deadline.since(now.monotonic));
                    lines.add(format_args!("{} expire at {date}:", sessions.len()));
                    sessions.iter().for_each(|id| lines.add(format_args!("\t{:#x}", id.0)));
                }
            }
            None => {
                lines.add(format_args!("Global Sessions({}):", self.database.counts().sessions));
                for (id, record) in self.database.sessions() {
                    lines.add(format_args!("{:#x}\t{}ms", id.0, record.timeout.0));
                }
            }
        }
        lines.add(format_args!("ephemeral nodes dump:"));
        let owners = self.database.ephemerals().count();
        lines.add(format_args!("Sessions with Ephemerals ({owners}):"));
        for (id, paths) in self.database.ephemerals() {
            lines.add(format_args!("{:#x}:", id.0));
            paths.iter().for_each(|path| lines.add(format_args!("\t{path}")));
        }
        self.dump_connections(now, &mut lines);
        lines.end()
    }

    /// Connections, by the time at which their silence ends them.
    fn dump_connections(&self, now: Now, lines: &mut Lines) {
        let mut sets: BTreeMap<Instant, Vec<&Client>> = BTreeMap::new();
        for (_, client) in self.clients.iter() {
            sets.entry(self.silent_until(client)).or_default().push(client);
        }
        lines.add(format_args!("Connections dump:"));
        lines.add(format_args!("Connections Sets ({})/({}):", sets.len(), self.clients.len()));
        for (deadline, clients) in sets {
            let date = date(now.wall + deadline.since(now.monotonic));
            lines.add(format_args!("{} expire at {date}:", clients.len()));
            for client in clients {
                let session = client.session().unwrap_or(SessionId::NONE);
                let address = client.address;
                lines.add(format_args!("\tip: /{address} sessionId: {:#x}", session.0));
            }
        }
    }
}

/// How each line about a connection begins: from where, whether it is read from, and its counts.
/// The one on which the word came is not read from while it is answered.
fn brief(is_this: bool, client: &Client) -> String {
    let traffic = &client.account.traffic;
    format!(
        "/{}[{}](queued={},recved={},sent={}",
        client.address,
        u8::from(!is_this && !client.requests.is_held()),
        client.requests.queued_count(),
        traffic.received,
        traffic.sent,
    )
}

/// A time since 1970 as Java prints it: `Sat Nov 28 07:29:49 UTC 2026`.
fn date(wall: WallTime) -> String {
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = wall.since(WallTime::UNIX_EPOCH).0 / 1_000;
    let days = seconds / 86_400;
    // Years that begin in March end with the leap day; 146,097 days are 400 years. 1970-01-01 is
    // day 719,468 since the first of March of the year 0.
    let since_march = days + 719_468;
    let (era, day_of_era) = (since_march / 146_097, since_march % 146_097);
    let leap_days = day_of_era / 1_460 + day_of_era / 146_096 - day_of_era / 36_524;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let months = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * months + 2) / 5 + 1;
    let month = (months + 2) % 12;
    let year = era * 400 + year_of_era + u64::from(month < 2);
    format!(
        "{} {} {day:02} {:02}:{:02}:{:02} UTC {year}",
        WEEKDAYS[(days % 7) as usize],
        MONTHS[month as usize],
        seconds / 3_600 % 24,
        seconds / 60 % 60,
        seconds % 60,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_java_does() {
        for (seconds, expected) in [
            (0, "Thu Jan 01 00:00:00 UTC 1970"),
            (951_782_400, "Tue Feb 29 00:00:00 UTC 2000"),
            (951_868_799, "Tue Feb 29 23:59:59 UTC 2000"),
            (951_868_800, "Wed Mar 01 00:00:00 UTC 2000"),
            (1_795_850_989, "Sat Nov 28 07:29:49 UTC 2026"),
            (4_107_542_399, "Sun Feb 28 23:59:59 UTC 2100"),
            (4_107_542_400, "Mon Mar 01 00:00:00 UTC 2100"),
        ] {
            assert_eq!(date(WallTime(seconds * 1_000)), expected);
        }
    }

    #[test]
    fn a_list_that_is_too_long_is_cut_and_says_so() {
        let mut lines = Lines::default();
        let path = "x".repeat(1 << 20);
        (0..20).for_each(|_| lines.add(format_args!("{path}")));
        let text = lines.end();
        assert!(text.len() < TEXT_BYTES_MAX + (2 << 20));
        assert!(
            text.ends_with("\n(4 more lines are left out)\n"),
            "{}",
            text.lines().last().unwrap()
        );
    }
}
