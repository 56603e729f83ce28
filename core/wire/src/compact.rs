//! The compact format that servers use among themselves and on disk: little-endian numbers, lengths
//! as variable-length integers.
//!
//! | type         | bytes                                                           |
//! | ------------ | --------------------------------------------------------------- |
//! | u8, u32, u64 | 1, 4, 8, little-endian                                          |
//! | bool         | 1, either 0 or 1                                                |
//! | varint       | 1 to 10: seven bits a byte, lowest first, high bit: more follow |
//! | signed       | a varint, zigzag: 0, -1, 1, -2, ... are 0, 1, 2, 3, ...         |
//! | bytes, text  | varint length, then the bytes                                   |
//! | nullable     | varint length + 1 (0: null), then the bytes                     |
//! | list         | varint count, then the elements                                 |
//!
//! Holds: each value has exactly one encoding, and nothing else decodes to it: servers that compare
//! digests of bytes thereby compare values.

use crate::raw::{Cursor, Malformed, Sink};
use bytes::Bytes;
use std::sync::Arc;

/// Writes the compact primitives into any [`Sink`].
pub(crate) trait Writer: Sink {
    /// Writes one byte.
    #[inline]
    fn u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    /// Writes a bool.
    #[inline]
    fn bool(&mut self, value: bool) {
        self.put(&[u8::from(value)]);
    }

    /// Writes two bytes.
    #[inline]
    fn u16(&mut self, value: u16) {
        self.put(&value.to_le_bytes());
    }

    /// Writes four bytes.
    #[inline]
    fn u32(&mut self, value: u32) {
        self.put(&value.to_le_bytes());
    }

    /// Writes eight bytes.
    #[inline]
    fn u64(&mut self, value: u64) {
        self.put(&value.to_le_bytes());
    }

    /// Writes eight bytes.
    #[inline]
    fn i64(&mut self, value: i64) {
        self.put(&value.to_le_bytes());
    }

    /// Writes a number that is small most of the time.
    #[inline]
    fn varint(&mut self, mut value: u64) {
        let mut bytes = [0; VARINT_BYTES_MAX];
        let mut length = 0;
        while value >= 0x80 {
            bytes[length] = value as u8 | 0x80;
            value >>= 7;
            length += 1;
        }
        bytes[length] = value as u8;
        self.put(&bytes[..=length]);
    }

    /// Writes a number that is near zero most of the time.
    #[inline]
    fn signed(&mut self, value: i64) {
        self.varint(((value << 1) ^ (value >> 63)) as u64);
    }

    /// Writes bytes with their length.
    #[inline]
    fn bytes(&mut self, bytes: &[u8]) {
        self.varint(bytes.len() as u64);
        self.put(bytes);
    }

    /// Writes bytes that may be null, which is not the same as empty.
    #[inline]
    fn nullable(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => {
                self.varint(bytes.len() as u64 + 1);
                self.put(bytes);
            }
            None => self.varint(0),
        }
    }

    /// Writes a text with its length.
    #[inline]
    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Writes a list with its count.
    #[inline]
    fn list<T>(&mut self, elements: &[T], write: impl Fn(&mut Self, &T)) {
        self.varint(elements.len() as u64);
        for element in elements {
            write(self, element);
        }
    }
}

impl<S: Sink> Writer for S {}

const VARINT_BYTES_MAX: usize = 10;

/// Reads the compact primitives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(Cursor<'a>);

impl<'a> Reader<'a> {
    /// Reads from the first byte on.
    pub(crate) fn new(bytes: &'a Bytes) -> Self {
        Self(Cursor::new(bytes))
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`Malformed`] when bytes are left over; below: when the bytes left are not a valid value.
    pub(crate) fn finish(self) -> Result<(), Malformed> {
        self.0.finish()
    }

