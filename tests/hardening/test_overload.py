"""A server above its limits: SlowDown with Retry-After for what is too much, and nothing else."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass

import pytest

from bench.endpoint import Api, Endpoint, parse_endpoint
from bench.signing import UNSIGNED, Account
from tests.support.raw_http import RawAnswer, connect, exchange, open_connections, read_answer
from tests.support.server_process import RunningServer, run_server

MAX_REQUESTS, MAX_CONNECTIONS = 40, 120
WORKERS = 2  # each may take a request more in the same instant
HEALTH = b"GET /-/health/ready HTTP/1.1\r\nHost: s3\r\n\r\n"
GET = b"GET /data HTTP/1.1\r\nHost: s3\r\n\r\n"


@dataclass
class Crowded:
    """A server with small limits, and who loads it."""

    server: RunningServer
    endpoint: Endpoint
    account: Account

    def upload(self, key: str, size: int, **headers: str) -> bytes:
        """Return the head of an upload of so many bytes."""
        signer = self.endpoint.signer(self.account)
        return signer.render("PUT", f"/data/{key}", sha256=UNSIGNED, size=size, headers=headers)


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowded]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("S3SERVER_SERVER__MAX_REQUESTS", str(MAX_REQUESTS))
        patch.setenv("S3SERVER_SERVER__MAX_CONNECTIONS", str(MAX_CONNECTIONS))
        with run_server(tmp_path_factory.mktemp("overload") / "store") as server:
            endpoint = parse_endpoint(server.endpoint, server.region)
            account = Account(server.access_key, server.secret_key)
            with closing(Api(endpoint, account)) as api:
                api.request("PUT", "/data")
            yield Crowded(server, endpoint, account)


def outcome(answer: RawAnswer) -> tuple[int, str]:
    """Return status and Retry-After; the test fails where it is another 503 than SlowDown."""
    assert answer.status != 503 or b"<Code>SlowDown</Code>" in answer.body
    return answer.status, answer.headers.get("retry-after", "")


SLOW_DOWN, OK = (503, "1"), (200, "")


def test_uploads_beyond_the_limit_are_told_to_slow_down_whatever_they_send(
    crowded: Crowded,
) -> None:
    with ExitStack() as stack:

        def begin(key: str) -> socket.socket:
            found = stack.enter_context(connect(crowded.server.endpoint))
            found.sendall(crowded.upload(key, 8, expect="100-continue"))
            assert found.recv(100).startswith(b"HTTP/1.1 100 ")  # its body is waited for
            return found

        begun = [begin(f"begun-{number}") for number in range(MAX_REQUESTS)]
        for size in (0, 1_000, 500_000, 30_000_000):
            head = crowded.upload("refused", size)
            assert outcome(exchange(crowded.server.endpoint, head + bytes(size))) == SLOW_DOWN
        assert exchange(crowded.server.endpoint, HEALTH).status == 200
        for one in begun:
            one.sendall(b"contents")
        told = Counter(outcome(read_answer(one)) for one in begun)
    assert told == {OK: len(begun)}
    assert outcome(exchange(crowded.server.endpoint, crowded.upload("after", 0))) == OK


def test_connections_beyond_the_limit_are_answered_and_ended(crowded: Crowded) -> None:
    while open_connections(crowded.server.endpoint):
        pass  # those of another test count until the server has seen that they are gone
    with ExitStack() as stack:
        opened = []
        for _ in range(2 * MAX_CONNECTIONS):
            opened.append(stack.enter_context(connect(crowded.server.endpoint)))
            opened[-1].sendall(GET)
        told = Counter(outcome(read_answer(one)) for one in opened)
        assert set(told) == {(403, ""), SLOW_DOWN}  # nobody may see the bucket
        assert MAX_CONNECTIONS - WORKERS <= told[403, ""] <= MAX_CONNECTIONS + WORKERS
        assert exchange(crowded.server.endpoint, HEALTH).status == 200
    while outcome(exchange(crowded.server.endpoint, GET)) == SLOW_DOWN:
        pass  # until the server has seen that they are gone
