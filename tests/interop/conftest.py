"""Fixtures: a server of one's own, started and stopped, for whoever asks."""

import logging

import pytest

from harness import reactor
from harness.server import BINARY, Server

reactor.mend()
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)


def pytest_sessionstart():
    if not BINARY.exists():
        pytest.exit(f"{BINARY} does not exist: build it first, or run scripts/test", 3)


@pytest.fixture
def start(tmp_path):
    """Starts servers that belong to one test: `start(config={...})`."""
    yield from starter(tmp_path)


@pytest.fixture(scope="module")
def start_module(tmp_path_factory):
    """Starts servers that the tests of one file share."""
    yield from starter(tmp_path_factory.mktemp("servers"))


def starter(folder):
    servers = []

    def begin(config=None, data_dir=None, **keywords):
        server = Server(data_dir or folder / f"data{len(servers)}", config=config, **keywords)
        servers.append(server)
        return server.start()

    yield begin
    codes = [server.stop() for server in servers if server.process is not None]
    for server in servers:
        server.forget()
    assert all(code == 0 for code in codes), f"exit codes {codes} after SIGTERM"


@pytest.fixture(scope="module")
def server(start_module):
    """The server that the tests of one file share, with the built-in configuration."""
    return start_module()
