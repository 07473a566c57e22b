"""Accounts are exact to the request and the hour, however often their process is killed."""

from __future__ import annotations

import asyncio
import random
import select
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from s3server.core.accounts import Accounts
from s3server.core.objects import Attributes
from s3server.core.projects import Projects
from s3server.core.usage_records import HOUR_MS
from s3server.data.memory import MemoryPool
from s3server.jobs.usage import FOLDED, Usage
from s3server.meta.base import ConflictError
from s3server.meta.lmdb import LmdbStore
from s3server.metering import Meter, day_of, files_of
from s3server.model import Principal
from tests.support.blobs import numbered_ids
from tests.support.core_store import Bytes, NumberedIds, TestStore
from tests.support.usage_process import FileClock

ROOT = Path(__file__).parents[2]
MIDNIGHT_MS = 20_000 * 24 * HOUR_MS
KILLS, SLOWEST_S = 80, 0.03
WORKERS, SIZES = 3, (1_000, 20, 300, 7, 0)  # of the object in each bucket
FIRST, LAST = "20240101", "20251231"

Model = Counter[tuple[str, str, int]]  # day, bucket, figure


class Workers:
    """Count traffic in files, as workers do that come and go, and remember what they counted."""

    def __init__(self, directory: Path, project: str, user: str, choice: random.Random) -> None:
        self.model: Model = Counter()
        self._directory, self._project, self._user = directory, project, user
        self._choice, self._day = choice, ""
        self._meters = [Meter(directory) for _ in range(WORKERS)]

    def turn(self, now_ms: int) -> None:
        self._day = day_of(now_ms)
        for meter in self._meters:
            meter.turn(now_ms)

    def replace_one(self, now_ms: int) -> None:
        self._meters.pop(self._choice.randrange(WORKERS)).close()
        self._meters.append(Meter(self._directory))
        self._meters[-1].turn(now_ms)

    def count(self) -> None:
        bucket = f"bucket-{self._choice.randrange(len(SIZES))}"
        received, sent = self._choice.randrange(100), self._choice.randrange(100)
        self._choice.choice(self._meters).count((self._project, self._user, bucket), received, sent)
        for figure, more in enumerate((1, received, sent)):
            self.model[self._day, bucket, figure] += more

    def close(self) -> None:
        for meter in self._meters:
            meter.close()


@contextmanager
def killer(meta: Path, usage: Path, clock: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, ROOT / "tests/support/usage_process.py", meta, usage, clock]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
        env={"PYTHONPATH": str(ROOT)},
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
    assert 0 == process.returncode


def count_while_killed(
    process: subprocess.Popen[str], workers: Workers, clock: FileClock, choice: random.Random
) -> None:
    """Let requests come in, workers change and hours pass while the accounts' process dies."""
    assert process.stdin is not None
    assert process.stdout is not None
    for _ in range(KILLS):
        process.stdin.write(f"{choice.uniform(0, SLOWEST_S)}\n")
        passes = choice.randrange(200)
        while not select.select([process.stdout], [], [], 0)[0]:
            workers.count()
            passes -= 1
            if not passes:
                clock.set(clock.now_ms() + choice.randrange(1, 3) * HOUR_MS)
                workers.turn(clock.now_ms())
                workers.replace_one(clock.now_ms())
        assert "killed\n" == process.stdout.readline()


async def test_accounts_are_exact_though_their_process_is_killed_all_the_time(
    tmp_path: Path,
) -> None:
    choice, usage = random.Random(7), tmp_path / "usage"
    clock = FileClock(tmp_path / "clock")
    clock.set(MIDNIGHT_MS)
    meta = LmdbStore.open(tmp_path / "meta", ballast_bytes=0)
    store = TestStore(meta, {"main": MemoryPool("main", numbered_ids(1))})
    project = await Projects(meta, clock=clock, ids=NumberedIds(store.clock)).create("geo")
    user = Principal("user", "a" * 64, "alice", account=project.id)
    for number, size in enumerate(SIZES):
        bucket = await store.buckets.create(f"bucket-{number}", user)
        await store.objects.put(bucket, "key", Bytes(bytes(size)), Attributes(owner=user.id))
    job = Usage(meta, usage, clock=clock)
    await job.step()  # what is held counts from now on
    workers = Workers(usage, project.id, user.id, choice)
    workers.turn(MIDNIGHT_MS)
    with killer(tmp_path / "meta", usage, tmp_path / "clock") as process:
        await asyncio.to_thread(count_while_killed, process, workers, clock, choice)
    workers.close()
    # Of a commit whose process died between LMDB's meta page and its reader table, readers do not
    # know before the next writer has come: a step may plan with what was, and fails, as it should.
    with suppress(ConflictError):
        await job.step()
    while (await job.step()).has_more or files_of(usage):
        pass
    await job.step()

    assert [] == await store.rows(FOLDED)
    hours, accounts, model = (
        (clock.now_ms() - MIDNIGHT_MS) // HOUR_MS,
        Accounts(meta),
        workers.model,
    )
    assert KILLS // 2 < hours
    by_bucket = await accounts.report(project, "bucket", first=FIRST, last=LAST)
    assert [
        (hours, hours * size, *(sum_of(model, bucket, figure) for figure in range(3)))
        for bucket, size in ((f"bucket-{number}", size) for number, size in enumerate(SIZES))
    ] == [
        (
            each.used.hours,
            each.used.byte_hours,
            each.used.requests,
            each.used.received,
            each.used.sent,
        )
        for each in by_bucket
    ]
    by_day = await accounts.report(project, "day", first=FIRST, last=LAST)
    days = sorted({day for day, _, _ in model})
    assert [
        sum(count for (on, _, figure), count in model.items() if (on, figure) == (day, 0))
        for day in days
    ] == [each.used.requests for each in by_day]
    assert hours * sum(SIZES) == sum(each.used.byte_hours for each in by_day)
    await meta.close()


def sum_of(model: Model, bucket: str, figure: int) -> int:
    return sum(count for (_, of, what), count in model.items() if (of, what) == (bucket, figure))
