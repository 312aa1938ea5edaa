//! Topic aliases, from clients and to them.

use raftmq_cluster_tests::{Cluster, Frame, RawClient, SOON, Setup, packet};

use super::wire::{
    Property, Published, asked, disconnected, find, id, of_connack, open, publish, subscribed,
};

fn alias(number: u16) -> Property {
    (id::ALIAS, number.to_be_bytes().to_vec())
}

fn maximum(number: u16) -> Property {
    (id::ALIAS_MAXIMUM, number.to_be_bytes().to_vec())
}

async fn next(client: &mut RawClient) -> Published {
    Published::read(&client.next_frame(SOON).await.expect("PUBLISH"))
}

/// [MQTT-3.3.2-12], [MQTT-3.3.2-7]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_names_a_topic_once_and_subscribers_elsewhere_get_it_in_full() {
    let cluster = Cluster::start(3).await;
    let (mut subscriber, _) = open(&cluster, 2, "subscriber", &[]).await;
    subscribed(&mut subscriber, "of/#", 1).await;
    let (mut publisher, connack) = open(&cluster, 1, "publisher", &[]).await;
    let granted = find(&of_connack(&connack), id::ALIAS_MAXIMUM).map(<[u8]>::to_vec);
    assert_eq!(granted, Some(vec![0, 32]));
    let sent = [
        ("of/one", 1, "of/one"),
        ("", 1, "of/one"),
        ("of/two", 32, "of/two"),
        ("", 1, "of/one"),
        ("of/other", 1, "of/other"),
        ("", 1, "of/other"),
        ("", 32, "of/two"),
    ];
    for (number, (topic, of, expected)) in sent.into_iter().enumerate() {
        let qos = (number % 3) as u8;
        let request = publish(topic, qos, 7, &[alias(of)], &[number as u8]);
        match qos {
            0 => publisher.send(&request).await,
            1 => drop(asked(&mut publisher, &request, 4).await),
            _ => {
                asked(&mut publisher, &request, 5).await;
                let release = packet::acknowledgement(0x62, 7);
                asked(&mut publisher, &release, 7).await;
            }
        }
        let got = next(&mut subscriber).await;
        assert_eq!(
            (&*got.topic, &*got.payload),
            (expected, &[number as u8][..])
        );
        assert_eq!(
            got.alias(),
            None,
            "the subscriber takes none [MQTT-3.1.2-27]"
        );
        if got.packet_id > 0 {
            let acknowledgement = packet::acknowledgement(0x40, got.packet_id);
            subscriber.send(&acknowledgement).await;
        }
    }
    // Another connection of the same client has to name its topics anew.
    let (mut again, _) = open(&cluster, 1, "publisher", &[]).await;
    let answer = disconnected(&mut again, &publish("", 0, 0, &[alias(1)], b"x")).await;
    assert_eq!(answer.disconnect_code(), 0x82);
}

/// [MQTT-3.3.2-8], [MQTT-3.3.2-9]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alias_that_is_not_possible_ends_the_connection() {
    let cluster = Setup::nodes(1)
        .set("RAFTMQ_MQTT_TOPIC_ALIAS_MAX", "2")
        .start()
        .await;
    for (topic, of, code) in [
        ("a", 0, 0x94),
        ("a", 3, 0x94),
        ("", 2, 0x82),
        ("+", 1, 0x90),
    ] {
        let (mut client, _) = open(&cluster, 1, "client", &[]).await;
        let answer = disconnected(&mut client, &publish(topic, 0, 0, &[alias(of)], b"")).await;
        assert_eq!(answer.disconnect_code(), code, "{topic:?} {of}");
    }
}

/// [MQTT-3.2.2-18]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_maximum_there_are_no_aliases() {
    let cluster = Setup::nodes(1)
        .set("RAFTMQ_MQTT_TOPIC_ALIAS_MAX", "0")
        .start()
        .await;
    let (mut client, connack) = open(&cluster, 1, "client", &[maximum(10)]).await;
    assert_eq!(find(&of_connack(&connack), id::ALIAS_MAXIMUM), None);
    subscribed(&mut client, "a/topic/of/its/own", 0).await;
    for _ in 0..4 {
        client
            .send(&publish("a/topic/of/its/own", 0, 0, &[], b"x"))
            .await;
        assert_eq!(next(&mut client).await.alias(), None);
    }
    let answer = disconnected(&mut client, &publish("a", 0, 0, &[alias(1)], b"")).await;
    assert_eq!(answer.disconnect_code(), 0x94);
}

