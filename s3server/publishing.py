"""Puts the parts of publishing together: topics, the outbox, and its sinks."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from s3server.auth.secrets import SecretBox
from s3server.cluster.seed import cluster_id
from s3server.config import Config
from s3server.core.buckets import Buckets
from s3server.core.clock import Clock, Ids, SystemClock
from s3server.core.event_payload import make_message
from s3server.core.notifications import MayPublish, Notifications
from s3server.core.record_parts import NotificationRule
from s3server.core.records import BucketRecord, EventRecord, TopicRecord
from s3server.core.topics import Topics
from s3server.door import may_publish
from s3server.errors import InvalidParameter
from s3server.events.base import EventSink, PublishError
from s3server.events.bell import Bell
from s3server.events.endpoints import AllowList
from s3server.events.sinks import make_sink
from s3server.jobs.outbox import LOOK_S, Outbox
from s3server.meta.lmdb import LmdbStore
from s3server.metadata import open_metadata
from s3server.parts import make_buckets, open_box


@dataclass(frozen=True, slots=True)
class EventsAccess:
    """What an operator's commands on events work with."""

    meta: LmdbStore
    topics: Topics
    notifications: Notifications
    buckets: Buckets


async def publish_test(config: Config, arn: str) -> None:
    """Publish a test event to a topic, past the outbox. Raises NotFound, PublishError."""
    clock, meta = SystemClock(), await open_metadata(config)
    try:
        topics = make_topics(config, meta, clock, Ids(clock), open_box(config))
        topic = await topics.get(arn)
        event = EventRecord(
            topic=arn, rule="", bucket="", bucket_owner="", key="", name="TestEvent",
            at_ms=clock.now_ms(), principal="operator",
        )  # fmt: skip
        message = make_message(
            event, os.urandom(12), topic, region=config.server.region, host_id=""
        )
        sink = make_sink(*topics.destination(topic))
        try:
            await sink.publish([message])
        finally:
            await sink.close()
    finally:
        await meta.close()


@asynccontextmanager
async def open_events(config: Config) -> AsyncIterator[EventsAccess]:
    """Give access to topics and the outbox, whether the server runs or not."""
    clock, meta = SystemClock(), await open_metadata(config)
    ids = Ids(clock)
    try:
        yield EventsAccess(
            meta,
            make_topics(config, meta, clock, ids, open_box(config)),
            make_notifications(config, meta, clock),
            make_buckets(config, meta, clock, ids),
        )
    finally:
        await meta.close()


def make_topics(
    config: Config, meta: LmdbStore, clock: SystemClock, ids: Ids, box: SecretBox
) -> Topics:
    return Topics(
        meta,
        clock=clock,
        ids=ids,
        sealer=box,
        region=config.server.region,
        allowed=AllowList(config.events.endpoints),
        ca_directory=config.events.ca_directory,
    )


def make_notifications(config: Config, meta: LmdbStore, clock: SystemClock) -> Notifications:
    return Notifications(
        meta,
        clock=clock,
        backlog_limit=config.events.backlog_limit,
        blocks_when_full=config.events.when_full == "block",
        may_publish=publishing_rights(clock),
    )


def publishing_rights(clock: Clock) -> MayPublish:
    """Return what `Notifications` asks about policies of topics."""

    def may(bucket: BucketRecord, rule: NotificationRule, topic: TopicRecord) -> bool:
        return may_publish(bucket, rule, topic, clock.now_ms())

    return may


async def make_outbox(
    config: Config, meta: LmdbStore, clock: SystemClock, box: SecretBox, bell: Bell
) -> Outbox:
    """Return the publisher, which the bell wakes from now on."""
    topics = make_topics(config, meta, clock, Ids(clock), box)
    region, host_id = config.server.region, await cluster_id(meta)

    def open_sink(topic: TopicRecord) -> EventSink:
        try:
            return make_sink(*topics.destination(topic))
        except InvalidParameter as error:
            raise PublishError(error.message) from None

    outbox = Outbox(
        meta,
        clock=clock,
        open_sink=open_sink,
        render=partial(make_message, region=region, host_id=host_id),
        backlog_limit=config.events.backlog_limit,
        drops_oldest=config.events.when_full == "drop-oldest",
    )
    if bell.listen(outbox.wake):
        outbox.look_s = LOOK_S
    return outbox
