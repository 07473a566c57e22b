"""A process that dies at any call of storage leaves the old state or the new one, never a part."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from s3server.cluster.live import Cluster, watch_cluster
from s3server.data.osd_directory import DirectoryOsd, IdentityError
from s3server.data.vfs import Vfs
from s3server.maintenance import initialise
from s3server.meta.lmdb import LmdbStore
from s3server.settings import quickstart_config
from tests.support.blobs import CLUSTER, make_osds
from tests.support.crash_image import memory_directory
from tests.support.crash_points import Countdown, CrashVfs, Done, Fault, run_until

ROOT = Path(__file__).parents[2]
root = pytest.fixture(memory_directory)

QUICK = (Fault.POWER, Fault.KILL, Fault.TORN)
CODECS = ("replica:3", "ec:2+1", "ec:4+2", "replica:2")
# How many points each program has at least, so that none is lost unnoticed: a tenth below what is
# usual, because commits that wait for each other share calls.
POINTS = {
    ("put small", "replica:3"): 75,
    ("put large", "replica:3"): 109,
    ("versions", "replica:3"): 151,
    ("multipart", "replica:3"): 279,
    ("copy", "replica:3"): 114,
    ("all at once", "ec:2+1"): 337,
    ("snapshot", "replica:3"): 189,
    ("repair", "replica:3"): 225,
    ("rebalance", "replica:3"): 171,
    ("rebalance", "ec:2+1"): 238,
    ("delete", "replica:3"): 52,
    ("compaction", "replica:3"): 80,
}
SEEDS = range(20)
POINTS_PER_SEED = 1_000


def explore(root: Path, codec: str, faults: tuple[Fault, ...], *programs: str) -> int:
    """Let programs die everywhere, in a process of their own; return how often that was."""
    names = ",".join(fault.name for fault in faults)
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.crash_explorer", str(root), codec, names, *programs],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    return int(done.stdout)


def test_every_call_of_storage_that_changes_something_counts() -> None:
    everything = {name for name, value in vars(Vfs).items() if callable(value) and name[0] != "_"}
    assert everything - vars(CrashVfs).keys() == {
        "open", "open_to_write", "close", "pread", "pread_cached", "lock", "lock_in_turn",
        "names", "stat", "usage",
    }  # fmt: skip


def test_fast_run_has_two_thousand_points() -> None:
    assert sum(POINTS.values()) >= 2_000


@pytest.mark.parametrize(("name", "codec"), list(POINTS))
def test_death_at_every_call(root: Path, name: str, codec: str) -> None:
    points = explore(root, codec, QUICK, name)
    print(f"{name}, {codec}: {points} points")
    assert points >= POINTS[name, codec]


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_death_at_every_call_of_a_random_program(root: Path, seed: int) -> None:
    points, codecs = 0, itertools.cycle(CODECS)
    for number in itertools.count(seed * 1_000):
        points += explore(root, next(codecs), tuple(Fault), str(number))
        if points >= POINTS_PER_SEED:
            break
    print(f"seed {seed}: {points} points")


@pytest.mark.parametrize("call", range(1, 12))
def test_osd_is_made_by_the_next_start_whatever_call_the_first_one_died_at(
    tmp_path: Path, call: int
) -> None:
    config = quickstart_config(
        tmp_path, access_key="AKIATEST", secret_key="s" * 20, codec="replica:1"
    )

    async def work(countdown: Countdown, done: Done) -> None:
        make = partial(DirectoryOsd.initialise, vfs=CrashVfs(countdown))
        DirectoryOsd.initialise = make  # type: ignore[method-assign]
        await initialise(config)

    async def start_again() -> Cluster:
        await initialise(config)
        meta = LmdbStore.open(config.storage.meta_dir)
        cluster = (await watch_cluster(meta, small_limit=65_536)).cluster
        await meta.close()
        return cluster

    assert run_until(Countdown(call, Fault.KILL), work).is_dead
    cluster = asyncio.run(start_again())
    assert {} == cluster.missing
    assert (config.osds[0].path / "shards").is_dir()


@pytest.mark.parametrize("kept", ["volumes/0123456789abcdef.vol", "shards/07", "notes"])
def test_osd_that_holds_something_but_no_identity_is_not_made_again(
    tmp_path: Path, kept: str
) -> None:
    osd = make_osds(tmp_path, 1)[0]
    Path(osd.path, "osd.json").unlink()
    Path(osd.path, kept).touch()
    with pytest.raises(IdentityError, match=f"not empty: it holds {kept}"):
        DirectoryOsd.initialise(osd.path, cluster=CLUSTER, osd=0)
