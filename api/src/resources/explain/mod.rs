//! `/routes/explain`: a dry run of a publication. Nothing is published.
//!
//! The router of the node at which the publication would come in says where it would go; every node
//! says how its own sessions are; [`verdict`] puts the two together for each subscriber.

mod acl;
mod difference;
mod verdict;

use std::collections::BTreeMap;
use std::net::IpAddr;

use axum::extract::State;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use self::acl::Acl;
use self::difference::NodeView;
use self::verdict::{Choice, Outcome, Publication, Subscriber, Verdict};
use super::topics::topic_name;
use crate::api::{Api, Member};
use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::parameters::Parameters;
use crate::http::reply::{self, Qualifiers};
use crate::node::{
    ExplainQuestion, ExplainReply, ExplainedGroup, ExplainedSubscriber, LinkState, LiveSubscriber,
    NodeError,
};
use crate::openapi::{Header, Operation, TOPIC_NAME, query};
use crate::router::Endpoints;

pub(super) fn endpoints(endpoints: Endpoints) -> Endpoints {
    endpoints.get(
        "/routes/explain",
        explain,
        Operation::json::<Explanation<'static>>(
            "get_route_explanation",
            "Explain who would get a publication on a topic, and why somebody would not",
        )
        .detail("A dry run of the router; nothing is published.")
        .query([
            query::pattern("topic", TOPIC_NAME, "Topic name of the publication.").required(),
            query::text(
                "clientid",
                "Client identifier of the publisher; nobody in particular if left out.",
            ),
            query::text(
                "username",
                "User name of the publisher, for access rules, when it is not connected.",
            ),
            query::ip(
                "ip",
                "IP address of the publisher, for access rules, when it is not connected.",
            ),
            query::qos("qos", "QoS of the publication.").default(0),
            query::number(
                "from_node",
                u64::MAX,
                "The node at which it comes in; if left out, the one that answers.",
            ),
            query::one_of(
                "nodes",
                &["all"],
                "all: the routers of all nodes side by side.",
            ),
            query::limit("_limit"),
        ])
        .consistent()
        .asks_a_node()
        .fails([Code::MissingTopic, Code::InvalidTopic, Code::UnknownNode])
        .header(Header::AppliedIndex)
        .header(Header::UnreachableNodes),
    )
}

#[derive(Debug, Serialize, JsonSchema)]
struct Explanation<'a> {
    topic: &'a str,
    from_node: u64,
    qos: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    clientid: Option<&'a str>,
    applied_index: u64,
    #[serde(flatten)]
    acl: Acl<'a>,
    filters: &'a [String],
    subscribers: Vec<SubscriberRow<'a>>,
    share_groups: Vec<GroupRow<'a>>,
    /// Whether there are more subscribers than rows.
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    nodes: Option<Vec<NodeView>>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ExplainedSubscriber")]
struct SubscriberRow<'a> {
    clientid: &'a str,
    node_id: u64,
    epoch: u64,
    filters: &'a [String],
    /// What the subscription was granted, and what the delivery would have.
    granted_qos: u8,
    qos: u8,
    no_local: bool,
    retain_as_published: bool,
    subscription_ids: &'a [u32],
    /// `null`: its node does not say.
    online: Option<bool>,
    inflight: Option<u64>,
    inflight_max: Option<u64>,
    queue: Option<u64>,
    queue_max: Option<u64>,
    /// Whether it might subscribe now; that it has subscribed counts.
    #[serde(flatten)]
    acl: Acl<'a>,
    outcome: Outcome,
    reason: &'static str,
    why: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ExplainedGroup")]
struct GroupRow<'a> {
    share: &'a str,
    filter: &'a str,
    picked: Option<&'a str>,
    why: String,
    members: Vec<SubscriberRow<'a>>,
}

/// What the request asks for.
struct Asked {
    question: ExplainQuestion,
    from_node: Option<u64>,
    qos: u8,
    wants_all_nodes: bool,
}

impl Asked {
    fn new(query: &Parameters) -> Result<Self, ApiError> {
        let missing = || {
            let message = "Name the topic: ?topic=a/b. (The routes of the topic 'explain' are at /routes/%65xplain.)";
            ApiError::new(Code::MissingTopic, message)
        };
        let topic = query.text("topic").ok_or_else(missing)?;
        topic_name(&topic)?;
        let wants_all_nodes = match query.text("nodes").as_deref() {
            None => false,
            Some("all") => true,
            Some(other) => {
                let message =
                    format!("The parameter 'nodes' is '{other}'; it has to be all, or left out.");
                return Err(ApiError::new(Code::InvalidParameter, message));
            }
        };
        Ok(Self {
            question: ExplainQuestion {
                topic,
                publisher: query.text("clientid").unwrap_or_default(),
                username: query.text("username"),
                ip_address: query.text("ip").map(|ip| ip_address(&ip)).transpose()?,
                limit: query.limit()?,
            },
            from_node: query.number("from_node")?,
            qos: query.qos("qos")?.unwrap_or(0),
            wants_all_nodes,
        })
    }
}

fn ip_address(text: &str) -> Result<IpAddr, ApiError> {
    text.parse().map_err(|_| {
        let message = format!("The parameter 'ip' is '{text}'; it has to be an IP address.");
        ApiError::new(Code::InvalidParameter, message)
    })
}

type Answers = Vec<(Member, Result<ExplainReply, NodeError>)>;

