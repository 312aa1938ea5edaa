//! A peer, asked over gRPC. Every question has a deadline; a connection is made when needed and
//! made again after it broke, so a peer whose name does not resolve yet is no error of ours.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use raftmq_proto::v1::{self, QueryOrigin, node_query_client::NodeQueryClient};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};

use super::{
    AdminPublication, Answer, BrokerReply, ClientPage, ClientQuery, ClientRow, FeaturesReply,
    HistoryQuery, Identity, Node, NodeError, NodeReply, PluginCommand, PluginRow, VitalsReply,
    feed, past,
};
use super::{DrainReply, ExplainQuestion, ExplainReply, InspectReply};
use crate::counters::{Metrics, Sample, Stats};
use crate::event::{EventFeed, EventFilter};

/// The largest answer taken from a peer in one message: one row with the largest Will there can be
/// (65,535 bytes of topic, payload up to the maximum packet size) has room.
pub(super) const MESSAGE_BYTES_MAX: usize = 288 * 1024 * 1024;

/// Another node, asked by its rpc address.
#[derive(Debug)]
pub struct PeerNode {
    id: u64,
    address: String,
    identity: Arc<Identity>,
    deadline: Duration,
    client: NodeQueryClient<Channel>,
}

impl PeerNode {
    /// A peer at `address` ("host:port"). Nothing is resolved or connected before the first
    /// question. `deadline` bounds each question as a whole.
    ///
    /// # Errors
    /// When `address` is not of that form.
    pub fn new(
        identity: Arc<Identity>,
        id: u64,
        address: &str,
        deadline: Duration,
    ) -> Result<Self, NodeError> {
        let bad = |e| NodeError::Failed(format!("'{address}' is no address of a peer: {e}"));
        let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(bad)?;
        let channel = endpoint
            .connect_timeout(deadline)
            .tcp_nodelay(true)
            .connect_lazy();
        let client = NodeQueryClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        Ok(Self {
            id,
            address: address.to_owned(),
            identity,
            deadline,
            client,
        })
    }

    /// The peer's node identifier.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The peer's rpc address as it was given.
    pub fn address(&self) -> &str {
        &self.address
    }

    fn origin(&self) -> Result<QueryOrigin, NodeError> {
        let none = || NodeError::NotServing("this node has not joined its cluster yet".into());
        Ok(QueryOrigin {
            cluster_id: self.identity.cluster_id().ok_or_else(none)?.to_owned(),
            group_id: 0,
            from_node_id: self.identity.node_id(),
            to_node_id: self.id,
        })
    }

    /// One question with its deadline.
    async fn ask<T, R, F>(
        &self,
        question: impl FnOnce(NodeQueryClient<Channel>, QueryOrigin) -> F,
        read: impl FnOnce(T) -> R,
    ) -> Result<R, NodeError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let call = question(self.client.clone(), self.origin()?);
        let answer = self.within_deadline(call).await?;
        answer
            .map(|response| read(response.into_inner()))
            .map_err(|status| self.error(&status))
    }

    async fn within_deadline<T>(&self, call: impl Future<Output = T>) -> Result<T, NodeError> {
        tokio::time::timeout(self.deadline, call)
            .await
            .map_err(|_| {
                let (id, address) = (self.id, &self.address);
                let after = self.deadline;
                NodeError::Unreachable(format!(
                    "node {id} at {address} did not answer in {after:?}"
                ))
            })
    }

    fn error(&self, status: &Status) -> NodeError {
        let message = status.message().to_owned();
        match status.code() {
            Code::NotFound => NodeError::UnknownClient,
            Code::FailedPrecondition => NodeError::ClientOffline,
            Code::ResourceExhausted => NodeError::NotServing(message),
            Code::InvalidArgument => NodeError::Refused(message),
            Code::Internal => NodeError::Failed(message),
            code => NodeError::Unreachable(format!(
                "node {} at {}: {code:?}: {message}",
                self.id, self.address
            )),
        }
    }

    async fn stream_clients(&self, request: v1::ClientsRequest) -> Result<ClientPage, Status> {
        let mut client = self.client.clone();
        let mut stream = client.clients(Request::new(request)).await?.into_inner();
        let mut page = ClientPage::default();
        while let Some(part) = stream.message().await? {
            page.rows.extend(part.rows);
            if let Some(more) = part.more {
                page.more = more;
                return Ok(page);
            }
        }
        Err(Status::unavailable("the list of clients was cut off"))
    }
}

