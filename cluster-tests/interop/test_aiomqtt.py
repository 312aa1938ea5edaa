"""aiomqtt: what programs with asyncio use."""

import asyncio
import ssl

import aiomqtt
import pytest
from aiomqtt import ProtocolVersion

from paho_client import SECONDS, properties

WAYS = ("tcp", "tls", "ws", "wss", "unix")


def client(cluster, node: int, client_id: str, way: str = "tcp", **more) -> aiomqtt.Client:
    ports = cluster[node].ports
    transport = {"ws": "websockets", "wss": "websockets", "unix": "unix"}.get(way, "tcp")
    if way in ("tls", "wss"):
        more["tls_context"] = ssl.create_default_context(cafile=cluster.certificates.ca)
    if transport == "websockets":
        more["websocket_path"] = "/mqtt"
    host, port = ("localhost", ports.get(way, ports["mqtt"]))
    if way == "unix":
        # A port is wanted, and not used.
        host = cluster[node].socket
    more.setdefault("protocol", ProtocolVersion.V5)
    return aiomqtt.Client(host, port, identifier=client_id, transport=transport, timeout=SECONDS, **more)


async def following(client: aiomqtt.Client) -> aiomqtt.Message:
    return await asyncio.wait_for(anext(aiter(client.messages)), SECONDS)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("version", (ProtocolVersion.V31, ProtocolVersion.V311, ProtocolVersion.V5), ids=str)
def test_messages_cross_nodes(cluster, name, version, way):
    async def run():
        short = name[-15:]
        async with (
            client(cluster, 1, f"{short}-sub", way, protocol=version) as subscriber,
            client(cluster, 3, f"{short}-pub", way, protocol=version) as publisher,
        ):
            await subscriber.subscribe(f"{name}/#", qos=2)
            for qos in (0, 1, 2):
                await publisher.publish(f"{name}/{qos}", f"message {qos}", qos=qos)
                message = await following(subscriber)
                assert (str(message.topic), message.qos) == (f"{name}/{qos}", qos)
                assert message.payload == f"message {qos}".encode()

    asyncio.run(run())


def test_a_session_goes_on_at_another_node(cluster, name):
    lasting = {"clean_start": False, "properties": properties("CONNECT", SessionExpiryInterval=600)}

    async def run():
        async with client(cluster, 1, name, **lasting) as first:
            await first.subscribe(name, qos=1)
        async with client(cluster, 3, f"{name}-pub") as publisher:
            for number in range(10):
                await publisher.publish(name, str(number), qos=1)
        async with client(cluster, 2, name, **lasting) as second:
            for number in range(10):
                assert (await following(second)).payload == str(number).encode()

    asyncio.run(run())


def test_a_will_and_properties(cluster, name):
    will = aiomqtt.Will(name, "gone", qos=1, properties=properties("WILLMESSAGE", ContentType="text/plain"))

    async def run():
        async with client(cluster, 1, f"{name}-sub") as subscriber:
            await subscriber.subscribe(name, qos=1)
            async with client(cluster, 2, f"{name}-pub", will=will) as publisher:
                sent = properties("PUBLISH", ResponseTopic="answers", CorrelationData=b"7", UserProperty=("k", "v"))
                await publisher.publish(name, "here", qos=1, properties=sent)
                message = await following(subscriber)
                assert message.properties.ResponseTopic == "answers"
                assert message.properties.CorrelationData == b"7"
                assert message.properties.UserProperty == [("k", "v")]
                # DISCONNECT with 0x04 publishes the will.
                publisher._client.disconnect(properties=properties("DISCONNECT"), reasoncode=with_will())
                message = await following(subscriber)
                assert message.payload == b"gone"
                assert message.properties.ContentType == "text/plain"

    try:
        asyncio.run(run())
    except aiomqtt.MqttError as error:
        # The publisher is told on leaving that it is not connected any more.
        assert "isconnect" in str(error), error


def with_will():
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.reasoncodes import ReasonCode

    return ReasonCode(PacketTypes.DISCONNECT, "Disconnect with will message")
