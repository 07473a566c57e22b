"""Makes inventories: lists of a bucket's versions, as files in another bucket.

A step makes one data file and commits how far it came; the last one writes the manifest. Each page
of a list is of one snapshot of the metadata, different pages are not: what changes meanwhile is in
the list as it was, as it is now, or both, as on AWS. A second runner does no harm: of two that make
a file one commits it, and a file's key follows from its place and bytes.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog
from msgspec.structs import replace

from s3server.auth.service import S3
from s3server.configuration_errors import NoSuchConfiguration
from s3server.core import inventory as lists
from s3server.core.buckets import Buckets
from s3server.core.clock import Clock
from s3server.core.inventory import File, InventoryRecord, Value
from s3server.core.inventory_files import schema, writer
from s3server.core.lifecycle_rules import Calendar
from s3server.core.listing import Listing
from s3server.core.records import BucketRecord, decode, encode
from s3server.jobs.board import Progress
from s3server.jobs.courier import Courier, Parcel, RefusedError
from s3server.meta.base import (
    ConflictError,
    Delete,
    MetadataStore,
    Put,
    Row,
    Unchanged,
    Write,
    after_prefix,
)

ROWS_PER_FILE = 50_000
PAGE = 1_000
_MAX_STATES = 100_000


@dataclass(slots=True)
class Listed:
    """What one step did."""

    rows: int = 0
    lists: int = 0  # that are complete
    failed: int = 0
    has_more: bool = False


class InventoryJob:
    """The maker of one store's inventories."""

    name = "inventory"
    pause_s = 5.0

    def __init__(
        self,
        meta: MetadataStore,
        *,
        buckets: Buckets,
        listing: Listing,
        courier: Courier,
        clock: Clock,
        calendar: Calendar,
    ) -> None:
        self._meta, self._buckets, self._listing = meta, buckets, listing
        self._courier, self._clock, self._calendar = courier, clock, calendar
        self.progress = Progress(unit="rows")
        self._log = structlog.get_logger("inventory")

    async def step(self) -> Listed:
        """Go on with the list that has been due for longest, or was left by others, by one file."""
        now = self._clock.now_ms()
        due = [
            (record.next_ms, row)
            for row, record in await self.states()
            if record.run_ms or record.next_ms <= now
        ]
        done = Listed(has_more=bool(due))
        if due:
            await self._go_on(min(due)[1], done)
        return done

    async def states(self) -> list[tuple[Row, InventoryRecord]]:
        """Return how it stands with every enabled configuration."""
        prefix = lists.state_key(None)
        rows = await self._meta.scan(prefix, after_prefix(prefix), limit=_MAX_STATES)
        return [(row, decode(InventoryRecord, row[1])) for row in rows]

    async def run(self, bucket: BucketRecord, identity: str = "") -> list[InventoryRecord]:
        """Make a bucket's lists now, or one of them; return how it stands with them then.

        Raises NoSuchConfiguration where none is enabled, or not that one.
        """
        start = lists.state_key(bucket, identity)
        stop = start + b"\0" if identity else after_prefix(start)
        rows = await self._meta.scan(start, stop, limit=_MAX_STATES)
        if not rows:
            raise NoSuchConfiguration(
                f"No inventory of this bucket {'of that id ' if identity else ''}is enabled: "
                "PutBucketInventoryConfiguration makes one."
            )
        return [await self._run(key) for key, _ in rows]

    async def _run(self, key: bytes) -> InventoryRecord:
        began_ms, done = self._clock.now_ms(), Listed()
        while (value := await self._meta.get(key)) is not None:
            record = decode(InventoryRecord, value)
            if record.last_ms >= began_ms or done.failed:
                return record
            await self._go_on((key, value), done)
        raise NoSuchConfiguration  # it was removed meanwhile

    async def _go_on(self, row: Row, done: Listed) -> None:
        """Make the next file of a list, or its manifest after the last one."""
        record = decode(InventoryRecord, row[1])
        found = await self._buckets.find(record.bucket)
        configuration = None
        if found is not None and row[0] == lists.state_key(found[0], record.config):
            known = await self._buckets.configuration(found[0], lists.NAME) or {}
            configuration = known.get(record.config)
        if found is None or configuration is None or not configuration["IsEnabled"]:
            await self._replace(row, Delete(row[0]))
            return
        digest = lists.digest_of(configuration)
        if not record.run_ms or record.digest != digest:
            record = replace(
                record, run_ms=self._clock.now_ms(), digest=digest, key="", sequence=0, rows=0,
                files=(), has_all=False,
            )  # fmt: skip
        try:
            make = self._finish if record.has_all else self._next_file
            record = await make(found[0], configuration, record, done)
        except RefusedError as error:
            self._log.warning("no list", bucket=record.bucket, id=record.config, reason=str(error))
            done.failed += 1
            record = replace(record, run_ms=0, error=str(error), next_ms=self._next(configuration))
        await self._replace(row, Put(row[0], encode(record)))

    async def _replace(self, row: Row, write: Write) -> None:
        with suppress(ConflictError):  # a second runner made this file, or the list is not wanted
            await self._meta.commit([write], [Unchanged(*row)])

    def _next(self, configuration: Mapping[str, Any]) -> int:
        frequency = configuration["Schedule"]["Frequency"]
        return lists.next_due(self._calendar, frequency, self._clock.now_ms())

    async def _next_file(
        self,
        bucket: BucketRecord,
        configuration: dict[str, Any],
        record: InventoryRecord,
        done: Listed,
    ) -> InventoryRecord:
        form = configuration["Destination"]["S3BucketDestination"]["Format"]
        made = writer(form, lists.fields_of(configuration))
        walk = _Walk(self._listing, bucket, configuration, record.key, record.sequence)
        while walk.count < ROWS_PER_FILE and not walk.is_over:
            made.add(await walk.page())
            await asyncio.sleep(0)  # others have their turn
        start = lists.folder(configuration, bucket.name)
        if walk.count:
            body = await asyncio.to_thread(made.finish)
            key = lists.data_key(start, record, made.ending, body)
            file = await self._store(bucket, configuration, key, body)
            record = replace(record, files=(*record.files, file))
        done.rows += walk.count
        self.progress = Progress(
            record.rows + walk.count, unit="rows", note=f"{bucket.name}/{record.config}"
        )
        return replace(
            record,
            key=walk.key,
            sequence=walk.sequence,
            rows=record.rows + walk.count,
            has_all=walk.is_over,
        )

    async def _finish(
        self,
        bucket: BucketRecord,
        configuration: dict[str, Any],
        record: InventoryRecord,
        done: Listed,
    ) -> InventoryRecord:
        manifest = await self._write_manifest(bucket, configuration, record)
        done.lists += 1
        self.progress = Progress(unit="rows")
        return InventoryRecord(
            bucket=record.bucket,
            config=record.config,
            next_ms=self._next(configuration),
            last_ms=record.run_ms,
            last_rows=record.rows,
            manifest=manifest,
        )

    async def _write_manifest(
        self, bucket: BucketRecord, configuration: dict[str, Any], record: InventoryRecord
    ) -> str:
        """Write manifest, its checksum, and Hive's list of files; return where the first is.

        What they say is committed by now: whoever writes them again writes the same.
        """
        destination = configuration["Destination"]["S3BucketDestination"]
        target = destination["Bucket"].rpartition(":")[2]
        start = lists.folder(configuration, bucket.name)
        here = f"{start}/{lists.stamp(record.run_ms, '%Y-%m-%dT%H-%MZ')}/manifest"
        manifest = msgspec.json.encode({
            "sourceBucket": bucket.name,
            "destinationBucket": destination["Bucket"],
            "version": lists.VERSION,
            "creationTimestamp": str(record.run_ms),
            "fileFormat": destination["Format"],
            "fileSchema": schema(destination["Format"], lists.fields_of(configuration)),
            "files": [
                {"key": file.key, "size": file.size, "MD5checksum": file.md5}
                for file in record.files
            ],
        })  # fmt: skip
        hive = f"{start}/hive/dt={lists.stamp(record.run_ms, '%Y-%m-%d-%H-%M')}/symlink.txt"
        links = "".join(f"s3://{target}/{file.key}\n" for file in record.files)
        await self._store(bucket, configuration, hive, links.encode())
        await self._store(bucket, configuration, f"{here}.json", manifest)
        digest = hashlib.md5(manifest, usedforsecurity=False).hexdigest()
        await self._store(bucket, configuration, f"{here}.checksum", digest.encode())
        return f"s3://{target}/{here}.json"

    async def _store(
        self, bucket: BucketRecord, configuration: dict[str, Any], key: str, body: bytes
    ) -> File:
        destination = configuration["Destination"]["S3BucketDestination"]
        await self._courier.put(
            Parcel(
                service=S3,
                source=bucket,
                target=destination["Bucket"].rpartition(":")[2],
                key=key,
                body=body,
                content_type="application/octet-stream",
                is_encrypted=bool(destination.get("Encryption")),
            )
        )
        return File(key, len(body), hashlib.md5(body, usedforsecurity=False).hexdigest())


