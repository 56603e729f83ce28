//! Whole servers under test, without a host: [`world`] carries their outputs out, at once and in
//! order.

mod bounds;
mod ensemble;
mod standalone;
mod storm;
mod words;
mod world;
mod zookeeper;
