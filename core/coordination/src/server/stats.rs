//! What a server counts for those who watch over it: frames, and how long answers took.
//!
//! Holds: nothing here has any effect on what the server does. Times come from the host's clocks,
//! as everywhere, so equal inputs give equal numbers.

use mailstorm_shared::{Instant, Millis, WallTime, Zxid};
use mailstorm_wire::client::{Request, Write};

/// How long answers took.
#[derive(Clone, Copy, Debug, Default, Hash)]
pub(super) struct Latency {
    count: u64,
    sum: u64,
    min: u64,
    max: u64,
}

impl Latency {
    /// One more answer, after this time.
    fn add(&mut self, took: Millis) {
        self.min = if self.count == 0 { took.0 } else { self.min.min(took.0) };
        self.max = self.max.max(took.0);
        self.sum = self.sum.saturating_add(took.0);
        self.count += 1;
    }

    /// The shortest, in milliseconds; 0 without any.
    pub(super) fn min(&self) -> u64 {
        self.min
    }

    /// The longest.
    pub(super) fn max(&self) -> u64 {
        self.max
    }

    /// The mean, rounded down.
    pub(super) fn average(&self) -> u64 {
        self.sum.checked_div(self.count).unwrap_or(0)
    }

    /// The mean with up to four decimals and at least one, as ZooKeeper prints it.
    pub(super) fn precise_average(&self) -> String {
        let tenths_of_micros = (u128::from(self.sum) * 10_000 + u128::from(self.count / 2))
            .checked_div(u128::from(self.count))
            .unwrap_or(0);
        let digits = format!("{:04}", tenths_of_micros % 10_000);
        let decimals = digits.trim_end_matches('0');
        let decimals = if decimals.is_empty() { "0" } else { decimals };
        format!("{}.{decimals}", tenths_of_micros / 10_000)
    }
}

/// Frames from and to clients, and how long answers took.
#[derive(Clone, Copy, Debug, Default, Hash)]
pub(super) struct Traffic {
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) latency: Latency,
}

/// An answer that left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Served {
    /// Which operation, in ZooKeeper's four letters.
    pub(super) operation: &'static str,
    /// The request's number.
    pub(super) xid: i32,
    /// How long it took.
    pub(super) took: Millis,
}

/// What one connection did.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct Account {
    pub(super) traffic: Traffic,
    /// When it was opened, on the wall clock.
    pub(super) established: WallTime,
    /// Of the last answer.
    pub(super) operation: &'static str,
    /// Of the last answer; -1 before the first.
    pub(super) xid: i32,
    /// The last transaction applied when that left.
    pub(super) zxid: Zxid,
    /// When it left, on the monotonic clock.
    pub(super) responded: Instant,
    /// How long it took.
    pub(super) took: Millis,
}

impl Account {
    /// A connection that was opened now.
    pub(super) fn opened(wall: WallTime) -> Self {
        Self {
            traffic: Traffic::default(),
            established: wall,
            operation: "NA",
            xid: -1,
            zxid: Zxid::ZERO,
            responded: Instant::ZERO,
            took: Millis::ZERO,
        }
    }

    /// An answer left.
    pub(super) fn served(&mut self, served: Served, zxid: Zxid, now: Instant) {
        self.traffic.latency.add(served.took);
        self.operation = served.operation;
        self.xid = served.xid;
        self.zxid = zxid;
        self.responded = now;
        self.took = served.took;
    }
}

impl Traffic {
    /// An answer left, of whichever connection.
    pub(super) fn served(&mut self, took: Millis) {
        self.latency.add(took);
    }
}

/// An operation's name in `cons`.
pub(super) fn operation(request: &Request) -> &'static str {
    match request {
        Request::Write(Write::Create { .. }) => "CREA",
        Request::Write(Write::Delete { .. }) => "DELE",
        Request::Write(Write::SetData { .. }) => "SETD",
        Request::Write(Write::SetAcl { .. }) => "SETA",
        Request::Write(Write::Check { .. }) => "CHEC",
        Request::Multi(_) => "MULT",
        Request::MultiRead(_) => "MLTR",
        Request::Exists { .. } => "EXIS",
        Request::GetData { .. } => "GETD",
        Request::GetAcl { .. } => "GETA",
        Request::Children { .. } => "GETC",
        Request::Ephemerals { .. } => "GETE",
        Request::AllChildrenNumber { .. } => "GETACN",
        Request::Sync { .. } => "SYNC",
        Request::Ping => "PING",
        Request::Auth { .. } => "AUTH",
        Request::WhoAmI => "HOMI",
        Request::SetWatches(_) => "SETW",
        Request::AddWatch { .. } => "ADDW",
        Request::CheckWatches { .. } => "CHKW",
        Request::RemoveWatches { .. } => "REMW",
        Request::CloseSession => "CLOS",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_has_at_least_one_decimal_and_at_most_four() {
        for (times, expected) in [
            (&[][..], "0.0"),
            (&[0, 0], "0.0"),
            (&[3], "3.0"),
            (&[1, 2], "1.5"),
            (&[1, 7, 8], "5.3333"),
            (&[1, 1, 3], "1.6667"),
        ] {
            let mut latency = Latency::default();
            times.iter().for_each(|took| latency.add(Millis(*took)));
            assert_eq!(latency.precise_average(), expected, "{times:?}");
        }
    }
}
