"""The client counts what happened: against a server that stores, refuses, lies or hangs up."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from time import perf_counter_ns

import pytest

from bench import client
from bench.client import drive
from bench.constant import Constant
from bench.pace import Pace, due_times
from bench.signing import Account, Signer
from bench.tally import Tally
from bench.tls_front import certificate as make_certificate
from bench.workload import Bodies, Renderer, Request, Verify, Workload

HOUR_NS = 3600 * 10**9
SIGNER = Signer("127.0.0.1:1", Account("a", "s"), "r")
BUCKETS = ("bucket", "other")


def renderer(
    op: str, size: int, objects: int = 1, connections: int = 1, verify: Verify = "sample"
) -> Renderer:
    workload = Workload(op, size, objects, connections, buckets=BUCKETS, verify=verify)
    return Renderer(workload, [SIGNER], Bodies(size, 7))


async def play(
    protocol: Callable[[], asyncio.Protocol],
    *plans: Iterable[Request],
    window_ns: int = HOUR_NS,
    pace: Callable[[Tally], Pace] | None = None,
    certificate: Path | None = None,
) -> Tally:
    now = perf_counter_ns()
    tally = Tally(now, now + window_ns)
    loop = asyncio.get_running_loop()
    ours = theirs = None
    if certificate is not None:
        theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        theirs.load_cert_chain(certificate, certificate.with_name("key.pem"))
        ours = ssl.create_default_context(cafile=str(certificate))
    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=theirs)
    try:
        port = server.sockets[0].getsockname()[1]
        paced = pace(tally) if pace else None
        iterators = [iter(plan) for plan in plans]
        await drive("127.0.0.1", port, iterators, tally, tls=ours, pace=paced)
    finally:
        server.close()
    return tally


def path(request: Request) -> str:
    return request.head.split(b" ")[1].decode()


async def test_small_and_large_objects_come_back_as_they_were_put() -> None:
    for size in (1, 4096, 3_000_000):
        render = renderer("get", size)
        stored: dict[bytes, tuple[bytes, bytes]] = {}
        plan = [render.put(0), render.get(0), render.head(0), render.delete(0)]
        tally = await play(lambda stored=stored: Constant(stored), plan)
        assert {"put": 1, "get": 1, "head": 1, "delete": 1} == dict(tally.completed)
        assert 1 == tally.verified
        assert {} == dict(tally.errors)


async def test_requests_go_by_tls_too(tmp_path: Path) -> None:
    render = renderer("get", 3_000_000)
    stored: dict[bytes, tuple[bytes, bytes]] = {}
    plan = [render.put(0), render.get(0), render.delete(0)]
    tally = await play(lambda: Constant(stored), plan, certificate=make_certificate(tmp_path))
    assert ({"put": 1, "get": 1, "delete": 1}, {}) == (dict(tally.completed), dict(tally.errors))
    assert 1 == tally.verified


async def test_as_many_requests_are_counted_as_the_server_has_answered() -> None:
    Counting.total = 0
    endless = [(renderer("head", 10).head(0) for _ in iter(int, 1)) for _ in range(4)]
    tally = await play(Counting, *endless, window_ns=1_000_000_000)
    assert Counting.total >= 8
    assert Counting.total - 4 <= tally.completed["head"] <= Counting.total
    assert Counting.total == tally.latency["head"].get_total_count()


async def test_wrong_bytes_are_an_error() -> None:
    render = renderer("get", 4096)
    stored: dict[bytes, tuple[bytes, bytes]] = {}
    await play(lambda: Constant(stored), [render.put(0)])
    stored[b"/other/object-00000001"] = stored.pop(b"/bucket/object-00000000")
    tally = await play(lambda: Constant(stored), [render.get(1), render.get(1, verify=False)])
    assert {"wrong bytes": 1} == dict(tally.errors)
    assert (1, 0) == (tally.completed["get"], tally.verified)


async def test_an_answer_that_is_too_short_is_an_error_though_nobody_looks_into_it() -> None:
    tally = await play(HangingUp, [renderer("get", 10).get(0, verify=False)])
    assert {"wrong length": 1} == dict(tally.errors)


async def test_errors_are_counted_by_status_and_code_with_a_sample() -> None:
    render = renderer("get", 10)
    tally = await play(Refusing, [render.get(0), render.head(0), render.get(0)])
    assert {"503 SlowDown": 2, "503": 1} == dict(tally.errors)
    assert tally.sample == "503 SlowDown: Reduce your rate"
    assert {} == dict(tally.completed)


async def test_a_lost_connection_is_an_error_and_the_rest_goes_on() -> None:
    render = renderer("get", 10)
    hangs = HangingUp()
    tally = await play(lambda: hangs, [render.head(0) for _ in range(3)])
    assert {"connection": 1} == dict(tally.errors)
    assert 2 == tally.completed["head"]


async def test_a_server_that_is_not_there_is_counted_too() -> None:
    now = perf_counter_ns()
    tally = Tally(now, now + 1_000_000_000)
    await drive("127.0.0.1", 1, [iter([renderer("get", 10).get(0)])], tally)
    assert {"connect ECONNREFUSED"} == set(tally.errors)


async def test_a_server_that_stays_away_ends_the_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_ATTEMPTS", 2)
    now = perf_counter_ns()
    plans = [iter([renderer("get", 10).get(0)]) for _ in range(2)]
    with pytest.raises(ConnectionError, match="no connection to"):
        await drive("127.0.0.1", 1, plans, Tally(now, now + HOUR_NS))


async def test_an_open_loop_charges_a_stalled_server_for_all_who_would_have_waited() -> None:
    """A closed loop would have seen one slow request; here all those due meanwhile were late."""
    stalls = Stalling()
    endless = (renderer("head", 10).head(0) for _ in iter(int, 1))
    tally = await play(
        lambda: stalls,
        endless,
        window_ns=1_000_000_000,
        pace=lambda tally: Pace(
            due_times(tally.start_ns, 200, seed="x", poisson=False), tally.stop_ns
        ),
    )
    late = tally.latency["head"]
    assert 199 == late.get_total_count() + tally.unsent
    assert late.get_count_at_value(1) == 0
    assert late.get_value_at_percentile(90) > 100_000  # of 500 ms, half of all requests waited


async def test_what_an_open_loop_cannot_send_is_told() -> None:
    tally = await play(
        Silent,
        [renderer("head", 10).head(0)],
        window_ns=1_000_000_000,
        pace=lambda tally: Pace(
            due_times(tally.start_ns, 10, seed="x", poisson=False), tally.stop_ns
        ),
    )
    assert {"connection": 1} == dict(tally.errors)
    assert 8 == tally.unsent


def test_arrivals_have_their_rate_and_are_the_same_for_a_seed() -> None:
    times = list(islice(due_times(0, 1000, seed="1", poisson=True), 20_000))
    assert abs(times[-1] / 1e9 - 20) < 1
    assert sorted(times) == times
    assert times == list(islice(due_times(0, 1000, seed="1", poisson=True), 20_000))


def test_a_request_across_the_window_counts_by_its_share_inside() -> None:
    request = renderer("get", 100).get(0)
    tally = Tally(1_000_000, 2_000_000)
    for start, end in ((500, 1_500), (1_900, 2_100), (0, 900), (2_100, 2_200)):
        tally.add(request, start * 1000, start * 1000, end * 1000)
    assert 1.0 == tally.completed["get"]
    assert 100.0 == tally.size
    assert 1 == tally.latency["get"].get_total_count()  # the one that began inside


def test_connections_share_the_keys_without_overlap_in_an_order_of_the_seed() -> None:
    render = renderer("put", 100, 10, connections=3)
    plans = [list(islice(render.plan(number), 4 - (number > 0))) for number in range(3)]
    found = [path(request) for plan in plans for request in plan]
    names = [f"/{BUCKETS[number % 2]}/object-{number:08d}" for number in range(10)]
    assert names == sorted(found, key=lambda name: name[-8:])
    assert found != names
    again = renderer("put", 100, 10, connections=3)
    assert [path(one) for one in islice(again.plan(0), 4)] == [path(one) for one in plans[0]]


def test_each_key_is_deleted_once_and_read_without_end() -> None:
    assert 10 == len({path(one) for one in renderer("delete", 100, 10).plan(0)})
    assert 10 == len(list(renderer("delete", 100, 10).plan(0)))
    assert 25 == len(list(islice(renderer("head", 100, 10).plan(0), 25)))


def test_bodies_are_verified_as_asked() -> None:
    for verify, expected in (("none", 0), ("sample", 2), ("all", 100)):
        render = renderer("get", 100, 10, verify=verify)  # type: ignore[arg-type]
        assert expected == sum(one.md5 is not None for one in islice(render.plan(0), 100))


def test_a_mixed_plan_deletes_only_what_it_wrote() -> None:
    render = renderer("mixed", 100, 200, connections=3)
    for number in range(3):
        written, deleted = set(), set()
        for request in islice(render.plan(number), 200):
            if request.kind == "put":
                written.add(path(request))
            if request.kind == "delete":
                deleted.add(path(request))
                assert path(request) in written
        assert deleted
        assert deleted < written


def test_a_mixed_plan_has_its_shares_however_few_keys_a_connection_has() -> None:
    plan = renderer("mixed", 100, 200, connections=100).plan(0)
    kinds = Counter(request.kind for request in islice(plan, 2_000))
    assert kinds == {"get": 900, "head": 600, "put": 300, "delete": 200}


class Silent(asyncio.Protocol):
    """Takes a request, and hangs up a while later."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        asyncio.get_running_loop().call_later(1.5, self.transport.close)


class Refusing(Silent):
    def data_received(self, data: bytes) -> None:
        document = b"<Error><Code>SlowDown</Code><Message>Reduce your rate</Message></Error>"
        body = b"" if data.startswith(b"HEAD") else document
        head = b"HTTP/1.1 503 Slow Down\r\nContent-Length: %d\r\n\r\n" % len(body)
        self.transport.write(head + body)  # type: ignore[attr-defined]


class HangingUp(Silent):
    """Hangs up on the second request, answers the others."""

    count = 0

    def data_received(self, data: bytes) -> None:
        self.count += 1
        if self.count == 2:
            self.transport.close()
        else:
            self.answer()

    def answer(self) -> None:
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")  # type: ignore[attr-defined]


class Counting(HangingUp):
    """Answers every request, and counts those of all connections."""

    total = 0

    def data_received(self, data: bytes) -> None:
        Counting.total += data.count(b"\r\n\r\n")
        self.answer()


class Stalling(HangingUp):
    """Takes half a second for the second request."""

    def data_received(self, data: bytes) -> None:
        self.count += 1
        if self.count == 2:
            asyncio.get_running_loop().call_later(0.5, self.answer)
        else:
            self.answer()
