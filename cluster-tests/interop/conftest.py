"""One cluster for all tests, which keep out of each other's way by topics and client identifiers of their own."""

import os
import tempfile
from pathlib import Path

import pytest

from nodes import Cluster


@pytest.fixture(scope="session")
def cluster():
    # Not pytest's own folder: its path is too long for a Unix socket.
    with tempfile.TemporaryDirectory(prefix="interop-", dir="/tmp") as folder:
        cluster = Cluster(os.environ["RAFTMQ_BIN"], Path(folder))
        try:
            yield cluster
        finally:
            faults = cluster.stop()
        assert faults == []


@pytest.fixture
def name(request) -> str:
    """A name of the test's own, for topics and client identifiers."""
    kept = [letter if letter.isalnum() else "-" for letter in request.node.name]
    return "".join(kept)
