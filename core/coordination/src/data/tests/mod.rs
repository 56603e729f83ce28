//! Tests that need more than one part: [`stage`] plays leader and server for tables of lines in
//! [`writes`] and [`watching`]; [`commands`] makes random histories for a [`leader`], which
//! [`against_model`] compares with the naive [`model`] and [`snapshots`] takes snapshots of.

mod against_model;
mod commands;
mod leader;
mod model;
mod snapshots;
mod stage;
mod watching;
mod writes;
