//! Words that every package of Mailstorm shares.
//!
//! Owns: the newtypes of the field ([`ServerId`], [`Epoch`], [`Zxid`], [`SessionId`], [`Instant`],
//! [`Millis`]), quorum arithmetic, checksums, state hashes, the changes of znodes, the facts that
//! can be observed in a run, what a core and its host say to each other, time in words, text made
//! harmless, and the museum of defects.
//! Leaves: bytes on the wire to `wire`, behaviour to the cores.
//! Holds: everything here is plain data; nothing reads a clock, does I/O or draws a random number.
//! Start at [`ids`], then [`quorum`].

pub mod checksum;
pub mod defect;
pub mod error_code;
pub mod facts;
pub mod harmless;
pub mod ids;
pub mod machine;
pub mod quorum;
pub mod state_hash;
pub mod time;
pub mod time_in_words;
pub mod zeros;
pub mod znodes;

pub use defect::Defects;
pub use error_code::ErrorCode;
pub use facts::Observation;
pub use harmless::{harmless, harmless_lines};
pub use ids::{CounterFull, Epoch, ServerId, SessionId, Zxid};
pub use quorum::Ensemble;
pub use state_hash::StateHasher;
pub use time::{Instant, Millis, Now, WallTime};
