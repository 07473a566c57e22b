"""Commands for OSDs and placement on a store whose server does not run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from s3server.admin import cli, quickstart
from s3server.admin.output import show_bytes


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("S3SERVER_ROOT_ACCESS_KEY", raising=False)
    monkeypatch.delenv("S3SERVER_ROOT_SECRET_KEY", raising=False)
    quickstart.prepare(tmp_path / "store", osds=None, codec=None, server={})
    return tmp_path / "store"


class Run:
    """Runs commands on the store."""

    def __init__(self, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._store, self._capsys = store, capsys

    def __call__(self, *arguments: str, status: int = 0) -> str:
        with capture_logs():  # which the real program sends to stderr
            found = cli.run([*arguments, "--dir", str(self._store)])
        captured = self._capsys.readouterr()
        assert status == found, captured.err
        return captured.out if status == 0 else captured.err

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json"))


@pytest.fixture
def run(store: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(store, capsys)


def test_new_store_lists_its_osds(run: Run, store: Path) -> None:
    rows = run.json("osd", "list")
    expected = {"osd": 0, "state": "in", "weight": 1.0, "reweight": 1.0, "class": "hdd"}
    expected |= {"datacenter": "dc1", "rack": "rack1", "host": "localhost"}

    assert expected | {"path": str(store / "osd.0")} == rows[0]
    assert ["osd", "0", "1", "2"] == [line.split()[0] for line in run("osd", "list").splitlines()]


def test_change_is_staged_shown_applied_and_not_applied_twice(run: Run, store: Path) -> None:
    added = run.json("osd", "add", str(store / "new"), "--weight", "2", "--host", "n2")
    shown = run.json("placement", "diff")
    applied = run.json("placement", "apply", "--epoch", "2")
    again = run("placement", "apply", "--epoch", "2", status=1)

    change = "add osd.3 weight=2 class=hdd datacenter=dc1 rack=rack1 host=n2"
    assert (3, 2, [change]) == (added["osd"], added["next_epoch"], added["staged"])
    assert (1, 2, [change], []) == tuple(
        shown[name] for name in ("epoch", "next_epoch", "staged", "warnings")
    )
    assert {"epoch": 2, "staged": [], "applied": [change]} == applied
    assert "s3server: nothing is staged; the map is of epoch 2\n" == again


def test_difference_is_for_people_too(run: Run) -> None:
    text = run("osd", "out", "osd.1")

    assert text.splitlines() == [
        "staged for epoch 2:",
        "  out osd.1",
        "warning: pool default: replica:3 wants 3 of osd, 2 left",
        "0 shards of 0 bytes are to be moved then",
        "apply it with: s3server placement apply --epoch 2",
    ]
    assert "forgotten:\nout osd.1\n" == run("placement", "revert")
    assert "epoch 1 is in force; nothing is staged\n" == run("placement", "diff")
    assert {"reverted": []} == run.json("placement", "revert")


@pytest.mark.parametrize(
    ("command", "column", "value"),
    [
        (["out", "1"], "state", "out"),
        (["drain", "osd.1"], "state", "drain"),
        (["reweight", "1", "0.5"], "reweight", 0.5),
        (["reweight", "1", "--weight", "2.5"], "weight", 2.5),
    ],
)
def test_change_that_is_applied_at_once_is_in_the_list(
    run: Run, command: list[str], column: str, value: object
) -> None:
    assert 2 == run.json("osd", *command, "--now")["epoch"]
    assert value == run.json("osd", "list")[1][column]
    run("osd", "in", "1", "--now")
    assert "in" == run.json("osd", "list")[1]["state"]


@pytest.mark.parametrize(
    ("command", "status", "text"),
    [
        (["osd", "out", "9"], 1, "osd.9 is not in the map"),
        (["osd", "out", "rack1"], 2, "expected an OSD as 3 or osd.3"),
        (["osd", "remove", "1"], 1, "osd.1 is in use: drain it first"),
        (["osd", "reweight", "1"], 2, "give RATIO or --weight"),
        (["osd", "reweight", "1", "much"], 1, "'much' is no weight"),
        (["osd", "reweight", "1", "2"], 1, "osd.1: reweight 2 is outside 0..1"),
        (["osd", "reweight", "1", "--weight", "-1"], 1, "osd.1: weight -1 is outside 0..65536"),
        (["osd", "reweight", "1", "nan"], 1, "'nan' is no weight"),
        (["placement", "apply"], 2, "--epoch"),
        (["placement", "explain", "bucket/key"], 2, "expected s3://BUCKET/KEY"),
        (["placement", "explain", "s3://bucket/key"], 4, "bucket does not exist"),
        (
            ["placement", "what-if", "--fail", "rack9"],
            1,
            "no OSD, host, rack or datacenter is named rack9",
        ),
        (["placement", "what-if", "--add", "osd.9:mass=4"], 2, "there are weight"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(
    run: Run, command: list[str], status: int, text: str
) -> None:
    assert text in run(*command, status=status)
    assert {"epoch": 1, "staged": []} == run.json("placement", "diff")


def test_drained_osd_is_not_removed_at_once(run: Run) -> None:
    run("osd", "drain", "1", "--now")
    assert "may still end on it" in run("osd", "remove", "1", status=1)


def test_status_tells_what_is_here_and_how_full(run: Run, store: Path) -> None:
    (store / "osd.2").mkdir()
    rows = run.json("osd", "list")  # makes the OSDs
    (store / "osd.2" / "osd.json").unlink()
    cli_rows = run.json("osd", "status")

    assert 3 == len(rows)
    assert "down" == cli_rows[2]["health"]
    assert "is it mounted?" in cli_rows[2]["reason"]
    assert {"up", "nearfull", "full"} >= {row["health"] for row in cli_rows[:2]}
    assert [0, 0] == [row["shards"] for row in cli_rows[:2]]
    shown = run("osd", "status")
    assert "nearly full from 85%, full from 95%" in shown
    assert "iB " in shown.splitlines()[1]  # sizes for people; for programs, bytes
    assert isinstance(cli_rows[0]["free"], int)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1_023, "1023 B"),
        (1_536, "1.5 KiB"),
        (1 << 40, "1.0 TiB"),
        (1 << 61, "2048.0 PiB"),
    ],
)
def test_sizes_are_told_in_units_of_1024(count: int, text: str) -> None:
    assert text == show_bytes(count)


def test_what_if_on_an_empty_store_moves_nothing(run: Run) -> None:
    found = run.json("placement", "what-if", "--fail", "localhost", "--add", "osd.9:weight=4")

    assert [0, 0, 0, 0] == [
        found[name] for name in ("safe", "degraded", "unreadable", "move_bytes")
    ]
    assert [0, 1, 2] == found["failed"]
    assert ["pool default: replica:3 wants 3 of osd, 1 left"] == found["warnings"]
    assert "objects safe        0" in run("placement", "what-if", "--remove", "osd.1")
