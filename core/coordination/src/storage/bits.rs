//! Little-endian fields, and the question whether a checksum fails by a single bit.

use mailstorm_shared::checksum::crc32c;

/// Four bytes at an offset. The caller has checked the length.
pub(super) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(bytes[offset..offset + 4].try_into().expect("a slice of four bytes"))
}

/// Eight bytes at an offset. The caller has checked the length.
pub(super) fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(bytes[offset..offset + 8].try_into().expect("a slice of eight bytes"))
}

/// CRC-32C's polynomial, bits reversed.
const POLYNOMIAL: u32 = 0x82F6_3B78;

/// The bit that is wrong, if `bytes`, whose CRC-32C ought to be `expected`, are one flipped bit
/// away from it. Bits are counted from the lowest of the first byte; those behind the bytes are the
/// checksum's.
///
/// A checksum is linear: the flip of one bit changes it by a pattern that depends on the bit's
/// distance from the end alone, and those patterns come one from the other by one step of the shift
/// register.
pub(super) fn one_wrong_bit(bytes: &[u8], expected: u32) -> Option<usize> {
    let count = bytes.len() * 8;
    let syndrome = crc32c(bytes) ^ expected;
    if syndrome.count_ones() == 1 {
        return Some(count + syndrome.trailing_zeros() as usize);
    }
    // The last bit of the message that enters the register is the highest bit of the last byte; its
    // flip leaves the polynomial itself, and every earlier bit leaves what one more step makes of
    // it.
    let mut pattern = POLYNOMIAL;
    for bit in (0..count).rev() {
        if pattern == syndrome {
            return Some(bit);
        }
        pattern = if pattern & 1 == 1 { (pattern >> 1) ^ POLYNOMIAL } else { pattern >> 1 };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_flipped_bit_is_found_wherever_it_is_and_two_are_not_one() {
        let right: Vec<u8> = (0..97u32).map(|n| (n * 37) as u8).collect();
        let checksum = crc32c(&right);
        for bit in 0..right.len() * 8 {
            let mut rotten = right.clone();
            rotten[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(one_wrong_bit(&rotten, checksum), Some(bit));
        }
        for bit in 0..32 {
            let found = one_wrong_bit(&right, checksum ^ 1 << bit);
            assert_eq!(found, Some(97 * 8 + bit), "in the checksum");
        }
        let mut torn = right.clone();
        torn[40..].fill(0);
        assert_eq!(one_wrong_bit(&torn, checksum), None);
        let mut twice = right;
        twice[3] ^= 0x11;
        assert_eq!(one_wrong_bit(&twice, checksum), None);
    }
}
