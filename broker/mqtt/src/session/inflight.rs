//! A delivery under way, and how its PUBLISH is written: the first time, and again after a reconnect.

use super::{
    Wire,
    outbound::{DropReason, Pumped},
    waiting::{InflightState, Waiting},
};
use crate::{
    codec::{QoS, ReasonCode},
    fanout::{Fanout, Scratch},
};

/// One delivery that waits for its acknowledgement.
#[derive(Debug)]
pub(super) struct Inflight {
    pub(super) packet_id: u16,
    /// Number of the delivery in its session.
    pub(super) number: u64,
    pub(super) state: InflightState,
    /// This connection has no room for its repeat yet.
    pub(super) awaits_repeat: bool,
}

impl Inflight {
    pub(super) fn new(packet_id: u16, number: u64, state: InflightState) -> Inflight {
        Inflight {
            packet_id,
            number,
            state,
            awaits_repeat: false,
        }
    }

    /// Sent, and not acknowledged.
    pub(super) fn published(packet_id: u16, waiting: Waiting) -> Inflight {
        let number = waiting.number;
        Inflight::new(packet_id, number, InflightState::Published(waiting))
    }

    /// Sends its PUBLISH again [MQTT-3.3.1-1]. `false`: it is over, as this connection does not take so large a packet. Of
    /// QoS 2 the client may know the identifier, which PUBREL makes free.
    pub(super) fn repeat(
        &mut self,
        wire: &mut Wire<'_>,
        now_ms: u64,
        scratch: &mut Scratch,
        done: &mut impl FnMut(Pumped<'_>),
    ) -> bool {
        let InflightState::Published(waiting) = &self.state else {
            return true;
        };
        let (id, again) = (self.packet_id, Repeat::Again);
        let Err(reason) = write(waiting, id, again, wire, now_ms, scratch) else {
            return true;
        };
        let is_kept = waiting.qos == QoS::ExactlyOnce;
        done(match is_kept {
            true => Pumped::Forgone(reason, waiting),
            false => Pumped::Dropped(reason, waiting),
        });
        if is_kept {
            self.state = InflightState::Released;
            wire.pubrel(id, ReasonCode::Success);
        }
        is_kept
    }
}

/// Whether a PUBLISH is sent for the first time: the DUP flag [MQTT-3.3.1-1].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    First,
    Again,
}

pub(super) fn write(
    waiting: &Waiting,
    packet_id: u16,
    repeat: Repeat,
    wire: &mut Wire<'_>,
    now_ms: u64,
    scratch: &mut Scratch,
) -> Result<(), DropReason> {
    let publication = waiting.message.publication();
    // Once its delivery has begun a message is completed, expired or not [MQTT-4.3.3-7].
    if repeat == Repeat::First
        && publication
            .expiry
            .is_some_and(|e| e.remaining_seconds(now_ms).is_none())
    {
        return Err(DropReason::Expired);
    }
    let mut message = Fanout::new(publication, now_ms, scratch);
    if !message.fits(wire, waiting.delivery()) {
        return Err(DropReason::TooLarge);
    }
    let at = message.append_to(wire, waiting.delivery(), packet_id);
    if repeat == Repeat::Again {
        wire.out[at] |= DUP;
    }
    Ok(())
}

const DUP: u8 = 1 << 3;
