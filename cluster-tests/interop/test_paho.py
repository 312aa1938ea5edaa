"""paho-mqtt: all three versions of the protocol, over everything that it speaks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nodes import CERTIFICATE_NAME, eventually
from paho_client import VERSIONS, WAYS, Client, properties

FOLDER = Path(__file__).parent


@pytest.fixture
def connect(cluster):
    """Connects clients, and closes them in the end."""
    opened = []

    def connect(node: int, client_id: str, **more) -> Client:
        opened.append(Client(cluster[node], cluster.certificates, client_id, **more))
        return opened[-1]

    yield connect
    for client in opened:
        client.close()


def shown(cluster, node: int, client_id: str) -> dict:
    return json.loads(cluster[node].get(f"/api/v1/clients/{client_id}"))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("version", VERSIONS)
def test_messages_cross_nodes_in_both_directions(cluster, connect, name, version, way):
    here = connect(1, f"{name}-here", version=version, way=way)
    there = connect(2, f"{name}-there", version=version, way=way)
    for qos in (0, 1, 2):
        topic = f"{name}/{qos}"
        here.subscribe(topic, qos)
        there.subscribe(topic, qos)
        for publisher in (here, there):
            publisher.publish(topic, f"from {publisher is here}", qos)
            for subscriber in (here, there):
                message = subscriber.next()
                assert (message.topic, message.qos) == (topic, qos)
                assert message.payload.decode() == f"from {publisher is here}"


@pytest.mark.parametrize("way", WAYS)
def test_the_listener_of_a_client_is_shown(cluster, connect, name, way):
    connect(1, name, way=way)
    row = shown(cluster, 3, name)
    assert row["listener"] == ("mqtt" if way == "tcp" else way)
    assert row["username"] == (CERTIFICATE_NAME if way == "mtls" else "undefined")


@pytest.mark.parametrize("way", WAYS)
def test_a_large_message_arrives_as_it_was(connect, name, way):
    payload = bytes(number % 251 for number in range(900_000))
    subscriber = connect(1, f"{name}-sub", way=way)
    subscriber.subscribe(name, 1)
    connect(3, f"{name}-pub", way=way).publish(name, payload, 1)
    assert subscriber.next().payload == payload


@pytest.mark.parametrize("version", VERSIONS)
def test_a_retained_message_is_found_on_another_node_until_it_is_deleted(connect, name, version):
    publisher = connect(3, f"{name}-pub", version=version)
    publisher.publish(name, "kept", 1, retain=True)
    first = connect(1, f"{name}-1", version=version)
    first.subscribe(name, 1)
    message = first.next()
    assert (message.payload, message.retain) == (b"kept", True)
    publisher.publish(name, None, 1, retain=True)
    assert first.next().payload == b""
    second = connect(2, f"{name}-2", version=version)
    second.subscribe(name, 1)
    publisher.publish(name, "live", 1)
    message = second.next()
    assert (message.payload, message.retain) == (b"live", False)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_will_of_a_killed_process_is_published_on_another_node(cluster, connect, name, version):
    subscriber = connect(2, name, version=version)
    subscriber.subscribe(name, 1)
    command = [sys.executable, str(FOLDER / "paho_with_will.py"), version, str(cluster[1].ports["mqtt"]), name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as mortal:
        try:
            assert mortal.stdout.readline() == "connected\n"
        finally:
            mortal.kill()
    assert subscriber.next().payload == b"gone"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_is_taken_over_by_another_node_with_its_queue(cluster, connect, name, version):
    lasting = {"clean": False, "version": version}
    if version == "5":
        lasting["connect_properties"] = properties("CONNECT", SessionExpiryInterval=600)
    first = connect(1, name, **lasting)
    assert not first.session_present
    first.subscribe(f"{name}/#", 2)
    second = connect(2, name, **lasting)
    # MQTT 3.1 does not say it.
    assert second.session_present or version == "3.1"
    reason = first.ended.get(timeout=20)
    if version == "5":
        assert reason.value == 0x8E
    second.close()
    publisher = connect(3, f"{name[-15:]}-pub", version=version)
    for number in range(20):
        publisher.publish(f"{name}/{number}", str(number), number % 2 + 1)
    third = connect(3, name, **lasting)
    assert third.session_present or version == "3.1"
    # In order by QoS [MQTT-4.6.0-6].
    received = [third.next() for _ in range(20)]
    for qos in (1, 2):
        numbers = [int(message.payload) for message in received if message.qos == qos]
        assert numbers == list(range(qos - 1, 20, 2))


def test_properties_arrive_as_they_were_sent(connect, name):
    subscriber = connect(1, f"{name}-sub")
    subscriber.subscribe(name, 1)
    sent = properties(
        "PUBLISH",
        ContentType="application/json",
        ResponseTopic="answers/7",
        CorrelationData=b"\x00\xff7",
        MessageExpiryInterval=3600,
        PayloadFormatIndicator=1,
        UserProperty=[("a", "1"), ("b", "2"), ("a", "3")],
    )
    connect(2, f"{name}-pub").publish(name, "{}", 1, properties=sent)
    received = subscriber.next().properties
    assert received.ContentType == "application/json"
    assert received.ResponseTopic == "answers/7"
    assert received.CorrelationData == b"\x00\xff7"
    assert 3_590 <= received.MessageExpiryInterval <= 3_600
    assert received.PayloadFormatIndicator == 1
    assert received.UserProperty == [("a", "1"), ("b", "2"), ("a", "3")]


def test_a_message_that_has_expired_is_not_delivered(cluster, connect, name):
    lasting = {"clean": False, "connect_properties": properties("CONNECT", SessionExpiryInterval=600)}
    first = connect(1, name, **lasting)
    first.subscribe(name, 1)
    first.close()
    publisher = connect(2, f"{name}-pub")
    second_long = properties("PUBLISH", MessageExpiryInterval=1)
    publisher.publish(name, "short", 1, properties=second_long)
    publisher.publish(name, "long", 1)
    # One that is as short and came later tells when the time has passed.
    publisher.publish(f"{name}/retained", "short", 1, retain=True, properties=second_long)
    retained = f"/api/v1/retains?topic={name}/retained"
    eventually("it has expired", lambda: name not in cluster[1].get(retained).decode())
    second = connect(1, name, **lasting)
    assert second.next().payload == b"long"


def test_subscription_identifiers_say_which_subscriptions_a_message_is_for(connect, name):
    subscriber = connect(1, f"{name}-sub")
    for number, topic in ((7, f"{name}/+"), (268_435_455, f"{name}/#")):
        subscriber.subscribe(topic, 1, properties=properties("SUBSCRIBE", SubscriptionIdentifier=number))
    connect(2, f"{name}-pub").publish(f"{name}/x", "x", 1)
    assert sorted(subscriber.next().properties.SubscriptionIdentifier) == [7, 268_435_455]


def test_a_share_group_gets_each_message_once(connect, name):
    members = [connect(node, f"{name}-{node}") for node in (1, 2, 3)]
    for member in members:
        member.subscribe(f"$share/group/{name}", 1)
    publisher = connect(2, f"{name}-pub")
    for number in range(60):
        publisher.publish(name, str(number), 1)
    eventually("all have come", lambda: sum(member.messages.qsize() for member in members) >= 60)
    received = [[int(member.next().payload) for _ in range(member.messages.qsize())] for member in members]
    assert sorted(sum(received, [])) == list(range(60))
    assert all(received), "everybody has some"


def test_topic_aliases_work_in_both_directions(connect, name):
    takes = properties("CONNECT", TopicAliasMaximum=5)
    subscriber = connect(1, f"{name}-sub", connect_properties=takes)
    subscriber.subscribe(f"{name}/#", 1)
    publisher = connect(2, f"{name}-pub")
    assert publisher.connack_properties.TopicAliasMaximum > 0
    alias = properties("PUBLISH", TopicAlias=1)
    publisher.publish(f"{name}/x", "0", 1, properties=alias)
    for number in range(1, 5):
        publisher.publish("", str(number), 1, properties=alias)
    topics = {}
    for number in range(5):
        message = subscriber.next()
        given = getattr(message.properties, "TopicAlias", None)
        if message.topic and given:
            topics[given] = message.topic
        assert (message.topic or topics[given]) == f"{name}/x"
        assert message.payload == str(number).encode()
    assert topics, "the broker used an alias"


@pytest.mark.parametrize("version", ("3.1.1", "5"))
def test_a_thousand_messages_of_qos_2_arrive_in_order_and_once(connect, name, version):
    subscriber = connect(1, f"{name}-sub", version=version)
    subscriber.subscribe(f"{name}/#", 2)
    publisher = connect(2, f"{name}-pub", version=version)
    sent = [publisher.start_publish(f"{name}/stream", str(number), 2) for number in range(1_000)]
    for info in sent:
        info.wait_for_publish(30)
        assert info.is_published()
    publisher.publish(f"{name}/end", "end", 2)
    received = [subscriber.next().payload for _ in range(1_001)]
    assert received == [str(number).encode() for number in range(1_000)] + [b"end"]
    subscriber.nothing_came()