class _Walk:
    """A bucket's versions, or current ones only, from a place on."""

    def __init__(
        self,
        listing: Listing,
        bucket: BucketRecord,
        configuration: Mapping[str, Any],
        key: str,
        sequence: int,
    ) -> None:
        self._listing, self._bucket = listing, bucket
        self._prefix = (configuration.get("Filter") or {}).get("Prefix") or ""
        self._has_all = configuration["IncludedObjectVersions"] == "All"
        self.key, self.sequence = key, sequence
        self.count, self.is_over = 0, False

    async def page(self) -> list[dict[str, Value]]:
        """Return the next rows."""
        rows = await (self._versions() if self._has_all else self._current())
        self.count += len(rows)
        return rows

    async def _versions(self) -> list[dict[str, Value]]:
        page = await self._listing.versions(
            self._bucket,
            prefix=self._prefix,
            delimiter="",
            after_key=self.key,
            after_sequence=self.sequence or None,
            limit=PAGE,
        )
        self.key, self.sequence = page.last_key, page.last_sequence
        self.is_over = not page.is_truncated
        return [
            lists.row_of(self._bucket, each.key, each.record, is_latest=each.is_latest)
            for each in page.versions
        ]

    async def _current(self) -> list[dict[str, Value]]:
        page = await self._listing.objects(
            self._bucket, prefix=self._prefix, delimiter="", after=self.key, limit=PAGE
        )
        self.key, self.is_over = page.last, not page.is_truncated
        return [
            lists.row_of(self._bucket, key, record, is_latest=True) for key, record in page.objects
        ]
