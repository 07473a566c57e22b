"""`verify` finds what is wrong with a store, and nothing where all is well."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from s3server import maintenance, parts
from s3server.cluster.live import watch_cluster
from s3server.config import Config
from s3server.core import records
from s3server.core.annotations import Annotations, Owner
from s3server.core.clock import SystemClock
from s3server.core.copying import CopySource
from s3server.core.keys import wrap_for_customer, write_envelope
from s3server.core.objects import UNCONDITIONAL, Attributes
from s3server.core.records import BlobRecord, decode, encode
from s3server.core.sealing import new_data_key
from s3server.jobs.snapshot import Snapshots
from s3server.meta.base import Add, Delete, Put, Write
from s3server.metadata import open_metadata
from s3server.settings import quickstart_config
from s3server.verify import Findings
from tests.support.blobs import pattern
from tests.support.core_store import ATTRIBUTES, OWNER, Bytes, TestStore

EXTRACT = Path(__file__).parents[2] / "tools" / "extract.py"
OBJECTS = {
    "small": pattern(4_096, 1),
    "empty": b"",
    "dir/large": pattern(3_200_000, 2),
    "dir/../odd%2f key \N{SNOWMAN}": pattern(100, 3),
    "copy": pattern(3_200_000, 2),
}


@dataclass
class Place:
    """A stopped store with some objects, made by the server's own parts."""

    root: Path
    config: Config

    def verify(self, *, deep: bool = False) -> Findings:
        return asyncio.run(maintenance.verify(self.config, deep=deep))

    def verify_metadata(self) -> Findings:
        return asyncio.run(maintenance.verify_metadata(self.config))

    def commit(self, *writes: Write) -> None:
        async def work() -> None:
            meta = await open_metadata(self.config)
            await meta.commit(writes)
            await meta.close()

        asyncio.run(work())

    def rows(self, table: bytes) -> list[tuple[bytes, bytes]]:
        async def work() -> list[tuple[bytes, bytes]]:
            meta = await open_metadata(self.config)
            found = await meta.scan(table, table + b"\xff" * 40, limit=1_000)
            await meta.close()
            return found

        return asyncio.run(work())

    def extract(self, *options: str, without: int = -1) -> subprocess.CompletedProcess[str]:
        osds = sorted(path for path in self.root.glob("osd.*") if path.name != f"osd.{without}")
        command = [sys.executable, "-I", str(EXTRACT), *map(str, osds), *options]
        return subprocess.run(command, check=False, capture_output=True, text=True)


@asynccontextmanager
async def opened(config: Config) -> AsyncIterator[TestStore]:
    meta = await open_metadata(config)
    watch = await watch_cluster(meta, small_limit=65_536)
    pools = watch.cluster.pools
    yield TestStore(meta, {**pools, "main": pools["default"]})
    await watch.close()
    await meta.close()


async def fill(config: Config) -> None:
    await maintenance.initialise(config)
    async with opened(config) as store:
        bucket = await store.bucket("first")
        other = await store.bucket("second")
        for key, data in OBJECTS.items():
            if key != "copy":
                await store.put(bucket, key, data)
        await Snapshots(store.meta, clock=SystemClock()).take()  # type: ignore[arg-type]
        await store.copying.copy(
            CopySource(bucket, "dir/large"), (bucket, "copy"), lambda _: ATTRIBUTES, UNCONDITIONAL
        )
        await store.put(other, "small", pattern(5_000, 9))
        annotations = Annotations(store.meta, store.blobs, store.objects, clock=store.clock)
        await annotations.put(Owner(other, "small", lambda _: None), "note", Bytes(b"a text"))
        await store.put(bucket, "gone", pattern(70_000, 4))
        await store.objects.delete(bucket, "gone")


