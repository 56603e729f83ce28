//! What the mail promises.
//!
//! - what it must keep: [`exactly_once`], [`fencing`];
//! - what storms of it must reach: [`goals`].

pub mod exactly_once;
pub mod fencing;

pub mod goals;
