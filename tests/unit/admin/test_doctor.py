"""`s3server doctor` finds what an operator has to know, and changes nothing."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bench.tls_front import certificate
from s3server.admin import doctor_disks
from s3server.admin.doctor import examine
from s3server.admin.finding import Level
from s3server.admin.quickstart import prepare
from s3server.config import Config
from s3server.core.keys import KeyRing, KeyRingError
from s3server.maintenance import initialise
from s3server.settings import load, quickstart_config
from tests.support.commands import command
from tests.support.server_process import run_server


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


def lose_the_key(config: Config) -> str:
    file = config.storage.master_key_file
    file.unlink()
    return f"master key: {file} is missing: put it back, without it access keys cannot be opened"


def spoil_the_metadata(config: Config) -> str:
    file = config.storage.meta_dir / "data.mdb"
    file.write_bytes(b"x" * file.stat().st_size)
    return f"metadata: {file} is no file of LMDB 1.0; those of 0.9 cannot be used"


def lose_the_ring(config: Config) -> str:
    ring = config.storage.master_key_file.with_name("encryption.keys")
    KeyRing(ring).rotate()
    ring.unlink()
    with pytest.raises(KeyRingError) as told:
        KeyRing(ring).rotate()
    return f"key ring: {told.value}"


def open_the_ring(config: Config) -> str:
    ring = config.storage.master_key_file.with_name("encryption.keys")
    KeyRing(ring).rotate()
    ring.chmod(0o644)
    return f"key ring: {ring} must be its owner's only: chmod 600"


FAULTS = [
    spoil_the_metadata,
    swap_two,
    take_away,
    put_something_else_there,
    open_the_key,
    lose_the_key,
    lose_the_ring,
    open_the_ring,
]


def test_osds_are_those_of_the_map(tmp_path: Path) -> None:
    """An OSD that was added is looked at, though no settings name it."""
    prepare(tmp_path, osds=None, codec=None, server={})
    added = tmp_path / "new-disk"
    command(tmp_path, "osd", "add", str(added), "--now")
    (added / "osd.json").unlink()
    found = bad(load(tmp_path / "s3server.toml"))
    assert found == [f"OSD 3: {added} is no OSD: it has no osd.json; is it mounted?"]


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
    monkeypatch.setattr(doctor_disks, "_mount", lambda _path: (kind, frozenset({"rw"})))

    assert 4 == sum(f"is on {kind}: give it a local file system" in each for each in bad(store))


def test_kind_of_file_system_is_that_of_the_nearest_mount() -> None:
    if os.path.ismount("/dev/shm"):
        assert "tmpfs" == doctor_disks._mount(Path("/dev/shm"))[0]
    assert "proc" == doctor_disks._mount(Path("/proc/self"))[0]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"rw", "nobarrier"}, "is mounted with nobarrier: a power cut may lose what was synced"),
        ({"ro"}, "is mounted read-only"),
    ],
)
async def test_mount_that_cannot_be_relied_on_is_bad(
    store: Config, monkeypatch: pytest.MonkeyPatch, options: set[str], text: str
) -> None:
    monkeypatch.setattr(doctor_disks, "_mount", lambda _path: ("xfs", frozenset(options)))

    assert 4 == sum(text in each for each in bad(store))


async def test_disk_without_inodes_is_bad(store: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs

    def without_inodes(path: Any) -> Any:
        found = list(real(path))
        found[5:8] = [1000, 0, 0]  # f_files, f_ffree, f_favail
        return os.statvfs_result(found)

    monkeypatch.setattr(os, "statvfs", without_inodes)

    assert 4 == sum("0 inodes free" in each for each in bad(store))


def shown(config: Config, days: float = 0, **changed: Any) -> dict[Level, list[str]]:
    """Return what is said of the certificate, so many days from now."""
    found: dict[Level, list[str]] = {}
    now = datetime.now(UTC) + timedelta(days=days)
    for each in examine(config.model_copy(update=changed), now=now):
        if each.what == "certificate":
            found.setdefault(each.level, []).append(each.text)
    return found


async def test_certificate_is_looked_at(store: Config, tmp_path: Path) -> None:
    pem = certificate(tmp_path, "s3.example.org")
    tls = store.tls.model_copy(update={"certificate": pem, "key": tmp_path / "key.pem"})
    server = store.server.model_copy(update={"base_domains": ("s3.example.org",)})

    assert {} == shown(store)
    soon = shown(store, tls=tls, server=server)
    assert soon.keys() == {Level.WARNING}
    assert "in 1 days: renew it, then SIGHUP" in soon[Level.WARNING][0]
    assert "not for *.s3.example.org, which clients use" in soon[Level.WARNING][1]
    assert "which is over" in shown(store, 2, tls=tls)[Level.BAD][0]
    assert "valid from" in shown(store, -2, tls=tls)[Level.BAD][0]
    (tmp_path / "other").mkdir()
    certificate(tmp_path / "other")
    stranger = tls.model_copy(update={"key": tmp_path / "other" / "key.pem"})
    assert "KEY_VALUES_MISMATCH" in shown(store, tls=stranger)[Level.BAD][0]
    gone = tls.model_copy(update={"certificate": tmp_path / "gone.pem"})
    assert "No such file" in shown(store, tls=gone)[Level.BAD][0]


async def test_address_in_use_by_another_is_told(store: Config) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        config = store.model_copy(
            update={"server": store.server.model_copy(update={"listen": address})}
        )
        found = [each for each in examine(config) if each.what == "server"]
    assert [Level.WARNING] == [each.level for each in found]
    assert f"{address}: Address already in use" in found[0].text


def asked(directory: Path, *wrapped: str) -> tuple[int, list[dict[str, str]]]:
    """Run the command in a process of its own; return its status and what it found."""
    command = [*wrapped, sys.executable, "-m", "s3server", "doctor", "--json", "--dir"]
    done = subprocess.run(
        [*command, str(directory)], capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, json.loads(done.stdout)


async def test_low_limit_of_open_files_is_found(tmp_path: Path) -> None:
    await initialise(prepare(tmp_path / "store", osds=None, codec=None, server={})())

    status, found = asked(tmp_path / "store", "prlimit", "--nofile=1000:1000")

    text = {each["what"]: each["finding"] for each in found}["open files"]
    assert "at most 1000: raise LimitNOFILE= to 65536 or more" == text
    assert status in (0, 1)  # as the disk of whoever runs the tests is


def give_away(directory: Path) -> None:
    """Make a store that of user 12345, who can reach it."""
    for path in (directory, *directory.rglob("*")):
        os.chown(path, 12345, 12345)
    for above in directory.parents[:-1]:
        above.chmod(above.stat().st_mode | 0o011)  # pytest's directories are for root alone


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
async def test_osd_of_another_user_is_found(tmp_path: Path) -> None:
    directory = tmp_path / "store"
    config = prepare(directory, osds=None, codec=None, server={})()
    await initialise(config)
    give_away(directory)
    os.chown(config.osds[1].path, 12346, 12346)
    config.osds[1].path.chmod(0o700)

    status, found = asked(directory)

    text = f"{config.osds[1].path} belongs to user 12346 and cannot be written by user 12345"
    assert (1, [f"{text}: chown it"]) == (
        status,
        [each["finding"] for each in found if "belongs to user" in each["finding"]],
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
async def test_files_of_another_user_are_found_wherever_they_are(tmp_path: Path) -> None:
    """As a restore or a copy by root leaves them, or a command run in a container."""
    directory = tmp_path / "store"
    await initialise(prepare(directory, osds=None, codec=None, server={})())
    (directory / "meta.usage").mkdir(exist_ok=True)
    give_away(directory)
    for name in ("meta/lock.mdb", "meta.usage", "osd.0/osd.json", "osd.1/incoming"):
        os.chown(directory / name, 0, 0)
        (directory / name).chmod(0o700)

    status, found = asked(directory)

    told = {each["what"]: each["finding"] for each in found if "belongs to user" in each["finding"]}
    text = "belongs to user 0 and cannot be written by user 12345"
    assert (status, told) == (
        1,
        {
            "metadata": f"{directory}/meta/lock.mdb {text}, nor can 1 more: chown it",
            "OSD 0": f"{directory}/osd.0/osd.json {text}: chown it",
            "OSD 1": f"{directory}/osd.1/incoming {text}: chown it",
        },
    )
    ran = subprocess.run(
        [sys.executable, "-m", "s3server", "user", "list", "--dir", str(directory)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert "/meta/lock.mdb is user 0's, and this is user 12345; commands for" in ran.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize(
    ("name", "owner", "mode", "text"),
    [
        ("osd.1", 0, 0o744, "{} belongs to user 0 and cannot be written by user 12345: chown it"),
        ("osd.1", 12345, 0o600, "{} cannot be read and written by user 12345: chmod u+rwx it"),
        ("osd.1/dir", 12345, 0o600, "{} cannot be read and written by user 12345: chmod u+rwx it"),
        ("meta", 12345, 0o600, "{} cannot be read and written by user 12345: chmod u+rwx it"),
    ],
)  # fmt: skip
async def test_directory_that_can_be_listed_alone_is_found_and_holds_nothing_else_up(
    tmp_path: Path, name: str, owner: int, mode: int, text: str
) -> None:
    directory = tmp_path / "store"
    await initialise(prepare(directory, osds=None, codec=None, server={})())
    (directory / name).mkdir(exist_ok=True)
    (directory / name / "file").touch()
    give_away(directory)
    os.chown(directory / name, owner, owner)
    (directory / name).chmod(mode)

    status, found = asked(directory)

    told = [each["finding"] for each in found if str(directory / name) in each["finding"]]
    assert (status, told) == (1, [text.format(directory / name)])
    assert {"metadata", "OSD 0", "OSD 2", "disks"} <= {each["what"] for each in found}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
async def test_osd_below_a_directory_that_cannot_be_entered_is_found(tmp_path: Path) -> None:
    directory = tmp_path / "store"
    await initialise(prepare(directory, osds=None, codec=None, server={})())
    (directory / "disk").mkdir()
    (directory / "osd.1").rename(directory / "disk" / "osd")
    (directory / "osd.1").symlink_to("disk/osd")
    give_away(directory)
    (directory / "disk").chmod(0o600)

    status, found = asked(directory)

    told = [each["finding"] for each in found if each["what"] == "OSD 1"]
    assert (status, told) == (1, [f"{directory}/osd.1: Permission denied"])
    assert {"OSD 2", "disks"} <= {each["what"] for each in found}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
async def test_what_is_kept_beside_the_metadata_and_not_used_is_no_fault(tmp_path: Path) -> None:
    directory = tmp_path / "store"
    await initialise(prepare(directory, osds=None, codec=None, server={})())
    kept = [directory / name for name in ("meta.aside-1", "meta.restored", "meta.bak")]
    for path in kept:
        path.mkdir()
    give_away(directory)
    for path in kept:
        os.chown(path, 0, 0)
        path.chmod(0o700)

    _, found = asked(directory)

    assert [] == [each["finding"] for each in found if "belongs to user" in each["finding"]]


async def test_server_that_runs_is_told_of(tmp_path: Path) -> None:
    with run_server(tmp_path / "store") as server:
        beside = {path.name for path in server.directory.glob("meta.*")}
        assert beside <= {f"meta{suffix}" for suffix in doctor_disks.BESIDE}
        _, found = asked(server.directory)
    (text,) = [each["finding"] for each in found if each["what"] == "server"]
    assert f"runs at {server.endpoint} with process id {server.pid} and 2 workers" == text
