//! Jute, ZooKeeper's serialisation: big-endian numbers, lengths as ints, -1 for null.
//!
//! | type           | bytes                                   |
//! | -------------- | --------------------------------------- |
//! | bool           | 1, zero is false                        |
//! | int, long      | 4, 8, big-endian                        |
//! | buffer, string | int length (-1: null), then the bytes   |
//! | vector         | int count (-1: null), then the elements |
//!
//! Owns: these primitives. Leaves: records made of them to [`crate::client`].
//! Holds: a [`Reader`] ends every read with a value or with [`Malformed`]; the counts and lengths
//! it returns fit into the bytes at hand. Buffers share the frame, strings are copied once.

pub(crate) use crate::raw::Malformed;
use crate::raw::{Cursor, Sink};
use bytes::Bytes;
use std::sync::Arc;

/// Writes Jute's primitives into any [`Sink`].
pub(crate) trait Writer: Sink {
    /// Writes a bool.
    #[inline]
    fn bool(&mut self, value: bool) {
        self.put(&[u8::from(value)]);
    }

    /// Writes an int.
    #[inline]
    fn int(&mut self, value: i32) {
        self.put(&value.to_be_bytes());
    }

    /// Writes a long.
    #[inline]
    fn long(&mut self, value: i64) {
        self.put(&value.to_be_bytes());
    }

    /// Writes the count before a vector's elements.
    ///
    /// # Panics
    /// When there are 2^31 elements or more: no frame limit lets so many in.
    #[inline]
    fn count(&mut self, count: usize) {
        self.int(i32::try_from(count).expect("frames are far shorter than 2 GiB"));
    }

    /// Writes a buffer that is not null.
    #[inline]
    fn buffer(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.put(bytes);
    }

    /// Writes a buffer that may be null.
    #[inline]
    fn buffer_or_null(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.buffer(bytes),
            None => self.int(-1),
        }
    }

    /// Writes a string that is not null.
    #[inline]
    fn string(&mut self, text: &str) {
        self.buffer(text.as_bytes());
    }

    /// Writes a vector that is not null.
    #[inline]
    fn vector<T>(&mut self, elements: &[T], write: impl Fn(&mut Self, &T)) {
        self.count(elements.len());
        for element in elements {
            write(self, element);
        }
    }

    /// Writes a vector of strings.
    #[inline]
    fn strings(&mut self, strings: &[Arc<str>]) {
        self.vector(strings, |out, text| out.string(text));
    }
}

impl<S: Sink> Writer for S {}

/// Reads Jute's primitives from a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(Cursor<'a>);

impl<'a> Reader<'a> {
    /// Reads from the frame's first byte on.
    pub(crate) fn new(frame: &'a Bytes) -> Self {
        Self(Cursor::new(frame))
    }

    /// How many bytes have not been read.
    pub(crate) fn left(&self) -> usize {
        self.0.left()
    }

    /// Reads a bool; like Java, takes every byte but zero for true.
    ///
    /// # Errors
    /// [`Malformed`], here as everywhere below, when the bytes left are not a valid value.
    pub(crate) fn bool(&mut self) -> Result<bool, Malformed> {
        let [byte] = self.0.array()?;
        Ok(byte != 0)
    }

    /// Reads an int.
    ///
    /// # Errors
    /// As [`Self::bool`].
    pub(crate) fn int(&mut self) -> Result<i32, Malformed> {
        self.0.array().map(i32::from_be_bytes)
    }

    /// Reads a long.
    ///
    /// # Errors
    /// As [`Self::bool`].
    pub(crate) fn long(&mut self) -> Result<i64, Malformed> {
        self.0.array().map(i64::from_be_bytes)
    }

    /// Reads a length or count; `None` is null.
    fn count(&mut self, element_bytes_min: usize) -> Result<Option<usize>, Malformed> {
        match self.int()? {
            -1 => Ok(None),
            count => self.0.check_count(count.into(), element_bytes_min).map(Some),
        }
    }

    /// Reads a buffer, which shares the frame's memory; `None` is null.
    ///
    /// # Errors
    /// As [`Self::bool`].
    pub(crate) fn buffer(&mut self) -> Result<Option<Bytes>, Malformed> {
        self.count(1)?.map(|length| self.0.slice(length)).transpose()
    }

    /// Reads a string. Null is read as the empty string: where one is expected ZooKeeper refuses
    /// both (paths), or takes both for the same (identities, prefixes).
    ///
    /// # Errors
    /// As [`Self::bool`].
    pub(crate) fn string(&mut self) -> Result<Arc<str>, Malformed> {
        let length = self.count(1)?.unwrap_or(0);
        self.0.text(length).map(Arc::from)
    }

