//! A node runs an entry: the bytes of both connections, until something ends it.
//!
//! The connection with the own node is what makes this node the runner, so the work ends with it. The one with the
//! remote broker comes and goes meanwhile; what it owes is with the source.

use super::{
    candidate,
    connecting::{self, Accepted},
    mapping::Ends,
    relay::{Broken, Relay},
    runner::Order,
    settings::{Direction, Entry},
    tally::Tally,
    wire::{Incoming, Outgoing, Wire},
};
use crate::engine::Engine;
use futures::future::BoxFuture;
use std::{
    future::pending,
    io,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::watch,
    time::{Interval, MissedTickBehavior, interval},
};

/// How often it is looked at keep alives, and whether this node still serves.
const TICK: Duration = Duration::from_millis(100);
/// Bytes for one side that its socket has not taken, beyond which nothing is taken from the source.
const UNSENT_BYTES_MAX: usize = 1 << 20;
/// The first wait for the remote broker is this part of `reconnect_interval`; each is twice as long as the one
/// before it.
const FIRST_WAIT_PART: u32 = 8;

/// Why a node does not run an entry any more.
#[derive(Debug)]
pub(super) enum Ended {
    /// By order.
    Ordered,
    /// It does not serve now.
    NotServing,
    /// The connection with the own node is of no use.
    Lost(Broken),
}

/// The connection with the remote broker.
enum Far {
    Waiting { until: Instant },
    Connecting(BoxFuture<'static, Result<Accepted, Broken>>),
    Up { wire: Box<Wire>, since: Instant },
}

/// One entry at work.
pub(super) struct Serving {
    engine: Arc<Engine>,
    entry: Arc<Entry>,
    tally: Arc<Tally>,
    orders: watch::Receiver<Order>,
    relay: Relay,
    near: Wire,
    far: Far,
    /// The next wait for the remote broker.
    wait: Duration,
}

enum Event {
    Near(io::Result<()>),
    Far(io::Result<()>),
    Connected(Result<Accepted, Broken>),
    Tick,
}

impl Serving {
    /// The own node has accepted its client.
    pub fn new(
        engine: Arc<Engine>,
        entry: Arc<Entry>,
        tally: Arc<Tally>,
        orders: watch::Receiver<Order>,
        near: Accepted,
    ) -> Serving {
        let ends = Ends {
            own: engine.cluster_id(),
            remote_place: entry.remote.place(),
            remote_cluster: None,
        };
        let mut relay = Relay::new(entry.clone(), ends, tally.clone());
        match entry.direction {
            Direction::Egress => relay.source_is_up(near.wire.version(), near.session_present),
            Direction::Ingress => relay.target_is_up(near.target, Instant::now()),
        }
        let wait = entry.remote.reconnect_interval / FIRST_WAIT_PART;
        Serving {
            engine,
            entry,
            tally,
            orders,
            relay,
            near: near.wire,
            far: Far::Waiting {
                until: Instant::now(),
            },
            wait,
        }
    }

    /// Works until something ends it.
    pub async fn serve(mut self) -> Ended {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let event = match self.progress() {
                Ok(()) => self.next(&mut tick).await,
                Err(broken) => return self.ended(Ended::Lost(broken)).await,
            };
            if let Err(ended) = self.handle(event) {
                return self.ended(ended).await;
            }
        }
    }

    /// Reads what has come, and hands over what is to be sent.
    fn progress(&mut self) -> Result<(), Broken> {
        let now = Instant::now();
        let is_egress = self.entry.direction == Direction::Egress;
        let unsent = |wire: &Wire| wire.outgoing.len();
        let far_unsent = match &self.far {
            Far::Up { wire, .. } => unsent(wire),
            _ => 0,
        };
        let is_full = unsent(&self.near).max(far_unsent) >= UNSENT_BYTES_MAX;
        let more = |relay: &Relay| !is_full && relay.wants_more();
        let (near, relay) = (&mut self.near, &mut self.relay);
        // The target first: what it has acknowledged makes room.
        if !is_egress {
            near.packets(
                relay,
                |_| true,
                |relay, packet| relay.target_says(packet, now),
            )?;
        }
        let far = match &mut self.far {
            Far::Up { wire, .. } if is_egress => wire.packets(
                relay,
                |_| true,
                |relay, packet| relay.target_says(packet, now),
            ),
            Far::Up { wire, .. } => {
                wire.packets(relay, more, |relay, packet| relay.source_says(packet, now))
            }
            _ => Ok(()),
        };
        if let Err(broken) = far {
            self.far_is_down(&broken);
        }
        let (near, relay) = (&mut self.near, &mut self.relay);
        if is_egress {
            near.packets(relay, more, |relay, packet| relay.source_says(packet, now))?;
        }
        self.hand_over();
        self.tally.set_pending(self.relay.pending());
        Ok(())
    }

    fn hand_over(&mut self) {
        let relay = &mut self.relay;
        let (for_near, for_far) = match self.entry.direction {
            Direction::Egress => (&mut relay.to_source, &mut relay.to_target),
            Direction::Ingress => (&mut relay.to_target, &mut relay.to_source),
        };
        self.near.outgoing.put(for_near);
        if let Far::Up { wire, .. } = &mut self.far {
            wire.outgoing.put(for_far);
        }
    }

