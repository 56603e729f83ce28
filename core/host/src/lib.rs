//! Where a core meets a machine: one loop that drives any [`Core`](mailstorm_shared::machine::Core)
//! over any [`Platform`](mailstorm_platform::Platform).
//!
//! Owns: cutting bytes into frames, holding back and giving up whoever does not take what is sent
//! to it, the timer, the two lanes to the disk, and the order in which what the core asks for is
//! done.
//! Leaves: every decision to the core, which it knows by its trait alone.
//! Holds: the core is stepped by one task at a time, and never across an await. Outputs are carried
//! out in their order, all of them before the next input. Nothing that a lane was given is reported
//! as done before it is durable, and after the first operation that failed none follows.
//!
//! ```text
//!   network task:  endpoint.next() --> Input --+                 +--> endpoint.send(), close(), hold()
//!                                              +--> step --> Output
//!   log's lane:    write, sync --> DiskDone ---+                 +--> "something waits for a lane"
//!   other lane:    write, sync --> DiskDone ---+
//! ```
//! Start at [`serve`], then `host::Turn::step`.

mod connection;
mod disk;
mod error;
mod host;
mod lanes;
mod probe;
pub mod real;
mod reserve;
mod settings;
mod signal;

pub use error::HostError;
pub use host::serve;
pub use probe::Probe;
pub use settings::{OnListening, Settings};
pub use signal::StopRequest;
