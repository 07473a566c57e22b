"""One of several processes that write to one LMDB store: `python core_process.py META NUMBER`.

Prints "ready", waits for a line, works, and prints how many conditional writes it won. Bytes go to
a pool in memory: what matters here are the rows.
"""

from __future__ import annotations

import asyncio
import sys

from s3server.core.copying import CopySource
from s3server.core.multipart import ChosenPart
from s3server.core.objects import UNCONDITIONAL, WriteCondition
from s3server.core.records import BucketRecord
from s3server.data.memory import MemoryPool
from s3server.errors import InvalidPart, NoSuchKey, NoSuchUpload, PreconditionFailed
from s3server.meta.lmdb import LmdbStore
from tests.support.blobs import numbered_ids
from tests.support.core_store import ATTRIBUTES, Bytes, ManualClock, TestStore, no_digest

CONDITIONAL_KEYS = 10
WRITERS = 32  # of each process
ETAGS = [Bytes(b"part of process %d" % process).etag for process in (1, 2)]


def open_store(meta: LmdbStore, process: int) -> TestStore:
    pool = MemoryPool("main", numbered_ids(process))
    return TestStore(meta, {"main": pool}, ManualClock(), process)


async def write_once(store: TestStore, bucket: BucketRecord, key: str) -> bool:
    try:
        condition = WriteCondition(if_none_match=True)
        await store.objects.put(bucket, key, Bytes(b"once"), ATTRIBUTES, condition)
    except PreconditionFailed:
        return False
    return True


async def overwrite(store: TestStore, bucket: BucketRecord, number: int) -> None:
    """Put, copy and delete, all on the same few keys."""
    await store.put(bucket, "hot", b"x" * number)
    try:
        await store.copying.copy(
            CopySource(bucket, "hot"),
            (bucket, f"copy{number % 3}"),
            lambda _: ATTRIBUTES,
            UNCONDITIONAL,
        )
    except NoSuchKey:
        return
    if number % 5 == 0:
        await store.objects.delete(bucket, "hot")


async def finish_upload(
    store: TestStore, bucket: BucketRecord, upload: str, process: int, etag: str
) -> None:
    """Put part 1 of an upload that both processes share, and complete it with one's own part."""
    try:
        body = Bytes(b"part of process %d" % process)
        await store.multipart.put_part(bucket, "multi", upload, 1, body)
        await store.multipart.complete(
            bucket,
            "multi",
            upload,
            [ChosenPart(1, etag)],
            summarise=no_digest,
            condition=UNCONDITIONAL,
        )
    except (InvalidPart, NoSuchUpload):
        return


async def main(path: str, process: int, *uploads: str) -> None:
    meta = LmdbStore.open(path, map_size=1 << 28, ballast_bytes=0)
    store = open_store(meta, process)
    bucket = await store.buckets.get("bucket")
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    won = asyncio.gather(
        *(
            write_once(store, bucket, f"once{n}")
            for n in range(CONDITIONAL_KEYS)
            for _ in range(WRITERS)
        )
    )
    others = asyncio.gather(
        *(overwrite(store, bucket, n) for n in range(WRITERS)),
        *(finish_upload(store, bucket, upload, process, ETAGS[process - 1]) for upload in uploads),
    )
    await others
    print(sum(await won), flush=True)
    await meta.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:]))
