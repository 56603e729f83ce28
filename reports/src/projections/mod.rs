//! What each system makes of its events on a page: panels, roles, signs, operations, and what is
//! stuck.
//!
//! Owns: one projection per system, and the list of them. Leaves: what a projection is asked to
//! `page::projection`, drawing to `page`. Holds: a projection knows the facts of its own system; of
//! another it knows at most those of what it stands on. Start at [`all`].

mod application;
mod clients;
mod ensemble;
mod mail;
mod tree;

use crate::page::projection::Systems;

/// Every system that tells facts, from what is built on top down to what it stands on.
pub(crate) fn all() -> Systems {
    Systems(vec![
        Box::<mail::Mail>::default(),
        Box::<application::Application>::default(),
        Box::<clients::Clients>::default(),
        Box::<ensemble::Ensemble>::default(),
    ])
}
