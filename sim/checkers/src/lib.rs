//! sim/checkers