    /// Waits for something to happen.
    async fn next(&mut self, tick: &mut Interval) -> Event {
        let takes = self.takes_from_source();
        let is_egress = self.entry.direction == Direction::Egress;
        let (mut incoming, mut outgoing, mut connecting) = (None, None, None);
        match &mut self.far {
            Far::Up { wire, .. } => {
                incoming = Some(&mut wire.incoming).filter(|_| is_egress || takes);
                outgoing = Some(&mut wire.outgoing).filter(|outgoing| outgoing.has_more());
            }
            Far::Connecting(future) => connecting = Some(future),
            Far::Waiting { .. } => {}
        }
        let near_in = Some(&mut self.near.incoming).filter(|_| !is_egress || takes);
        let near_out = Some(&mut self.near.outgoing).filter(|outgoing| outgoing.has_more());
        tokio::select! {
            received = receive(near_in) => Event::Near(received),
            sent = send(near_out) => Event::Near(sent),
            received = receive(incoming) => Event::Far(received),
            sent = send(outgoing) => Event::Far(sent),
            connected = connected(connecting) => Event::Connected(connected),
            _ = tick.tick() => Event::Tick,
            _ = self.orders.changed() => Event::Tick,
        }
    }

    fn takes_from_source(&self) -> bool {
        let far = match &self.far {
            Far::Up { wire, .. } => wire.outgoing.len(),
            _ => 0,
        };
        let is_full = far.max(self.near.outgoing.len()) >= UNSENT_BYTES_MAX;
        !is_full && self.relay.wants_more()
    }

    fn handle(&mut self, event: Event) -> Result<(), Ended> {
        match event {
            Event::Near(Ok(())) | Event::Far(Ok(())) => Ok(()),
            Event::Near(Err(error)) => Err(Ended::Lost(Broken(error.to_string()))),
            Event::Far(Err(error)) => {
                self.far_is_down(&Broken(error.to_string()));
                Ok(())
            }
            Event::Connected(Ok(accepted)) => {
                self.far_is_up(accepted);
                Ok(())
            }
            Event::Connected(Err(broken)) => {
                self.far_is_down(&broken);
                Ok(())
            }
            Event::Tick => self.tick(Instant::now()),
        }
    }

    fn tick(&mut self, now: Instant) -> Result<(), Ended> {
        if self.order() != Order::Work {
            return Err(Ended::Ordered);
        }
        if !candidate::serves(&self.engine) {
            return Err(Ended::NotServing);
        }
        let takes = self.takes_from_source();
        let is_egress = self.entry.direction == Direction::Egress;
        self.near
            .tick(now, !is_egress || takes)
            .map_err(Ended::Lost)?;
        let far = match &mut self.far {
            Far::Up { wire, since } => {
                if now.saturating_duration_since(*since) > self.entry.remote.reconnect_interval {
                    self.wait = self.entry.remote.reconnect_interval / FIRST_WAIT_PART;
                }
                wire.tick(now, is_egress || takes)
            }
            Far::Waiting { until } if *until <= now => {
                let connecting =
                    connecting::remote(self.entry.clone(), self.relay.ends.own.clone());
                self.far = Far::Connecting(Box::pin(connecting));
                Ok(())
            }
            _ => Ok(()),
        };
        if let Err(broken) = far {
            self.far_is_down(&broken);
        }
        Ok(())
    }

    /// Without somebody who gives orders there is nothing to work for.
    fn order(&self) -> Order {
        let order = *self.orders.borrow();
        match self.orders.has_changed() {
            Err(_) if order == Order::Work => Order::StepDown,
            _ => order,
        }
    }

    fn far_is_up(&mut self, accepted: Accepted) {
        let now = Instant::now();
        self.relay.ends.remote_cluster = accepted.cluster_id;
        let version = accepted.wire.version();
        match self.entry.direction {
            Direction::Egress => self.relay.target_is_up(accepted.target, now),
            Direction::Ingress => self.relay.source_is_up(version, accepted.session_present),
        }
        self.far = Far::Up {
            wire: Box::new(accepted.wire),
            since: now,
        };
        self.tally.set_remote(true);
        tracing::info!(
            entry = self.entry.id,
            "bridge: the remote broker is connected"
        );
    }

    fn far_is_down(&mut self, broken: &Broken) {
        match self.entry.direction {
            Direction::Egress => self.relay.target_is_down(),
            Direction::Ingress => self.relay.source_is_down(),
        }
        self.tally.set_remote(false);
        self.tally
            .failed(&self.entry, &format!("remote broker: {}", broken.0));
        self.far = Far::Waiting {
            until: Instant::now() + self.wait,
        };
        self.wait = (self.wait * 2).min(self.entry.remote.reconnect_interval);
    }

    /// Says goodbye where somebody is left to hear it.
    async fn ended(self, ended: Ended) -> Ended {
        let forgets = self.order() == Order::Retire;
        let far = async {
            if let Far::Up { wire, .. } = self.far {
                wire.goodbye(forgets).await;
            }
        };
        let near = async {
            if matches!(ended, Ended::Ordered) {
                self.near.goodbye(forgets).await;
            }
        };
        futures::future::join(far, near).await;
        ended
    }
}

async fn receive(incoming: Option<&mut Incoming>) -> io::Result<()> {
    match incoming {
        Some(incoming) => incoming.receive().await,
        None => pending().await,
    }
}

async fn send(outgoing: Option<&mut Outgoing>) -> io::Result<()> {
    match outgoing {
        Some(outgoing) => outgoing.send().await,
        None => pending().await,
    }
}

async fn connected(
    connecting: Option<&mut BoxFuture<'static, Result<Accepted, Broken>>>,
) -> Result<Accepted, Broken> {
    match connecting {
        Some(connecting) => connecting.await,
        None => pending().await,
    }
}
