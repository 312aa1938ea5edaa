//! What the HTTP API does to the MQTT engine: publish, subscribe and unsubscribe, on the shard that is
//! concerned.

use crate::{
    engine::Engine,
    shard::{self, PublishOutcome, SubscribeRefusal, mailbox::Mail},
};
use raftmq_api::node::AdminPublication;
use raftmq_mqtt::{
    codec::{PayloadFormat, Property, QoS},
    publication::{Expiry, Origin, Publication},
    topic::DelayedName,
};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Publishes on every topic. `None`: the node stops.
///
/// # Errors
/// What is wrong with the request.
pub async fn publish(
    engine: &Arc<Engine>,
    admin: AdminPublication,
) -> Result<Option<PublishOutcome>, String> {
    let properties = encode_properties(&admin)?;
    let qos = u8::try_from(admin.qos)
        .ok()
        .and_then(QoS::from_number)
        .ok_or("QoS above 2")?;
    let expiry_seconds = admin.properties.as_ref().and_then(|p| p.expiry_seconds);
    let mut outcome = PublishOutcome::Kept;
    for name in &admin.topics {
        let (topic, delay_seconds) = undelayed(engine, name)?;
        let publication = Publication {
            topic,
            payload: &admin.payload,
            properties: &properties,
            qos: qos.min(engine.settings.max_qos),
            retain: admin.retain && engine.settings.retain_available,
            expiry: expiry_seconds.map(|seconds| Expiry {
                seconds,
                received_at_ms: shard::wall_clock_ms(),
            }),
            origin: Origin::Admin,
            publisher: &admin.client_id,
            target: None,
        };
        match publish_one(engine, &publication, delay_seconds).await {
            Some(PublishOutcome::Kept) => {}
            Some(PublishOutcome::Failed) => outcome = PublishOutcome::Failed,
            Some(PublishOutcome::NotRetained) => {
                return Err(format!(
                    "{topic:?} may not be retained: rmqtt-retainer limits the number and size of \
                     retained messages"
                ));
            }
            None => return Ok(None),
        }
    }
    Ok(Some(outcome))
}

/// Messages of one publisher go through one shard, so they keep their order.
async fn publish_one(
    engine: &Arc<Engine>,
    publication: &Publication<'_>,
    delay_seconds: u32,
) -> Option<PublishOutcome> {
    submit_later(engine, publication.publisher, publication, delay_seconds)
        .await
        .ok()
}

/// The topic name without the delay that it asks for, and that delay in seconds.
fn undelayed<'n>(engine: &Engine, name: &'n str) -> Result<(&'n str, u32), String> {
    match DelayedName::parse(name).filter(|_| engine.settings.delayed_publish) {
        None => Ok((name, 0)),
        Some(Ok(delayed)) => Ok((delayed.topic, delayed.seconds)),
        Some(Err(error)) => Err(format!("{name:?}: {error}")),
    }
}

/// Hands a message to the shard of a client identifier. What is submitted by one identifier keeps its
/// order. The answer is lost when the node stops.
pub(crate) fn submit(
    engine: &Engine,
    by: &str,
    publication: &Publication<'_>,
) -> oneshot::Receiver<PublishOutcome> {
    submit_later(engine, by, publication, 0)
}

/// The same for a message that is published after a delay. The answer is given when that is certain.
fn submit_later(
    engine: &Engine,
    by: &str,
    publication: &Publication<'_>,
    delay_seconds: u32,
) -> oneshot::Receiver<PublishOutcome> {
    let mut frame = Vec::with_capacity(publication.frame_len());
    publication.append_to(&mut frame);
    let (answer, answered) = oneshot::channel();
    engine.mailbox_of(by).put(Mail::Run(Box::new(move |shard| {
        let mut shard = shard.borrow_mut();
        shard.publish_for_admin(&frame, delay_seconds, answer);
    })));
    answered
}

fn encode_properties(admin: &AdminPublication) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let Some(properties) = &admin.properties else {
        return Ok(out);
    };
    let mut add =
        |property: Property<'_>| property.encode(&mut out).map_err(|error| error.to_string());
    if let Some(is_utf8) = properties.payload_is_utf8 {
        let format = if is_utf8 {
            PayloadFormat::Utf8
        } else {
            PayloadFormat::Unspecified
        };
        add(Property::PayloadFormatIndicator(format))?;
    }
    if let Some(content_type) = &properties.content_type {
        add(Property::ContentType(content_type))?;
    }
    if let Some(topic) = &properties.response_topic {
        add(Property::ResponseTopic(topic))?;
    }
    if let Some(correlation_data) = &properties.correlation_data {
        add(Property::CorrelationData(correlation_data))?;
    }
    for property in &properties.user_properties {
        add(Property::UserProperty(&property.name, &property.value))?;
    }
    Ok(out)
}

/// Subscribes inside a client's session. `None`: the node stops.
pub async fn subscribe(
    engine: &Arc<Engine>,
    client_id: String,
    filters: Vec<String>,
    qos: QoS,
) -> Option<Result<Vec<bool>, SubscribeRefusal>> {
    let (answer, answered) = oneshot::channel();
    let mailbox = engine.mailbox_of(&client_id);
    mailbox.put(Mail::Run(Box::new(move |shard| {
        let subscribing = shard::subscribe_in_session(shard.clone(), client_id, filters, qos);
        tokio::task::spawn_local(async move { answer.send(subscribing.await).ok() });
    })));
    answered.await.ok()
}

/// Unsubscribes inside a client's session. `None`: the node stops.
pub async fn unsubscribe(
    engine: &Arc<Engine>,
    client_id: String,
    filter: String,
) -> Option<Result<bool, SubscribeRefusal>> {
    let (answer, answered) = oneshot::channel();
    let mailbox = engine.mailbox_of(&client_id);
    mailbox.put(Mail::Run(Box::new(move |shard| {
        let unsubscribing = shard::unsubscribe_in_session(shard.clone(), client_id, filter);
        tokio::task::spawn_local(async move { answer.send(unsubscribing.await).ok() });
    })));
    answered.await.ok()
}
