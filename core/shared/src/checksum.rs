//! Checksums. CRC-32C (Castagnoli, RFC 3720 appendix B.4) throughout: hardware computes it, and
//! Kafka's record batches use the same.

/// The CRC-32C of `bytes`.
pub fn crc32c(bytes: &[u8]) -> u32 {
    ::crc32c::crc32c(bytes)
}

/// The CRC-32C of what `previous` covers, followed by `bytes`.
pub fn crc32c_append(previous: u32, bytes: &[u8]) -> u32 {
    ::crc32c::crc32c_append(previous, bytes)
}
