"""Two thousand clients that hold on to what they get, and what those who behave notice: nothing.

How long the others wait meanwhile is measured by `python -m bench.bad_clients`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from bench.endpoint import Api, Endpoint, parse_endpoint
from bench.misbehaving import Crowd, misbehaving
from bench.signing import Account
from tests.support.raw_http import open_connections
from tests.support.server_process import RunningServer, run_server

BAD = 2_000
GOOD, ROUNDS = 4, 40  # clients, and what each of them does so often
LARGE = 16 << 20  # bytes: more than all buffers between a server and a client that does not read


def behave(endpoint: Endpoint, account: Account, name: str) -> None:
    """Store, read, list and delete; all must be as if nobody else were there."""
    with closing(Api(endpoint, account)) as api:
        for number in range(ROUNDS):
            body, path = os.urandom(4096), f"/good/{name}-{number}"
            api.request("PUT", path, body=body)
            assert body == api.request("GET", path)
            assert f"{name}-{number}".encode() in api.request("GET", "/good")
            api.request("DELETE", path)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of its own: connections are left behind."""
    with run_server(tmp_path_factory.mktemp("crowd") / "store") as running:
        yield running


def test_good_clients_are_served_beside_bad_ones(server: RunningServer) -> None:
    endpoint = parse_endpoint(server.endpoint, server.region)
    account = Account(server.access_key, server.secret_key)
    api = Api(endpoint, account)
    api.request("PUT", "/good")
    api.request("PUT", "/bad")
    api.request("PUT", "/bad/large", body=os.urandom(LARGE))
    with (
        misbehaving(Crowd(endpoint, account, "/bad/large", BAD)),
        ThreadPoolExecutor(GOOD) as pool,
    ):
        good = [pool.submit(behave, endpoint, account, str(number)) for number in range(GOOD)]
        for one in good:
            one.result()
        held = open_connections(server.endpoint)
    assert held > BAD // 4, "those that are not cut off within a minute are not there"
    while open_connections(server.endpoint) > 1:  # they are gone, and so is what they held
        api.request("GET", "/good")
    api.close()
