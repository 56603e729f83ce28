//! The bugs of recipes that the laboratory can put back, by name.
//!
//! Owns: their names, reports and stories. Leaves: each mistake to the place where it was made.
//! Holds: without the feature `defects` of `mailstorm-shared` there is no table here.

mailstorm_shared::defects! {
    /// A historical bug of recipes.
    pub enum Defect;

    /// The design that most begin with: read, see that nobody alive holds the claim, write oneself
    /// in. Between reading and writing somebody else does the same. Here no change of a claim, nor
    /// of how far the inbox has been noted, demands a version, and the holder's ephemeral is named
    /// after its session, so that it stands in nobody's way. Two workers then hold one claim, and
    /// when the one that works on it dies, the other's ephemeral keeps everybody from taking over;
    /// a batch whose noting was not answered is noted again. A user would see the same mails handed
    /// out in two batches, and two results for each, although every lock was taken in order.
    ClaimWithoutVersion = "claim-without-version" {
        line: "A worker writes a claim without the version it read.",
        report: "the recipe `claims`; ZooKeeper's guide on conditional updates",
    }

    /// The recipe as the documentation had it: create a sequential ephemeral, and if the connection
    /// breaks before the reply, try again. But the first create may have been done. Its znode
    /// belongs to a session that lives, so nothing removes it; its owner does not know of it, so
    /// when its turn comes nobody acts, and its own second znode waits behind it. The remedy was a
    /// name that says whose it is, looked for before creating again; here it is not looked for. A
    /// user would see a lock that nobody holds and nobody gets, until some process is restarted by
    /// chance.
    OrphanedLock = "orphaned-lock" {
        line: "A lock's znode is created anew after a lost reply, and the first one stays in the \
               queue for ever.",
        report: "ZOOKEEPER-1262",
    }
}
