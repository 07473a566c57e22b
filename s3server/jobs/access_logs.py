"""Delivers access logs: what processes have left in the spool, as objects of target buckets.

A step takes one file and removes it once all its lines are delivered. Keys follow from the file's
name and the place in it, so that what a crash lets be delivered twice is one object all the same.
What the server stores here is no request, and is not logged: a bucket may be its own target.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import structlog

from s3server.auth.acl import GROUPS
from s3server.auth.service import LOGGING
from s3server.core.access_log import NAME, UNIQUE, object_key
from s3server.core.buckets import Buckets
from s3server.core.log_spool import Spool, chunks
from s3server.core.records import BucketRecord, Grants
from s3server.jobs.courier import Courier, Parcel, RefusedError

_GROUP_OF = {uri: name for name, uri in GROUPS.items()}


@dataclass(slots=True)
class Delivered:
    """What one step did."""

    objects: int = 0
    lines: int = 0
    dropped: int = 0  # lines of buckets that are gone, or whose target takes none
    has_more: bool = False


class AccessLogJob:
    """The delivery of one machine's access logs."""

    name = "access-logs"
    pause_s = 1.0

    def __init__(self, spool: Spool, buckets: Buckets, courier: Courier) -> None:
        self._spool, self._buckets, self._courier = spool, buckets, courier
        self._log = structlog.get_logger("access-logs")

    async def step(self) -> Delivered:
        """Deliver the oldest file whose window is over."""
        ready = await asyncio.to_thread(self._spool.ready)
        done = Delivered(has_more=len(ready) > 1)
        if ready:
            await self._deliver_file(ready[0], done)
        return done

    async def _deliver_file(self, path: Path, done: Delivered) -> None:
        pieces = chunks(path)
        for number in count():
            found = await asyncio.to_thread(next, pieces, None)
            if found is None:
                break
            for (bucket_id, name), lines in found.items():
                unique = hashlib.sha256(f"{path.name} {number} {bucket_id.hex()}".encode())
                bucket = await self._buckets.find(name)
                if bucket is None or bucket[0].id != bucket_id:
                    done.dropped += len(lines)
                    continue
                await self._deliver(
                    path, bucket[0], lines, unique.hexdigest()[:UNIQUE].upper(), done
                )
        await asyncio.to_thread(path.unlink)

    async def _deliver(
        self, path: Path, bucket: BucketRecord, lines: list[bytes], unique: str, done: Delivered
    ) -> None:
        document = await self._buckets.configuration(bucket, NAME)
        if document is None:  # it has no log any more
            done.dropped += len(lines)
            return
        began_ms, ended_ms = self._spool.span(path)
        parcel = Parcel(
            service=LOGGING,
            source=bucket,
            target=document["TargetBucket"],
            key=object_key(document, bucket, ended_ms, unique, event_ms=began_ms),
            body=b"".join(lines),
            content_type="text/plain",
            grants=_grants(document.get("TargetGrants") or []),
        )
        try:
            await self._courier.put(parcel)
        except RefusedError as error:
            self._log.warning("log is dropped", bucket=bucket.name, reason=str(error))
            done.dropped += len(lines)
        else:
            done.objects, done.lines = done.objects + 1, done.lines + len(lines)


def _grants(listed: list[dict[str, Any]]) -> Grants:
    """Return the grants of a document of PutBucketLogging's."""
    return tuple(
        (_GROUP_OF[grantee["URI"]] if "URI" in (grantee := each["Grantee"]) else grantee["ID"],
         each["Permission"])
        for each in listed
    )  # fmt: skip
