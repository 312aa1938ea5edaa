//! The events of several nodes as one stream. A node that is lost is told as such, once, and asked
//! again until it answers.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream, Stream};

use crate::api::{Api, Member};
use crate::event::{EventFeed, EventFilter, Told};
use crate::node::NodeError;

/// Pause before a lost node is asked again.
const RETRY: Duration = Duration::from_secs(1);

/// What comes from the nodes.
pub(super) enum Heard {
    /// An event, or that some were left out.
    Told(Told),
    /// From now on the node's events come.
    Listening { node_id: u64 },
    /// From now on they do not.
    Unreachable { node_id: u64, error: String },
}

/// What all `members` tell, each as it comes.
pub(super) fn merged(
    api: &Api,
    members: Vec<Member>,
    filter: &EventFilter,
) -> BoxStream<'static, Heard> {
    let sources = members.into_iter().map(|member| {
        let source = Source {
            api: api.clone(),
            member,
            filter: filter.clone(),
            state: State::Asking,
        };
        Box::pin(source.into_stream())
    });
    Box::pin(stream::select_all(sources))
}

struct Source {
    api: Api,
    member: Member,
    filter: EventFilter,
    state: State,
}

enum State {
    /// For the first time.
    Asking,
    Listening(EventFeed),
    /// Told as unreachable.
    Lost,
}

impl Source {
    fn into_stream(self) -> impl Stream<Item = Heard> + Send {
        stream::unfold(self, async |mut source| {
            let heard = source.next().await;
            Some((heard, source))
        })
    }

    async fn next(&mut self) -> Heard {
        loop {
            let failed = match &mut self.state {
                State::Listening(feed) => match feed.next().await {
                    Some(Ok(told)) => return Heard::Told(told),
                    Some(Err(error)) => error,
                    None => NodeError::Unreachable("it ended the stream of its events".into()),
                },
                State::Asking => match self.ask().await {
                    Ok(heard) => return heard,
                    Err(error) => error,
                },
                State::Lost => {
                    tokio::time::sleep(RETRY).await;
                    match self.ask().await {
                        Ok(heard) => return heard,
                        Err(_) => continue,
                    }
                }
            };
            self.state = State::Lost;
            return Heard::Unreachable {
                node_id: self.member.id,
                error: failed.to_string(),
            };
        }
    }

    async fn ask(&mut self) -> Result<Heard, NodeError> {
        let filter = self.filter.clone();
        let feed = self
            .api
            .ask(&self.member, |node| {
                Box::pin(async move { node.events(filter).await })
            })
            .await?;
        self.state = State::Listening(feed);
        Ok(Heard::Listening {
            node_id: self.member.id,
        })
    }
}