impl Node for PeerNode {
    fn broker(&self) -> Answer<'_, BrokerReply> {
        let ask =
            |mut client: NodeQueryClient<_>, origin| async move { client.broker(origin).await };
        Box::pin(self.ask(ask, |reply| reply))
    }

    fn node(&self) -> Answer<'_, NodeReply> {
        let ask = |mut client: NodeQueryClient<_>, origin| async move { client.node(origin).await };
        Box::pin(self.ask(ask, |reply| reply))
    }

    fn clients(&self, query: ClientQuery) -> Answer<'_, ClientPage> {
        Box::pin(async move {
            let request = v1::ClientsRequest {
                origin: Some(self.origin()?),
                filter: Some(query.filter),
                after: query.after,
                limit: query.limit,
            };
            let answer = self.within_deadline(self.stream_clients(request)).await?;
            answer.map_err(|status| self.error(&status))
        })
    }

    fn client(&self, client_id: String) -> Answer<'_, Option<ClientRow>> {
        let ask = |mut client: NodeQueryClient<_>, origin| async move {
            client
                .client(v1::ClientRequest {
                    origin: Some(origin),
                    client_id,
                })
                .await
        };
        Box::pin(self.ask(ask, |reply| reply.row))
    }

    fn publish(&self, publication: AdminPublication) -> Answer<'_, ()> {
        let ask = |mut client: NodeQueryClient<_>, origin| async move {
            let publication = Some(publication);
            client
                .publish(v1::AdminPublishRequest {
                    origin: Some(origin),
                    publication,
                })
                .await
        };
        Box::pin(self.ask(ask, |_| ()))
    }

    fn subscribe(&self, client_id: String, filters: Vec<String>, qos: u8) -> Answer<'_, Vec<bool>> {
        let ask = move |mut client: NodeQueryClient<_>, origin| async move {
            let (origin, qos) = (Some(origin), qos.into());
            client
                .subscribe(v1::AdminSubscribeRequest {
                    origin,
                    client_id,
                    filters,
                    qos,
                })
                .await
        };
        Box::pin(self.ask(ask, |reply| reply.granted))
    }

    fn unsubscribe(&self, client_id: String, filter: String) -> Answer<'_, bool> {
        let ask = |mut client: NodeQueryClient<_>, origin| async move {
            let origin = Some(origin);
            client
                .unsubscribe(v1::AdminUnsubscribeRequest {
                    origin,
                    client_id,
                    filter,
                })
                .await
        };
        Box::pin(self.ask(ask, |reply| reply.existed))
    }

    fn stats(&self) -> Answer<'_, Stats> {
        let ask =
            |mut client: NodeQueryClient<_>, origin| async move { client.stats(origin).await };
        Box::pin(self.ask(ask, |reply| Stats::from_named(&reply.count, &reply.max)))
    }

    fn metrics(&self) -> Answer<'_, Metrics> {
        let ask =
            |mut client: NodeQueryClient<_>, origin| async move { client.metrics(origin).await };
        Box::pin(self.ask(ask, |reply| Metrics::from_named(&reply.values)))
    }

    fn vitals(&self) -> Answer<'_, VitalsReply> {
        let ask =
            |mut client: NodeQueryClient<_>, origin| async move { client.vitals(origin).await };
        Box::pin(self.ask(ask, |reply| reply))
    }

    fn features(&self) -> Answer<'_, FeaturesReply> {
        let ask =
            |mut client: NodeQueryClient<_>, origin| async move { client.features(origin).await };
        Box::pin(self.ask(ask, |reply| reply))
    }

    fn history(&self, query: HistoryQuery) -> Answer<'_, Vec<Sample>> {
        let ask = move |mut client: NodeQueryClient<_>, origin| async move {
            client
                .history(v1::HistoryRequest {
                    origin: Some(origin),
                    from_ms: query.from_ms,
                    window_ms: query.window_ms,
                    limit: query.limit,
                })
                .await
        };
        Box::pin(self.ask(ask, |reply| past::decode(&reply)))
    }

    fn plugins(&self) -> Answer<'_, Vec<PluginRow>> {
        let ask =
            |mut client: NodeQueryClient<_>, origin| async move { client.plugins(origin).await };
        Box::pin(self.ask(ask, |reply| reply.plugins))
    }

    fn plugin_config(&self, plugin: String) -> Answer<'_, String> {
        let ask = |mut client: NodeQueryClient<_>, origin| async move {
            let (origin, name) = (Some(origin), plugin);
            client
                .plugin_config(v1::PluginRequest { origin, name })
                .await
        };
        Box::pin(of_plugin(self.ask(ask, |reply| reply.config_json)))
    }

    fn command_plugin(&self, plugin: String, command: PluginCommand) -> Answer<'_, bool> {
        let ask = move |mut client: NodeQueryClient<_>, origin| async move {
            let mut request = v1::CommandPluginRequest {
                origin: Some(origin),
                name: plugin,
                ..Default::default()
            };
            request.set_command(command.into());
            client.command_plugin(request).await
        };
        Box::pin(of_plugin(self.ask(ask, |reply| reply.changed)))
    }

    fn events(&self, filter: EventFilter) -> Answer<'_, EventFeed> {
        Box::pin(async move {
            let request = v1::EventsRequest {
                origin: Some(self.origin()?),
                filter: Some((&filter).into()),
            };
            let mut client = self.client.clone();
            let answer = self.within_deadline(client.events(request)).await?;
            let replies = answer.map_err(|status| self.error(&status))?.into_inner();
            let peer = format!("node {} at {}", self.id, self.address);
            Ok(feed::from_peer(replies, peer, self.deadline))
        })
    }

    fn inspect(&self) -> Answer<'_, InspectReply> {
        let ask =
            |mut client: NodeQueryClient<_>, origin| async move { client.inspect(origin).await };
        Box::pin(self.ask(ask, |reply| reply))
    }

    fn drain(&self) -> Answer<'_, DrainReply> {
        let ask =
            |mut client: NodeQueryClient<_>, origin| async move { client.drain(origin).await };
        Box::pin(self.ask(ask, |reply| reply))
    }

    fn table_hash(&self, index: u64) -> Answer<'_, u64> {
        let ask = move |mut client: NodeQueryClient<_>, origin| async move {
            let origin = Some(origin);
            client
                .table_hash(v1::TableHashRequest { origin, index })
                .await
        };
        Box::pin(self.ask(ask, |reply: v1::TableHashReply| reply.hash))
    }

    fn explain(&self, question: ExplainQuestion) -> Answer<'_, ExplainReply> {
        let ask = move |mut client: NodeQueryClient<_>, origin| async move {
            client
                .explain(v1::ExplainRequest {
                    origin: Some(origin),
                    topic: question.topic,
                    publisher: question.publisher,
                    limit: question.limit,
                    username: question.username,
                    ip_address: question
                        .ip_address
                        .map_or_else(String::new, |ip| ip.to_string()),
                })
                .await
        };
        Box::pin(self.ask(ask, |reply| reply))
    }
}

/// What is not found by a question about a plugin is the plugin.
async fn of_plugin<T>(answer: impl Future<Output = Result<T, NodeError>>) -> Result<T, NodeError> {
    answer.await.map_err(|error| match error {
        NodeError::UnknownClient => NodeError::UnknownPlugin,
        other => other,
    })
}
