//! Recipes: what applications build out of znodes and watches.
//!
//! Holds for all of them: a write whose reply was lost is found again (see
//! [`crate::Client::settle`]) before anything is decided; each client watches only what concerns
//! it; whatever guards a resource comes with a *fencing token* that only grows, since no session
//! can stop a process that does not know how long it slept.
//!
//! In reading order: [`queue`] (the queue of contenders), [`lock`], [`election`], [`barrier`],
//! [`claims`].

pub mod barrier;
pub mod claims;
pub mod election;
pub mod lock;
pub mod queue;
