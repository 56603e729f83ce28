//! sim/world
