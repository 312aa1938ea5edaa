"""gmqtt: another codec than paho's, MQTT 5 first."""

import asyncio
import contextlib
import ssl

import gmqtt
import pytest
from gmqtt.mqtt.constants import MQTTv50, MQTTv311

from paho_client import SECONDS

VERSIONS = {"3.1.1": MQTTv311, "5": MQTTv50}


class Client:
    """A connected client, whose messages are (topic, payload, qos, properties)."""

    def __init__(self, client_id: str, clean: bool = True, will=None, **options):
        self.messages: asyncio.Queue = asyncio.Queue()
        self._connected = asyncio.Event()
        self._subscribed: asyncio.Queue = asyncio.Queue()
        self.inner = gmqtt.Client(client_id, clean_session=clean, will_message=will, **options)
        self.inner.set_config({"reconnect_retries": 0})
        self.inner.on_connect = self._on_connect
        self.inner.on_message = self._on_message
        self.inner.on_subscribe = lambda _c, mid, reasons, _p: self._subscribed.put_nowait(reasons)
        self.session_present = False

    def _on_connect(self, _client, flags, reason, _properties):
        assert reason == 0, reason
        self.session_present = bool(flags & 1)
        self._connected.set()

    def _on_message(self, _client, topic, payload, qos, properties):
        self.messages.put_nowait((topic, bytes(payload), qos, properties))
        return 0

    async def open(self, cluster, node: int, way: str = "tcp", version: str = "5") -> "Client":
        secured = ssl.create_default_context(cafile=cluster.certificates.ca) if way == "tls" else False
        port = cluster[node].ports["tls" if way == "tls" else "mqtt"]
        await self.inner.connect("localhost", port, ssl=secured, version=VERSIONS[version], keepalive=30)
        await asyncio.wait_for(self._connected.wait(), SECONDS)
        return self

    async def subscribe(self, topic: str, qos: int, **options) -> None:
        self.inner.subscribe(gmqtt.Subscription(topic, qos=qos), **options)
        assert list(await asyncio.wait_for(self._subscribed.get(), SECONDS)) == [qos]

    async def next(self):
        return await asyncio.wait_for(self.messages.get(), SECONDS)

    async def close(self) -> None:
        # Over TLS asyncio complains when a packet of the broker's crosses the client's close.
        with contextlib.suppress(ssl.SSLError):
            await self.inner.disconnect()


@pytest.mark.parametrize("way", ("tcp", "tls"))
@pytest.mark.parametrize("version", VERSIONS)
def test_messages_cross_nodes_in_both_directions(cluster, name, version, way):
    async def run():
        here = await Client(f"{name}-here").open(cluster, 1, way, version)
        there = await Client(f"{name}-there").open(cluster, 2, way, version)
        for qos in (0, 1, 2):
            topic = f"{name}/{qos}"
            for subscriber in (here, there):
                await subscriber.subscribe(topic, qos)
            for publisher in (here, there):
                publisher.inner.publish(topic, f"{publisher is here}", qos=qos)
                for subscriber in (here, there):
                    received = await subscriber.next()
                    assert received[:3] == (topic, f"{publisher is here}".encode(), qos)
        await here.close()
        await there.close()

    asyncio.run(run())


def test_properties_and_subscription_identifiers(cluster, name):
    async def run():
        subscriber = await Client(f"{name}-sub").open(cluster, 1)
        await subscriber.subscribe(f"{name}/#", 1, subscription_identifier=42)
        publisher = await Client(f"{name}-pub").open(cluster, 3)
        publisher.inner.publish(
            f"{name}/x",
            "x",
            qos=1,
            content_type="text/plain",
            response_topic="answers",
            correlation_data=b"\x00\x01",
            message_expiry_interval=600,
            user_property=[("a", "1"), ("a", "2")],
        )
        _, _, _, properties = await subscriber.next()
        assert properties["content_type"] == ["text/plain"]
        assert properties["response_topic"] == ["answers"]
        assert properties["correlation_data"] == [b"\x00\x01"]
        assert 590 <= properties["message_expiry_interval"][0] <= 600
        assert properties["user_property"] == [("a", "1"), ("a", "2")]
        assert properties["subscription_identifier"] == [42]
        await publisher.close()
        await subscriber.close()

    asyncio.run(run())


def test_a_session_is_taken_over_by_another_node_with_its_queue(cluster, name):
    async def run():
        first = await Client(name, clean=False, session_expiry_interval=600).open(cluster, 1)
        await first.subscribe(name, 2)
        await first.close()
        publisher = await Client(f"{name}-pub").open(cluster, 3)
        for number in range(20):
            publisher.inner.publish(name, str(number), qos=2)
        await publisher.subscribe(f"{name}/fence", 1)
        publisher.inner.publish(f"{name}/fence", "x", qos=1)
        await publisher.next()
        second = await Client(name, clean=False, session_expiry_interval=600).open(cluster, 2)
        assert second.session_present
        received = [await second.next() for _ in range(20)]
        assert [payload for _, payload, _, _ in received] == [str(number).encode() for number in range(20)]
        await publisher.close()
        await second.close()

    asyncio.run(run())


def test_a_retained_message_and_a_will(cluster, name):
    async def run():
        will = gmqtt.Message(f"{name}/will", "gone", qos=1)
        mortal = await Client(f"{name}-pub", will=will).open(cluster, 1)
        mortal.inner.publish(f"{name}/kept", "kept", qos=1, retain=True)
        subscriber = await Client(f"{name}-sub").open(cluster, 2)
        await subscriber.subscribe(f"{name}/will", 1)
        # 0x04: with the will.
        await mortal.inner.disconnect(reason_code=4)
        assert (await subscriber.next())[:2] == (f"{name}/will", b"gone")
        await subscriber.subscribe(f"{name}/kept", 1)
        topic, payload, _, properties = await subscriber.next()
        assert (topic, payload, properties["retain"]) == (f"{name}/kept", b"kept", 1)
        await subscriber.close()

    asyncio.run(run())
