"""OSDs are added, taken out and removed; what is there is counted from the blob table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from placement.cluster_map import ONE, MapError
from s3server.cluster.blob_table import held
from s3server.cluster.changes import Change
from s3server.cluster.osds import OsdKeeper
from s3server.core.blobs import ADOPT_WITHIN_MS
from s3server.core.records import BLOB, BlobRecord, blob_key, encode
from s3server.core.upkeep_records import DownRecord, osd_down_key
from s3server.data.base import DataError
from s3server.meta.base import Put, after_prefix
from s3server.model import DataRef, ShardPlace
from tests.support.cluster_maps import MappedStore, numbered

HERE = (("datacenter", "dc1"), ("rack", "rack1"), ("host", "localhost"))


@pytest.fixture
async def store(tmp_path: Path) -> MappedStore:
    found = MappedStore(tmp_path)
    await found.seed(*numbered(3))
    return found


def keeper_of(store: MappedStore) -> OsdKeeper:
    return OsdKeeper(store.meta, store.maps, store.clock)


async def put_blob(store: MappedStore, *osds: int, stripe: int = 0) -> None:
    """Store the row of a blob of 100 bytes on these OSDs."""
    places = tuple(ShardPlace(osd) for osd in osds)
    ref = DataRef("default", f"replica:{len(osds)}", bytes(15) + b"x", 100, stripe, places)
    row = encode(BlobRecord(size=100, ref=ref))
    await store.meta.commit([Put(blob_key(ref.blob), row)])


async def test_added_osd_has_an_identity_and_waits_to_be_applied(
    store: MappedStore, tmp_path: Path
) -> None:
    added = await keeper_of(store).add(str(tmp_path / "new"), 2 * ONE, "ssd", HERE)
    before = await store.maps.current()
    after = await store.maps.apply(2)
    watch = await store.watch()
    await watch.close()

    assert (3, (added,), 3) == (added.osd, (added,), len(before.osds))
    assert (tmp_path / "new" / "osd.json").exists()
    assert (2 * ONE, "ssd") == (after.osd(3).weight, after.osd(3).device_class)
    assert [0, 1, 2, 3] == sorted(watch.cluster.osds)


async def test_attempt_that_was_reverted_is_taken_up(store: MappedStore, tmp_path: Path) -> None:
    path = str(tmp_path / "new")
    first = await keeper_of(store).add(path, ONE, "hdd", HERE)
    await store.maps.revert()

    assert first == await keeper_of(store).add(path, ONE, "hdd", HERE)
    with pytest.raises(MapError, match=f"{path} is osd.3 already"):
        await keeper_of(store).add(path, ONE, "hdd", HERE)


@pytest.mark.parametrize("names", [("new", "other"), ("new", "new")])
async def test_osds_may_be_added_by_two_commands_at_the_same_time(
    store: MappedStore, tmp_path: Path, names: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have read that number 3 is free."""
    commit, others = store.meta.commit, [str(tmp_path / names[1])]

    async def commit_second(*arguments: Any) -> int:
        if others:
            await keeper_of(store).add(others.pop(), ONE, "hdd", HERE)
        return await commit(*arguments)

    monkeypatch.setattr(store.meta, "commit", commit_second)
    adding = keeper_of(store).add(str(tmp_path / names[0]), ONE, "hdd", HERE)
    if names[0] == names[1]:
        with pytest.raises(MapError, match=r"is osd\.3 already"):
            await adding
    else:
        assert 4 == (await adding).osd
    await store.maps.apply(2)
    watch = await store.watch()
    await watch.close()
    assert {} == watch.cluster.missing


async def test_place_that_cannot_be_leaves_the_directory_alone(
    store: MappedStore, tmp_path: Path
) -> None:
    with pytest.raises(MapError, match="exists elsewhere"):
        await keeper_of(store).add(str(tmp_path / "new"), ONE, "hdd", (("rack", "localhost"),))

    assert not (tmp_path / "new").exists()


