"""Commands for topics and the outbox; they work whether the server runs or not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from s3server.admin.output import (
    ConfigFile,
    Directory,
    Json,
    emit,
    settings_file,
    table,
    utc_ms,
)

if TYPE_CHECKING:
    from s3server.core.records import TopicRecord
    from s3server.publishing import EventsAccess

T = TypeVar("T")

topics = typer.Typer(no_args_is_help=True)
events = typer.Typer(no_args_is_help=True)

Arn = Annotated[str, typer.Argument(metavar="ARN", help="ARN of the topic.")]
_TOPIC_COLUMNS = ("arn", "endpoint", "persistent", "backlog")
_STATUS_COLUMNS = (
    "arn", "backlog", "oldest_s", "published", "failed", "dropped", "refused", "state", "error",
)  # fmt: skip


@topics.command("list")
def list_topics(
    *, config: ConfigFile = None, directory: Directory = None, as_json: Json = False
) -> None:
    """List the topics of all accounts."""

    from s3server.core.topics import all_topics  # noqa: PLC0415 (slow to load)

    async def work(access: EventsAccess) -> list[dict[str, Any]]:
        return [await _topic_row(access, topic) for topic in await all_topics(access.topics)]

    rows = _run(work, config, directory)
    emit(rows, as_json=as_json, text=table(rows, _TOPIC_COLUMNS))


@topics.command("show")
def show_topic(
    arn: Arn, *, config: ConfigFile = None, directory: Directory = None, as_json: Json = False
) -> None:
    """Show a topic with its attributes; secrets are masked."""

    async def work(access: EventsAccess) -> dict[str, Any]:
        topic = await access.topics.get(arn)
        return {**await _topic_row(access, topic), "attributes": dict(topic.attributes)}

    row = _run(work, config, directory)
    lines = [f"{name:24} {value}" for name, value in sorted(row["attributes"].items())]
    emit(row, as_json=as_json, text="\n".join([table([row], _TOPIC_COLUMNS), "", *lines]))


@topics.command("test")
def try_topic(
    arn: Arn, *, config: ConfigFile = None, directory: Directory = None, as_json: Json = False
) -> None:
    """Publish a test event to a topic at once, past the outbox; fail where that fails."""
    from s3server.publishing import publish_test  # noqa: PLC0415 (slow to load)
    from s3server.settings import load  # noqa: PLC0415

    asyncio.run(publish_test(load(settings_file(config, directory)), arn))
    emit({"arn": arn, "published": True}, as_json=as_json, text=f"{arn}: the endpoint took it")


@events.command("status")
def status(
    *, config: ConfigFile = None, directory: Directory = None, as_json: Json = False
) -> None:
    """Show what waits for each topic, and how publishing goes."""

    from s3server.core.topics import all_topics  # noqa: PLC0415 (slow to load)

    async def work(access: EventsAccess) -> list[dict[str, Any]]:
        return [await _status_row(access, topic) for topic in await all_topics(access.topics)]

    rows = _run(work, config, directory)
    emit(rows, as_json=as_json, text=table(rows, _STATUS_COLUMNS))


@events.command("metrics")
def metrics(*, config: ConfigFile = None, directory: Directory = None) -> None:
    """Print the same for Prometheus: for the text files that its node exporter collects."""

    from s3server.metrics.events import render_events  # noqa: PLC0415 (slow to load)

    async def work(access: EventsAccess) -> bytes:
        return await render_events(access.topics, access.notifications)

    typer.echo(_run(work, config, directory), nl=False)


@events.command("replay")
def replay(
    *,
    bucket: Annotated[str, typer.Option(help="Name of the bucket.")],
    since: Annotated[datetime, typer.Option(help="Objects stored since then, in UTC.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Publish the creation of a bucket's objects once more, for a consumer that lost events."""
    from s3server.core.notifications import Cause  # noqa: PLC0415 (slow to load)

    since_ms = utc_ms(since)

    async def work(access: EventsAccess) -> int:
        found = await access.buckets.get(bucket)
        cause = Cause("ObjectCreated:Put", "replay")
        return await access.notifications.replay(found, since_ms, cause, dry_run=dry_run)

    count = _run(work, config, directory)
    row = {"bucket": bucket, "events": count, "dry_run": dry_run}
    emit(row, as_json=as_json, text=f"{count} events{' would be' if dry_run else ''} published")


async def _topic_row(access: EventsAccess, topic: TopicRecord) -> dict[str, Any]:
    attributes = dict(topic.attributes)
    return {
        "arn": access.topics.arn(topic),
        "owner": topic.owner,
        "created": datetime.fromtimestamp(topic.created_ms / 1000, UTC).isoformat(),
        "endpoint": attributes["push-endpoint"],
        "persistent": attributes.get("persistent") == "true",
        "backlog": (await access.notifications.counters(topic))["backlog"],
    }


async def _status_row(access: EventsAccess, topic: TopicRecord) -> dict[str, Any]:
    standing = await access.notifications.standing(topic)
    return {
        "arn": access.topics.arn(topic),
        **await access.notifications.counters(topic),
        "oldest_s": standing.oldest_s,
        "state": "failing" if standing.status.failing_since_ms else "ok",
        "attempts": standing.status.attempts,
        "error": standing.status.error,
    }


def _run(
    work: Callable[[EventsAccess], Awaitable[T]], config: Path | None, directory: Path | None
) -> T:
    from s3server.publishing import open_events  # noqa: PLC0415 (slow to load)
    from s3server.settings import load  # noqa: PLC0415

    settings = load(settings_file(config, directory))

    async def main() -> T:
        async with open_events(settings) as access:
            return await work(access)

    return asyncio.run(main())
