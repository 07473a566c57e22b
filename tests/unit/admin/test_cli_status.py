"""What `s3server status` tells of a store whose server does not run."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from s3server.admin import cli, quickstart
from s3server.core import records
from s3server.core.records import encode, store_key
from s3server.core.upkeep_records import DownRecord, osd_down_key
from s3server.jobs.scan import ScanRecord
from s3server.jobs.set_aside import PREFIX
from s3server.meta.base import Delete, Put, Write
from s3server.metadata import open_metadata
from s3server.process import state
from s3server.settings import load
from tests.support.commands import command


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("S3SERVER_ROOT_ACCESS_KEY", raising=False)
    monkeypatch.delenv("S3SERVER_ROOT_SECRET_KEY", raising=False)
    for ratio in ("NEARFULL_RATIO", "FULL_RATIO"):  # whatever else is on this disk
        monkeypatch.setenv(f"S3SERVER_STORAGE__{ratio}", "1")
    quickstart.prepare(tmp_path / "store", osds=None, codec=None, server={})
    assert 0 == cli.run(["osd", "list", "--dir", str(tmp_path / "store")])  # makes the OSDs
    return tmp_path / "store"


@pytest.fixture
def served(store: Path) -> Iterator[Path]:
    """The store, which a server seems to serve."""
    with state.locked(store / "meta"):
        yield store


def seems_to_run(store: Path) -> None:
    storage = load(store / "s3server.toml").storage
    state.write(storage, url="http://127.0.0.1:9000", workers={}, jobs=None)


def commit(store: Path, write: Write) -> None:
    async def run() -> None:
        meta = await open_metadata(load(store / "s3server.toml"))
        await meta.commit([write])
        await meta.close()

    asyncio.run(run())


def put_row(store: Path, key: bytes, row: bytes) -> None:
    commit(store, Put(key, row))


def mark_down(store: Path, osd: int, reason: str) -> None:
    put_row(store, osd_down_key(osd), encode(DownRecord(osd=osd, since_ms=1, reason=reason)))


def status(store: Path, capfd: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines that are printed, where nothing is said beside them."""
    capfd.readouterr()
    assert 0 == cli.run(["status", "--dir", str(store)])
    out, err = capfd.readouterr()
    assert err == ""
    return out.splitlines()


def words_of(lines: list[str], osd: int) -> list[str]:
    return next(line.split() for line in lines if line.startswith(f"{osd} "))


