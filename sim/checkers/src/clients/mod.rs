//! What the ensemble's clients see.
//!
//! - what they are promised: [`answers`], [`real_time`], [`linearizable`], [`session_order`],
//!   [`watches`];
//! - what is promised to nobody, and measured: [`staleness`].

pub mod answers;
pub mod linearizable;
pub mod real_time;
pub mod session_order;
pub mod watches;

pub mod staleness;

pub(crate) mod followed;
pub(crate) mod znodes;
