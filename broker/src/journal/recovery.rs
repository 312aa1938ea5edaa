//! Reading a journal when its node starts.
//!
//! The node may have died while it wrote: what is at the end of the last segment and is no whole batch was
//! never acknowledged, and is cut off. Everything else has to be whole and in order. If it is not, the
//! node does not start: it would have to pretend that nothing was owed to clients who know better.

use super::{
    batch,
    bytes::Reader,
    image::{Image, Images},
    record::Record,
    segment::{self, HeaderError, Owner},
};
use std::{
    fs::OpenOptions,
    io,
    path::{Path, PathBuf},
};

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The operating system says so.
    #[error("the journal of sessions in {}: {error}", path.display())]
    Io {
        /// What was read or written.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// It is not as it was written.
    #[error("the journal of sessions is damaged: {} {what}; restore the directory, or move it away and lose what sessions of this node are owed", path.display())]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

/// What a journal holds.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The sessions, in no order.
    pub sessions: Vec<Image>,
    /// Segments with their lengths in bytes, ascending.
    pub segments: Vec<(u64, u64)>,
    /// The highest number that a session had.
    pub last_session: u64,
    /// The number of the last batch.
    pub last_batch: u64,
}

/// Where a segment ends.
enum End {
    Whole,
    /// Behind so many bytes something was begun and not finished.
    Torn(u64),
}

/// Reads everything. A torn end is cut off durably.
///
/// # Errors
/// [`JournalError`].
pub fn recover(dir: &Path, owner: &Owner) -> Result<Recovered, JournalError> {
    let io_error = |path: &Path| {
        let path = path.to_owned();
        move |error| JournalError::Io { path, error }
    };
    std::fs::create_dir_all(dir).map_err(io_error(dir))?;
    let numbers = segment::numbers(dir).map_err(io_error(dir))?;
    let mut replay = Replay::default();
    let mut recovered = Recovered::default();
    for (at, number) in numbers.iter().enumerate() {
        let path = segment::path_of(dir, *number);
        let is_last = at + 1 == numbers.len();
        let damaged = |what: String| JournalError::Damaged {
            path: path.clone(),
            what,
        };
        if numbers.first() != Some(number) && !numbers.contains(&(number - 1)) {
            return Err(damaged("has no predecessor".into()));
        }
        let bytes = std::fs::read(&path).map_err(io_error(&path))?;
        match replay.segment(&bytes, *number, owner).map_err(damaged)? {
            End::Whole => recovered.segments.push((*number, bytes.len() as u64)),
            End::Torn(length) if is_last => {
                cut(dir, &path, length).map_err(io_error(&path))?;
                if length > 0 {
                    recovered.segments.push((*number, length));
                }
            }
            End::Torn(length) => return Err(damaged(format!("is damaged at byte {length}"))),
        }
    }
    recovered.last_batch = replay.last_batch.unwrap_or(0);
    let last = numbers.last().copied().unwrap_or(0);
    let finished = replay.images.finish();
    let (sessions, last_session) = finished.map_err(|session| JournalError::Damaged {
        path: segment::path_of(dir, last),
        what: format!("has records of session {session}, whose beginning is missing"),
    })?;
    recovered.sessions = sessions;
    recovered.last_session = last_session;
    Ok(recovered)
}

/// Cuts the end off; a segment of which nothing is left is removed.
fn cut(dir: &Path, path: &Path, length: u64) -> io::Result<()> {
    tracing::info!(path = %path.display(), length, "an unfinished end of the journal of sessions is cut off");
    if length == 0 {
        std::fs::remove_file(path)?;
        return segment::sync_dir(dir);
    }
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(length)?;
    file.sync_all()
}

#[derive(Default)]
struct Replay {
    images: Images,
    last_batch: Option<u64>,
}

impl Replay {
    fn segment(&mut self, bytes: &[u8], number: u64, owner: &Owner) -> Result<End, String> {
        let mut rest = match segment::check(bytes, number, owner) {
            Ok(rest) => rest,
            // The node died while it made the segment: no batch was ever in it.
            Err(HeaderError::Damaged) if !batch::is_anywhere_in(bytes) => return Ok(End::Torn(0)),
            Err(HeaderError::Damaged) => return Err("has a damaged header".into()),
            Err(HeaderError::Version(version)) => {
                return Err(format!(
                    "has format version {version}, which this program does not read"
                ));
            }
            Err(HeaderError::Foreign) => {
                return Err(
                    "has a damaged header, or belongs to another node or data directory".into(),
                );
            }
        };
        while !rest.is_empty() {
            let at = bytes.len() - rest.len();
            let Some((batch, behind)) = batch::read(rest) else {
                if batch::is_anywhere_in(&rest[1..]) {
                    return Err(format!("is damaged at byte {at}"));
                }
                return Ok(End::Torn(at as u64));
            };
            if self.last_batch.is_some_and(|last| batch.number != last + 1) {
                return Err(format!("lacks a batch before byte {at}"));
            }
            self.last_batch = Some(batch.number);
            self.records(batch.records)
                .map_err(|()| format!("holds an unknown record in the batch at byte {at}"))?;
            rest = behind;
        }
        Ok(End::Whole)
    }

    fn records(&mut self, records: &[u8]) -> Result<(), ()> {
        let mut reader = Reader(records);
        while !reader.0.is_empty() {
            let record = Record::read(&mut reader).map_err(drop)?;
            self.images.replay(record).map_err(drop)?;
        }
        Ok(())
    }
}
