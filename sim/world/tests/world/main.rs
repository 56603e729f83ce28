//! What the world promises to whoever runs in it.
//!
//! Each test puts small programs on a [`stage::Stage`] and looks at what they told. The programs
//! tell of what they see by milestones.

mod disks;
mod faults;
mod network;
mod processes;
mod runs;
mod stage;
