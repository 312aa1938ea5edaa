//! The threads of the shards.

use super::{Shard, ShardId, ShardRef, accept, flush, mailbox, shard_of, sweep};
use crate::{engine::Engine, journal::Image, listener::open::Door};
use std::{cell::RefCell, rc::Rc, sync::Arc, thread::JoinHandle};
use tokio::task::LocalSet;

/// The running shards of a node.
pub struct ShardThreads {
    threads: Vec<JoinHandle<()>>,
}

impl ShardThreads {
    /// Waits until all shards have ended.
    pub fn join(self) {
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a shard ended with a panic");
            }
        }
    }
}

/// What one shard accepts connections from: doors, each with its listener's place in the engine.
pub type Doors = Vec<(usize, Door)>;

/// Starts one thread for each set of doors. `images`: the sessions that the journal held.
///
/// # Errors
/// The operating system gives no thread.
pub fn start(
    engine: &Arc<Engine>,
    doors: Vec<Doors>,
    images: Vec<Image>,
) -> std::io::Result<ShardThreads> {
    let mut images_of: Vec<Vec<Image>> = doors.iter().map(|_| Vec::new()).collect();
    for image in images {
        images_of[shard_of(&image.client_id, doors.len()).index()].push(image);
    }
    let mut threads = Vec::with_capacity(doors.len());
    for (index, (doors, images)) in doors.into_iter().zip(images_of).enumerate() {
        let id = ShardId(index as u16);
        let engine = engine.clone();
        let thread = std::thread::Builder::new()
            .name(format!("shard-{index}"))
            .spawn(move || {
                if let Err(error) = run(id, engine, doors, images) {
                    tracing::error!(%error, shard = id.0, "a shard could not start");
                }
            })?;
        threads.push(thread);
    }
    Ok(ShardThreads { threads })
}

fn run(id: ShardId, engine: Arc<Engine>, doors: Doors, images: Vec<Image>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let tasks = LocalSet::new();
    runtime.block_on(tasks.run_until(async move {
        let mailbox = engine.mailboxes[id.index()].clone();
        let mut ended = engine.ended.clone();
        let listeners = engine.listeners.clone();
        let shard: ShardRef = Rc::new_cyclic(|me| {
            let mut shard = Shard::new(id, engine);
            shard.me = me.clone();
            shard.recover(images);
            RefCell::new(shard)
        });
        for (place, door) in doors {
            accept::start(&shard, door, listeners[place].clone())?;
        }
        tokio::task::spawn_local(mailbox::receive(shard.clone(), mailbox));
        tokio::task::spawn_local(flush::flusher(shard.clone()));
        tokio::task::spawn_local(sweep::sweeper(shard.clone()));
        tokio::task::spawn_local(sweep::resumer(shard));
        let _ = ended.wait_for(|end| *end).await;
        Ok(())
    }))
}
