"""Which events a change causes: rows of the outbox, in the change's own commit.

An event is therefore neither lost nor invented: it is there exactly when the change is. The job
that publishes the rows (`jobs.outbox`) sends at least once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec
import re2

from s3server.core import records
from s3server.core.clock import Clock
from s3server.core.damaged import Damaged
from s3server.core.record_parts import NotificationRule
from s3server.core.records import (
    BucketRecord,
    EventRecord,
    ObjectRecord,
    TopicRecord,
    decode,
    encode,
)
from s3server.core.upkeep_records import TopicStatusRecord
from s3server.errors import SlowDown
from s3server.meta.base import Add, Append, MetadataStore, Write, after_prefix, decode_counter

WAIT_S = 5.0  # for a topic that is not persistent, as Ceph's gateway waits for its broker
_POLL_S = 0.01
_REPLAYED_AT_ONCE = 500  # objects

# What we can cause. The part behind the colon may be asked for as "*".
EVENTS = frozenset(
    {f"ObjectCreated:{way}" for way in ("Put", "Post", "Copy", "CompleteMultipartUpload")}
    | {"ObjectRemoved:Delete", "ObjectRemoved:DeleteMarkerCreated"}
    | {"LifecycleExpiration:Delete", "LifecycleExpiration:DeleteMarkerCreated"}
    | {"ObjectTagging:Put", "ObjectTagging:Delete", "ObjectAcl:Put"}
)
WILDCARDS = frozenset(event.partition(":")[0] + ":*" for event in EVENTS)


# Whether a topic lets a rule of a bucket publish to it, now.
MayPublish = Callable[[BucketRecord, NotificationRule, TopicRecord], bool]


def own_topics_only(_: BucketRecord, rule: NotificationRule, __: TopicRecord) -> bool:
    """Let those publish only who need no policy for it."""
    return rule.author.is_host


class Cause(msgspec.Struct, frozen=True):
    """Why something changes: the event, and who asked for it."""

    event: str  # one of EVENTS
    principal: str = ""
    request_id: str = ""
    source_ip: str = ""


@dataclass(slots=True)
class Caused:
    """What a plan adds for the events of its change."""

    writes: list[Write] = field(default_factory=list)
    after: list[Callable[[int], Awaitable[None]]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Standing:
    """How publishing to a topic goes, and for how long its oldest event has waited."""

    status: TopicStatusRecord
    oldest_s: float


class Notifications:
    """Events of one store's buckets."""

    def __init__(
        self,
        meta: MetadataStore,
        *,
        clock: Clock,
        backlog_limit: int = 1_000_000,
        blocks_when_full: bool = True,
        may_publish: MayPublish = own_topics_only,
    ) -> None:
        self._meta, self._clock, self.may_publish = meta, clock, may_publish
        self._limit, self._blocks = backlog_limit, blocks_when_full
        self._damaged = Damaged("events")

    async def of(
        self, bucket: BucketRecord, cause: Cause | None, key: str, record: ObjectRecord
    ) -> Caused:
        """Return what a change of a version adds to its commit.

        A topic's policy is asked with every event: what its owner has taken back is counted, and
        not published; nor is what goes to a topic that cannot be read. Raises SlowDown where a
        topic's backlog is full and the operator has chosen to block.
        """
        caused = Caused()
        if cause is None or not bucket.notifications:
            return caused
        for rule in bucket.notifications:
            if not matches(rule, cause.event, key, record):
                continue
            topic = await self._topic(rule, caused)
            if topic is None:
                continue
            if not self.may_publish(bucket, rule, topic):
                caused.writes.append(Add(records.counter_key(topic.id, "refused"), 1))
                continue
            await self._check_room(topic)
            self._add(caused, topic, self._event(bucket, rule, cause, key, record))
        return caused

    async def test(
        self, bucket: BucketRecord, rules: Sequence[NotificationRule], cause: Cause
    ) -> list[Write]:
        """Return the test event that each topic of a new configuration is sent."""
        caused = Caused()
        empty = ObjectRecord(sequence=0, size=0, etag="", modified_ms=0, owner="")
        for rule in {rule.topic: rule for rule in rules}.values():
            topic = await self._topic(rule, caused)
            if topic is not None:
                self._add(caused, topic, self._event(bucket, rule, cause, "", empty))
        return caused.writes

    async def replay(
        self, bucket: BucketRecord, since_ms: int, cause: Cause, *, dry_run: bool
    ) -> int:
        """Cause the event once more for every object stored since a time; return how many events.

        For a consumer that lost what it had been told; consumers see a new event id.
        """
        table = records.OBJECT + bucket.id
        position, stop, count = table, after_prefix(table), 0
        while rows := await self._meta.scan(position, stop, limit=_REPLAYED_AT_ONCE):
            writes: list[Write] = []
            for key, row in rows:
                record = decode(ObjectRecord, row)
                if record.modified_ms >= since_ms:
                    caused = await self.of(bucket, cause, key[len(table) :].decode(), record)
                    writes += caused.writes
            count += sum(isinstance(write, Append) for write in writes)
            if writes and not dry_run:
                await self._meta.commit(writes)
            position = rows[-1][0] + b"\0"
        return count

    async def counters(self, topic: TopicRecord) -> dict[str, int]:
        """Return how many events wait, were published and were given up."""
        names = records.TOPIC_COUNTERS
        rows = await self._meta.get_many([records.counter_key(topic.id, name) for name in names])
        return {name: decode_counter(row) for name, row in zip(names, rows, strict=True)}

    async def standing(self, topic: TopicRecord) -> Standing:
        """Return how publishing to a topic goes."""
        prefix = records.event_prefix(topic.id)
        rows = await self._meta.scan(prefix, after_prefix(prefix), limit=1)
        oldest_s = 0.0
        for event in self._damaged.readable(EventRecord, rows):  # the outbox sets others aside
            oldest_s = (self._clock.now_ms() - event.at_ms) / 1000
        row = await self._meta.get(records.topic_status_key(topic.id))
        status = TopicStatusRecord() if row is None else decode(TopicStatusRecord, row)
        return Standing(status, max(oldest_s, 0.0))

    async def _topic(self, rule: NotificationRule, caused: Caused) -> TopicRecord | None:
        """Return the topic of a rule; None where it was deleted since.

        None, too, where it cannot be read: the event counts as dropped, and the change goes on.
        """
        key = records.topic_key(*rule.topic.split(":")[4:])
        row = await self._meta.get(key)
        topic = None if row is None else self._damaged.read(TopicRecord, key, row)
        if row is not None and topic is None:
            caused.writes.append(Add(records.counter_key(rule.topic_id, "dropped"), 1))
        return topic if topic is not None and topic.id == rule.topic_id else None

    async def _check_room(self, topic: TopicRecord) -> None:
        if not self._blocks:
            return
        backlog = decode_counter(await self._meta.get(records.counter_key(topic.id, "backlog")))
        if backlog >= self._limit:
            raise SlowDown(
                f"{backlog} events wait for the topic {topic.name}; try again once it has taken "
                "them.",
                headers={"retry-after": "5"},
            )

    def _add(self, caused: Caused, topic: TopicRecord, event: EventRecord) -> None:
        caused.writes += (
            Append(records.event_prefix(topic.id), encode(event)),
            Add(records.counter_key(topic.id, "backlog"), 1),
        )
        attributes = dict(topic.attributes)
        is_waited_for = attributes.get("persistent", "false") == "false"
        if is_waited_for and attributes.get("amqp-ack-level") != "none":
            caused.after.append(lambda sequence: self._wait(topic.id, sequence))

    async def _wait(self, topic_id: bytes, sequence: int) -> None:
        """Wait until a commit's events are published, or for WAIT_S: then they follow later."""
        prefix = records.event_prefix(topic_id) + sequence.to_bytes(8, "big")
        loop = asyncio.get_running_loop()
        deadline = loop.time() + WAIT_S
        while loop.time() < deadline:
            if not await self._meta.scan(prefix, after_prefix(prefix), limit=1):
                return
            await asyncio.sleep(_POLL_S)

    def _event(
        self,
        bucket: BucketRecord,
        rule: NotificationRule,
        cause: Cause,
        key: str,
        record: ObjectRecord,
    ) -> EventRecord:
        return EventRecord(
            topic=rule.topic,
            rule=rule.id,
            bucket=bucket.name,
            bucket_owner=bucket.owner,
            key=key,
            name=cause.event,
            at_ms=max(self._clock.now_ms(), record.modified_ms),
            principal=cause.principal,
            size=record.size,
            etag=record.etag,
            version_id=record.version_id or ("null" if bucket.versioning else ""),
            request_id=cause.request_id,
            source_ip=cause.source_ip,
            metadata=record.metadata,
            tags=record.tags,
        )


