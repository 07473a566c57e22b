"""Announces what becomes of projects: once for each change of state, in the log and as an event.

The state itself follows from the dates (`core.projects`); nothing depends on this job. The event,
for the topic that the settings name, is put into the outbox by the commit that notes the state: it
is neither lost nor made twice, whatever dies in between.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from s3server.core import records
from s3server.core.clock import Clock
from s3server.core.event_payload import PROJECT_EVENT
from s3server.core.project_records import ProjectRecord, announced_key
from s3server.core.projects import DAY_MS, Projects
from s3server.core.records import EventRecord, TopicRecord, encode
from s3server.core.topics import Topics
from s3server.errors import S3Error
from s3server.meta.base import (
    Add,
    Append,
    Delete,
    MetadataStore,
    Put,
    Unchanged,
    Write,
    after_prefix,
    pages_of,
)

_log = structlog.get_logger("projects")


@dataclass(frozen=True, slots=True)
class Announced:
    """What one step did."""

    projects: int = 0
    has_more: bool = False


class Notices:
    """Tells what state a project has come to; `topic` is an ARN, "" for none."""

    name = "project-notices"
    pause_s = 60.0

    def __init__(
        self,
        meta: MetadataStore,
        projects: Projects,
        topics: Topics,
        *,
        clock: Clock,
        topic: str = "",
    ) -> None:
        self._meta, self._projects, self._topics = meta, projects, topics
        self._clock, self._arn = clock, topic

    async def step(self) -> Announced:
        """Look at all projects."""
        topic = await self._topic()
        if self._arn and topic is None:
            return Announced()  # told as soon as there is somebody to tell
        count, known = 0, set[bytes]()
        for project in await self._projects.list_projects():
            key, state = announced_key(project.id), self._projects.state(project)
            known.add(key)
            before = await self._meta.get(key)
            if before == state.encode() or (before is None and state == "active"):
                continue
            told = [] if topic is None else self._event(topic, project, state)
            await self._meta.commit([Put(key, state.encode()), *told], [Unchanged(key, before)])
            _log.warning(
                "project changed its state",
                project=project.name,
                owner=project.owner,
                state=state,
                days_left=self._days_left(project),
            )
            count += 1
        await self._forget(known)
        return Announced(count)

    async def _topic(self) -> TopicRecord | None:
        if not self._arn:
            return None
        try:
            return await self._topics.get(self._arn)
        except S3Error as error:
            _log.warning("changes of projects cannot be told", topic=self._arn, reason=str(error))
            return None

    def _event(self, topic: TopicRecord, project: ProjectRecord, state: str) -> list[Write]:
        days = self._days_left(project)
        told = {
            "id": project.id,
            "owner": project.owner,
            "state": state,
            "endMs": str(project.end_ms),
            "daysLeft": "" if days is None else str(days),
        }
        event = EventRecord(
            topic=self._arn,
            rule="",
            bucket="",
            bucket_owner="",
            key=project.name,
            name=f"{PROJECT_EVENT}:{state}",
            at_ms=self._clock.now_ms(),
            principal="",
            metadata=tuple(told.items()),
        )
        return [
            Append(records.event_prefix(topic.id), encode(event)),
            Add(records.counter_key(topic.id, "backlog"), 1),
        ]

    def _days_left(self, project: ProjectRecord) -> int | None:
        left_ms = project.end_ms - self._clock.now_ms()
        return max(0, -(-left_ms // DAY_MS)) if project.end_ms else None

    async def _forget(self, known: set[bytes]) -> None:
        """Forget projects that are gone."""
        prefix = announced_key("")
        async for page in pages_of(self._meta, prefix, after_prefix(prefix)):
            gone: list[Write] = [Delete(key) for key, _ in page if key not in known]
            if gone:
                await self._meta.commit(gone)
