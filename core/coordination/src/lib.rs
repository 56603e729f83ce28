//! One server of the coordination ensemble, as a pure, stepped state machine.
//!
//! Owns: the tree, sessions, watches, election, synchronisation, broadcast, and what the log and
//! the snapshots look like, who may connect and the handshake between servers. Leaves: bytes on
//! sockets and files to a host.
//! Holds: nothing here reads a clock, does I/O or draws a random number; the same inputs give the
//! same outputs, everywhere; an acknowledgement that rests on the disk leaves after the input that
//! says so.
//!
//! ```text
//!   host --Input--> Server --+--> Replica   election, discovery, synchronisation, broadcast
//!                    |       +--> Database  tree and sessions; Pending: the leader's look ahead
//!                    |       +--> Watches   who wants to be told what
//!   host <--Output---+
//! ```
//! Around the server, [`node`] makes of it one machine's core that a host can drive.
//! Start at [`io`], then [`server::Server::step`].

pub mod data;
pub mod defect;
pub mod io;
pub mod node;
pub mod replica;
pub mod server;
pub mod storage;