async def test_directory_that_holds_something_is_not_made_an_osd(
    store: MappedStore, tmp_path: Path
) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "thesis.tex").touch()
    with pytest.raises(DataError, match="not empty"):
        await keeper_of(store).add(str(tmp_path / "new"), ONE, "hdd", HERE)
    assert () == await store.maps.staged()


async def test_number_of_a_removed_osd_is_not_given_again(
    store: MappedStore, tmp_path: Path
) -> None:
    await store.maps.change(Change("remove", 2))
    assert 3 == (await keeper_of(store).add(str(tmp_path / "new"), ONE, "hdd", HERE)).osd


async def test_osd_in_use_is_not_removed(store: MappedStore) -> None:
    with pytest.raises(MapError, match="drain it first"):
        await keeper_of(store).check_removable(0)


async def test_osd_is_not_removed_while_an_upload_may_still_end_on_it(store: MappedStore) -> None:
    await store.maps.change(Change("drain", 0))
    store.clock.now += ADOPT_WITHIN_MS - 1_000
    with pytest.raises(MapError, match="try again in 2 s"):
        await keeper_of(store).check_removable(0)


async def test_osd_is_removed_when_nothing_is_on_it_any_more(store: MappedStore) -> None:
    await store.maps.change(Change("drain", 0))
    store.clock.now += ADOPT_WITHIN_MS
    await store.maps.stage(Change("remove", 0))
    await put_blob(store, 0, 1)

    with pytest.raises(MapError, match=r"osd\.0 holds 1 shards of 100 bytes"):
        await keeper_of(store).apply(3)
    await put_blob(store, 1, 2)
    assert [1, 2] == [osd.id for osd in (await keeper_of(store).apply(3)).osds]


async def test_osd_is_not_removed_while_a_damaged_row_may_speak_of_it(store: MappedStore) -> None:
    await put_blob(store, 0, 1)
    ((key, row),) = await store.meta.scan(BLOB, after_prefix(BLOB), limit=10)
    await store.meta.commit([Put(key, row[:-1] + bytes((row[-1] ^ 1,)))])
    await store.maps.change(Change("drain", 2))
    store.clock.now += ADOPT_WITHIN_MS
    with pytest.raises(MapError, match="1 blobs whose rows are damaged"):
        await keeper_of(store).check_removable(2)
    assert (0, 0) == (await held(store.meta)).on(2)
    await store.meta.commit([Put(key, row)])
    await keeper_of(store).check_removable(2)


async def test_what_osds_hold_is_counted_by_the_blob_table(store: MappedStore) -> None:
    await put_blob(store, 0, 1)
    assert {0: (1, 100), 1: (1, 100)} == (await held(store.meta)).by_osd


async def test_status_tells_what_is_not_here_and_what_is_held(
    store: MappedStore, tmp_path: Path
) -> None:
    (tmp_path / "osd.1" / "osd.json").unlink()
    await put_blob(store, 0, 1)
    watch = await store.watch()
    found = await keeper_of(store).status(watch.cluster, count_data=True)
    await watch.close()

    assert [True, False, True] == [osd.is_here for osd in found]
    assert "is it mounted?" in found[1].reason
    assert [(1, 100), (1, 100), (0, 0)] == [(osd.shards, osd.data) for osd in found]
    assert 0 < found[0].used_ratio < 1
    assert ("dc1", "rack1", "localhost") == (
        found[0].datacenter,
        found[0].rack,
        found[0].host,
    )


async def test_status_tells_what_the_running_server_found_down(store: MappedStore) -> None:
    record = DownRecord(osd=1, reason="Input/output error", since_ms=0)
    await store.meta.commit([Put(osd_down_key(1), encode(record))])
    watch = await store.watch()
    found = await keeper_of(store).status(watch.cluster, count_data=False)
    await watch.close()

    assert [True, False, True] == [osd.is_here for osd in found]
    assert "Input/output error" == found[1].reason


async def test_state_that_is_set_again_keeps_its_date(store: MappedStore) -> None:
    await store.maps.change(Change("drain", 0))
    first = (await store.maps.current()).osd(0)
    store.clock.now += 5_000
    await store.maps.change(Change("drain", 0))

    assert first == (await store.maps.current()).osd(0)
