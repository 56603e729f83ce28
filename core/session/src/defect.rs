//! The bugs of a client's session that the laboratory can put back, by name.
//!
//! Owns: their names, reports and stories. Leaves: each mistake to the place where it was made.
//! Holds: without the feature `defects` of `mailstorm-shared` there is no table here.

mailstorm_shared::defects! {
    /// A historical bug of clients.
    pub enum Defect;

    /// A server keeps watches with the connection, not with the session. Kazoo, as long as it had
    /// no setWatches, came back from a short loss of its connection with the same session, the same
    /// ephemerals, and not one watch, while the application went on waiting for them. A user would
    /// see a process that sits still before a change that everybody else has seen.
    WatchesNotRearmed = "watches-not-rearmed" {
        line: "A client does not arm its watches anew on its next connection.",
        report: "kazoo issues 151 and 218; ZOOKEEPER-23",
    }

    /// Several clients offer it as a retry policy for every operation. For a create it gives an
    /// error that is none; for an unconditional write it is worse: the first one took effect,
    /// somebody wrote after it, and the second one takes that back. A user would see an old value
    /// return that nobody has written since.
    WriteSentAgain = "write-sent-again" {
        line: "A client sends a write once more when the connection broke over it, and hopes \
               that it was not done.",
        report: "CURATOR-584, CURATOR-268",
    }
}
