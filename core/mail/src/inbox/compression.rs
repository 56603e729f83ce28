//! Compressed mail: recognised by its first bytes, since a Maildir's names do not show it.
//!
//! Holds: unpacking never gives more bytes than it was allowed, whatever the file says. Only gzip
//! is unpacked, which is what mail servers write; the others are named.

use flate2::read::MultiGzDecoder;
use std::io::Read;

/// What a file is compressed with, or what archive it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// RFC 1952.
    Gzip,
    /// `.bz2`.
    Bzip2,
    /// `.xz`.
    Xz,
    /// RFC 8878.
    Zstd,
    /// An archive of compressed files.
    Zip,
    /// An archive of files as they are.
    Tar,
}

/// Why nothing could be unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnpackError {
    /// It ends too early, or its checksum is wrong.
    Damaged,
    /// It would be more than was allowed.
    TooLarge,
}

impl Compression {
    /// What these bytes are compressed with, if they are.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let all: [(&[u8], Self); 5] = [
            (b"\x1f\x8b\x08", Self::Gzip),
            (b"BZh", Self::Bzip2),
            (b"\xfd7zXZ\0", Self::Xz),
            (b"\x28\xb5\x2f\xfd", Self::Zstd),
            (b"PK\x03\x04", Self::Zip),
        ];
        let found = all.into_iter().find(|(magic, _)| bytes.starts_with(magic));
        let Some((_, found)) = found else {
            // The first file's name stands at the beginning of an archive.
            let is_archive = bytes.get(257..262) == Some(b"ustar");
            return is_archive.then_some(Self::Tar);
        };
        // Three letters could begin a text: a stream has its block size and the digits of pi after
        // them.
        let is_text = found == Self::Bzip2 && bytes.get(4..7) != Some(b"1AY");
        (!is_text).then_some(found)
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Zip => "zip",
            Self::Tar => "tar",
        }
    }

    /// Whether it packs files together.
    pub(super) fn is_archive(self) -> bool {
        matches!(self, Self::Zip | Self::Tar)
    }
}

/// Unpacks what gzip has packed, if it is at most so many bytes.
pub(super) fn unpack(packed: &[u8], bytes_max: u64) -> Result<Vec<u8>, UnpackError> {
    let mut bytes = Vec::new();
    let mut packed = MultiGzDecoder::new(packed).take(bytes_max.saturating_add(1));
    packed.read_to_end(&mut bytes).map_err(|_| UnpackError::Damaged)?;
    if bytes.len() as u64 > bytes_max { Err(UnpackError::TooLarge) } else { Ok(bytes) }
}

/// The first bytes of what gzip has packed, as many as could be unpacked.
pub(super) fn unpack_head(packed: &[u8], bytes_max: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Only its beginning is there, so it ends too early.
    let _ = MultiGzDecoder::new(packed).take(bytes_max).read_to_end(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression as Level;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Level::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_is_compressed_is_told_by_its_first_bytes() {
        let name = |bytes: &[u8]| Compression::of(bytes).map(Compression::name);
        assert_eq!(name(&packed(b"x")), Some("gzip"));
        assert_eq!(name(b"BZh91AY&SY"), Some("bzip2"));
        assert_eq!(name(b"\xfd7zXZ\0\0"), Some("xz"));
        assert_eq!(name(b"\x28\xb5\x2f\xfd\0"), Some("zstd"));
        assert_eq!(name(b"PK\x03\x04"), Some("zip"));
        let archive = [&[b'a'; 257][..], b"ustar\0"].concat();
        assert_eq!(name(&archive), Some("tar"));
        assert_eq!(name(&archive[..261]), None);
        for text in [&b""[..], b"From: a@b\n", b"BZh: a header\n", b"PK: 1\n", b"\x1f\x8b"] {
            assert_eq!(name(text), None);
        }
    }

    #[test]
    fn unpacking_is_bounded_and_damage_is_told() {
        let bomb = packed(&vec![0; 1 << 20]);
        assert!(bomb.len() < 4_096);
        assert_eq!(unpack(&bomb, 1_000), Err(UnpackError::TooLarge));
        assert_eq!(unpack(&bomb, 1 << 20).map(|bytes| bytes.len()), Ok(1 << 20));
        assert_eq!(unpack(&bomb[..bomb.len() / 2], 1 << 20), Err(UnpackError::Damaged));
        let two = [packed(b"one, "), packed(b"two")].concat();
        assert_eq!(unpack(&two, 100).as_deref(), Ok(&b"one, two"[..]));
        assert_eq!(unpack_head(&two[..two.len() - 4], 6), b"one, t");
    }
}
