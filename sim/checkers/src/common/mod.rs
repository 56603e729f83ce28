//! What serves every system: what a checker is, and the properties that name no system.
//!
//! - what a checker is, what it finds and measures, how several are fed: [`checker`], [`kinds`],
//!   [`figure`], [`suite`];
//! - whom storms aim at: [`targets`]; what guides them: [`states`]; both by the roles that nodes
//!   show: [`roles`];
//! - whether a sweep saw what it was made for: [`reached`];
//! - what the cores keep in memory: [`bounds`];
//! - what a lesson bounds: [`live`], [`bound`]; who hears whom meanwhile: [`reach`]; what is asked
//!   only where the work could be done: [`possible`].

pub mod checker;
pub mod figure;
pub mod kinds;
pub mod suite;

pub mod roles;
pub mod states;
pub mod targets;

pub mod reached;

pub mod bound;
pub mod bounds;
pub mod live;
pub mod possible;
pub mod reach;

#[cfg(test)]
pub(crate) mod history;
