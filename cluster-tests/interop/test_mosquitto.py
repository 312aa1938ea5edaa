"""mosquitto_pub and mosquitto_sub, the clients of libmosquitto; and all clients together."""

import json
import subprocess

import pytest

from nodes import eventually
from paho_client import SECONDS, Client, properties

VERSIONS = ("mqttv31", "mqttv311", "mqttv5")
WAYS = ("tcp", "tls", "mtls", "unix")


def address(cluster, node: int, way: str) -> list[str]:
    if way == "unix":
        return ["--unix", cluster[node].socket]
    files = cluster.certificates
    encrypted = [] if way == "tcp" else ["--cafile", files.ca]
    if way == "mtls":
        encrypted += ["--cert", files.client, "--key", files.client_key]
    return ["-h", "localhost", "-p", str(cluster[node].ports[way if encrypted else "mqtt"]), *encrypted]


def publish(cluster, node: int, *options: str, way: str = "tcp") -> None:
    command = ["mosquitto_pub", *address(cluster, node, way), *options]
    subprocess.run(command, check=True, timeout=SECONDS)


class Subscriber:
    """mosquitto_sub, once its subscriptions are in the table."""

    def __init__(self, cluster, node: int, client_id: str, *options: str, way: str = "tcp"):
        command = ["mosquitto_sub", *address(cluster, node, way), "-i", client_id, *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        rows = f"/api/v1/subscriptions?clientid={client_id}"
        eventually(f"{client_id} subscribed", lambda: json.loads(cluster[node].get(rows)))

    def output(self) -> str:
        try:
            return self.process.communicate(timeout=SECONDS)[0]
        finally:
            self.process.kill()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("version", VERSIONS)
def test_messages_cross_nodes(cluster, name, version, way):
    options = ("-V", version, "-q", "2", "-t", f"{name}/#", "-C", "3", "-F", "%t %q %p")
    subscriber = Subscriber(cluster, 1, f"{name}-sub"[-23:], *options, way=way)
    for qos in ("0", "1", "2"):
        publish(cluster, 2, "-V", version, "-q", qos, "-t", f"{name}/{qos}", "-m", f"m{qos}", way=way)
    lines = subscriber.output().splitlines()
    assert sorted(lines) == [f"{name}/{qos} {qos} m{qos}" for qos in (0, 1, 2)]


def test_properties_of_mqtt_5(cluster, name):
    subscriber = Subscriber(
        cluster, 1, name, "-V", "mqttv5", "-q", "1", "-t", name, "-C", "1", "-F", "%C|%R|%D|%P|%S|%E|%p",
        "-D", "subscribe", "subscription-identifier", "9",
    )  # fmt: skip
    publish(
        cluster, 3, "-V", "mqttv5", "-q", "1", "-t", name, "-m", "x",
        "-D", "publish", "content-type", "text", "-D", "publish", "response-topic", "answers",
        "-D", "publish", "correlation-data", "77", "-D", "publish", "user-property", "unit", "none",
        "-D", "publish", "message-expiry-interval", "600",
    )  # fmt: skip
    content, response, correlation, user, identifier, expiry, payload = subscriber.output().strip().split("|")
    assert (content, response, correlation, payload) == ("text", "answers", "77", "x")
    assert user == "unit:none"
    assert identifier == "9"
    assert 590 <= int(expiry) <= 600


def test_the_will_of_a_killed_subscriber(cluster, name):
    mortal = Subscriber(
        cluster, 1, f"{name}-mortal", "-t", f"{name}/other", "--will-topic", name, "--will-payload", "gone", "--will-qos", "2"
    )  # fmt: skip
    witness = Subscriber(cluster, 2, f"{name}-witness", "-q", "2", "-t", name, "-C", "1")
    mortal.process.kill()
    assert witness.output() == "gone\n"


def test_a_lasting_session_finds_its_queue_on_another_node(cluster, name):
    lasting = ("-i", name, "-c", "-q", "1", "-t", name)
    subprocess.run(["mosquitto_sub", *address(cluster, 1, "tcp"), *lasting, "-E"], check=True, timeout=SECONDS)
    for number in range(5):
        publish(cluster, 3, "-q", "1", "-t", name, "-m", str(number))
    command = ["mosquitto_sub", *address(cluster, 2, "tls"), *lasting, "-C", "5"]
    found = subprocess.run(command, check=True, timeout=SECONDS, capture_output=True, text=True)
    assert found.stdout.split() == ["0", "1", "2", "3", "4"]


def test_paho_and_mosquitto_understand_each_other(cluster, name):
    with Client(cluster[1], cluster.certificates, f"{name}-paho", way="wss") as paho:
        paho.subscribe(f"{name}/to-paho", 2)
        publish(cluster, 2, "-V", "mqttv31", "-q", "2", "-t", f"{name}/to-paho", "-m", "from 3.1", way="unix")
        message = paho.next()
        assert (message.payload, message.qos) == (b"from 3.1", 2)
        options = ("-V", "mqttv311", "-q", "1", "-t", f"{name}/from-paho", "-C", "1")
        subscriber = Subscriber(cluster, 3, f"{name}-mosquitto", *options, way="mtls")
        paho.publish(f"{name}/from-paho", "from 5", 2, properties=properties("PUBLISH", ContentType="dropped"))
        assert subscriber.output() == "from 5\n"
