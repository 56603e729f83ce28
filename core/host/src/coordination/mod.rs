//! One server of the coordination ensemble on a machine.
//!
//! Owns: connections and links, cutting bytes into frames, timers, and the order in which what the core
//! asks for is done. Leaves: every decision to [`mailstorm_coordination::server::Server`], the bytes on
//! disk to [`crate::storage`].
//! Holds: the core is stepped by one task at a time, and never across an await. Outputs are carried out
//! in their order, all of them before the next input. A message that rests on the disk leaves in the
//! step that the disk's answer causes.
//!
//! ```text
//!   network task:  endpoint.next() --> Input --+                 +--> endpoint.send(), close(), hold()
//!                                              +--> step --> Output
//!   disk task:     write, sync --> DiskDone ---+                 +--> queue of disk commands
//!   second lane:   write, sync --> AsideDone --+                      (own snapshots, removals)
//! ```
//! Start at [`serve_coordination`], then `host::Host::step`.

mod complaints;
mod connections;
mod host;
mod lanes;
mod learners;
mod links;
mod origins;
mod probe;
mod settings;
#[cfg(test)]
mod tests;

pub use host::serve_coordination;
pub use probe::{ServerProbe, ServerReport};
pub use settings::{HostLimits, LinkTiming, Listening, OnListening, ServerSettings};
