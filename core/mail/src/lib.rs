//! The e-mail application on top of the coordination service: an inbox, processing, a sink, and the
//! pipeline that joins them so that every mail is processed exactly once.
//!
//! A mail counts as processed when its result is in the [`sink`]. Leaves: sessions and recipes to
//! `client`, failures to whoever causes them. Holds: the inbox is never written; what is no mail is
//! a dead letter, never an error; a worker that lost its claim no longer changes anything.
//! Start at [`pipeline`].

pub mod defect;
pub mod inbox;
pub mod pipeline;
pub mod processing;
pub mod samples;
pub mod sink;