def compile_regex(pattern: str) -> Any:
    """Return a pattern that is matched in time linear in the key (RE2). Raises ValueError."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise ValueError(str(error)) from error


def matches(rule: NotificationRule, event: str, key: str, record: ObjectRecord) -> bool:
    """Tell whether an event of a key is one that the rule asks for."""
    if event not in rule.events and _wildcard(event) not in rule.events:
        return False
    if not (key.startswith(rule.prefix) and key.endswith(rule.suffix)):
        return False
    if rule.regex and not _compiled(rule.regex).fullmatch(key):
        return False
    return _has(record.metadata, rule.metadata) and _has(record.tags, rule.tags)


def overlap(one: NotificationRule, other: NotificationRule) -> bool:
    """Tell whether two rules would tell one topic the same event.

    Prefixes, suffixes and events decide that, as on AWS. Rules for two topics never overlap: a
    topic has one endpoint here, and Ceph's gateway too sends an event to all that ask for it. Nor
    do rules by regex, metadata or tags, which AWS lacks: what objects will have is not known.
    """
    if one.topic != other.topic or any(r.regex or r.metadata or r.tags for r in (one, other)):
        return False
    return (
        not _named(one).isdisjoint(_named(other))
        and (one.prefix.startswith(other.prefix) or other.prefix.startswith(one.prefix))
        and (one.suffix.endswith(other.suffix) or other.suffix.endswith(one.suffix))
    )


def _named(rule: NotificationRule) -> set[str]:
    """Return the events that a rule asks for, wildcards as those that they stand for."""
    return {event for event in EVENTS if event in rule.events or _wildcard(event) in rule.events}


def _wildcard(event: str) -> str:
    return event.partition(":")[0] + ":*"


def _has(found: Sequence[tuple[str, str]], wanted: Sequence[tuple[str, str]]) -> bool:
    return not wanted or set(wanted) <= set(found)


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    return compile_regex(pattern)
