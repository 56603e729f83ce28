//! Why a `multi` returned no results, and whether it may have happened all the same.

use mailstorm_session::CallError;
use mailstorm_wire::client::ErrorCode;

/// Why a `multi` returned no results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum MultiError {
    /// Definite: this step was refused, so none was done.
    #[error("step {index} was refused: {code}")]
    Step {
        /// The culprit's position, from 0.
        index: usize,
        /// Why it was refused.
        code: ErrorCode,
    },
    /// The multi was not answered, or refused as a whole.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl MultiError {
    /// Whether the whole surely had no effect and never will.
    pub fn is_definite(self) -> bool {
        match self {
            Self::Step { .. } => true,
            Self::Call(error) => error.is_definite(),
        }
    }
}
