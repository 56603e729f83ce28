//! Everything that is tested across packages: stories, replays, regression seeds, tidy checks.
//!
//! One binary, so that it links once. Every failure prints the line that replays it.

mod command;
mod determinism;
mod processes;
mod regressions;
mod storms;
mod support;
mod tidy;
