//! Segments: the files of the journal, `NNNNNNNNNN.seg` in the order of their numbers, each with a header
//! that says whose it is.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Layout of header, batches and records.
const FORMAT_VERSION: u32 = 1;
const MAGIC: [u8; 4] = *b"RMQS";
const EXTENSION: &str = "seg";
/// Magic, version, number, node whose sessions they are, CRC-32; the data directory's identity is behind.
const FIXED_BYTES: usize = 4 + 4 + 8 + 8 + 4;

/// Whose a journal is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Node whose sessions these are. It is this one as long as no node keeps copies of another's.
    pub node_id: u64,
    /// Identity of the data directory.
    pub disk_id: String,
}

/// Why a segment is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// It ends within the header, or the header is damaged.
    Damaged,
    /// Another version wrote it.
    Version(u32),
    /// It belongs to another data directory or node.
    Foreign,
}

/// Where the segment of a number is.
pub fn path_of(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:010}.{EXTENSION}"))
}

/// The numbers of the segments that there are, ascending.
pub fn numbers(dir: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        if path.extension().is_some_and(|ext| ext == EXTENSION) {
            numbers.extend(stem.and_then(|stem| stem.parse::<u64>().ok()));
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Makes a segment, durably, with its header; how many bytes that has.
pub fn create(dir: &Path, number: u64, owner: &Owner) -> io::Result<(File, u64)> {
    let mut options = OpenOptions::new();
    let mut file = options
        .append(true)
        .create_new(true)
        .open(path_of(dir, number))?;
    let header = header(number, owner);
    file.write_all(&header)?;
    file.sync_data()?;
    sync_dir(dir)?;
    Ok((file, header.len() as u64))
}

/// Makes made and removed files durable.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn header(number: u64, owner: &Owner) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend_from_slice(&MAGIC);
    header.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    header.extend_from_slice(&number.to_le_bytes());
    header.extend_from_slice(&owner.node_id.to_le_bytes());
    header.extend_from_slice(&crc_of(&header, owner).to_le_bytes());
    header.extend_from_slice(&(owner.disk_id.len() as u16).to_le_bytes());
    header.extend_from_slice(owner.disk_id.as_bytes());
    header
}

fn crc_of(fixed: &[u8], owner: &Owner) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(fixed);
    crc.update(owner.disk_id.as_bytes());
    crc.finalize()
}

/// What is behind the header of a segment that is the owner's.
///
/// # Errors
/// [`HeaderError`].
pub fn check<'a>(bytes: &'a [u8], number: u64, owner: &Owner) -> Result<&'a [u8], HeaderError> {
    let expected = header(number, owner);
    if let Some(rest) = bytes.strip_prefix(&expected[..]) {
        return Ok(rest);
    }
    let fixed = bytes.get(..FIXED_BYTES).ok_or(HeaderError::Damaged)?;
    let version = fixed[4..8].try_into().map_or(0, u32::from_le_bytes);
    match fixed[..4] == MAGIC {
        true if version != FORMAT_VERSION => Err(HeaderError::Version(version)),
        true if bytes.len() >= expected.len() => Err(HeaderError::Foreign),
        _ => Err(HeaderError::Damaged),
    }
}
