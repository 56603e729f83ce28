//! What a core and the machine that hosts it say to each other.
//!
//! Owns: the [`Core`] that a host drives, and the vocabulary between the two: ports, connections,
//! frames, disk operations. Leaves: sockets, files and timers to the host, every decision to the
//! core.
//! Holds: nothing here knows what a core is for, so one host drives every core.
//!
//! ```text
//!   host  --opened, frame, dialled, closed, disk done, drawn, tick-->  Core::step
//!   host  <--send, dial, close, hold, disk, draw, wake, observe, halt--
//! ```
//! Start at [`Core`], then [`Input`] and [`Output`].

mod core;
mod disk;
mod load;
mod network;

pub use self::core::{Core, CoreError, Input, Output, Recovery, Severity, Start};
pub use disk::{FileOp, Lane, Writes};
pub use load::Loads;
pub use network::{Address, Bounds, CloseReason, ConnectionId, DialId, Framing, Port, PortId};
