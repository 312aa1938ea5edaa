//! Pieces of the table's list of subscriptions, in the words of the HTTP API.

use raftmq_api::{
    KnownSubscription, Subscribing, SubscriptionPiece, SubscriptionPlace, SubscriptionScope,
};
use raftmq_store::table::{Listed, Piece, Place, Scope, Session};
use std::sync::Arc;

pub(super) fn scope(scope: &SubscriptionScope) -> Scope<'_> {
    match scope {
        SubscriptionScope::All => Scope::All,
        SubscriptionScope::Client(client_id) => Scope::Client(client_id),
        SubscriptionScope::Filter(filter) => Scope::Filter(filter),
        SubscriptionScope::Matching(topic) => Scope::Matching(topic),
    }
}

pub(super) fn place_in_table(place: &SubscriptionPlace) -> Place {
    let within = |(filter, share): &(Arc<str>, Arc<str>)| {
        let share = Some(share.clone()).filter(|share| !share.is_empty());
        (filter.clone(), share)
    };
    Place {
        client_id: place.client_id.clone(),
        within: place.within.as_ref().map(within),
    }
}

fn place(place: Place) -> SubscriptionPlace {
    let within = |(filter, share): (Arc<str>, Option<Arc<str>>)| {
        (filter, share.unwrap_or_else(|| "".into()))
    };
    SubscriptionPlace {
        client_id: place.client_id,
        within: place.within.map(within),
    }
}

/// Rows of one session follow each other and share what is known of their client.
pub(super) fn known(piece: Piece<'_>) -> SubscriptionPiece {
    let mut rows: Vec<KnownSubscription> = Vec::with_capacity(piece.rows.len());
    for Listed {
        session,
        subscription,
    } in piece.rows
    {
        let before = rows.last().map(|row| &row.client);
        let client = match before.filter(|client| client.client_id == session.client_id) {
            Some(client) => client.clone(),
            None => Arc::new(subscribing(session)),
        };
        rows.push(KnownSubscription {
            client,
            filter: subscription.filter.clone(),
            share: subscription.share.clone(),
            options: subscription.options,
            id: subscription.id,
        });
    }
    SubscriptionPiece {
        rows,
        next: piece.next.map(place),
    }
}

fn subscribing(session: &Session) -> Subscribing {
    Subscribing {
        client_id: session.client_id.clone(),
        node_id: session.node.into(),
        peer_address: session.attributes.peer_address.clone(),
        protocol_version: session.attributes.protocol_version,
    }
}
