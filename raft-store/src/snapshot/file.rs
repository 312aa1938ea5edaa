//! The format of a snapshot file: magic and version, length and protobuf of the Raft part (last log
//! id, membership), the table as it writes itself, and a CRC-32 over all of that.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use prost::Message;
use raftmq_proto::v1 as proto;

use super::SnapshotFile;
use crate::raft_types::SnapshotMeta;
use crate::table::{Frozen, Table};
use crate::wire::{ToRaft, ToWire};

const MAGIC: [u8; 8] = *b"RMQSNAP\x01";
const CRC_BYTES: u64 = 4;
const META_BYTES_MAX: u32 = 16 << 20;

/// Why a snapshot file cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotReadError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it is not a snapshot of a version that this program knows")]
    UnknownFormat,
    #[error("the checksum does not match")]
    Checksum,
    #[error("its content is damaged: {0}")]
    Damaged(String),
}

/// Writes the frozen table to a file without a lasting name yet.
pub(crate) fn write(dir: &Path, meta: &SnapshotMeta, table: &Frozen) -> io::Result<SnapshotFile> {
    let unfinished = SnapshotFile::incoming(dir)?;
    let mut out = CrcWriter {
        inner: BufWriter::with_capacity(1 << 20, &*unfinished.file),
        crc: crc32fast::Hasher::new(),
    };
    let meta = meta.to_wire().encode_to_vec();
    out.write_all(&MAGIC)?;
    out.write_all(
        &u32::try_from(meta.len())
            .map_err(io::Error::other)?
            .to_be_bytes(),
    )?;
    out.write_all(&meta)?;
    table.write_to(&mut out)?;
    let crc = out.crc.clone().finalize();
    out.inner.write_all(&crc.to_be_bytes())?;
    out.inner.flush()?;
    drop(out);
    unfinished.file.sync_all()?;
    let length_bytes = unfinished.file.metadata()?.len();
    Ok(SnapshotFile {
        length_bytes,
        ..unfinished
    })
}

/// Reads a snapshot file in full and checks it.
pub(crate) fn read(path: &Path) -> Result<(SnapshotMeta, Table), SnapshotReadError> {
    let file = File::open(path)?;
    let body = file
        .metadata()?
        .len()
        .checked_sub(CRC_BYTES)
        .ok_or(SnapshotReadError::UnknownFormat)?;
    let mut file = BufReader::with_capacity(1 << 20, file);
    let mut input = CrcReader {
        inner: (&mut file).take(body),
        crc: crc32fast::Hasher::new(),
    };
    let parts = read_parts(&mut input);
    io::copy(&mut input, &mut io::sink())?;
    let crc = input.crc.finalize();
    let mut stored = [0; 4];
    file.read_exact(&mut stored)?;
    if matches!(parts, Err(SnapshotReadError::UnknownFormat)) || crc == u32::from_be_bytes(stored) {
        return parts;
    }
    Err(SnapshotReadError::Checksum)
}

fn read_parts(input: &mut impl Read) -> Result<(SnapshotMeta, Table), SnapshotReadError> {
    let mut magic = [0; 8];
    input
        .read_exact(&mut magic)
        .map_err(|_| SnapshotReadError::UnknownFormat)?;
    if magic != MAGIC {
        return Err(SnapshotReadError::UnknownFormat);
    }
    let mut length = [0; 4];
    input.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > META_BYTES_MAX {
        return Err(SnapshotReadError::Damaged("its head is too long".into()));
    }
    let mut meta = vec![0; length as usize];
    input.read_exact(&mut meta)?;
    let damaged = |error: &dyn std::fmt::Display| SnapshotReadError::Damaged(error.to_string());
    let meta = proto::SnapshotMeta::decode(&meta[..]).map_err(|error| damaged(&error))?;
    let meta = meta.to_raft().map_err(|error| damaged(&error))?;
    let table = Table::read_from(input).map_err(|error| damaged(&error))?;
    Ok((meta, table))
}

struct CrcWriter<W> {
    inner: W,
    crc: crc32fast::Hasher,
}

impl<W: Write> Write for CrcWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.crc.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

struct CrcReader<R> {
    inner: R,
    crc: crc32fast::Hasher,
}

impl<R: Read> Read for CrcReader<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(bytes)?;
        self.crc.update(&bytes[..read]);
        Ok(read)
    }
}
