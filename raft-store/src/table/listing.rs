//! Lists of subscriptions and routes, a piece at a time.
//!
//! A list may have a million rows, and whoever reads the table holds up its writer. So a list is read in
//! pieces of a bounded number of rows, each from where the one before ended. Places are keys, not
//! positions: rows that come and go meanwhile neither repeat nor hide the others.

use std::collections::BinaryHeap;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use super::subscribers::Entry;
use super::{NodeId, Session, Subscription, Table};

/// Which subscriptions are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope<'a> {
    /// All.
    All,
    /// Those of one client.
    Client(&'a str),
    /// Those to exactly this topic filter, in share groups or not.
    Filter(&'a str),
    /// Those whose filter matches this topic name.
    Matching(&'a str),
}

/// Up to where a list has been read, in the order of (client identifier, filter, share group).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Client identifier.
    pub client_id: Arc<str>,
    /// Filter and share group of the last subscription; `None`: all of the client's are read.
    pub within: Option<(Arc<str>, Option<Arc<str>>)>,
}

/// A subscription and whose it is.
#[derive(Clone, Copy, Debug)]
pub struct Listed<'a> {
    /// The client's session.
    pub session: &'a Session,
    /// The subscription.
    pub subscription: &'a Subscription,
}

impl Listed<'_> {
    fn place(&self) -> Place {
        let subscription = self.subscription;
        Place {
            client_id: self.session.client_id.clone(),
            within: Some((subscription.filter.clone(), subscription.share.clone())),
        }
    }
}

/// A piece of a list.
#[derive(Debug, Default)]
pub struct Piece<'a> {
    /// Rows in their order; fewer than asked for, even none, do not mean the end.
    pub rows: Vec<Listed<'a>>,
    /// Where to read on; `None`: that was all.
    pub next: Option<Place>,
}

impl Table {
    /// At most `count` subscriptions behind `after`. Looks at no more than `count` sessions, or, for the
    /// scopes that name a topic, at `count` subscribers of each filter and node concerned.
    pub fn subscriptions_listed<'a>(
        &'a self,
        scope: Scope<'_>,
        after: Option<&Place>,
        count: usize,
    ) -> Piece<'a> {
        match scope {
            Scope::All => self.listed_of_all(after, count),
            Scope::Client(client_id) => self.listed_of_client(client_id, after, count),
            Scope::Filter(filter) => {
                let mut first = First::new(count, after);
                let entry = self.subscribers.entry(filter);
                entry.into_iter().for_each(|entry| first.offer_all(entry));
                first.piece(self)
            }
            Scope::Matching(topic) => {
                let mut first = First::new(count, after);
                self.subscribers
                    .for_each_match(topic, |entry| first.offer_all(entry));
                first.piece(self)
            }
        }
    }

    fn listed_of_client<'a>(
        &'a self,
        client_id: &str,
        after: Option<&Place>,
        count: usize,
    ) -> Piece<'a> {
        let mut piece = Piece::default();
        let after = after.filter(|after| *after.client_id >= *client_id);
        let begun = after.is_none_or(|after| *after.client_id == *client_id);
        let within = after.and_then(|after| after.within.as_ref());
        if begun && (after.is_none() || within.is_some()) {
            self.list_session(client_id, within, count, &mut piece);
        }
        piece
    }

    fn listed_of_all<'a>(&'a self, after: Option<&Place>, count: usize) -> Piece<'a> {
        let mut piece = Piece::default();
        // The client that the place points into may have more.
        if let Some(Place {
            client_id,
            within: Some(within),
        }) = after
        {
            self.list_session(client_id, Some(within), count, &mut piece);
        }
        let sessions = self.sessions.behind(after.map(|after| &*after.client_id));
        for (looked_at, session) in sessions.enumerate() {
            if piece.next.is_some() {
                break;
            }
            self.list_session(&session.client_id, None, count, &mut piece);
            if piece.next.is_none() && looked_at + 1 >= count {
                piece.next = Some(Place {
                    client_id: session.client_id.clone(),
                    within: None,
                });
            }
        }
        piece
    }

    /// One session's subscriptions, until the piece is full.
    fn list_session<'a>(
        &'a self,
        client_id: &str,
        within: Option<&(Arc<str>, Option<Arc<str>>)>,
        count: usize,
        piece: &mut Piece<'a>,
    ) {
        let Some(session) = self.session(client_id) else {
            return;
        };
        let after = within.map(|(filter, share)| (&**filter, share.as_deref()));
        for subscription in self.subscriptions_behind(client_id, after) {
            if piece.rows.len() >= count {
                piece.next = piece.rows.last().map(Listed::place);
                return;
            }
            piece.rows.push(Listed {
                session,
                subscription,
            });
        }
    }

    /// The first `count` routes behind `after`, in order of (filter, node), whose filter matches a topic
    /// name.
    pub fn routes_matching(
        &self,
        topic: &str,
        after: Option<(&str, NodeId)>,
        count: usize,
    ) -> Vec<(Arc<str>, NodeId)> {
        let mut first = BinaryHeap::new();
        self.for_each_route_matching(topic, |filter, node| {
            if after.is_none_or(|after| (&**filter, node) > after) {
                first.push((filter.clone(), node));
            }
            if first.len() > count {
                first.pop();
            }
        });
        first.into_sorted_vec()
    }
}

