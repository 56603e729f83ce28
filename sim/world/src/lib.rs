//! The laboratory's world: the [`Platform`](mailstorm_platform::Platform) over madsim, made of one
//! seed, and the plans that break it.
//!
//! Owns: network, disks, clocks and processes that fail on command; drawing plans from seeds;
//! running a scenario through its phases; sweeps. Leaves: what runs to the scenarios, what is right
//! to `checkers`.
//! Holds: a run depends on nothing but `(scenario, seed, plan)`; each source of randomness has a
//! stream of its own; a dead process can touch nothing. madsim gives the executor, its clock and
//! the life cycle of nodes. The rest is ours, since madsim's own disk forgets nothing, its nodes
//! share one clock, and its cuts refuse where a network is silent.
//! Start at [`run`](fn@run), then [`scenario::Scenario`]; the clockwork is in `executor`.

// Without it nothing below is compiled, so that this message stands alone.
#[cfg(not(madsim))]
compile_error!(
    "the laboratory needs madsim's simulated executor: build from the project's root, where \
     .cargo/config.toml sets `--cfg madsim`, or set RUSTFLAGS=\"--cfg madsim\" yourself"
);

#[cfg(madsim)]
mod aims;
#[cfg(madsim)]
mod clock;
#[cfg(madsim)]
mod coverage;
#[cfg(madsim)]
mod disk;
#[cfg(madsim)]
mod executor;
#[cfg(madsim)]
pub mod guide;
#[cfg(madsim)]
mod hosted;
#[cfg(madsim)]
mod judge;
#[cfg(madsim)]
mod nemesis;
#[cfg(madsim)]
mod network;
#[cfg(madsim)]
mod node;
#[cfg(madsim)]
mod panics;
#[cfg(madsim)]
pub mod platform;
#[cfg(madsim)]
mod queue;
#[cfg(madsim)]
pub mod run;
#[cfg(madsim)]
pub mod scenario;
#[cfg(madsim)]
mod slab;
#[cfg(madsim)]
pub mod storm;
#[cfg(madsim)]
pub mod stream;
#[cfg(madsim)]
pub mod swarm;
#[cfg(madsim)]
pub mod system;
#[cfg(madsim)]
pub mod twin;
#[cfg(madsim)]
mod work;
#[cfg(madsim)]
mod world;

#[cfg(madsim)]
pub use aims::rest_told;
#[cfg(madsim)]
pub use guide::Guided;
#[cfg(madsim)]
pub use hosted::Program;
#[cfg(madsim)]
pub use node::Window;
#[cfg(madsim)]
pub use platform::SimPlatform;
#[cfg(madsim)]
pub use run::{Recording, RunSpec, run};
#[cfg(madsim)]
pub use scenario::{
    Interpreter, Limits, NodeSpec, Outline, Process, Progress, Scenario, Subject, Topology,
    with_settings,
};
#[cfg(madsim)]
pub use storm::storm;
#[cfg(madsim)]
pub use system::{Budget, Member, Platters, System};
#[cfg(madsim)]
pub use work::{Work, first_of_each};
