//! The files of a journal as its one thread writes them.

use super::{
    batch,
    segment::{self, Owner},
};
use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

/// A segment that is longer gets a successor.
pub(super) const SEGMENT_BYTES: u64 = 16 << 20;

/// The segments, and the end of the last one.
pub(super) struct Disk {
    dir: PathBuf,
    owner: Owner,
    file: File,
    /// Number and length of each, ascending; the last one is written.
    segments: VecDeque<(u64, u64)>,
    last_batch: u64,
    buffer: Vec<u8>,
}

impl Disk {
    /// Goes on behind what was recovered, in a segment of its own.
    pub fn open(
        dir: &Path,
        owner: Owner,
        segments: Vec<(u64, u64)>,
        last_batch: u64,
    ) -> io::Result<Disk> {
        let mut segments = VecDeque::from(segments);
        let number = segments.back().map_or(1, |(number, _)| number + 1);
        let (file, length) = segment::create(dir, number, &owner)?;
        segments.push_back((number, length));
        Ok(Disk {
            dir: dir.to_owned(),
            owner,
            file,
            segments,
            last_batch,
            buffer: Vec::new(),
        })
    }

    /// Writes records as one batch, and flushes: when it returns they are on the disk.
    pub fn append<'a>(&mut self, records: impl Iterator<Item = &'a [u8]>) -> io::Result<()> {
        self.buffer.clear();
        self.buffer.resize(batch::HEADER_BYTES, 0);
        records.for_each(|part| self.buffer.extend_from_slice(part));
        self.last_batch += 1;
        batch::seal(self.last_batch, &mut self.buffer);
        self.file.write_all(&self.buffer)?;
        self.file.sync_data()?;
        let written = self.buffer.len() as u64;
        if let Some((_, length)) = self.segments.back_mut() {
            *length += written;
            if *length >= SEGMENT_BYTES {
                self.begin_segment()?;
            }
        }
        if self.buffer.capacity() > BUFFER_KEPT_BYTES {
            self.buffer = Vec::new();
        }
        Ok(())
    }

    /// Begins a new segment; its number.
    pub fn begin_segment(&mut self) -> io::Result<u64> {
        let number = self.segments.back().map_or(1, |(number, _)| number + 1);
        let (file, length) = segment::create(&self.dir, number, &self.owner)?;
        self.file = file;
        self.segments.push_back((number, length));
        Ok(number)
    }

    /// Removes the segments before this one. The oldest goes first, durably, so that what a crash leaves
    /// has no gap.
    pub fn remove_before(&mut self, number: u64) -> io::Result<()> {
        while let Some((oldest, _)) = self.segments.front().copied() {
            if oldest >= number {
                break;
            }
            std::fs::remove_file(segment::path_of(&self.dir, oldest))?;
            segment::sync_dir(&self.dir)?;
            self.segments.pop_front();
        }
        Ok(())
    }

    /// Bytes in all segments.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|(_, length)| length).sum()
    }
}

/// A larger buffer gives its memory back.
const BUFFER_KEPT_BYTES: usize = 4 << 20;
