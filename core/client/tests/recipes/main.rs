//! Sessions, watches and recipes against a real server core, in virtual time.

mod barrier;
mod claims;
mod lock;
mod network;
mod sessions;
mod storm;
mod world;
