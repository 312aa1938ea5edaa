"""Three nodes with every listener that the clients of this folder speak, and how a client finds them.

The nodes are ordinary processes with settings in their environment; certificates are made for the run.
"""

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import trustme

START_SECONDS_MAX = 60
# Below those that the system gives to connections. Where the search begins depends on the process, so that two
# runs at once do not choose the same.
FIRST_PORT = 27_000
PORTS_OF_A_NODE = ("mqtt", "http", "rpc", "tls", "mtls", "ws", "wss")
# The one in a client's certificate: the user name where the listener asks for a certificate.
CERTIFICATE_NAME = "ann"


@dataclass
class Certificates:
    """Files: who proves the nodes and the clients, and what a client shows."""

    ca: str
    server: str
    server_key: str
    client: str
    client_key: str

    @classmethod
    def make(cls, folder: Path) -> "Certificates":
        authority = trustme.CA()
        files = {name: str(folder / f"{name}.pem") for name in ("ca", "server", "server_key", "client", "client_key")}
        authority.cert_pem.write_to_path(files["ca"])
        for name, issued in (
            ("server", authority.issue_cert("localhost", "127.0.0.1")),
            ("client", authority.issue_cert("client.example", common_name=CERTIFICATE_NAME)),
        ):
            issued.private_key_pem.write_to_path(files[f"{name}_key"])
            for blob in issued.cert_chain_pems:
                blob.write_to_path(files[name], append=True)
        return cls(**files)


@dataclass
class Node:
    """One process, and where it listens on the loopback address."""

    id: int
    ports: dict[str, int]
    folder: Path
    socket: str
    process: subprocess.Popen | None = field(default=None, repr=False)

    @property
    def log(self) -> Path:
        return self.folder / f"node-{self.id}.log"

    def start(self, binary: str, peers: str, certificates: Certificates) -> None:
        settings = {
            "NODE_ID": self.id,
            "NODE_DATA_DIR": self.folder / f"node-{self.id}",
            "CLUSTER_PEERS": peers,
            "MQTT_ADDR": self._at("mqtt"),
            "HTTP_ADDR": self._at("http"),
            "RPC_ADDR": self._at("rpc"),
            "PLUGINS_DIR": self.folder / "plugins",
        }
        server = {"TLS_CERTIFICATE": certificates.server, "TLS_KEY": certificates.server_key}
        asking = {
            "CLIENT_CERTIFICATES": "required",
            "CLIENT_CA": certificates.ca,
            "CERTIFICATE_NAME": "cn",
        }
        listeners = {
            "TLS": {"TRANSPORT": "tls", "ADDR": self._at("tls"), **server},
            "MTLS": {"TRANSPORT": "tls", "ADDR": self._at("mtls"), **server, **asking},
            "WS": {"TRANSPORT": "ws", "ADDR": self._at("ws")},
            "WSS": {"TRANSPORT": "wss", "ADDR": self._at("wss"), **server},
            "UNIX": {"TRANSPORT": "unix", "SOCKET": self.socket},
        }
        for name, own in listeners.items():
            settings |= {f"LISTENER_{name}_{setting}": value for setting, value in own.items()}
        # Variables with the prefix are settings of the program, and some of the caller's are not.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RAFTMQ_")}
        environment |= {f"RAFTMQ_{name}": str(value) for name, value in settings.items()}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([binary, "run"], env=environment, stdout=log, stderr=log)

    def _at(self, name: str) -> str:
        return f"127.0.0.1:{self.ports[name]}"

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://{self._at('http')}{path}", timeout=10) as answer:
            return answer.read()

    def is_ready(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"node {self.id} has ended:\n{self.log.read_text()[-2000:]}")
        try:
            self.get("/ready")
        except (urllib.error.URLError, OSError):
            return False
        return True


class Cluster:
    """Three nodes, by number."""

    def __init__(self, binary: str, folder: Path):
        self.certificates = Certificates.make(folder)
        (folder / "plugins").mkdir()
        ports = iter(free_ports(3 * len(PORTS_OF_A_NODE)))
        self.nodes = {
            number: Node(
                number,
                {name: next(ports) for name in PORTS_OF_A_NODE},
                folder,
                # The path of a Unix socket has 107 bytes.
                str(folder / f"{number}.sock"),
            )
            for number in (1, 2, 3)
        }
        peers = ",".join(f"{node.id}@127.0.0.1:{node.ports['rpc']}" for node in self)
        for node in self:
            node.start(binary, peers, self.certificates)
        eventually("all nodes ready", lambda: all(node.is_ready() for node in self), START_SECONDS_MAX)

    def __iter__(self):
        return iter(self.nodes.values())

    def __getitem__(self, number: int) -> Node:
        return self.nodes[number]

    def stop(self) -> list[str]:
        """Stops all in good order; what is not as it should be."""
        faults = []
        for node in self:
            node.process.terminate()
        for node in self:
            try:
                status = node.process.wait(20)
            except subprocess.TimeoutExpired:
                node.process.kill()
                status = "none in 20 s"
            if status != 0:
                faults.append(f"node {node.id}: exit status {status}")
            if "panicked" in node.log.read_text(errors="replace"):
                faults.append(f"node {node.id}: panicked")
        return faults


def free_ports(count: int) -> list[int]:
    """So many TCP ports in a row."""
    first = FIRST_PORT + os.getpid() % 200 * count
    while not all(is_free(port) for port in range(first, first + count)):
        first += count
    return list(range(first, first + count))


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def eventually(what: str, holds, seconds: float = 20) -> None:
    """Asks again until it holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)
