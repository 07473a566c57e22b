"""Publishes the outbox: per topic in commit order, at least once, each topic by itself.

A step only looks which topics have events and sees that a task delivers each of them, so that a
broker that does not answer delays neither other topics nor other jobs. A row is removed once its
message is safe with the broker; where a crash comes between, it is sent again with the same id.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field

import structlog

from s3server.core import records
from s3server.core.clock import Clock
from s3server.core.records import EventRecord, TopicRecord, decode, encode
from s3server.core.topics import standing_keys
from s3server.core.upkeep_records import TopicStatusRecord
from s3server.events.base import EventSink, Message, PublishError
from s3server.jobs.set_aside import is_sound, write_aside
from s3server.meta.base import (
    Add,
    ConflictError,
    CorruptRecordError,
    Delete,
    MetadataStore,
    Put,
    Row,
    Unchanged,
    Write,
    after_prefix,
    decode_counter,
)

BATCH = 500  # events of one publish()
MAX_TOPICS = 64  # delivered at once
LOOK_S = 1.0  # between looks for topics that have events, where wake() tells of new ones
POLL_S = 0.02  # and where nothing does
LEASE_S = 15.0  # for which a step lets deliveries go on
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 30.0
_ID = slice(1, 9)  # of the topic, in the key of an event

OpenSink = Callable[[TopicRecord], EventSink]  # raises PublishError where it cannot
# of an event, what its row's key ends with, and its topic
Render = Callable[[EventRecord, bytes, TopicRecord], Message]


@dataclass(frozen=True, slots=True)
class Stepped:
    """What a step did: how many topics have events."""

    topics: int = 0
    has_more: bool = False


@dataclass(slots=True)
class _Delivery:
    """What is remembered of a topic between batches."""

    topic: TopicRecord | None = None
    sink: EventSink | None = None
    attempts: int = 0  # that failed in a row
    not_before: float = 0.0  # loop time
    status: TopicStatusRecord = field(default_factory=TopicStatusRecord)
    task: asyncio.Task[None] | None = None

    @property
    def is_busy(self) -> bool:
        return self.task is not None and not self.task.done()


class Outbox:
    """The publisher of one store."""

    name = "outbox"
    pause_s = 1.0

    def __init__(
        self,
        meta: MetadataStore,
        *,
        clock: Clock,
        open_sink: OpenSink,
        render: Render,
        backlog_limit: int,
        drops_oldest: bool,
    ) -> None:
        self._meta, self._clock = meta, clock
        self._open_sink, self._render = open_sink, render
        self._limit, self._drops = backlog_limit, drops_oldest
        self._deliveries: dict[bytes, _Delivery] = {}
        self.look_s = POLL_S  # LOOK_S where wake() is called with each commit of events
        self._woken = asyncio.Event()
        self._until = 0.0
        self._last = b""  # topic that was started; none: what follows it begins at the first one
        self._some_wait = False  # topics for which there was no place
        self._pump: asyncio.Task[None] | None = None
        self._log = structlog.get_logger("outbox")

    async def step(self) -> Stepped:
        """Let deliveries go on for a while; start them where they do not run."""
        self._until = asyncio.get_running_loop().time() + LEASE_S
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._run())
        await self._leave_deleted()  # last: a fault of one topic's stops no publishing
        return Stepped(topics=len(self._deliveries))

    def wake(self) -> None:
        """Look for events now."""
        self._woken.set()

    async def close(self) -> None:
        """Stop delivering; what was being sent may be sent again."""
        tasks = [self._pump, *(each.task for each in self._deliveries.values())]
        running = [task for task in tasks if task is not None]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for each in self._deliveries.values():
            if each.sink is not None:
                await each.sink.close()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < self._until:
            self._woken.clear()  # before the look: what comes during it is looked for again
            rest_s = await self._look()
            with suppress(TimeoutError):
                async with asyncio.timeout(rest_s):
                    await self._woken.wait()

    async def _look(self) -> float:
        """Start what can be delivered; return for how long to rest at most."""
        loop, rest_s, some_wait = asyncio.get_running_loop(), self.look_s, False
        free = MAX_TOPICS - sum(each.is_busy for each in self._deliveries.values())
        async with aclosing(self._topics_with_events()) as topics:
            async for topic_id in topics:
                delivery = self._deliveries.setdefault(topic_id, _Delivery())
                if delivery.is_busy:
                    continue  # its end wakes us
                put_off_s = delivery.not_before - loop.time()
                if put_off_s > 0:
                    rest_s = min(rest_s, put_off_s)
                    continue
                if not free:
                    some_wait = True  # until one of those ends
                    break
                free -= 1
                self._last = topic_id
                delivery.task = asyncio.create_task(self._deliver(topic_id, delivery))
                delivery.task.add_done_callback(lambda _: self.wake())
        self._some_wait = some_wait
        return rest_s

    async def _leave_deleted(self) -> None:
        """Forget topics that have been deleted, and close what published to them."""
        now = asyncio.get_running_loop().time()
        for topic_id, delivery in list(self._deliveries.items()):
            if delivery.is_busy or delivery.not_before > now:
                continue
            is_there = await self._is_there(delivery.topic)
            if not is_there and not delivery.is_busy:
                del self._deliveries[topic_id]
                if delivery.sink is not None:
                    await delivery.sink.close()
                if delivery.topic is not None:  # what was on its way then was counted since
                    await self._meta.commit([Delete(key) for key in standing_keys(topic_id)])

    async def _is_there(self, topic: TopicRecord | None) -> bool:
        if topic is None:
            return False
        try:
            return await self._topic(topic.id, topic.account, topic.name) is not None
        except CorruptRecordError:
            return True  # for all that is known

    async def _topics_with_events(self) -> AsyncGenerator[bytes, None]:
        """Seek from topic to topic, once around from the one that was started last."""
        start, stop = after_prefix(records.event_prefix(self._last)), after_prefix(records.EVENT)
        for first, end in ((start, stop), (records.EVENT, start)):
            position = first
            while rows := await self._meta.scan(position, end, limit=1):
                topic_id = rows[0][0][_ID]
                position = after_prefix(records.event_prefix(topic_id))
                yield topic_id

    async def _deliver(self, topic_id: bytes, delivery: _Delivery) -> None:
        """Publish batches until nothing is left, something fails, or others wait for a turn."""
        loop = asyncio.get_running_loop()
        try:
            while loop.time() < self._until and await self._deliver_batch(topic_id, delivery):
                if self._some_wait:
                    break  # it is their turn
        except Exception:  # a fault of ours in one topic is none of the others'
            self._log.exception("delivery failed", topic=topic_id.hex())
            delivery.not_before = loop.time() + _LONGEST_PAUSE_S

    async def _deliver_batch(self, topic_id: bytes, delivery: _Delivery) -> bool:
        """Publish the next events of a topic; tell whether to go on at once."""
        prefix = records.event_prefix(topic_id)
        rows = await self._meta.scan(prefix, after_prefix(prefix), limit=BATCH)
        if not rows:
            return False
        try:
            events = [(key[len(prefix) :], decode(EventRecord, row)) for key, row in rows]
        except CorruptRecordError:
            await self._set_aside(topic_id, rows)
            return True
        topic = await self._topic(topic_id, *events[0][1].topic.split(":")[4:])
        if topic is None:
            await self._settle(topic_id, rows, counter="")
            return True
        if delivery.topic != topic:  # new, or its attributes were changed
            if delivery.sink is not None:
                await delivery.sink.close()
            delivery.sink, delivery.topic = None, topic
        attributes = dict(topic.attributes)
        times = [event.at_ms for _, event in events]
        stale = await self._stale(topic_id, times, attributes, delivery)
        if stale:
            await self._settle(topic_id, rows[:stale], counter="dropped")
            return True
        messages = [self._render(event, sequence, topic) for sequence, event in events]
        try:
            delivery.sink = delivery.sink or self._open_sink(topic)
            await delivery.sink.publish(messages)
        except PublishError as error:
            await self._settle(topic_id, rows[: error.done], counter="published")
            await self._put_off(topic, delivery, str(error), attributes, moved=error.done > 0)
            return False
        await self._settle(topic_id, rows, counter="published")
        await self._went_well(topic, delivery)
        return True

    async def _topic(self, topic_id: bytes, account: str, name: str) -> TopicRecord | None:
        found = await self._meta.get(records.topic_key(account, name))
        topic = None if found is None else decode(TopicRecord, found)
        return topic if topic is not None and topic.id == topic_id else None

    async def _stale(
        self, topic_id: bytes, times: list[int], attributes: dict[str, str], delivery: _Delivery
    ) -> int:
        """Return how many events of these times are to be given up.

        They are too old, too many, or were tried too often.
        """
        count = 0
        if (ttl := attributes.get("time_to_live", "None")) != "None":
            oldest = self._clock.now_ms() - int(ttl) * 1000
            while count < len(times) and times[count] < oldest:
                count += 1
        if self._drops:
            backlog = await self._meta.get(records.counter_key(topic_id, "backlog"))
            count = max(count, min(decode_counter(backlog) - self._limit, len(times)))
        retries = attributes.get("max_retries", "None")
        if retries != "None" and delivery.attempts > int(retries):
            delivery.attempts = 0
            count = max(count, 1)
        return count

    async def _settle(
        self, topic_id: bytes, rows: list[Row], *, counter: str, also: Sequence[Write] = ()
    ) -> None:
        """Remove rows from the outbox and count them, and write `also`."""
        if not rows:
            return
        writes: list[Write] = [*also, *(Delete(key) for key, _ in rows)]
        if counter:
            writes.append(Add(records.counter_key(topic_id, "backlog"), -len(rows)))
            writes.append(Add(records.counter_key(topic_id, counter), len(rows)))
        else:  # the topic is gone, and with it its counts
            writes += [Delete(key) for key in standing_keys(topic_id)]
        with suppress(ConflictError):  # a second publisher was faster: it has counted them
            await self._meta.commit(writes, [Unchanged(*rows[0]), Unchanged(*rows[-1])])

    async def _set_aside(self, topic_id: bytes, rows: list[Row]) -> None:
        """Keep rows that cannot be read where they hold nobody up."""
        # They do not tell their topic's name. Its backlog counts them, and is deleted with it.
        backlog = await self._meta.get(records.counter_key(topic_id, "backlog"))
        counter = "" if backlog is None else "dropped"
        for row in rows:
            if is_sound(EventRecord, row[1]):
                continue
            self._log.error(
                "event row is damaged and set aside", key=row[0].hex(), row=row[1].hex()
            )
            await self._settle(topic_id, [row], counter=counter, also=[write_aside(*row)])

    async def _put_off(
        self,
        topic: TopicRecord,
        delivery: _Delivery,
        error: str,
        attributes: dict[str, str],
        *,
        moved: bool,
    ) -> None:
        delivery.attempts = 1 if moved else delivery.attempts + 1
        pause = min(_FIRST_PAUSE_S * 2 ** min(delivery.attempts, 16), _LONGEST_PAUSE_S)
        if (asked := attributes.get("retry_sleep_duration", "None")) != "None":
            pause = float(asked)
        delivery.not_before = asyncio.get_running_loop().time() + pause
        status = delivery.status
        if not status.failing_since_ms or status.error != error:
            self._log.warning("topic cannot be published to", topic=topic.name, reason=error)
        await self._tell(
            topic,
            delivery,
            TopicStatusRecord(
                failing_since_ms=status.failing_since_ms or self._clock.now_ms(),
                attempts=delivery.attempts,
                error=error,
                published_ms=status.published_ms,
            ),
        )

    async def _went_well(self, topic: TopicRecord, delivery: _Delivery) -> None:
        now, before = self._clock.now_ms(), delivery.status
        delivery.attempts = 0
        if before.failing_since_ms or now - before.published_ms > 1_000:  # not with every batch
            await self._tell(topic, delivery, TopicStatusRecord(published_ms=now))

    async def _tell(
        self, topic: TopicRecord, delivery: _Delivery, status: TopicStatusRecord
    ) -> None:
        delivery.status = status
        writes: list[Write] = [Put(records.topic_status_key(topic.id), encode(status))]
        if status.error:
            writes.append(Add(records.counter_key(topic.id, "failed"), 1))
        await self._meta.commit(writes)