@pytest.fixture(params=["replica:3", "ec:2+1"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    config = quickstart_config(
        tmp_path, access_key="AKIATEST", secret_key="s" * 20, codec=request.param
    )
    asyncio.run(fill(config))
    return Place(tmp_path, config)


def test_whole_store_has_no_findings(place: Place) -> None:
    for found in (place.verify(), place.verify(deep=True), place.verify_metadata()):
        assert [] == found.problems
        assert (6, 2) == (found.counts["objects"], found.counts["buckets"])
    assert 0 == found.counts["orphans"]


def test_every_kind_of_fault_is_found(place: Place) -> None:
    blob, row = place.rows(records.BLOB)[0]
    record = decode(BlobRecord, row)
    wrong = BlobRecord(size=record.size, uses=record.uses + 1, ref=record.ref)
    place.commit(Put(blob, encode(wrong)))
    assert any("uses, counted" in each for each in place.verify().problems)
    place.commit(Delete(blob))
    assert any("has no row" in each for each in place.verify().problems)
    place.commit(Put(blob, row))
    assert [] == place.verify().problems
    counter, _ = place.rows(records.COUNTER)[0]
    place.commit(Add(counter, 7))
    assert 1 == place.verify().problem_count
    place.commit(Add(counter, -7))
    key, value = place.rows(records.OBJECT)[0]
    place.commit(Put(key, value[:-1] + bytes([value[-1] ^ 1])))
    assert any("checksum" in each for each in place.verify().problems)
    place.commit(Put(key, value))
    assert [] == place.verify().problems


def test_missing_and_damaged_bytes_are_found_and_orphans_counted(place: Place) -> None:
    shard = next((place.root / "osd.1").glob("shards/*/*"))
    whole = shard.read_bytes()
    (shard.parent / f"{'ab' * 15}{shard.parent.name}.0").write_bytes(whole)
    found = place.verify()
    assert [] == found.problems
    assert 1 == found.counts["orphans"]
    shard.write_bytes(whole[:-1])
    assert 1 == place.verify().problem_count
    shard.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    assert 0 == place.verify().problem_count, "looking for files does not read them"
    assert 1 == place.verify(deep=True).problem_count
    shard.unlink()
    assert 1 == place.verify().problem_count
    for volume in place.root.glob("osd.*/volumes/*"):
        os.truncate(volume, 24)
    assert 1 < place.verify().problem_count


def test_damaged_copies_of_journal_and_snapshot_are_found(place: Place) -> None:
    journal = max((place.root / "osd.0" / "journal").glob("*.log"))
    snapshot = max((place.root / "osd.1" / "journal").glob("*.snap"))
    for path, at in ((journal, 700), (snapshot, 700)):
        with path.open("r+b") as file:
            file.seek(at)
            byte = file.read(1)
            file.seek(at)
            file.write(bytes([byte[0] ^ 1]))
    problems = place.verify_metadata().problems
    assert [f"{path} is damaged" for path in (snapshot, journal)] == problems


@pytest.mark.parametrize("without", [-1, 0, 1])
def test_extractor_gives_back_every_object(place: Place, without: int) -> None:
    """Without the server and the metadata directory, and without one of the OSDs."""
    to = place.root / "out"
    done = place.extract("--to", str(to), without=without)
    assert 0 == done.returncode, done.stderr
    found = {path.relative_to(to): path.read_bytes() for path in to.rglob("*") if path.is_file()}
    assert found.pop(Path("second/small")) == pattern(5_000, 9)
    assert sorted(OBJECTS.values()) == sorted(found.values())
    assert OBJECTS["dir/large"] == found[Path("first/dir/large")]


def test_extractor_lists_and_takes_what_is_asked_for(place: Place) -> None:
    listed = place.extract("--list", "--only", "first/dir/").stdout.splitlines()
    assert 2 == len(listed)
    assert listed[1].endswith("first/dir/large")
    to = place.root / "out"
    assert 0 == place.extract("--to", str(to), "--only", "second").returncode
    assert ["second/small"] == [str(path.relative_to(to)) for path in to.rglob("*/*")]


def test_extractor_never_gives_wrong_bytes(place: Place) -> None:
    for shard in place.root.glob("osd.*/shards/*/*"):
        data = bytearray(shard.read_bytes())
        data[len(data) // 2] ^= 1
        shard.write_bytes(data)
    to = place.root / "out"
    done = place.extract("--to", str(to))
    assert 1 == done.returncode
    assert "first/dir/large" in done.stderr
    assert not (to / "first" / "dir" / "large").exists()
    assert OBJECTS["small"] == (to / "first" / "small").read_bytes()


async def encrypt(config: Config) -> None:
    """Store an object by the ring, small and large, and one by a client's key."""
    ring = parts.key_ring(config)
    async with opened(config) as store:
        bucket = await store.buckets.get("second")
        for key in ("small", "dir/large", "customers"):
            data_key = new_data_key()
            envelope = ring.wrap(data_key)
            if key == "customers":
                envelope = wrap_for_customer(data_key, b"k" * 32, "md5")
            attributes = Attributes(
                owner=OWNER.id, encryption=write_envelope(envelope), data_key=data_key
            )
            await store.objects.put(
                bucket, f"safe/{key}", Bytes(OBJECTS.get(key, b"x")), attributes
            )


def test_extractor_decrypts_by_the_key_ring(place: Place) -> None:
    asyncio.run(encrypt(place.config))
    assert [] == place.verify(deep=True).problems
    to, ring = place.root / "out", str(place.root / "encryption.keys")
    without = place.extract("--to", str(to), "--only", "second/safe")
    assert 1 == without.returncode
    assert 2 == without.stderr.count("which --keys has to bring")
    done = place.extract("--to", str(to), "--only", "second/safe", "--keys", ring)
    assert "second/safe/customers: encrypted by a key that its client has" in done.stderr
    found = {str(path.relative_to(to)): path for path in to.rglob("*") if path.is_file()}
    assert {"second/safe/small", "second/safe/dir/large"} == set(found)
    for key in ("small", "dir/large"):
        assert OBJECTS[key] == found[f"second/safe/{key}"].read_bytes()
