//! Recipes: what applications build out of znodes and watches.
//!
//! Holds for all of them: a write whose reply was lost is found again (see
//! [`crate::Client::settle`]) before anything is decided; nobody watches more than what concerns
//! him; whatever guards a resource comes with a *fencing token* that only grows, since no session
//! can stop a process that does not know how long it slept.
//!
//! In reading order: [`queue`] (the line of contenders), [`lock`], [`election`], [`barrier`],
//! [`claims`].

pub mod barrier;
pub mod claims;
pub mod election;
pub mod lock;
pub mod queue;
