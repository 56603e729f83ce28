//! Everything that is tested across packages: stories, replays, regression seeds, tidy checks.
//!
//! One binary, so that it links once; only `planted` is another, being two programs itself. Every
//! failure prints the line that replays it.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is an answer")]
#![allow(clippy::print_stdout, reason = "what a test prints is shown when it fails")]

mod book;
mod browser;
mod ci;
mod command;
mod determinism;
mod differences;
#[cfg(unix)]
mod endings;
mod exports;
mod inbox;
mod lessons;
mod museum;
mod page;
#[cfg(unix)]
mod pasted;
mod processes;
mod prose;
mod quorums;
mod readme;
mod regressions;
mod results;
mod shrinking;
mod storms;
mod support;
mod terminal;
mod tidy;
mod toy;
mod weakened;