    /// Reads one byte.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        self.0.array().map(u8::from_le_bytes)
    }

    /// Reads a bool.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub(crate) fn bool(&mut self) -> Result<bool, Malformed> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            other => self.value(None, "bool", other),
        }
    }

    /// Reads two bytes.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        self.0.array().map(u16::from_le_bytes)
    }

    /// Reads four bytes.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        self.0.array().map(u32::from_le_bytes)
    }

    /// Reads eight bytes.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        self.0.array().map(u64::from_le_bytes)
    }

    /// Reads eight bytes.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub(crate) fn i64(&mut self) -> Result<i64, Malformed> {
        self.0.array().map(i64::from_le_bytes)
    }

    /// Reads exactly `N` bytes.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.0.array()
    }

    /// Reads a varint. An encoding longer than need be is refused.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub(crate) fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let fits = shift < 63 || byte <= 1;
            let shortest = shift == 0 || byte != 0;
            if !fits || !shortest {
                return self.value(None, "varint's last byte", byte);
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        unreachable!("the tenth byte of a varint ends it or is refused")
    }

    /// Reads a zigzag varint.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub(crate) fn signed(&mut self) -> Result<i64, Malformed> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// Reads a zigzag varint of 32 bits.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub(crate) fn signed_i32(&mut self) -> Result<i32, Malformed> {
        let value = self.signed()?;
        self.value(i32::try_from(value).ok(), "32-bit number", value)
    }

    /// Reads a varint of 32 bits.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub(crate) fn varint_u32(&mut self) -> Result<u32, Malformed> {
        let value = self.varint()?;
        self.value(u32::try_from(value).ok(), "32-bit number", saturated(value))
    }

    fn count(&mut self, element_bytes_min: usize) -> Result<usize, Malformed> {
        let count = self.varint()?;
        self.0.check_count(saturated(count), element_bytes_min)
    }

    /// Reads bytes, which share the memory they are read from.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub(crate) fn bytes(&mut self) -> Result<Bytes, Malformed> {
        let length = self.count(1)?;
        self.0.slice(length)
    }

    /// Reads bytes that may be null.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub(crate) fn nullable(&mut self) -> Result<Option<Bytes>, Malformed> {
        match self.varint()?.checked_sub(1) {
            None => Ok(None),
            Some(length) => {
                let length = self.0.check_count(saturated(length), 1)?;
                self.0.slice(length).map(Some)
            }
        }
    }

    /// Reads a text.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub(crate) fn text(&mut self) -> Result<Arc<str>, Malformed> {
        let length = self.count(1)?;
        self.0.text(length).map(Arc::from)
    }

    /// Reads a list whose elements take at least `element_bytes_min` bytes each.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub(crate) fn list<T>(
        &mut self,
        element_bytes_min: usize,
        mut read: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let count = self.count(element_bytes_min)?;
        let mut elements = Vec::with_capacity(self.0.room::<T>(count));
        for _ in 0..count {
            elements.push(read(self)?);
        }
        Ok(elements)
    }

    /// `known`, or the error that the value just read is no such `field`.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub(crate) fn value<T>(
        &self,
        known: Option<T>,
        field: &'static str,
        value: impl Into<i64>,
    ) -> Result<T, Malformed> {
        self.0.value(known, field, value)
    }
}

/// Counts beyond `i64` are refused like any other that is too large.
fn saturated(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn varint(value: u64) -> Bytes {
        let mut out = Vec::new();
        out.varint(value);
        Bytes::from(out)
    }

    #[test]
    fn small_numbers_take_one_byte_and_the_largest_ten() {
        assert_eq!(&varint(0)[..], [0]);
        assert_eq!(&varint(127)[..], [127]);
        assert_eq!(&varint(128)[..], [0x80, 1]);
        assert_eq!(varint(u64::MAX).len(), VARINT_BYTES_MAX);
    }

    #[test]
    fn a_varint_that_is_longer_than_need_be_or_too_large_is_refused() {
        let padded = Bytes::from_static(&[0x80, 0]);
        assert!(Reader::new(&padded).varint().is_err());
        let too_large = Bytes::from_static(&[255, 255, 255, 255, 255, 255, 255, 255, 255, 2]);
        assert!(Reader::new(&too_large).varint().is_err());
        let endless = Bytes::from_static(&[0xff; 11]);
        assert!(Reader::new(&endless).varint().is_err());
    }

    #[test]
    fn a_count_that_the_bytes_at_hand_cannot_hold_is_refused() {
        let huge = varint(u64::MAX);
        assert!(Reader::new(&huge).bytes().is_err());
        assert!(Reader::new(&huge).nullable().is_err());
        assert!(Reader::new(&huge).list(1, Reader::u8).is_err());
    }

    proptest! {
        #[test]
        fn every_number_comes_back(value in any::<u64>(), shift in 0_u32..64) {
            let value = value >> shift;
            let mut out = Vec::new();
            out.varint(value);
            out.signed(value as i64);
            let bytes = Bytes::from(out);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.varint(), Ok(value));
            prop_assert_eq!(reader.signed(), Ok(value as i64));
            prop_assert_eq!(reader.finish(), Ok(()));
        }

        #[test]
        fn what_decodes_is_what_would_have_been_written(bytes in any::<[u8; 12]>()) {
            let bytes = Bytes::copy_from_slice(&bytes);
            let mut reader = Reader::new(&bytes);
            if let Ok(value) = reader.varint() {
                prop_assert_eq!(&varint(value)[..], &bytes[..bytes.len() - reader.0.left()]);
            }
        }
    }
}
