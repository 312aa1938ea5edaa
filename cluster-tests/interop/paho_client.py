"""paho-mqtt behind calls that wait for their answers."""

import queue
import ssl

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from nodes import Certificates, Node

SECONDS = 20
VERSIONS = {"3.1": mqtt.MQTTv31, "3.1.1": mqtt.MQTTv311, "5": mqtt.MQTTv5}
WAYS = ("tcp", "tls", "mtls", "ws", "wss", "unix")


def properties(packet: str, **values) -> Properties:
    """`properties("PUBLISH", ContentType="text")`."""
    block = Properties(getattr(PacketTypes, packet))
    for name, value in values.items():
        setattr(block, name, value)
    return block


class Client:
    """A connected client. What it receives is in `messages`; how its connection ended, in `ended`."""

    def __init__(
        self,
        node: Node,
        certificates: Certificates,
        client_id: str,
        version: str = "5",
        way: str = "tcp",
        clean: bool = True,
        will: dict | None = None,
        connect_properties: Properties | None = None,
    ):
        self.messages: queue.Queue = queue.Queue()
        self.ended: queue.Queue = queue.Queue()
        self._connacks: queue.Queue = queue.Queue()
        self._subacks: queue.Queue = queue.Queue()
        self.is_5 = version == "5"
        transport = {"ws": "websockets", "wss": "websockets", "unix": "unix"}.get(way, "tcp")
        session = {} if self.is_5 else {"clean_session": clean}
        inner = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            # That of MQTT 3.1 has 23 characters.
            client_id=client_id if version != "3.1" else client_id[-23:],
            protocol=VERSIONS[version],
            transport=transport,
            reconnect_on_failure=False,
            **session,
        )
        self.inner = inner
        if way in ("tls", "mtls", "wss"):
            context = ssl.create_default_context(cafile=certificates.ca)
            if way == "mtls":
                context.load_cert_chain(certificates.client, certificates.client_key)
            inner.tls_set_context(context)
        if transport == "websockets":
            inner.ws_set_options(path="/mqtt")
        if will:
            inner.will_set(**will)
        inner.max_inflight_messages_set(200)
        inner.on_connect = lambda _c, _u, flags, reason, props: self._connacks.put((flags, reason, props))
        inner.on_message = lambda _c, _u, message: self.messages.put(message)
        inner.on_subscribe = lambda _c, _u, _mid, reasons, _p: self._subacks.put(reasons)
        inner.on_disconnect = lambda _c, _u, _f, reason, _p: self.ended.put(reason)
        start = {"clean_start": clean, "properties": connect_properties} if self.is_5 else {}
        host, port = ("localhost", node.ports.get(way, node.ports["mqtt"]))
        if way == "unix":
            # A port is wanted, and not used.
            host = node.socket
        inner.connect(host, port, keepalive=30, **start)
        inner.loop_start()
        flags, reason, self.connack_properties = self._connacks.get(timeout=SECONDS)
        assert not reason.is_failure, reason
        self.session_present = flags.session_present

    def subscribe(self, topic: str, qos: int, **more) -> None:
        self.inner.subscribe(topic, qos, **more)
        granted = self._subacks.get(timeout=SECONDS)
        assert [code.value for code in granted] == [qos]

    def publish(self, topic: str, payload, qos: int = 0, retain: bool = False, **more) -> None:
        """Waits for the acknowledgement."""
        self.start_publish(topic, payload, qos, retain, **more).wait_for_publish(SECONDS)

    def start_publish(self, topic: str, payload, qos: int, retain: bool = False, **more) -> mqtt.MQTTMessageInfo:
        sent = self.inner.publish(topic, payload, qos, retain, **more)
        assert sent.rc == mqtt.MQTT_ERR_SUCCESS
        return sent

    def next(self) -> mqtt.MQTTMessage:
        return self.messages.get(timeout=SECONDS)

    def nothing_came(self) -> None:
        """To be asked when something came that was published later."""
        assert self.messages.empty(), self.messages.get().topic

    def close(self) -> None:
        self.inner.disconnect()
        self.inner.loop_stop()

    def abort(self) -> None:
        """The connection ends without DISCONNECT."""
        self.inner.loop_stop()
        self.inner._sock_close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_) -> None:
        self.close()
