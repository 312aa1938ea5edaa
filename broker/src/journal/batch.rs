//! A batch: what one flush carries to the disk, with a number and a checksum.
//!
//! Layout (little endian): magic u32, length of the records u32, number of the batch u64, CRC-32 of all of
//! that but the magic u32, records. Numbers rise by one from batch to batch, also from segment to segment.

/// Bytes before the records.
pub const HEADER_BYTES: usize = 20;
const MAGIC: [u8; 4] = *b"RMQB";

/// A batch that has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch<'a> {
    /// Its number.
    pub number: u64,
    /// Its records, back to back.
    pub records: &'a [u8],
}

/// Fills in the header of a batch whose records lie behind the space for it.
pub fn seal(number: u64, batch: &mut [u8]) {
    let length = (batch.len() - HEADER_BYTES) as u32;
    batch[..4].copy_from_slice(&MAGIC);
    batch[4..8].copy_from_slice(&length.to_le_bytes());
    batch[8..16].copy_from_slice(&number.to_le_bytes());
    let crc = crc_of(batch);
    batch[16..20].copy_from_slice(&crc.to_le_bytes());
}

fn crc_of(batch: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&batch[4..16]);
    crc.update(&batch[HEADER_BYTES..]);
    crc.finalize()
}

/// The batch at the front and what is behind it. `None`: there is no whole one.
pub fn read(bytes: &[u8]) -> Option<(Batch<'_>, &[u8])> {
    let header = bytes.get(..HEADER_BYTES)?;
    let number = |at: usize| Some(u32::from_le_bytes(header.get(at..at + 4)?.try_into().ok()?));
    let length = number(4)? as usize;
    let whole = bytes.get(..HEADER_BYTES.checked_add(length)?)?;
    if header[..4] != MAGIC || number(16)? != crc_of(whole) {
        return None;
    }
    let batch = Batch {
        number: u64::from_le_bytes(header.get(8..16)?.try_into().ok()?),
        records: &whole[HEADER_BYTES..],
    };
    Some((batch, &bytes[whole.len()..]))
}

/// Whether a whole batch begins anywhere in these bytes: then what is before it is not a torn end.
pub fn is_anywhere_in(bytes: &[u8]) -> bool {
    let starts = bytes.windows(MAGIC.len()).enumerate();
    let mut starts = starts.filter(|(_, window)| *window == MAGIC);
    starts.any(|(at, _)| read(&bytes[at..]).is_some())
}
