//! Jute primitives.
