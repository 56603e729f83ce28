//! Runs to summaries: for people at a terminal, for machines, and for the page of a CI job.
//!
//! Owns: adding up the runs of a sweep ([`Tally`]) and telling the sum ([`Summary`]). Leaves:
//! making and judging runs to others; knows records only.
//! Holds: what is told does not depend on the machine, but for the figures of real time, which are
//! handed in; memory does not grow with the number of runs.
//! Start at [`Tally`].

mod divergence;
mod ended;
mod escape;
pub mod export;
mod index;
mod junit;
pub mod layout;
mod markdown;
pub mod page;
mod projections;
mod results;
#[cfg(test)]
mod samples;
mod summary;
mod tally;
mod text;
mod trace;
pub mod words;

pub use divergence::{Divergence, Parting};
pub use ended::{Ended, Expected, FromFile, Resumption, Stop, Surprise};
pub use escape::{quoted, quoted_path};
pub use index::index;
pub use junit::junit;
pub use layout::{WIDTH, fold};
pub use markdown::markdown;
pub use results::{Doubts, JoinError, Part, Results, ResultsError, Shard, Terms};
pub use summary::{Group, RecordFile, ShrunkRun, Single, Slow, Summary, Totals, WallClock};
pub use tally::{GOALS_SEEDS_MIN, Tally};
pub use text::{Deed, closing, grouped, numbered, text, verb, violation_lines};
pub use trace::event_line;
