//! Programs and machines that several lessons share.
//!
//! In reading order: what there is to process ([`mails`]), a worker's way to the sink and the sink itself
//! ([`outbox`]), a database ([`database`]), workers who share one lock ([`lock_workers`]), and the design
//! that holds: claims of an ensemble ([`claims`]).

pub(super) mod claims;
pub(super) mod database;
pub(super) mod lock_workers;
pub(super) mod mails;
pub(super) mod outbox;
