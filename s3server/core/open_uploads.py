"""Objects whose length shows at their end: a long head and a short rest become one blob."""

from __future__ import annotations

from s3server.core import records
from s3server.core.blobs import Blobs
from s3server.core.commit import Plan
from s3server.core.etags import etag_of
from s3server.core.objects import Attributes, NewVersion, Objects
from s3server.core.records import BlobPart, BlobRecord, BucketRecord, ObjectRecord, encode
from s3server.meta.base import Put
from s3server.model import DataRef, OpenUpload


class OpenUploads:
    """Uploads by forms."""

    def __init__(self, blobs: Blobs, objects: Objects) -> None:
        self._blobs, self._objects = blobs, objects

    async def put(
        self, bucket: BucketRecord, key: str, body: OpenUpload, attributes: Attributes
    ) -> ObjectRecord:
        """Store an object. On return its bytes and its record are on stable storage.

        Raises what `body` raises, NoSuchBucket, InvalidStorageClass; then nothing has changed.
        """
        pool = self._blobs.pool_of(bucket, attributes.storage_class)
        key_of_bytes, head, head_size = attributes.data_key, None, 0
        if body.head is not None:
            head_size = body.head.size
            head = await self._blobs.write(pool, body.head, key_of_bytes)
        try:
            content = await body.rest()
            rest = await self._blobs.write(pool, _Bytes(content), key_of_bytes)
        except Exception:
            await self._blobs.discard(head)
            raise
        version = NewVersion(
            size=head_size + len(content),
            etag=etag_of(body.etag, attributes.encryption, key_of_bytes),
            attributes=attributes,
            checksums=body.checksums,
            checksum_type="FULL_OBJECT",
        )
        if head is None or rest is None:
            return await self._objects.commit_bytes(bucket, key, head or rest, version)
        return await self._commit_both(bucket, key, (head, rest), version, size=head_size)

    async def _commit_both(
        self,
        bucket: BucketRecord,
        key: str,
        refs: tuple[DataRef, DataRef],
        version: NewVersion,
        size: int,
    ) -> ObjectRecord:
        """Commit both pieces, the first of `size` bytes, as a composite blob: each has one use."""
        version.blob = self._blobs.ids.blob_id()
        sizes = (size, version.size - size)
        parts = tuple(
            BlobPart(ref.blob, part_size, at)
            for at, (ref, part_size) in enumerate(zip(refs, sizes, strict=True), 1)
        )
        composite = BlobRecord(size=version.size, parts=parts)
        version.writes = [
            *self._blobs.adopt(refs[0]),
            *self._blobs.adopt(refs[1]),
            Put(records.blob_key(version.blob), encode(composite)),
        ]

        async def plan() -> Plan[ObjectRecord]:
            return await self._objects.plan_version(bucket, key, version)

        return await self._blobs.commit_or_discard(refs, plan)


class _Bytes:
    """Bytes in memory as the source of a write."""

    def __init__(self, content: bytes) -> None:
        self.size = len(content)
        self._rest = memoryview(content)

    async def readinto(self, buffer: memoryview) -> int:
        """Fill the buffer with the next bytes; see `model.Source`."""
        piece, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)
