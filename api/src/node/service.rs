//! Serves a node to its peers: the other end of [`PeerNode`](super::PeerNode).

use std::collections::VecDeque;
use std::sync::Arc;

use futures::stream::{self, BoxStream};
use prost::Message;
use raftmq_proto::v1::node_query_server::{NodeQuery, NodeQueryServer};
use raftmq_proto::v1::{self, QueryOrigin};
use tokio::runtime::Handle;
use tonic::{Request, Response, Status};

use super::peer::MESSAGE_BYTES_MAX;
use super::{
    ClientPage, ClientQuery, ClientRow, ExplainQuestion, HistoryQuery, Identity, Node, NodeError,
    PluginCommand, feed, past,
};

/// A message of a list of clients is closed as soon as it is this large.
const PART_BYTES: usize = 256 * 1024;

/// The tonic service that answers peers' questions about `node`. Questions for another cluster or
/// another node are refused with PERMISSION_DENIED. What takes long is done on the runtime of `questions`.
pub fn query_server(
    identity: Arc<Identity>,
    node: Arc<dyn Node>,
    questions: Handle,
) -> NodeQueryServer<impl NodeQuery> {
    let service = QueryService {
        identity,
        node,
        questions,
    };
    NodeQueryServer::new(service).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

struct QueryService {
    identity: Arc<Identity>,
    node: Arc<dyn Node>,
    questions: Handle,
}

impl QueryService {
    /// Where it delays nobody but those who ask.
    async fn apart<T, F, A>(&self, ask: F) -> Result<T, Status>
    where
        T: Send + 'static,
        F: FnOnce(Arc<dyn Node>) -> A,
        A: Future<Output = Result<T, NodeError>> + Send + 'static,
    {
        let answer = self.questions.spawn(ask(self.node.clone()));
        match answer.await {
            Ok(answer) => answer.map_err(status),
            Err(_) => Err(Status::unavailable("this node stops")),
        }
    }

    fn admit(&self, origin: Option<QueryOrigin>) -> Result<(), Status> {
        let origin = origin.unwrap_or_default();
        let here = self.identity.cluster_id();
        let Some(here) = here else {
            return Err(Status::unavailable(
                "this node has not joined its cluster yet",
            ));
        };
        if origin.cluster_id != here {
            return Err(Status::permission_denied(
                "this node belongs to another cluster",
            ));
        }
        if origin.to_node_id != self.identity.node_id() || origin.group_id != 0 {
            let id = self.identity.node_id();
            return Err(Status::permission_denied(format!(
                "this is node {id}, group 0"
            )));
        }
        Ok(())
    }
}

fn status(error: NodeError) -> Status {
    let message = error.to_string();
    match error {
        NodeError::Unreachable(_) => Status::unavailable(message),
        NodeError::NotServing(_) => Status::resource_exhausted(message),
        NodeError::UnknownClient | NodeError::UnknownPlugin => Status::not_found(message),
        NodeError::ClientOffline => Status::failed_precondition(message),
        NodeError::Refused(_) => Status::invalid_argument(message),
        NodeError::Failed(_) => Status::internal(message),
    }
}

fn qos(qos: u32) -> Result<u8, Status> {
    u8::try_from(qos)
        .ok()
        .filter(|q| *q <= 2)
        .ok_or_else(|| Status::invalid_argument("QoS above 2"))
}

/// Cuts a page into messages; the last one carries `more`.
fn parts(page: ClientPage) -> impl Iterator<Item = v1::ClientsReply> {
    let mut rows: VecDeque<ClientRow> = page.rows.into();
    let mut done = false;
    std::iter::from_fn(move || {
        if done {
            return None;
        }
        let (mut part, mut bytes) = (Vec::new(), 0);
        while bytes < PART_BYTES
            && let Some(row) = rows.pop_front()
        {
            bytes += row.encoded_len();
            part.push(row);
        }
        done = rows.is_empty();
        Some(v1::ClientsReply {
            rows: part,
            more: done.then_some(page.more),
        })
    })
}

#[tonic::async_trait]
impl NodeQuery for QueryService {
    async fn broker(&self, r: Request<QueryOrigin>) -> Result<Response<v1::BrokerReply>, Status> {
        self.admit(Some(r.into_inner()))?;
        self.node.broker().await.map(Response::new).map_err(status)
    }

    async fn node(&self, r: Request<QueryOrigin>) -> Result<Response<v1::NodeReply>, Status> {
        self.admit(Some(r.into_inner()))?;
        self.node.node().await.map(Response::new).map_err(status)
    }

    type ClientsStream = BoxStream<'static, Result<v1::ClientsReply, Status>>;

    async fn clients(
        &self,
        r: Request<v1::ClientsRequest>,
    ) -> Result<Response<Self::ClientsStream>, Status> {
        let r = r.into_inner();
        self.admit(r.origin)?;
        let query = ClientQuery {
            filter: r.filter.unwrap_or_default(),
            after: r.after,
            limit: r.limit,
        };
        let page = self
            .apart(|node| async move { node.clients(query).await })
            .await?;
        Ok(Response::new(Box::pin(stream::iter(parts(page).map(Ok)))))
    }

    async fn client(
        &self,
        r: Request<v1::ClientRequest>,
    ) -> Result<Response<v1::ClientReply>, Status> {
        let r = r.into_inner();
        self.admit(r.origin)?;
        let row = self.node.client(r.client_id).await.map_err(status)?;
        Ok(Response::new(v1::ClientReply { row }))
    }

    async fn publish(
        &self,
        r: Request<v1::AdminPublishRequest>,
    ) -> Result<Response<v1::AdminPublishReply>, Status> {
        let r = r.into_inner();
        self.admit(r.origin)?;
        let publication = r.publication.unwrap_or_default();
        qos(publication.qos)?;
        self.node.publish(publication).await.map_err(status)?;
        Ok(Response::new(v1::AdminPublishReply {}))
    }

    async fn subscribe(
        &self,
        r: Request<v1::AdminSubscribeRequest>,
    ) -> Result<Response<v1::AdminSubscribeReply>, Status> {
        let r = r.into_inner();
        self.admit(r.origin)?;
        let granted = self.node.subscribe(r.client_id, r.filters, qos(r.qos)?);
        Ok(Response::new(v1::AdminSubscribeReply {
            granted: granted.await.map_err(status)?,
        }))
    }

    async fn unsubscribe(
        &self,
        r: Request<v1::AdminUnsubscribeRequest>,
    ) -> Result<Response<v1::AdminUnsubscribeReply>, Status> {
        let r = r.into_inner();
        self.admit(r.origin)?;
        let existed = self
            .node
            .unsubscribe(r.client_id, r.filter)
            .await
            .map_err(status)?;
        Ok(Response::new(v1::AdminUnsubscribeReply { existed }))
    }

    async fn stats(&self, r: Request<QueryOrigin>) -> Result<Response<v1::StatsReply>, Status> {
        self.admit(Some(r.into_inner()))?;
        let (count, max) = self.node.stats().await.map_err(status)?.to_named();
        Ok(Response::new(v1::StatsReply { count, max }))
    }

    async fn metrics(&self, r: Request<QueryOrigin>) -> Result<Response<v1::MetricsReply>, Status> {
        self.admit(Some(r.into_inner()))?;
        let values = self.node.metrics().await.map_err(status)?.to_named();
        Ok(Response::new(v1::MetricsReply { values }))
    }
    async fn vitals(&self, r: Request<QueryOrigin>) -> Result<Response<v1::VitalsReply>, Status> {
        self.admit(Some(r.into_inner()))?;
        self.node.vitals().await.map(Response::new).map_err(status)
    }

    async fn features(
        &self,
        r: Request<QueryOrigin>,
    ) -> Result<Response<v1::FeaturesReply>, Status> {
        self.admit(Some(r.into_inner()))?;
        let features = self.node.features().await;
        features.map(Response::new).map_err(status)
    }

    async fn history(
        &self,
        r: Request<v1::HistoryRequest>,
    ) -> Result<Response<v1::HistoryReply>, Status> {
        let r = r.into_inner();
        self.admit(r.origin)?;
        let query = HistoryQuery {
            from_ms: r.from_ms,
            window_ms: r.window_ms,
            limit: r.limit,
        };
        let samples = self.node.history(query).await.map_err(status)?;
        Ok(Response::new(past::encode(samples)))
    }

    async fn plugins(&self, r: Request<QueryOrigin>) -> Result<Response<v1::PluginsReply>, Status> {
        self.admit(Some(r.into_inner()))?;
        let plugins = self.node.plugins().await.map_err(status)?;
        Ok(Response::new(v1::PluginsReply { plugins }))
    }

    async fn plugin_config(
        &self,
        r: Request<v1::PluginRequest>,
    ) -> Result<Response<v1::PluginConfigReply>, Status> {
        let r = r.into_inner();
        self.admit(r.origin)?;
        let config_json = self.node.plugin_config(r.name).await.map_err(status)?;
        Ok(Response::new(v1::PluginConfigReply { config_json }))
    }

    async fn command_plugin(
        &self,
        r: Request<v1::CommandPluginRequest>,
    ) -> Result<Response<v1::CommandPluginReply>, Status> {
        let r = r.into_inner();
        let command = PluginCommand::try_from(r.command()).map_err(status)?;
        self.admit(r.origin)?;
        let changed = self.node.command_plugin(r.name, command);
        let changed = changed.await.map_err(status)?;
        Ok(Response::new(v1::CommandPluginReply { changed }))
    }

    type EventsStream = BoxStream<'static, Result<v1::EventsReply, Status>>;

    async fn events(
        &self,
        r: Request<v1::EventsRequest>,
    ) -> Result<Response<Self::EventsStream>, Status> {
        let r = r.into_inner();
        self.admit(r.origin)?;
        let filter = r.filter.unwrap_or_default().into();
        let feed = self.node.events(filter).await.map_err(status)?;
        Ok(Response::new(feed::to_peer(feed)))
    }

    async fn inspect(&self, r: Request<QueryOrigin>) -> Result<Response<v1::InspectReply>, Status> {
        self.admit(Some(r.into_inner()))?;
        self.apart(|node| async move { node.inspect().await })
            .await
            .map(Response::new)
    }

    async fn drain(&self, r: Request<QueryOrigin>) -> Result<Response<v1::DrainReply>, Status> {
        self.admit(Some(r.into_inner()))?;
        self.node.drain().await.map(Response::new).map_err(status)
    }

    async fn table_hash(
        &self,
        r: Request<v1::TableHashRequest>,
    ) -> Result<Response<v1::TableHashReply>, Status> {
        let r = r.into_inner();
        self.admit(r.origin)?;
        let hash = self.node.table_hash(r.index).await.map_err(status)?;
        Ok(Response::new(v1::TableHashReply { hash }))
    }

    async fn explain(
        &self,
        r: Request<v1::ExplainRequest>,
    ) -> Result<Response<v1::ExplainReply>, Status> {
        let r = r.into_inner();
        self.admit(r.origin)?;
        let invalid = |e: raftmq_mqtt::topic::TopicError| Status::invalid_argument(e.to_string());
        raftmq_mqtt::topic::validate_name(&r.topic).map_err(invalid)?;
        let ip_address = match &*r.ip_address {
            "" => None,
            text => {
                let wrong = |_| Status::invalid_argument("ip_address is no IP address");
                Some(text.parse().map_err(wrong)?)
            }
        };
        let question = ExplainQuestion {
            topic: r.topic,
            publisher: r.publisher,
            username: r.username,
            ip_address,
            limit: r.limit.max(1),
        };
        self.apart(|node| async move { node.explain(question).await })
            .await
            .map(Response::new)
    }
}
