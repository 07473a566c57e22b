"""Lines of access logs in files: what is dropped, and what that does to the others."""

from __future__ import annotations

from pathlib import Path

from structlog.testing import capture_logs

from s3server.core.log_spool import Spool, chunks
from s3server.core.records import BucketRecord
from tests.support.core_store import ManualClock
from tests.support.file_limit import no_file_longer_than


def spool_in(directory: Path) -> Spool:
    return Spool(directory, clock=ManualClock(), interval_s=60, writer="me")


def bucket(name: str) -> BucketRecord:
    return BucketRecord(
        id=name.encode().ljust(8), name=name, owner="", account="", created_ms=0, region=""
    )


def lines(directory: Path) -> dict[str, list[bytes]]:
    (file,) = directory.glob("*-me.log")
    return {name: found for chunk in chunks(file) for (_, name), found in chunk.items()}


def test_lines_are_kept_while_delivered_files_are_removed(tmp_path: Path) -> None:
    (tmp_path / "0000000000000001-other.log").symlink_to(tmp_path / "just removed")
    spool_in(tmp_path).add(bucket("one"), "line\n")
    assert lines(tmp_path) == {"one": [b"line\n"]}


def test_line_that_is_cut_off_takes_no_line_of_another_bucket_along(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    with capture_logs(), no_file_longer_than(100):
        spool.add(bucket("one"), "whole\n")
        spool.add(bucket("two"), "x" * 100 + "\n")
    spool.add(bucket("one"), "later\n")
    assert lines(tmp_path) == {"one": [b"whole\n"]}
