"""Announces what becomes of projects: an event of the log when one changes its state.

The state itself follows from the dates (`core.projects`); nothing depends on this job.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from s3server.core.clock import Clock
from s3server.core.project_records import announced_key
from s3server.core.projects import DAY_MS, Projects
from s3server.meta.base import Delete, MetadataStore, Put, Unchanged, Write, after_prefix

_log = structlog.get_logger("projects")


@dataclass(frozen=True, slots=True)
class Announced:
    """What one step did."""

    projects: int = 0
    has_more: bool = False


class Notices:
    """Says once in the log what state a project has come to."""

    name = "project-notices"
    pause_s = 60.0

    def __init__(self, meta: MetadataStore, projects: Projects, *, clock: Clock) -> None:
        self._meta, self._projects, self._clock = meta, projects, clock

    async def step(self) -> Announced:
        """Look at all projects."""
        count, known = 0, set[bytes]()
        for project in await self._projects.list_projects():
            key, state = announced_key(project.id), self._projects.state(project).encode()
            known.add(key)
            before = await self._meta.get(key)
            if before == state or (before is None and state == b"active"):
                continue
            await self._meta.commit([Put(key, state)], [Unchanged(key, before)])
            left_ms = project.end_ms - self._clock.now_ms()
            _log.warning(
                "project changed its state",
                project=project.name,
                owner=project.owner,
                state=state.decode(),
                days_left=max(0, -(-left_ms // DAY_MS)) if project.end_ms else None,
            )
            count += 1
        await self._forget(known)
        return Announced(count)

    async def _forget(self, known: set[bytes]) -> None:
        """Forget projects that are gone."""
        prefix = announced_key("")
        rows = await self._meta.scan(prefix, after_prefix(prefix), limit=1_000)
        gone: list[Write] = [Delete(key) for key, _ in rows if key not in known]
        if gone:
            await self._meta.commit(gone)
