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

/// The digest under which observations name a znode's data: XXH3 (64 bits, no seed) of the bytes,
/// and 0 for null.
pub fn value_digest(value: Option<&[u8]>) -> u64 {
    value.map_or(0, xxhash_rust::xxh3::xxh3_64)
}

/// The digest under which observations name a list of children: XXH3 of the names, each followed by
/// a slash, in the order given. No name has a slash, so no two lists share their bytes.
pub fn names_digest<'a>(names: impl IntoIterator<Item = &'a str>) -> u64 {
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    for name in names {
        hasher.update(name.as_bytes());
        hasher.update(b"/");
    }
    hasher.digest()
}
