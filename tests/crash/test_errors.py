"""Any call of the operating system fails, in any way: no false success, and serving goes on."""

from __future__ import annotations

import asyncio
import errno
import itertools
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from s3server.core.clock import SystemClock
from s3server.data.base import DataError
from s3server.errors import S3Error
from s3server.meta.base import MetadataError
from tests.support.crash_image import StoreImage, memory_directory, quick_stores
from tests.support.crash_programs import PROGRAMS, contents, opened
from tests.support.crash_steps import Program
from tests.support.faulty_vfs import METHODS, SHORT, FaultyVfs
from tests.support.store_audit import audit, clean

root = pytest.fixture(memory_directory)

CODES = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.EINTR)
WRITES = ("pwrite", "append_durably")
HANG_S = 60  # nothing may wait for ever; machines may be slow
FEW, MANY = 1, 60  # of the calls of a method, how many fail in turn

# Not "repair": with OSDs down already, one more that fails is one too many.
NAMES = sorted(PROGRAMS.keys() - {"repair"})

Case = tuple[str, int, int | str]


async def count(image: StoreImage, codec: str, program: Program) -> Counter[str]:
    """Return how often the program calls each method."""
    vfs = FaultyVfs()
    async with opened(image.store, codec, 2, vfs=vfs) as store:
        vfs.calls.clear()
        for step in program.steps:
            await step.run(store)
        return Counter(vfs.calls)


def cases(calls: Counter[str], most: int, chance: random.Random) -> Iterator[Case]:
    """Yield which call of which method fails how: each first one, and others as chance has it."""
    for method in METHODS:
        codes = (*CODES, SHORT) if method in WRITES else CODES
        for code in codes:
            numbers = range(1, calls[method] + 1)
            some = chance.sample(numbers, min(most, len(numbers)))
            yield from ((method, at, code) for at in sorted(some))


async def suffer(image: StoreImage, codec: str, program: Program, case: Case) -> None:
    """Run the program through one fault; what was refused is asked for once more."""
    vfs, models, told = FaultyVfs(), program.models(), False
    method, at, code = case
    name = code if isinstance(code, str) else errno.errorcode[code]
    where = f"{program.name}, {codec}, {name} of {method} number {at}"
    async with opened(image.store, codec, 2, vfs=vfs) as store:
        vfs.fail(*case)
        for number, step in enumerate(program.steps):
            try:
                await step.run(store)
            except MetadataError:  # nobody knows
                assert vfs.happened, where
                found = await contents(store)
                assert found in models[number : number + 2], f"{where}: {step.name}, unknown"
                if found == models[number]:
                    await step.run(store)
            except (DataError, S3Error, OSError):
                assert vfs.happened, where
                assert models[number] == await contents(store), f"{where}: {step.name}, refused"
                await step.run(store)
            if vfs.happened and not told:
                told = True
                assert models[number + 1] == await contents(store), f"{where}: {step.name}"
        assert [] == vfs.synced_again, where
    async with opened(image.store, codec, 3) as store:
        assert models[-1] == await contents(store), where
        assert [] == (await audit(store.stopped)).problems, where
        await clean(store.stopped, SystemClock().now_ms())
        after = await audit(store.stopped)
        assert [] == after.problems, where
        assert (0, 0, 0) == (after.garbage, after.dead_shard_files, after.unfinished_files), where


def suffer_all(root: Path, codec: str, program: Program, most: int) -> int:
    """Return how many faults there were."""
    chance = random.Random(f"{program.name} {codec}")
    with quick_stores():
        image = StoreImage(root, codec, program)
        calls = asyncio.run(count(image, codec, program))
        found = list(cases(calls, most, chance))
        for case in found:
            image.restore()
            asyncio.run(asyncio.wait_for(suffer(image, codec, program, case), HANG_S))
    return len(found)


@pytest.mark.parametrize("name", NAMES)
def test_some_call_of_every_kind_fails_in_every_way(root: Path, name: str) -> None:
    codec = ("replica:3", "ec:2+1")[NAMES.index(name) % 2]
    print(f"{name}, {codec}: {suffer_all(root, codec, PROGRAMS[name], FEW)} faults")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "codec"), list(itertools.product(NAMES, ("replica:3", "ec:2+1"))))
def test_every_call_of_every_kind_fails_in_every_way(root: Path, name: str, codec: str) -> None:
    print(f"{name}, {codec}: {suffer_all(root, codec, PROGRAMS[name], MANY)} faults")