/// Client identifier, filter, share group.
type Key<'a> = (&'a Arc<str>, &'a Arc<str>, Option<&'a Arc<str>>);

/// The first keys of several lists, each of which is in order.
struct First<'a, 'p> {
    keys: BinaryHeap<Key<'a>>,
    count: usize,
    after: Option<&'p Place>,
}

impl<'a, 'p> First<'a, 'p> {
    fn new(count: usize, after: Option<&'p Place>) -> Self {
        First {
            keys: BinaryHeap::new(),
            count: count.max(1),
            after,
        }
    }

    /// Takes the key if it is among the first. `Break`: neither it nor what follows it is.
    fn offer(&mut self, key: Key<'a>) -> ControlFlow<()> {
        if self.keys.len() >= self.count {
            if self.keys.peek().is_some_and(|last| *last <= key) {
                return ControlFlow::Break(());
            }
            self.keys.pop();
        }
        self.keys.push(key);
        ControlFlow::Continue(())
    }

    /// From which client on a filter's subscribers are behind the place.
    fn from(&self, filter: &str, share: Option<&str>) -> Bound<&'p str> {
        let Some(after) = self.after else {
            return Bound::Unbounded;
        };
        let is_behind = after
            .within
            .as_ref()
            .is_some_and(|(last, last_share)| (filter, share) > (&**last, last_share.as_deref()));
        match is_behind {
            true => Bound::Included(&*after.client_id),
            false => Bound::Excluded(&*after.client_id),
        }
    }

    fn offer_all(&mut self, entry: &'a Entry) {
        let from = self.from(&entry.filter, None);
        for on in &entry.nodes {
            let _ = on
                .clients
                .behind(from)
                .try_for_each(|client_id| self.offer((client_id, &entry.filter, None)));
        }
        for group in &entry.groups {
            let share = Some(&group.share);
            let from = self.from(&entry.filter, share.map(|share| &**share));
            let _ = group
                .behind(from)
                .try_for_each(|client_id| self.offer((client_id, &entry.filter, share)));
        }
    }

    fn piece(self, table: &'a Table) -> Piece<'a> {
        let is_full = self.keys.len() >= self.count;
        let row = |(client_id, filter, share): Key<'a>| {
            let session = table.session(client_id)?;
            let at = session.find(filter, share.map(|share| &**share)).ok()?;
            Some(Listed {
                session,
                subscription: &session.subscriptions[at],
            })
        };
        let rows: Vec<_> = self
            .keys
            .into_sorted_vec()
            .into_iter()
            .filter_map(row)
            .collect();
        let next = rows.last().filter(|_| is_full).map(Listed::place);
        Piece { rows, next }
    }
}
