"""Two processes on one LMDB store: races between them end as races within one do."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from s3server.core import records
from s3server.core.multipart import format_upload_id
from s3server.meta.lmdb import LmdbStore
from tests.support.core_process import CONDITIONAL_KEYS, ETAGS, open_store
from tests.support.core_store import ATTRIBUTES

ROOT = Path(__file__).parents[3]


def start(meta: Path, number: int, uploads: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.core_process", str(meta), str(number), *uploads],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


async def prepare(path: Path) -> list[str]:
    """Make the bucket, and uploads that both processes will complete; return their ids."""
    meta = LmdbStore.open(path, map_size=1 << 28, ballast_bytes=0)
    store = open_store(meta, 3)
    bucket = await store.bucket()
    made = [await store.multipart.create(bucket, "multi", ATTRIBUTES) for _ in range(10)]
    await meta.close()
    return [format_upload_id(upload.id) for upload in made]


async def verify(path: Path) -> None:
    meta = LmdbStore.open(path, map_size=1 << 28, ballast_bytes=0)
    store = open_store(meta, 3)
    bucket = await store.buckets.get("bucket")
    await store.verify()
    objects, _ = await store.counters(bucket)
    once = [f"once{n}" for n in range(CONDITIONAL_KEYS)]
    page = await store.listing.objects(bucket, prefix="", delimiter="", after="", limit=1_000)
    listed = dict(page.objects)
    assert (objects, set()) == (len(listed), set(once) - set(listed))
    assert [1] * CONDITIONAL_KEYS == [listed[key].sequence for key in once]
    assert listed["multi"].part_count == 1
    assert [] == await store.rows(records.PART) + await store.rows(records.UPLOAD)
    await store.collect_all()
    await store.verify()
    assert [] == await store.rows(records.GARBAGE)
    await meta.close()


def test_writers_of_two_processes(tmp_path: Path) -> None:
    assert ETAGS[0] != ETAGS[1]
    uploads = asyncio.run(prepare(tmp_path / "meta"))
    processes = [start(tmp_path / "meta", number, uploads) for number in (1, 2)]
    try:
        for process in processes:
            assert process.stdout is not None
            assert "ready\n" == process.stdout.readline()
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        outputs = [process.communicate(timeout=100)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert CONDITIONAL_KEYS == sum(int(output) for output in outputs)
    asyncio.run(verify(tmp_path / "meta"))
