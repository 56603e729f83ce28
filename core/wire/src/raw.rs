//! What every format here is made of: bytes put into a sink, bytes taken from a cursor.
//!
//! Owns: [`Sink`] and [`Encode`], which give each encoding exactly one allocation, and the bounds
//! checks of `Cursor`. Leaves: what numbers and strings look like to [`crate::jute`] and
//! [`crate::compact`].
//! Holds: a cursor never reads past its end, and no allocation is larger than the bytes at hand
//! justify. Start at [`to_bytes`].

use bytes::Bytes;

/// Why bytes could not be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Malformed {
    /// The bytes end too early.
    #[error("{wanted} bytes wanted at byte {at}, {left} left")]
    Short {
        /// Where.
        at: usize,
        /// How many were wanted.
        wanted: usize,
        /// How many were left.
        left: usize,
    },
    /// A count or length exceeds the bytes left, or is negative.
    #[error("a count of {count} at byte {at}, with {left} bytes left")]
    Count {
        /// Where.
        at: usize,
        /// The count.
        count: i64,
        /// How many bytes were left.
        left: usize,
    },
    /// A string is not UTF-8.
    #[error("a string that is not UTF-8 ends at byte {at}")]
    NotUtf8 {
        /// Where.
        at: usize,
    },
    /// A field has an invalid value.
    #[error("{value} before byte {at} is no {field}")]
    Value {
        /// Where the field ends.
        at: usize,
        /// Its name.
        field: &'static str,
        /// The value.
        value: i64,
    },
    /// More bytes than the value takes.
    #[error("{left} bytes left over at byte {at}")]
    LeftOver {
        /// Where.
        at: usize,
        /// How many.
        left: usize,
    },
}

/// Where encoded bytes go.
pub(crate) trait Sink {
    /// Puts these bytes behind the earlier ones.
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Counts the bytes of an encoding without keeping them.
#[derive(Default)]
struct Length(usize);

impl Sink for Length {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

/// What can be put into a sink. The same value must give the same bytes each time.
pub(crate) trait Encode {
    /// Puts the value's bytes.
    fn encode(&self, out: &mut impl Sink);
}

/// How many bytes the encoding of `value` takes.
pub(crate) fn encoded_len(value: &impl Encode) -> usize {
    let mut length = Length::default();
    value.encode(&mut length);
    length.0
}

/// The encoding of `value`. It is measured first: a buffer of exactly its size turns into [`Bytes`]
/// without another allocation, and measuring costs less than growing.
pub(crate) fn to_bytes(value: &impl Encode) -> Bytes {
    let mut out = Vec::with_capacity(encoded_len(value));
    value.encode(&mut out);
    Bytes::from(out)
}

/// The encoding of `value`, unless it takes more than `bytes_max`: then nothing is allocated.
pub(crate) fn to_bytes_within(value: &impl Encode, bytes_max: usize) -> Option<Bytes> {
    let length = encoded_len(value);
    if length > bytes_max {
        return None;
    }
    let mut out = Vec::with_capacity(length);
    value.encode(&mut out);
    Some(Bytes::from(out))
}

/// A place in bytes that are being decoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    whole: &'a Bytes,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(whole: &'a Bytes) -> Self {
        Self { whole, at: 0 }
    }

    pub(crate) fn left(&self) -> usize {
        self.whole.len() - self.at
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let rest = &self.whole[self.at..];
        let taken = rest.get(..count).ok_or(Malformed::Short {
            at: self.at,
            wanted: count,
            left: rest.len(),
        })?;
        self.at += count;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let rest = &self.whole[self.at..];
        let taken = rest.first_chunk().ok_or(Malformed::Short {
            at: self.at,
            wanted: N,
            left: rest.len(),
        })?;
        self.at += N;
        Ok(*taken)
    }

    /// Shares the underlying buffer instead of copying.
    pub(crate) fn slice(&mut self, count: usize) -> Result<Bytes, Malformed> {
        let from = self.at;
        self.take(count)?;
        Ok(self.whole.slice(from..self.at))
    }

    pub(crate) fn text(&mut self, count: usize) -> Result<&'a str, Malformed> {
        let bytes = self.take(count)?;
        std::str::from_utf8(bytes).map_err(|_| Malformed::NotUtf8 { at: self.at })
    }

    /// Checks a count of elements that take at least `element_bytes_min` each against what is left.
    pub(crate) fn check_count(
        &self,
        count: i64,
        element_bytes_min: usize,
    ) -> Result<usize, Malformed> {
        usize::try_from(count)
            .ok()
            .filter(|count| *count <= self.left() / element_bytes_min.max(1))
            .ok_or(Malformed::Count { at: self.at, count, left: self.left() })
    }

    /// As many elements as their list may begin with room for: in memory they take no more than the
    /// bytes left. One that takes a byte on the wire may take a hundred in memory, and a count of
    /// millions of them costs its sender nothing until they are read.
    pub(crate) fn room<T>(&self, count: usize) -> usize {
        count.min(self.left() / size_of::<T>().max(1))
    }

    pub(crate) fn value<T>(
        &self,
        known: Option<T>,
        field: &'static str,
        value: impl Into<i64>,
    ) -> Result<T, Malformed> {
        known.ok_or_else(|| Malformed::Value { at: self.at, field, value: value.into() })
    }

    pub(crate) fn finish(self) -> Result<(), Malformed> {
        match self.left() {
            0 => Ok(()),
            left => Err(Malformed::LeftOver { at: self.at, left }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_never_begins_with_more_memory_than_there_are_bytes_left() {
        let bytes = Bytes::from(vec![0; 1_000]);
        let mut cursor = Cursor::new(&bytes);
        let count = cursor.check_count(1_000, 1).unwrap();
        assert_eq!(cursor.room::<[u8; 100]>(count), 10);
        assert_eq!(cursor.room::<u8>(count), 1_000);
        assert_eq!(cursor.room::<[u8; 100]>(3), 3, "no more than there are elements");
        cursor.take(950).unwrap();
        assert_eq!(cursor.room::<[u8; 100]>(count), 0);
    }
}
