//! The bugs of workers and of the sink that the laboratory can put back, by name.
//!
//! Owns: their names, reports and stories. Leaves: each mistake to the place where it was made.
//! Holds: without the feature `defects` of `mailstorm-shared` there is no table here.

mailstorm_shared::defects! {
    /// A historical bug of the e-mail application.
    pub enum Defect;

    /// A lock in a coordination service ends with its session, and a process that slept, or
    /// collected garbage, through that end does not know. HBase met it in its early years: a region
    /// server woke up after a long pause and went on writing to regions that others served by then.
    /// Here the sink neither notes the highest token nor compares: the sleeper's result lands
    /// beside the one of the worker that took his claim over. A user would see a mail answered
    /// twice, once by somebody who had been replaced half a minute before.
    LockWithoutFencing = "lock-without-fencing" {
        line: "The sink takes results from a worker whose claim was taken over.",
        report: "Kleppmann, How to do distributed locking, 2016",
    }

    /// The token that a new holder brings is compared with the highest seen, and only a result that
    /// is taken makes it the highest. So between the new holder's first word and its first result
    /// the old one still gets in, although the new one was told what is done already and goes by
    /// it. Wrong because a fence protects from the moment at which somebody relies on it. A user
    /// would see a mail answered twice if a worker wakes up just when another has taken its claim
    /// over.
    FenceRaisedByResultsAlone = "fence-raised-by-results-alone" {
        line: "The sink compares with the highest token of a result, not with the fence that was raised.",
        report: "Kleppmann, How to do distributed locking, 2016",
    }

    /// Brokers do so for speed: HornetQ kept a message's delivery count in memory until a rollback,
    /// unless told otherwise. A message that kills its consumer never gets that far, so its count
    /// stays where it was, and the limit that should set it aside is never reached. A user would
    /// see one mail kill worker after worker for ever, and the mails behind it wait.
    AttemptNotedAfter = "attempt-noted-after" {
        line: "A worker notes an attempt when it is over, not before it begins.",
        report: "HornetQ, persist-delivery-count-before-delivery",
    }
}
