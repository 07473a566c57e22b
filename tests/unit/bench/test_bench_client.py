"""The client counts what happened: against a server that stores, refuses, lies or hangs up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter_ns

from bench.client import Tally, drive
from bench.constant import Constant
from bench.signing import signer
from bench.workload import Renderer, Request, Workload, extra_names, shared_body, stored_names

HOUR_NS = 3600 * 10**9
SIGNER = signer("127.0.0.1:1", "a", "s", "20260131T235959Z", "r")


def renderer(op: str, size: int, objects: int, connections: int = 1) -> Renderer:
    workload = Workload(op, "bucket", size, objects, connections, sign_payload=True)
    return Renderer(workload, SIGNER, shared_body(size))


async def play(protocol: Callable[[], asyncio.Protocol], *plans: list[Request]) -> Tally:
    now = perf_counter_ns()
    tally = Tally(now, now + HOUR_NS)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        await drive("127.0.0.1", port, [iter(plan) for plan in plans], tally)
    finally:
        server.close()
    return tally


async def test_small_and_large_objects_come_back_as_they_were_put() -> None:
    for size in (1, 4096, 3_000_000):
        render = renderer("get", size, 2)
        stored: dict[bytes, tuple[bytes, bytes]] = {}
        plan = [render.put("a"), render.get("a"), render.head("a"), render.delete("a")]
        # The first request of a connection is a PUT here: its GET is verified on the second one.
        await play(lambda stored=stored: Constant(stored), [render.put("b")])
        tally = await play(lambda stored=stored: Constant(stored), plan, [render.get("b")])
        assert {"put": 1, "get": 2, "head": 1, "delete": 1} == dict(tally.completed)
        assert 1 == tally.verified
        assert {} == dict(tally.errors)


async def test_wrong_bytes_are_an_error() -> None:
    render = renderer("get", 4096, 2)
    stored: dict[bytes, tuple[bytes, bytes]] = {}
    await play(lambda: Constant(stored), [render.put("a")])
    stored[b"/bucket/b"] = stored.pop(b"/bucket/a")
    tally = await play(lambda: Constant(stored), [render.get("b")])
    assert {"wrong bytes": 1} == dict(tally.errors)
    assert 0 == tally.completed["get"]


async def test_an_unexpected_status_is_an_error_with_a_sample() -> None:
    tally = await play(Refusing, [renderer("get", 10, 1).get("a")])
    assert {"503": 1} == dict(tally.errors)
    assert tally.sample.startswith("HTTP/1.1 503 Slow Down")


async def test_a_lost_connection_is_an_error_and_the_rest_goes_on() -> None:
    render = renderer("get", 10, 1)
    hangs = HangingUp()
    tally = await play(lambda: hangs, [render.head("a"), render.head("b"), render.head("c")])
    assert {"connection": 1} == dict(tally.errors)
    assert 2 == tally.completed["head"]


def test_a_request_across_the_window_counts_by_its_share_inside() -> None:
    request = renderer("get", 100, 1).get("a")
    tally = Tally(1_000, 2_000)
    tally.add(request, 500, 1_500)
    tally.add(request, 1_900, 2_100)
    tally.add(request, 0, 900)
    tally.add(request, 2_100, 2_200)
    assert 1.0 == tally.completed["get"]
    assert 100.0 == tally.size
    assert 0 == tally.latency["get"].total


def test_connections_share_the_keys_without_overlap() -> None:
    render = renderer("put", 100, 10, connections=3)
    lines = [request.head.split(b" ")[1] for number in range(3) for request in render.plan(number)]
    expected = {f"/bucket/{name}".encode() for name in stored_names(render._workload)}
    assert 10 == len(lines)
    assert expected == set(lines)


def test_a_mixed_plan_deletes_only_what_it_wrote_and_names_all_of_it() -> None:
    render = renderer("mixed", 100, 200, connections=3)
    written, deleted = set(), set()
    for number in range(3):
        for request in render.plan(number):
            name = request.head.split(b" ")[1].decode().removeprefix("/bucket/")
            if request.kind == "put":
                written.add(name)
            if request.kind == "delete":
                assert name in written
                deleted.add(name)
    assert deleted < written
    assert set(extra_names(render._workload)) == written


class Refusing(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n")  # type: ignore[attr-defined]


class HangingUp(Refusing):
    """Hangs up on the second request, answers the others."""

    count = 0

    def data_received(self, data: bytes) -> None:
        self.count += 1
        if self.count == 2:
            self.transport.close()
        else:
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")  # type: ignore[attr-defined]
