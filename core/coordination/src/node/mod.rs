//! One machine's coordination server as a host's [`Core`](mailstorm_shared::machine::Core): a
//! [`Server`](crate::server::Server), its clients' connections, its links to the other servers, and
//! its data folder.
//!
//! Owns: who may connect, the handshake between servers, when to connect to whom, four-letter
//! words, the order in which the disk gets what the server asks of it, recovery step by step.
//! Leaves: every decision of the service to the server; bytes, files and timers to the host.
//! Holds: the server takes one input at a time, and all that it asks for goes out before the next.
//! A message that rests on the disk leaves in the step that the disk's answer causes.
//!
//! ```text
//!   host --machine::Input--> Node --+--> clients   who may connect, four-letter words
//!                             |     +--> links     hello, elections, learners, strangers
//!                             |     +--> writes    two lanes to the disk
//!                             |     +--> Server    io::Input in, io::Output out
//!   host <--machine::Output---+
//! ```
//! In reading order: `settings`, `start` (recovery), `core` (which input goes where), `clients`,
//! `links`, `writes`. Start at [`NodeStart`].

mod clients;
mod complaints;
mod connections;
mod core;
mod elections;
mod learners;
mod links;
mod origins;
mod settings;
mod start;
#[cfg(test)]
mod tests;
mod writes;

pub use self::core::{Node, ServerReport};
pub use settings::{LinkTiming, NodeLimits, NodeSettings};
pub use start::{NoVote, NodeStart};
