//! A snapshot file as a stream: begin (who, which, how long), chunks, end (checksum).
//!
//! The receiver writes to a temporary file and hands it to Raft only when length and checksum agree
//! and the file is on disk. There is a limit on silence, not on the whole: a snapshot may take as long
//! as it needs.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use openraft::raft::SnapshotResponse;
use raftmq_proto::v1 as proto;
use raftmq_proto::v1::raft_client::RaftClient;
use raftmq_proto::v1::snapshot_part::Part;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use crate::raft_types::{Raft, Snapshot, Vote};
use crate::snapshot::SnapshotFile;
use crate::wire::{ToRaft, ToWire};

const CHUNK_BYTES: usize = 512 << 10;
/// Chunks read ahead of the network.
const CHUNKS_AHEAD: usize = 4;
/// A sender or receiver that is silent for so long is given up.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// The receiver decodes and installs the table before it answers.
const INSTALL_TIMEOUT: Duration = Duration::from_secs(600);

/// Sends a snapshot; returns the receiver's vote.
pub(crate) async fn send(
    mut client: RaftClient<Channel>,
    header: Option<proto::RaftHeader>,
    vote: Vote,
    snapshot: Snapshot,
) -> Result<Vote, String> {
    let file = *snapshot.snapshot;
    let begin = proto::SnapshotBegin {
        header,
        vote: Some(vote.to_wire()),
        meta: Some(snapshot.meta.to_wire()),
        length_bytes: file.length_bytes,
    };
    let parts = parts(begin, file);
    let reply = tokio::time::timeout(INSTALL_TIMEOUT, client.install_snapshot(parts)).await;
    let reply = reply.map_err(|_| "the receiver does not answer".to_owned())?;
    let vote = reply
        .map_err(|status| status.message().to_owned())?
        .into_inner()
        .vote;
    vote.map(ToRaft::to_raft)
        .ok_or_else(|| "the answer lacks its vote".to_owned())
}

/// Reads the file in a thread of its own, a few chunks ahead. A file that cannot be read ends the
/// stream early, and the receiver discards what it has.
fn parts(
    begin: proto::SnapshotBegin,
    file: SnapshotFile,
) -> impl Stream<Item = proto::SnapshotPart> + Send + 'static {
    let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
    tokio::task::spawn_blocking(move || {
        if let Err(error) = read_parts(begin, &file, &sender) {
            tracing::error!(path = %file.path.display(), %error, "a snapshot cannot be read");
        }
    });
    ReceiverStream::new(receiver)
}

fn read_parts(
    begin: proto::SnapshotBegin,
    file: &SnapshotFile,
    sender: &mpsc::Sender<proto::SnapshotPart>,
) -> io::Result<()> {
    let gone = |part| {
        sender
            .blocking_send(proto::SnapshotPart { part: Some(part) })
            .is_err()
    };
    let mut crc = crc32fast::Hasher::new();
    if gone(Part::Begin(begin)) {
        return Ok(());
    }
    let mut offset = 0;
    while offset < file.length_bytes {
        let length = usize::try_from(file.length_bytes - offset)
            .unwrap_or(usize::MAX)
            .min(CHUNK_BYTES);
        let mut chunk = vec![0; length];
        file.file.read_exact_at(&mut chunk, offset)?;
        crc.update(&chunk);
        offset += length as u64;
        if gone(Part::Chunk(chunk.into())) {
            return Ok(());
        }
    }
    gone(Part::End(proto::SnapshotEnd {
        crc: crc.finalize(),
    }));
    Ok(())
}

/// Receives the rest of a snapshot whose begin has been admitted, and installs it.
pub(crate) async fn receive(
    raft: &Raft,
    dir: &Path,
    begin: proto::SnapshotBegin,
    parts: Streaming<proto::SnapshotPart>,
) -> Result<Vote, Status> {
    let incomplete =
        |part: &str| Status::invalid_argument(format!("the snapshot lacks its {part}"));
    let vote: Vote = begin.vote.ok_or_else(|| incomplete("vote"))?.to_raft();
    let meta = begin
        .meta
        .ok_or_else(|| incomplete("description"))?
        .to_raft();
    let meta = meta.map_err(|error| Status::invalid_argument(error.to_string()))?;
    let file = SnapshotFile::incoming(dir).map_err(internal)?;
    let path = file.path.clone();
    let received = fill(file, begin.length_bytes, parts).await;
    let installed = match received {
        Ok(file) => {
            let snapshot = Snapshot {
                meta,
                snapshot: Box::new(file),
            };
            let installed = raft.install_full_snapshot(vote, snapshot).await;
            installed.map_err(|error| Status::internal(error.to_string()))
        }
        Err(status) => Err(status),
    };
    // Renamed by now when it was installed.
    let _ = std::fs::remove_file(path);
    installed.map(|SnapshotResponse { vote }| vote)
}

async fn fill(
    file: SnapshotFile,
    length_bytes: u64,
    mut parts: Streaming<proto::SnapshotPart>,
) -> Result<SnapshotFile, Status> {
    let mut crc = crc32fast::Hasher::new();
    let mut offset = 0;
    loop {
        let part = tokio::time::timeout(IDLE_TIMEOUT, parts.message()).await;
        let part = part.map_err(|_| Status::deadline_exceeded("the sender is silent"))??;
        match part.and_then(|part| part.part) {
            Some(Part::Chunk(chunk)) => {
                crc.update(&chunk);
                let length = chunk.len() as u64;
                if offset + length > length_bytes {
                    return Err(Status::invalid_argument(
                        "the snapshot is longer than announced",
                    ));
                }
                write_chunk(&file.file, chunk, offset).await?;
                offset += length;
            }
            Some(Part::End(end)) if offset == length_bytes && end.crc == crc.clone().finalize() => {
                break;
            }
            Some(Part::End(_)) => {
                return Err(Status::data_loss(
                    "length or checksum of the snapshot is wrong",
                ));
            }
            Some(Part::Begin(_)) | None => return Err(Status::aborted("the snapshot ends early")),
        }
    }
    Ok(SnapshotFile {
        length_bytes,
        ..file
    })
}

async fn write_chunk(file: &Arc<File>, chunk: Bytes, offset: u64) -> Result<(), Status> {
    let file = Arc::clone(file);
    let written = tokio::task::spawn_blocking(move || file.write_all_at(&chunk, offset)).await;
    written
        .map_err(|_| Status::internal("a task ended early"))?
        .map_err(internal)
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn internal(error: io::Error) -> Status {
    Status::internal(error.to_string())
}
