//! A recorded run for the tools of others: a trace for Perfetto, a log for ShiViz, a diagram for
//! Mermaid.
//!
//! Owns: the three formats, and which part of a run is told where not all of it can be. Leaves:
//! writing files to the command line.
//! Holds: the same run gives the same bytes; text from outside is text in every format.
//! Start at [`perfetto`], [`shiviz`], [`mermaid`] and [`excerpt`].

mod mermaid;
mod perfetto;
mod shiviz;
mod window;

pub use mermaid::{excerpt, mermaid};
pub use perfetto::perfetto;
pub use shiviz::shiviz;

#[cfg(test)]
mod samples;
