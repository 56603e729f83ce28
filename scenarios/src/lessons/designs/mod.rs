//! Programs and machines that several lessons share.
//!
//! In reading order: what there is to process ([`mails`]), a worker's way to the sink and the sink
//! itself ([`outbox`]), a database ([`database`]), workers who share one lock ([`lock_workers`]),
//! and the design that holds: claims of an ensemble ([`claims`]).
//!
//! About quorums: a client that writes one znode ([`writer`]). About who is master: candidates
//! ([`master`]), how they are found ([`address`]), who asks them ([`application`]), and what all of
//! them write to ([`ledger`]).

pub(super) mod address;
pub(super) mod application;
pub(super) mod claims;
pub(super) mod database;
pub(super) mod ledger;
pub(super) mod lock_workers;
pub(super) mod mails;
pub(super) mod master;
pub(super) mod outbox;
pub(super) mod writer;
