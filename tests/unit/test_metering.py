"""Files of traffic: what is counted in them, and what outlives the process."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from structlog.testing import capture_logs

from s3server import metering
from s3server.metering import Meter, files_of, is_written_to, read_file

NOW_MS = 1_790_000_000_000
DAY_MS = 86_400_000


def test_counts_of_each_user_and_bucket_add_up(tmp_path: Path) -> None:
    meter = Meter(tmp_path / "usage")
    meter.turn(NOW_MS)
    meter.count(("p", "u", "b"), 10, 1)
    meter.count(("p", "u", "b"), 5, 2)
    meter.count(("p", "", ""), 0, 7)
    (file,) = files_of(tmp_path / "usage")
    assert [("p", "u", "b", (2, 15, 3)), ("p", "", "", (1, 0, 7))] == list(read_file(file))
    assert is_written_to(file)
    meter.close()
    assert not is_written_to(file)


def test_each_day_has_a_file_of_its_own(tmp_path: Path) -> None:
    meter = Meter(tmp_path)
    for day in range(2):
        meter.turn(NOW_MS + day * DAY_MS)
        meter.turn(NOW_MS + day * DAY_MS + 1)
        meter.count(("p", "u", "b"), 0, 0)
    files = files_of(tmp_path)
    assert [metering.day_of(NOW_MS), metering.day_of(NOW_MS + DAY_MS)] == [
        file.name[:8] for file in files
    ]
    assert [False, True] == [is_written_to(file) for file in files]


def test_full_file_is_followed_by_another(tmp_path: Path) -> None:
    meter = Meter(tmp_path)
    meter.turn(NOW_MS)
    for number in range(metering.ENTRIES + 1):
        meter.count(("p", "u", f"bucket-{number}"), 0, 1)
    found = [entry for file in files_of(tmp_path) for entry in read_file(file)]
    assert metering.ENTRIES + 1 == len({entry.bucket for entry in found}) == len(found)


def test_counts_survive_kill_9(tmp_path: Path) -> None:
    child = os.fork()
    if not child:
        meter = Meter(tmp_path)
        meter.turn(NOW_MS)
        for _ in range(1_000):
            meter.count(("p", "u", "b"), 1, 2)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    (file,) = files_of(tmp_path)
    assert not is_written_to(file)
    assert [("p", "u", "b", (1_000, 1_000, 2_000))] == list(read_file(file))


def test_without_a_place_for_its_file_it_counts_in_memory_and_tries_again(tmp_path: Path) -> None:
    place = tmp_path / "usage"
    place.write_text("no directory")
    meter = Meter(place)
    meter.turn(NOW_MS)
    meter.count(("p", "u", "b"), 0, 0)
    place.unlink()
    meter.turn(NOW_MS)
    meter.count(("p", "u", "b"), 0, 0)
    assert [(1, 0, 0)] == [entry.counts for file in files_of(place) for entry in read_file(file)]


def test_directory_that_cannot_be_used_is_told_of_once(tmp_path: Path) -> None:
    (tmp_path / "usage").touch()
    meter = Meter(tmp_path / "usage")
    with capture_logs() as told:
        for _ in range(3):
            meter.turn(NOW_MS)
            meter.count(("p", "u", "b"), 0, 0)
        (tmp_path / "usage").unlink()
        meter.turn(NOW_MS)
    meter.close()
    assert ["traffic is not counted durably", "traffic is counted durably again"] == [
        each["event"] for each in told
    ]
