"""The publisher of events: order, retries, limits, and what the operator sees."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from functools import partial

import pytest
from structlog.testing import capture_logs

from s3server.core.event_payload import make_message
from s3server.core.records import COUNTER, EVENT, TOPIC, TOPIC_COUNTERS, TopicRecord
from s3server.events.base import EventSink, Message
from s3server.jobs import outbox as module
from s3server.jobs.outbox import Outbox
from s3server.jobs.set_aside import set_aside
from s3server.meta.base import Put
from tests.support.events import AMQP, configure, make_topic, rule, sns, waiting
from tests.support.memory_sink import MemorySink
from tests.support.served import Store

WAIT_S = 60


class Publishing:
    """A store whose outbox publishes to sinks in memory, one per topic."""

    def __init__(self, store: Store, *, limit: int = 1_000, drops: bool = False) -> None:
        self.store = store
        self.sinks: dict[str, MemorySink] = {}
        self.outbox = Outbox(
            store.meta,
            clock=store.clock,
            open_sink=self._open,
            render=partial(make_message, region="here", host_id="host"),
            backlog_limit=limit,
            drops_oldest=drops,
        )

    def _open(self, topic: TopicRecord) -> EventSink:
        return self.sinks.setdefault(topic.name, MemorySink())

    async def until(self, condition) -> None:
        async with asyncio.timeout(WAIT_S):
            while not await condition():
                await self.outbox.step()
                await asyncio.sleep(0.01)

    async def until_empty(self) -> None:
        async def is_empty() -> bool:
            return not [row for row in await self.store.rows() if row[0].startswith(b"E")]

        await self.until(is_empty)

    def keys(self, topic: str) -> list[str]:
        bodies = [json.loads(message.body) for message in self.sinks[topic].messages]
        return [body["Records"][0]["s3"]["object"]["key"] for body in bodies if "Records" in body]

    async def counters(self, arn: str) -> dict[str, int]:
        services = self.store.asgi._services
        return await services.notifications.counters(await services.topics.get(arn))


@pytest.fixture
async def publishing(data: Store) -> AsyncIterator[Publishing]:
    made = Publishing(data)
    yield made
    await made.outbox.close()


async def topic_of(store: Store, name: str, **attributes: str) -> str:
    arn = await make_topic(store.alice, name, AMQP | attributes)
    await configure(store.alice, rule(arn, "s3:ObjectCreated:*"))
    return arn


async def put(store: Store, count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        await store.alice.made(f"/data/{number}", body=b"x")


async def test_events_are_published_in_order_and_leave_the_outbox(publishing: Publishing) -> None:
    arn = await topic_of(publishing.store, "t")
    await put(publishing.store, 20)
    await publishing.until_empty()
    assert publishing.keys("t") == [str(number) for number in range(20)]
    counters = await publishing.counters(arn)
    assert (counters["backlog"], counters["published"], counters["dropped"]) == (0, 21, 0)


async def test_message_is_an_s3_event_record(publishing: Publishing) -> None:
    store = publishing.store
    await topic_of(store, "t", OpaqueData="mine")
    await store.alice.made("/data/a%20b", body=b"12345", headers={"x-amz-meta-kind": "COG"})
    await publishing.until_empty()
    (record,) = json.loads(publishing.sinks["t"].messages[-1].body)["Records"]
    assert (record["eventVersion"], record["eventName"]) == ("2.2", "ObjectCreated:Put")
    assert (record["awsRegion"], record["opaqueData"]) == ("here", "mine")
    assert record["s3"]["bucket"]["name"] == "data"
    stored = record["s3"]["object"]
    assert (stored["key"], stored["size"]) == ("a+b", 5)
    assert stored["metadata"] == [{"key": "x-amz-meta-kind", "val": "COG"}]
    assert publishing.sinks["t"].messages[-1].id == record["eventId"]


async def test_sequencers_of_a_key_rise(publishing: Publishing) -> None:
    store = publishing.store
    await topic_of(store, "t")
    for _ in range(5):
        await store.alice.made("/data/a", body=b"x")
        await store.alice("DELETE", "/data/a")
    await publishing.until_empty()
    bodies = [json.loads(message.body) for message in publishing.sinks["t"].messages[1:]]
    sequencers = [body["Records"][0]["s3"]["object"]["sequencer"] for body in bodies]
    assert sequencers == sorted(set(sequencers))


async def test_what_fails_is_sent_again_with_the_same_id(
    publishing: Publishing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FIRST_PAUSE_S", 0.001)
    sink = publishing.sinks["t"] = MemorySink()
    sink.left = 3
    arn = await topic_of(publishing.store, "t")
    await put(publishing.store, 10)

    async def has_failed() -> bool:
        return len(sink.messages) == 3 and not sink.left

    await publishing.until(has_failed)
    sink.left = None
    await publishing.until_empty()
    assert publishing.keys("t") == [str(number) for number in range(10)]
    assert (await publishing.counters(arn))["published"] == 11


@pytest.mark.parametrize("at_once", [1, 64])
async def test_topic_that_fails_does_not_hold_up_another(
    publishing: Publishing, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(module, "MAX_TOPICS", at_once)
    store = publishing.store
    bad, good = await make_topic(store.alice, "bad"), await make_topic(store.alice, "good")
    events = "s3:ObjectCreated:*"
    await configure(store.alice, rule(bad, events, name="1"), rule(good, events, name="2"))
    sink = publishing.sinks["bad"] = MemorySink()
    sink.left = 0
    await put(store, 5)

    async def good_is_empty() -> bool:
        return (await publishing.counters(good))["backlog"] == 0

    await publishing.until(good_is_empty)
    assert publishing.keys("good") == list("01234")
    assert (await publishing.counters(bad))["backlog"] == 6
    services = store.asgi._services
    standing = await services.notifications.standing(await services.topics.get(bad))
    assert (standing.status.error, standing.status.attempts > 0) == ("out of order", True)
    counters = await publishing.counters(bad)
    assert counters["failed"] == standing.status.attempts
    assert (counters["published"], (await publishing.counters(good))["failed"]) == (0, 0)


async def test_old_events_are_given_up_where_the_topic_says_so(publishing: Publishing) -> None:
    store = publishing.store
    arn = await topic_of(store, "t", time_to_live="60")
    await put(store, 3)
    store.clock.ms += 61_000
    await put(store, 2, first=3)
    await publishing.until_empty()
    assert publishing.keys("t") == ["3", "4"]
    assert (await publishing.counters(arn))["dropped"] == 4


async def test_events_are_given_up_after_as_many_attempts_as_the_topic_says(
    publishing: Publishing,
) -> None:
    sink = publishing.sinks["t"] = MemorySink()
    sink.left = 0
    arn = await topic_of(publishing.store, "t", max_retries="2", retry_sleep_duration="0")
    await put(publishing.store, 2)
    await publishing.until_empty()
    assert (await publishing.counters(arn))["dropped"] == 3


async def test_full_backlog_drops_the_oldest_where_the_operator_says_so(data: Store) -> None:
    publishing = Publishing(data, limit=4, drops=True)
    arn = await topic_of(data, "t")
    await put(data, 10)
    await publishing.until_empty()
    await publishing.outbox.close()
    assert publishing.keys("t") == ["6", "7", "8", "9"]
    assert (await publishing.counters(arn))["dropped"] == 7


async def test_events_of_a_deleted_topic_go_with_it(publishing: Publishing) -> None:
    arn = await topic_of(publishing.store, "t")
    await put(publishing.store, 3)
    await sns(publishing.store.alice, "DeleteTopic", {"TopicArn": arn})
    await publishing.until_empty()
    assert "t" not in publishing.sinks
    left = [key for key, _ in await publishing.store.rows() if b"backlog" in key]
    assert left == []


async def test_connection_of_a_deleted_topic_is_closed(publishing: Publishing) -> None:
    store = publishing.store
    arn = await topic_of(store, "t")
    await put(store, 1)
    await publishing.until_empty()
    assert not publishing.sinks["t"].is_closed
    await sns(store.alice, "DeleteTopic", {"TopicArn": arn})

    async def is_closed() -> bool:
        return publishing.sinks["t"].is_closed

    await publishing.until(is_closed)
    assert (await publishing.outbox.step()).topics == 0


async def test_event_that_cannot_be_read_holds_up_no_other(publishing: Publishing) -> None:
    store = publishing.store
    arn = await topic_of(store, "t")
    await put(store, 3)
    events = [each for each in await store.rows() if each[0].startswith(EVENT)]
    damaged, row = events[2]  # the first one is the test event
    await store.meta.commit([Put(damaged, row[:-1] + bytes([row[-1] ^ 1]))])
    with capture_logs() as logs:
        await publishing.until_empty()
    assert publishing.keys("t") == ["0", "2"]
    assert [each.key for each in await set_aside(store.meta)] == [damaged]
    counters = await publishing.counters(arn)
    assert (counters["backlog"], counters["dropped"]) == (0, 1)
    assert "event row is damaged and set aside" in [line["event"] for line in logs]


async def test_nothing_is_published_once_steps_have_stopped(
    publishing: Publishing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEASE_S", 0.05)
    await topic_of(publishing.store, "t")
    await publishing.until_empty()
    pump = publishing.outbox._pump
    assert pump is not None
    async with asyncio.timeout(WAIT_S):
        await pump
    await put(publishing.store, 1)
    assert len(await waiting(publishing.store.meta)) == 1


async def test_who_is_woken_looks_at_once_and_again_for_what_was_put_off(
    publishing: Publishing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FIRST_PAUSE_S", 0.001)
    outbox, sink = publishing.outbox, MemorySink()
    publishing.sinks["t"], sink.left, outbox.look_s = sink, 0, 3_600.0
    await outbox.step()
    arn = await topic_of(publishing.store, "t")
    await put(publishing.store, 3)
    outbox.wake()
    async with asyncio.timeout(WAIT_S):
        while not (await publishing.counters(arn))["failed"]:
            await asyncio.sleep(0)
        sink.left = None
        while (await publishing.counters(arn))["backlog"]:
            await asyncio.sleep(0)
        await put(publishing.store, 1, first=3)
        outbox.wake()
        while (await publishing.counters(arn))["backlog"]:
            await asyncio.sleep(0)
    assert publishing.keys("t") == list("0123")


async def test_damaged_topic_holds_up_no_other(
    publishing: Publishing, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = publishing.store
    monkeypatch.setattr(module, "LEASE_S", 0.05)
    await topic_of(store, "damaged")
    await publishing.until_empty()
    pump = publishing.outbox._pump
    assert pump is not None
    async with asyncio.timeout(WAIT_S):
        await pump
    ((key, row),) = [each for each in await store.rows() if each[0].startswith(TOPIC)]
    await store.meta.commit([Put(key, row[:-1] + bytes([row[-1] ^ 1]))])
    monkeypatch.setattr(module, "LEASE_S", 15.0)
    await topic_of(store, "t")
    await put(store, 1)
    await publishing.until_empty()
    assert publishing.keys("t") == ["0"]
    assert not publishing.sinks["damaged"].is_closed


async def test_topics_take_turns_where_more_have_events_than_are_delivered_at_once(
    publishing: Publishing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_TOPICS", 1)
    monkeypatch.setattr(module, "BATCH", 1)
    store, names = publishing.store, ["a", "b", "c"]
    arns = [await make_topic(store.alice, name) for name in names]
    await configure(store.alice, *(rule(arn, "s3:ObjectCreated:*", name=arn[-1]) for arn in arns))
    await put(store, 5)
    order: list[str] = []
    for name in names:
        publishing.sinks[name] = _Noting(name, order)
    await publishing.until_empty()
    assert [sorted(order[at : at + 3]) for at in range(0, len(order), 3)] == [names] * 6


class _Noting(MemorySink):
    """Notes whose turn it was."""

    def __init__(self, name: str, order: list[str]) -> None:
        super().__init__()
        self._name, self._order = name, order

    async def publish(self, messages: Sequence[Message]) -> None:
        self._order.append(self._name)
        await super().publish(messages)


async def test_damaged_events_of_a_deleted_topic_leave_no_counts(publishing: Publishing) -> None:
    store = publishing.store
    arn = await topic_of(store, "t")
    for key, row in await store.rows():
        if key.startswith(EVENT):
            await store.meta.commit([Put(key, row[:-1] + bytes([row[-1] ^ 1]))])
    await sns(store.alice, "DeleteTopic", {"TopicArn": arn})
    await publishing.until_empty()
    assert await counts_left(store) == []


async def test_topic_that_is_deleted_leaves_no_counts(publishing: Publishing) -> None:
    arn = await topic_of(publishing.store, "t")
    await publishing.until_empty()
    await sns(publishing.store.alice, "DeleteTopic", {"TopicArn": arn})
    assert await counts_left(publishing.store) == []


async def test_topic_that_is_deleted_while_it_is_published_to_leaves_no_counts(
    publishing: Publishing,
) -> None:
    sink = publishing.sinks["t"] = _Slow()
    arn = await topic_of(publishing.store, "t")
    await publishing.outbox.step()
    async with asyncio.timeout(WAIT_S):
        await sink.is_asked.wait()
    await sns(publishing.store.alice, "DeleteTopic", {"TopicArn": arn})
    sink.may_end.set()
    await publishing.until_empty()

    async def is_forgotten() -> bool:
        return not (await publishing.outbox.step()).topics

    await publishing.until(is_forgotten)
    assert len(sink.messages) == 1
    assert await counts_left(publishing.store) == []


class _Slow(MemorySink):
    """Takes messages once it may."""

    def __init__(self) -> None:
        super().__init__()
        self.is_asked, self.may_end = asyncio.Event(), asyncio.Event()

    async def publish(self, messages: Sequence[Message]) -> None:
        self.is_asked.set()
        await self.may_end.wait()
        await super().publish(messages)


async def counts_left(store: Store) -> list[bytes]:
    names = tuple(name.encode() for name in TOPIC_COUNTERS)
    rows = await store.rows()
    return [key for key, _ in rows if key.startswith(COUNTER) and key[9:] in names]
