//! The laboratory's world: the [`Platform`](mailstorm_host::Platform) over madsim, made of one seed, and
//! the plans that break it.
//!
//! Owns: network, disks, clocks and processes that fail on command; drawing plans from seeds; running a
//! scenario through its phases; sweeps. Leaves: what runs to the scenarios, what is right to `checkers`.
//! Holds: a run depends on nothing but `(scenario, seed, plan)`; each source of randomness has a stream
//! of its own; a dead process can touch nothing.
//! madsim gives the executor, its clock and the life cycle of nodes. The rest is ours, since madsim's
//! own disk forgets nothing, its nodes share one clock, and its cuts refuse where a network is silent.
//! Start at [`run`](fn@run), then [`scenario::Scenario`]; the clockwork is in `executor`.

#[cfg(not(madsim))]
compile_error!(
    "the laboratory needs madsim's simulated executor: build from the project's root, where \
     .cargo/config.toml sets `--cfg madsim`, or set RUSTFLAGS=\"--cfg madsim\" yourself"
);

mod clock;
mod disk;
mod executor;
mod judge;
mod nemesis;
mod network;
mod node;
mod panics;
pub mod platform;
mod queue;
pub mod run;
pub mod scenario;
mod slab;
pub mod storm;
pub mod stream;
pub mod swarm;
mod world;

pub use platform::SimPlatform;
pub use run::{Recording, RunSpec, run, verify};
pub use scenario::{Limits, NodeSpec, Process, Progress, Role, Scenario, Subject, Topology};
pub use storm::storm;
