"""`python -m bench.outbox --amqp URL`: how fast a backlog of events goes to a real broker.

Fills the outbox of a store in a temporary directory, lets the publisher drain it with confirms
(ack level "broker"), and prints events per second as JSON. The exchange is declared here, with a
queue behind it, and both are removed afterwards. In process: imports the server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from functools import partial
from pathlib import Path

import pika

from s3server.auth.secrets import SecretBox
from s3server.core.clock import Ids, SystemClock
from s3server.core.event_payload import make_message
from s3server.core.projects import DEFAULT_ACCOUNT
from s3server.core.records import EventRecord, counter_key, encode, event_prefix
from s3server.core.topics import Topics
from s3server.events.endpoints import AllowList
from s3server.events.sinks import make_sink
from s3server.jobs.outbox import Outbox
from s3server.meta.base import Add, Append, after_prefix
from s3server.meta.lmdb import LmdbStore
from s3server.model import Principal

NAME = "bench-outbox"
_ROWS_PER_COMMIT = 1_000


async def measure(amqp: str, count: int, directory: Path) -> dict[str, float]:
    """Return how long filling and draining took."""
    clock = SystemClock()
    meta = LmdbStore.open(directory / "meta", map_size=4 << 30)
    topics = Topics(
        meta,
        clock=clock,
        ids=Ids(clock),
        sealer=SecretBox(b"k" * 32),
        region="bench",
        allowed=AllowList(["*:*"]),
        ca_directory="/",
    )
    attributes = {"push-endpoint": amqp, "amqp-exchange": NAME, "persistent": "true"}
    root = Principal("root", "0" * 64, "root", DEFAULT_ACCOUNT)
    topic = await topics.create(root, NAME, attributes, lambda _: None)
    for first in range(0, count, _ROWS_PER_COMMIT):
        events = [
            EventRecord(
                topic=topics.arn(topic), rule="r", bucket="bench", bucket_owner="0" * 64,
                key=f"scenes/{number:08}.tif", name="ObjectCreated:Put", at_ms=clock.now_ms(),
                principal="0" * 64, size=4_096, etag="0" * 32,
            )
            for number in range(first, min(first + _ROWS_PER_COMMIT, count))
        ]  # fmt: skip
        rows = [Append(event_prefix(topic.id), encode(event)) for event in events]
        await meta.commit([*rows, Add(counter_key(topic.id, "backlog"), len(rows))])
    outbox = Outbox(
        meta,
        clock=clock,
        open_sink=lambda found: make_sink(*topics.destination(found)),
        render=partial(make_message, region="bench", host_id=""),
        backlog_limit=count,
        drops_oldest=False,
    )
    began = time.perf_counter()
    prefix = event_prefix(topic.id)
    while await meta.scan(prefix, after_prefix(prefix), limit=1):
        await outbox.step()
        await asyncio.sleep(0.01)
    seconds = time.perf_counter() - began
    await outbox.close()
    await meta.close()
    return {"events": count, "seconds": round(seconds, 2), "per_s": round(count / seconds)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--amqp", required=True, metavar="URL")
    parser.add_argument("--events", type=int, default=100_000)
    arguments = parser.parse_args()
    connection = pika.BlockingConnection(pika.URLParameters(arguments.amqp))
    channel = connection.channel()
    channel.exchange_declare(NAME, "fanout", durable=True)
    channel.queue_declare(NAME, durable=True)
    channel.queue_bind(NAME, NAME)
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as name:
            result = asyncio.run(measure(arguments.amqp, arguments.events, Path(name)))
        found = channel.queue_declare(NAME, durable=True, passive=True).method.message_count
        print(json.dumps(result | {"in_queue": found}))
    finally:
        channel.queue_delete(NAME)
        channel.exchange_delete(NAME)
        connection.close()


if __name__ == "__main__":
    main()
