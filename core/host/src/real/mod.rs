//! A server as a process of its own, on the real Platform.
//!
//! Start at [`run_real_server`].

mod run;
#[cfg(test)]
mod tests;

pub use run::{RealServer, run_real_server};
