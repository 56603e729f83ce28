//! The sink: an outside ledger of results. It knows fencing tokens and mail ids and nothing else.
//!
//! Owns: [`Ledger`], the ledger itself, pure; `protocol`, its bytes; [`serve_sink`], the process;
//! [`SinkClient`], the worker's side.
//! Leaves: who may work on what, to the claims.
//! Holds: per resource the highest token ever seen only grows, and whoever brings a lower one
//! changes nothing. The ledger does *not* remove duplicates by mail id: a second result under a
//! newer token is a second effect, as a second letter in an outbox would be. Exactly-once therefore
//! rests on two things, both needed:
//!
//! 1. A worker that takes a claim over first fences it. From then on its predecessor, asleep or cut
//!    off, can add nothing.
//! 2. The answer to the fence lists what the predecessor got done, and that is not done again.
//!
//! Only a repeated request of the *same* holder (same mail, same token: its reply was lost) is
//! recognised and answered without a second effect.

mod client;
mod ledger;
mod protocol;
mod server;

pub use client::{SinkClient, SinkError};
pub use ledger::{Fenced, Ledger, Put, Refusal};
pub use protocol::SinkResult;
pub use server::serve_sink;
