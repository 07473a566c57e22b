"""Counts of requests: exact over workers, kept over restarts, in a file that says what it holds."""

from __future__ import annotations

from pathlib import Path

from s3server.counters import BOUNDS_S, Counters, layout_of, read_counts

LAYOUT = layout_of(["GetObject", "PutObject"], ["NoSuchKey", "SlowDown"])


def count(counters: Counters, operation: str, status: int, taken_us: int, *sizes: int) -> None:
    counters.add(counters.row(operation), counters.status(status), taken_us, *sizes)


def test_counts_of_all_workers_are_added_up(tmp_path: Path) -> None:
    first, second = (Counters(tmp_path / "run", slot, LAYOUT) for slot in (0, 1))
    count(first, "GetObject", 200, 300, 0, 10)
    count(second, "GetObject", 200, 300, 0, 20)
    count(second, "GetObject", 404, 100, 0, 5)
    count(second, "PutObject", 200, 9_000, 7, 0)
    second.add_error("NoSuchKey")

    found, codes = read_counts(tmp_path / "run")

    get = found["GetObject"]
    assert {status: sum(buckets) for status, buckets in get.by_status.items()} == {
        "200": 2,
        "404": 1,
    }
    assert (get.taken_us, get.received, get.sent) == (700, 0, 35)
    assert (found["PutObject"].received, codes) == (7, {"NoSuchKey": 1})


def test_a_bucket_of_time_holds_what_took_less_than_its_bound(tmp_path: Path) -> None:
    counters = Counters(tmp_path, 0, LAYOUT)
    for bound in BOUNDS_S:
        count(counters, "GetObject", 200, round(bound * 1e6) - 1, 0, 0)
    count(counters, "GetObject", 200, 10**9, 0, 0)

    buckets = read_counts(tmp_path)[0]["GetObject"].buckets()

    assert buckets == [1] * len(buckets)


def test_what_has_no_place_is_counted_as_other(tmp_path: Path) -> None:
    counters = Counters(tmp_path, 0, LAYOUT)
    count(counters, "NeverHeardOf", 299, 1, 0, 0)
    counters.add_error("NeverHeardOf")

    found, codes = read_counts(tmp_path)

    assert (list(found), list(found["other"].by_status), dict(codes)) == (
        ["other"],
        ["other"],
        {"other": 1},
    )


def test_counts_outlive_their_worker_but_not_their_layout(tmp_path: Path) -> None:
    count(Counters(tmp_path, 0, LAYOUT), "GetObject", 200, 1, 0, 0)
    count(Counters(tmp_path, 0, LAYOUT), "GetObject", 200, 1, 0, 0)
    assert sum(read_counts(tmp_path)[0]["GetObject"].buckets()) == 2

    Counters(tmp_path, 0, layout_of(["GetObject"], []))

    assert read_counts(tmp_path)[0] == {}


def test_without_a_directory_a_worker_counts_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    count(Counters(tmp_path / "file", 0, LAYOUT), "GetObject", 200, 1, 0, 0)
