//! What the mail promises.
//!
//! - what it must keep: [`exactly_once`];
//! - what storms of it must reach: [`goals`].

pub mod exactly_once;

pub mod goals;
