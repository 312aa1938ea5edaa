//! The data types of the wire (§1.5), read from a slice that shrinks from the front.

use super::frame::{variable_byte_integer, variable_byte_integer_len};
use super::{DecodeError, PacketId};

/// The unread part of a packet's body or of a property block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// What has not been read yet.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (chunk, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*chunk)
    }

    #[inline]
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        self.chunk::<1>().map(|[byte]| byte)
    }

    /// Two Byte Integer (§1.5.2).
    #[inline]
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.chunk().map(u16::from_be_bytes)
    }

    /// Four Byte Integer (§1.5.3).
    #[inline]
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.chunk().map(u32::from_be_bytes)
    }

    /// Variable Byte Integer (§1.5.5), in its shortest form `[MQTT-1.5.5-1]`.
    #[inline]
    pub fn variable_byte_integer(&mut self) -> Result<u32, DecodeError> {
        let (value, len) = variable_byte_integer(self.rest)?.ok_or(DecodeError::Truncated)?;
        if len != variable_byte_integer_len(value as usize) {
            return Err(DecodeError::VariableByteIntegerNotMinimal);
        }
        self.take(len)?;
        Ok(value)
    }

    /// The next `len` bytes.
    #[inline]
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Binary Data (§1.5.6).
    #[inline]
    pub fn binary(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }

    /// UTF-8 Encoded String (§1.5.4).
    /// [MQTT-1.5.4-1], [MQTT-1.5.4-2], [MQTT-1.5.4-3]
    #[inline]
    pub fn string(&mut self) -> Result<&'a str, DecodeError> {
        let bytes = self.binary()?;
        let string = std::str::from_utf8(bytes).map_err(|_| DecodeError::StringNotUtf8)?;
        // Without an early exit the loop is a few vector instructions.
        if bytes.iter().fold(false, |found, &byte| found | (byte == 0)) {
            return Err(DecodeError::StringHasNull);
        }
        Ok(string)
    }

    #[inline]
    pub fn packet_id(&mut self) -> Result<PacketId, DecodeError> {
        PacketId::new(self.u16()?).ok_or(DecodeError::PacketIdZero)
    }

    /// The bytes of a property block, without its length (§2.2.2).
    /// [MQTT-2.2.2-1]
    #[inline]
    pub fn property_block(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.variable_byte_integer()?;
        self.take(len as usize)
    }

    /// Everything must have been read.
    pub fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::TrailingBytes)
        }
    }
}

#[cfg(test)]
mod tests;