/// A subscriber that takes aliases, reading as the standard says.
struct Reader {
    client: RawClient,
    maximum: u16,
    topics: std::collections::HashMap<u16, String>,
}

impl Reader {
    /// The topic of the next message, and whether it was named.
    async fn take(&mut self) -> (String, bool) {
        let got = next(&mut self.client).await;
        if got.packet_id > 0 {
            let acknowledgement = packet::acknowledgement(0x40, got.packet_id);
            self.client.send(&acknowledgement).await;
        }
        let named = !got.topic.is_empty();
        let Some(alias) = got.alias() else {
            return (got.topic, named);
        };
        assert!(
            (1..=self.maximum).contains(&alias),
            "alias {alias} is beyond the maximum"
        );
        if named {
            self.topics.insert(alias, got.topic.clone());
            return (got.topic, named);
        }
        (self.topics[&alias].clone(), named)
    }
}

/// [MQTT-3.1.2-26], [MQTT-3.3.2-11]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_takes_aliases_gets_every_message_with_its_topic() {
    let cluster = Cluster::start(3).await;
    let mut readers = Vec::new();
    for (node, maximum_of) in [(2, 2), (3, 65_535)] {
        let (mut client, _) = open(
            &cluster,
            node,
            &format!("reader-{node}"),
            &[maximum(maximum_of)],
        )
        .await;
        subscribed(&mut client, "long/topic/#", 1).await;
        readers.push(Reader {
            client,
            maximum: maximum_of,
            topics: std::collections::HashMap::new(),
        });
    }
    let (mut plain, _) = open(&cluster, 2, "plain", &[]).await;
    subscribed(&mut plain, "long/topic/#", 0).await;
    let publisher = cluster.connect(1, "publisher").open().await;
    let mut unnamed = 0;
    for round in 0..20 {
        for number in 0..5 {
            let topic = format!("long/topic/number/{number}");
            let qos = ((round + number) % 2) as u8;
            publisher.publish(&topic, qos, "x").await.unwrap();
            for reader in &mut readers {
                let (got, named) = reader.take().await;
                assert_eq!(got, topic);
                unnamed += usize::from(!named && reader.maximum > 5);
            }
            let got = next(&mut plain).await;
            assert_eq!((got.topic.clone(), got.alias()), (topic, None));
        }
    }
    assert_eq!(
        unnamed,
        5 * 18,
        "each topic is named twice, then never again"
    );
}

/// [MQTT-3.3.2-7], [MQTT-4.4.0-1]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_repeated_to_a_new_connection_names_its_topic() {
    let cluster = Cluster::start(3).await;
    let expiry: Property = (0x11, 3_600_u32.to_be_bytes().to_vec());
    let (mut client, _) = open(&cluster, 2, "client", &[maximum(5), expiry.clone()]).await;
    subscribed(&mut client, "some/long/topic", 1).await;
    let publisher = cluster.connect(1, "publisher").open().await;
    for _ in 0..4 {
        publisher.publish("some/long/topic", 1, "x").await.unwrap();
    }
    let frames: Vec<Frame> = {
        let mut frames = Vec::new();
        for _ in 0..4 {
            frames.push(client.next_frame(SOON).await.expect("PUBLISH"));
        }
        frames
    };
    assert_eq!(Published::read(&frames[3]).topic, "", "by its alias");
    drop(client);
    let mut client = RawClient::open(cluster.node(3).mqtt()).await;
    let connect = super::wire::connect_with("client", 0, &[maximum(5), expiry]);
    asked(&mut client, &connect, 2).await;
    let repeated = client.next_frame(SOON).await.expect("PUBLISH");
    assert_eq!(repeated.first, 0x3A, "QoS 1 and DUP");
    assert_eq!(Published::read(&repeated).topic, "some/long/topic");
}
