//! Zeros at the ends of files: logs are preallocated, so most of what a start reads was never
//! written.
//!
//! Each function looks at sixty-four bytes at a time, which the compiler turns into a few
//! instructions; byte by byte the zeros cost a recovery more than the records.

const BLOCK_BYTES: usize = 64;

/// Whether every byte is zero; true for none at all.
pub fn is_zeros(bytes: &[u8]) -> bool {
    bytes.chunks(BLOCK_BYTES).all(is_zero_block)
}

/// How many zeros the bytes begin with.
pub fn leading_zeros(bytes: &[u8]) -> usize {
    let blocks = bytes.chunks(BLOCK_BYTES).take_while(|block| is_zero_block(block)).count();
    let passed = (blocks * BLOCK_BYTES).min(bytes.len());
    passed + bytes[passed..].iter().take_while(|byte| **byte == 0).count()
}

/// How long the bytes are without the zeros that they end with.
pub fn length_without_trailing_zeros(bytes: &[u8]) -> usize {
    let blocks = bytes.rchunks(BLOCK_BYTES).take_while(|block| is_zero_block(block)).count();
    let left = bytes.len().saturating_sub(blocks * BLOCK_BYTES);
    bytes[..left].iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

/// Without an early exit, so that it can be done for all bytes at once.
fn is_zero_block(block: &[u8]) -> bool {
    block.iter().fold(0, |all, byte| all | byte) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn zeros_are_found_as_if_byte_by_byte(
            before in 0..200_usize,
            middle in proptest::collection::vec(any::<u8>(), 0..20),
            after in 0..200_usize,
        ) {
            let bytes = [vec![0; before], middle, vec![0; after]].concat();
            prop_assert_eq!(is_zeros(&bytes), bytes.iter().all(|b| *b == 0));
            let leading = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len());
            prop_assert_eq!(leading_zeros(&bytes), leading);
            let length = bytes.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
            prop_assert_eq!(length_without_trailing_zeros(&bytes), length);
        }
    }
}