async fn explain(State(api): State<Api>, query: Parameters) -> Result<Response, ApiError> {
    let asked = Asked::new(&query)?;
    let from = match asked.from_node {
        Some(id) => api.known_member(id)?.id,
        None => api.own_id(),
    };
    api.freshen(query.consistency()?).await?;
    let question = &asked.question;
    let answers = api.ask_all(|node| {
        let question = question.clone();
        Box::pin(async move { node.explain(question).await })
    });
    let answers = answers.await;
    let view = view_of(&answers, from)?;
    let unreachable = answers.iter().filter(|(_, answer)| answer.is_err());
    let qualifiers = Qualifiers {
        unreachable: unreachable.map(|(member, _)| member.id).collect(),
        applied_index: Some(view.applied_index),
        ..Default::default()
    };
    Ok(qualifiers.attach(reply::json(&explanation(&asked, from, view, &answers))))
}

/// What the router of the publisher's node says.
fn view_of(answers: &Answers, from: u64) -> Result<&ExplainReply, ApiError> {
    let found = answers.iter().find(|(member, _)| member.id == from);
    match found {
        Some((_, Ok(view))) => Ok(view),
        Some((_, Err(error))) => Err(error.clone().into()),
        None => Err(ApiError::unknown_node(from)),
    }
}

fn explanation<'a>(
    asked: &'a Asked,
    from: u64,
    view: &'a ExplainReply,
    answers: &'a Answers,
) -> Explanation<'a> {
    let scene = Scene::new(asked, from, view, answers);
    let publisher = asked.question.publisher.as_str();
    Explanation {
        topic: &asked.question.topic,
        from_node: from,
        qos: asked.qos,
        clientid: Some(publisher).filter(|publisher| !publisher.is_empty()),
        applied_index: view.applied_index,
        acl: scene.publish,
        filters: &view.filters,
        subscribers: view
            .subscribers
            .iter()
            .map(|s| scene.row(s, Choice::Everybody))
            .collect(),
        share_groups: view.groups.iter().map(|group| scene.group(group)).collect(),
        truncated: view.more,
        nodes: asked
            .wants_all_nodes
            .then(|| difference::views(view, answers)),
    }
}

/// Everything that a verdict depends on.
struct Scene<'a> {
    publication: Publication<'a>,
    from: u64,
    links: BTreeMap<u64, &'a LinkState>,
    live: BTreeMap<(u64, &'a str), &'a LiveSubscriber>,
    /// Whether the publication would be taken at all.
    publish: Acl<'a>,
}

impl<'a> Scene<'a> {
    fn new(asked: &'a Asked, from: u64, view: &'a ExplainReply, answers: &'a Answers) -> Self {
        let live = answers.iter().filter_map(|(member, answer)| {
            let answer = answer.as_ref().ok()?;
            Some(
                answer
                    .live
                    .iter()
                    .map(|l| ((member.id, l.client_id.as_str()), l)),
            )
        });
        let publish = Acl::of_publisher(view, answers);
        Self {
            publication: Publication {
                qos: asked.qos,
                publisher: &asked.question.publisher,
                is_denied: publish.denies(),
            },
            publish,
            from,
            links: view.links.iter().map(|link| (link.peer, link)).collect(),
            live: live.flatten().collect(),
        }
    }

    fn row(&self, subscriber: &'a ExplainedSubscriber, choice: Choice) -> SubscriberRow<'a> {
        let live = self
            .live
            .get(&(subscriber.node_id, subscriber.client_id.as_str()));
        let verdict = self.publication.verdict(&Subscriber {
            table: subscriber,
            live: live.copied(),
            link: self.links.get(&subscriber.node_id).copied(),
            is_elsewhere: subscriber.node_id != self.from,
            choice,
        });
        let options = subscriber.options;
        let Verdict {
            outcome,
            reason,
            why,
            qos,
        } = verdict;
        SubscriberRow {
            clientid: &subscriber.client_id,
            node_id: subscriber.node_id,
            epoch: subscriber.epoch,
            filters: &subscriber.filters,
            granted_qos: verdict::granted_qos(options),
            qos,
            no_local: options & verdict::NO_LOCAL != 0,
            retain_as_published: options & verdict::RETAIN_AS_PUBLISHED != 0,
            subscription_ids: &subscriber.subscription_ids,
            online: live.map(|live| live.connected),
            inflight: live.map(|live| live.inflight),
            inflight_max: live.map(|live| live.inflight_max),
            queue: live.map(|live| live.queue),
            queue_max: live.map(|live| live.queue_max),
            acl: Acl::new(live.and_then(|live| live.subscribe.as_ref())),
            outcome,
            reason,
            why,
        }
    }

    fn group(&self, group: &'a ExplainedGroup) -> GroupRow<'a> {
        let picked = group.picked.as_deref();
        let why = match (picked, group.candidates) {
            (None, _) => "no member is on a node that is up".to_owned(),
            (Some(_), 1) => {
                "it is the only one that can be chosen: connected members come first".to_owned()
            }
            (Some(_), n) => format!(
                "it is its turn among {n} members: connected ones come first, and each topic goes round them"
            ),
        };
        let members = group.members.iter();
        let members = members.map(|member| self.row(member, Choice::of(picked, &member.client_id)));
        GroupRow {
            share: &group.share,
            filter: &group.filter,
            picked,
            why,
            members: members.collect(),
        }
    }
}