def test_whole_store_is_ok(store: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lines = status(store, capfd)
    pool = "pools: default (replica:3); blobs: 0 degraded, 0 astray, 0 unreadable"
    assert ["OK", "no server runs", f"epoch 1; {pool}", ""] == lines[:4]
    assert ["osd", "state", "used_percent", "journal", "path", "reason"] == lines[4].split()
    assert ["0", "in"] == words_of(lines, 0)[:2]


@pytest.mark.parametrize(
    ("full", "health", "reason"),
    [
        ("0.000001", "WARNING: OSDs are full: 0, 1, 2", "full"),
        ("1", "WARNING: OSDs are nearly full: 0, 1, 2", "nearly full"),
    ],
)
def test_full_store_is_not_ok(
    store: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    full: str,
    health: str,
    reason: str,
) -> None:
    monkeypatch.setenv("S3SERVER_STORAGE__NEARFULL_RATIO", "0.000001")
    monkeypatch.setenv("S3SERVER_STORAGE__FULL_RATIO", full)
    lines = status(store, capfd)
    assert health == lines[0]
    assert lines[5].endswith(f"  {reason}")


def test_fullness_is_judged_as_by_the_server_that_runs(
    served: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S3SERVER_STORAGE__FULL_RATIO", "0.000001")
    seems_to_run(served)
    monkeypatch.setenv("S3SERVER_STORAGE__FULL_RATIO", "1")
    assert "WARNING: OSDs are full: 0, 1, 2" == status(served, capfd)[0]


def test_space_is_told_as_by_the_command_about_osds(store: Path) -> None:
    """Reserved blocks of the file system are no used space, to neither of them."""
    told = {row["osd"]: row["used_percent"] for row in command(store, "status")["osds"]}
    for row in command(store, "osd", "status"):
        assert told[row["osd"]] == pytest.approx(100 * row["used_ratio"], abs=1)


def test_what_the_journal_takes_is_told(store: Path) -> None:
    for row in command(store, "status")["osds"]:
        files = (Path(row["path"]) / "journal").iterdir()
        assert row["journal_bytes"] == sum(file.stat().st_size for file in files) > 0


def test_server_that_runs_is_told(served: Path, capfd: pytest.CaptureFixture[str]) -> None:
    seems_to_run(served)
    assert f"server http://127.0.0.1:9000, process {os.getpid()}" == status(served, capfd)[1]


def test_nobody_waits_for_what_no_server_does(
    store: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert 7 == cli.run(["status", "--wait", "--dir", str(store)])
    assert "s3server: no server runs: nobody repairs" in capfd.readouterr().err


def test_store_that_was_not_made_yet_is_not_well(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    quickstart.prepare(tmp_path / "new", osds=None, codec=None, server={})
    assert 7 == cli.run(["status", "--dir", str(tmp_path / "new")])
    assert "meta holds no metadata yet: the first start makes them" in capfd.readouterr().err
    assert ["s3server.toml"] == [file.name for file in (tmp_path / "new").iterdir()]


def test_status_waits_for_the_scan_of_the_map_in_force(
    served: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds: list[float] = []

    def scan_later(seconds: float) -> None:
        rounds.append(seconds)
        if len(rounds) == 2:
            put_row(served, store_key("scan"), encode(ScanRecord(epoch=1, is_over=True)))

    monkeypatch.setattr("s3server.admin.cli_status.time.sleep", scan_later)
    capfd.readouterr()
    assert 0 == cli.run(["status", "--wait", "--json", "--dir", str(served)])
    assert 1 == json.loads(capfd.readouterr().out)["scanned_epoch"]
    assert 2 == len(rounds)


def test_who_waits_is_told_for_what_and_not_kept_for_ever(
    served: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mark_down(served, 1, "Input/output error")
    now_s = [0.0]

    def pass_time(seconds: float) -> None:
        now_s[0] += seconds
        if now_s[0] == 4:
            commit(served, Delete(osd_down_key(1)))

    monkeypatch.setattr("s3server.admin.cli_status.time.sleep", pass_time)
    monkeypatch.setattr("s3server.admin.cli_status.time.monotonic", lambda: now_s[0])
    capfd.readouterr()
    assert 1 == cli.run(["status", "--wait", "--timeout", "10", "--dir", str(served)])
    what = "shards are compared with epoch 1"
    assert capfd.readouterr().err.splitlines() == [
        f"waiting: {what}; osd.1: Input/output error",
        f"waiting: {what}",
        f"s3server: not done after 10 s: {what}",
    ]
    assert 10 == now_s[0]


@pytest.mark.parametrize(("is_well", "looks"), [(True, 3), (False, 8)])
def test_status_waits_until_a_disk_that_is_back_was_probed_but_not_for_ever(
    served: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    is_well: bool,
    looks: int,
) -> None:
    put_row(served, store_key("scan"), encode(ScanRecord(epoch=1, is_over=True)))
    mark_down(served, 1, "is it mounted?")
    rounds: list[float] = []

    def probe_later(seconds: float) -> None:
        rounds.append(seconds)
        if is_well and len(rounds) == 3:
            commit(served, Delete(osd_down_key(1)))

    monkeypatch.setattr("s3server.admin.cli_status.time.sleep", probe_later)
    capfd.readouterr()
    assert 0 == cli.run(["status", "--wait", "--json", "--dir", str(served)])
    (osd,) = [each for each in json.loads(capfd.readouterr().out)["osds"] if each["osd"] == 1]
    assert (looks, "in" if is_well else "down") == (len(rounds), osd["state"])


def test_osd_that_failed_is_down_and_one_that_is_not_mounted_missing(
    store: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    mark_down(store, 1, "Input/output error")
    lines = status(store, capfd)
    assert "WARNING: OSDs are down: 1" == lines[0]
    assert "down" == words_of(lines, 1)[1]
    assert ["Input/output", "error"] == words_of(lines, 1)[-2:]
    assert "in" == words_of(lines, 2)[1]
    (store / "osd.2").rename(store / "taken")
    lines = status(store, capfd)
    assert "WARNING: OSDs are missing: 2" == lines[0]
    assert ["2", "missing", "-"] == words_of(lines, 2)[:3]


@pytest.mark.parametrize("is_known", [True, False])
def test_commands_tell_of_an_osd_that_takes_no_journal_where_nobody_knows(
    store: Path, is_known: bool
) -> None:
    if is_known:
        mark_down(store, 2, "is it mounted?")
    (store / "osd.2").rename(store / "taken")
    with capture_logs() as logs:
        assert 0 == cli.run(["osd", "list", "--dir", str(store)])
    assert is_known != any(line["event"] == "osd takes no journal" for line in logs)


def test_garbage_that_is_set_aside_is_shown_and_can_be_forgotten(
    store: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    put_row(store, PREFIX + b"garbage", b"damaged")
    expected = "WARNING: 1 damaged rows are set aside: see `s3server meta set-aside`"
    assert expected == status(store, capfd)[0]
    for options in ([], ["--drop"]):
        assert 0 == cli.run(["meta", "set-aside", "--dir", str(store), *options])
        assert b"garbage".hex() in capfd.readouterr().out
    assert "OK" == status(store, capfd)[0]


def test_who_waits_for_repairs_is_told_which_osds_are_full(
    served: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    put_row(served, store_key("scan"), encode(ScanRecord(epoch=1, is_over=True)))
    put_row(served, records.REPAIR + bytes((1,)) + b"b" * 16, b"")
    monkeypatch.setenv("S3SERVER_STORAGE__FULL_RATIO", "0.000001")
    monkeypatch.setattr("s3server.admin.cli_status._EVERY_S", 0.01)
    capfd.readouterr()
    assert 1 == cli.run(["status", "--wait", "--timeout", "0.01", "--dir", str(served)])
    what = "blobs lack shards; osd.0: full; osd.1: full; osd.2: full"
    assert capfd.readouterr().err.splitlines()[0] == f"waiting: {what}"
