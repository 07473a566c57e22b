"""`s3server doctor` finds what an operator has to know, and changes nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from s3server.admin import doctor
from s3server.admin.doctor import Level, examine
from s3server.config import Config
from s3server.maintenance import initialise
from s3server.settings import quickstart_config


@pytest.fixture
async def store(tmp_path: Path) -> Config:
    config = quickstart_config(tmp_path, access_key="AKIATEST", secret_key="s" * 20)
    await initialise(config)
    return config


def bad(config: Config) -> list[str]:
    return [f"{each.what}: {each.text}" for each in examine(config) if each.level is Level.BAD]


async def test_sound_store_has_nothing_bad_and_stays_as_it_is(store: Config) -> None:
    before = sorted(store.storage.meta_dir.parent.rglob("*"))

    found = {(each.what, each.level) for each in examine(store)}

    assert {("versions", Level.OK), ("master key", Level.OK), ("OSD 2", Level.OK)} <= found
    assert ("disks", Level.WARNING) in found  # all three are on one
    assert before == sorted(store.storage.meta_dir.parent.rglob("*"))


async def test_store_that_is_not_made_yet_is_no_fault(tmp_path: Path) -> None:
    config = quickstart_config(tmp_path / "new", access_key="AKIATEST", secret_key="s" * 20)

    assert [] == [each for each in bad(config) if "OSD" in each or "key" in each]


def swap_two(config: Config) -> str:
    first, second = config.osds[0].path, config.osds[1].path
    first.rename(aside := first.with_name("aside"))
    second.rename(first)
    aside.rename(second)
    return f"OSD 0: {first} is OSD 1"


def take_away(config: Config) -> str:
    path = config.osds[2].path
    path.rename(path.with_name("elsewhere"))
    return f"OSD 2: {path} is not there: is it mounted?"


def put_something_else_there(config: Config) -> str:
    path = config.osds[2].path
    path.rename(path.with_name("elsewhere"))
    path.mkdir()
    (path / "notes").touch()
    return f"OSD 2: {path} is no OSD: it has no osd.json; is it mounted?"


def open_the_key(config: Config) -> str:
    file = config.storage.master_key_file
    file.chmod(0o644)
    return f"master key: {file} can be reached by others: chmod o= it"


FAULTS = [swap_two, take_away, put_something_else_there, open_the_key]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_fault_is_found(store: Config, fault: Callable[[Config], str]) -> None:
    assert fault(store) in bad(store)


async def test_full_disk_is_found(store: Config) -> None:
    storage = store.storage.model_copy(update={"full_ratio": 0.0, "nearfull_ratio": 0.0})

    assert 4 == sum("% used" in each for each in bad(store.model_copy(update={"storage": storage})))


@pytest.mark.parametrize("kind", ["nfs4", "overlay"])
async def test_file_system_that_is_no_local_disk_is_bad(
    store: Config, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_file_system", lambda _path: kind)

    assert 4 == sum(f"is on {kind}: give it a local file system" in each for each in bad(store))


def test_kind_of_file_system_is_that_of_the_nearest_mount() -> None:
    if os.path.ismount("/dev/shm"):
        assert "tmpfs" == doctor._file_system(Path("/dev/shm"))
    assert "proc" == doctor._file_system(Path("/proc/self"))