    /// Reads a vector whose elements take at least `element_bytes_min` bytes each. Null is read as
    /// the empty vector.
    ///
    /// # Errors
    /// As [`Self::bool`].
    pub(crate) fn vector<T>(
        &mut self,
        element_bytes_min: usize,
        mut read: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let count = self.count(element_bytes_min)?.unwrap_or(0);
        let mut elements = Vec::with_capacity(self.0.room::<T>(count));
        for _ in 0..count {
            elements.push(read(self)?);
        }
        Ok(elements)
    }

    /// Reads a vector of strings.
    ///
    /// # Errors
    /// As [`Self::bool`].
    pub(crate) fn strings(&mut self) -> Result<Vec<Arc<str>>, Malformed> {
        self.vector(4, Self::string)
    }

    /// `known`, or the error that the value just read is no such `field`.
    pub(crate) fn value<T>(
        &self,
        known: Option<T>,
        field: &'static str,
        value: i32,
    ) -> Result<T, Malformed> {
        self.0.value(known, field, value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(bytes: &[u8]) -> Bytes {
        Bytes::copy_from_slice(bytes)
    }

    #[test]
    fn numbers_are_big_endian_and_null_is_minus_one() {
        let mut out = Vec::new();
        out.bool(true);
        out.int(-2);
        out.long(0x0102_0304_0506_0708);
        out.string("/a");
        out.buffer_or_null(None);
        out.buffer_or_null(Some(b""));
        out.strings(&["x".into()]);
        let expected = [
            &[1][..],
            &[0xff, 0xff, 0xff, 0xfe],
            &[1, 2, 3, 4, 5, 6, 7, 8],
            &[0, 0, 0, 2, b'/', b'a'],
            &[0xff, 0xff, 0xff, 0xff],
            &[0, 0, 0, 0],
            &[0, 0, 0, 1, 0, 0, 0, 1, b'x'],
        ]
        .concat();
        assert_eq!(out, expected);

        let frame = Bytes::from(out);
        let mut reader = Reader::new(&frame);
        assert_eq!(reader.bool(), Ok(true));
        assert_eq!(reader.int(), Ok(-2));
        assert_eq!(reader.long(), Ok(0x0102_0304_0506_0708));
        assert_eq!(reader.string(), Ok("/a".into()));
        assert_eq!(reader.buffer(), Ok(None));
        assert_eq!(reader.buffer(), Ok(Some(Bytes::new())));
        assert_eq!(reader.strings(), Ok(vec!["x".into()]));
        assert_eq!(reader.left(), 0);
    }

    #[test]
    fn a_buffer_shares_the_memory_of_its_frame() {
        let frame = frame(&[0, 0, 0, 3, 7, 8, 9]);
        let buffer = Reader::new(&frame).buffer().unwrap().unwrap();
        assert_eq!(buffer.as_ptr(), frame[4..].as_ptr());
    }

    #[test]
    fn a_count_that_the_bytes_at_hand_cannot_hold_is_refused_before_anything_is_allocated() {
        let huge = frame(&[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
        let expected = Malformed::Count { at: 4, count: i32::MAX.into(), left: 4 };
        assert_eq!(Reader::new(&huge).strings(), Err(expected));
        assert_eq!(Reader::new(&huge).buffer(), Err(expected));

        let one_too_many = frame(&[0, 0, 0, 2, 0, 0, 0, 0]);
        let expected = Malformed::Count { at: 4, count: 2, left: 4 };
        assert_eq!(Reader::new(&one_too_many).strings(), Err(expected));
    }

    #[test]
    fn negative_lengths_other_than_null_are_refused() {
        let minus_two = frame(&[0xff, 0xff, 0xff, 0xfe]);
        let expected = Malformed::Count { at: 4, count: -2, left: 0 };
        assert_eq!(Reader::new(&minus_two).buffer(), Err(expected));
        assert_eq!(Reader::new(&minus_two).string(), Err(expected));
        assert_eq!(Reader::new(&minus_two).strings(), Err(expected));
    }

    #[test]
    fn a_string_that_is_not_utf8_is_refused() {
        let broken = frame(&[0, 0, 0, 2, 0xc3, 0x28]);
        assert_eq!(Reader::new(&broken).string(), Err(Malformed::NotUtf8 { at: 6 }));
    }

    #[test]
    fn a_number_cut_short_says_what_was_missing() {
        let short = frame(&[0, 0, 1]);
        let expected = Malformed::Short { at: 0, wanted: 4, left: 3 };
        assert_eq!(Reader::new(&short).int(), Err(expected));
    }
}
