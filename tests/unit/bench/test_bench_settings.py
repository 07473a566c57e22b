"""Sizes, refusals and ratios of the bench command lines."""

from __future__ import annotations

import pytest

from bench.compare import ratios
from bench.endpoint import parse_endpoint
from bench.errors import BenchError
from bench.settings import parse_size, parser, settings


@pytest.mark.parametrize(
    ("text", "expected"), [("4KiB", 4096), ("100MB", 10**8), ("512", 512), ("1 gib", 1 << 30)]
)
def test_sizes_are_read_as_people_write_them(text: str, expected: int) -> None:
    assert expected == parse_size(text)


@pytest.mark.parametrize("text", ["", "KiB", "4 Kib/s", "-1", "1.5MB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a size"):
        parse_size(text)


@pytest.mark.parametrize(
    "options",
    [
        ["--endpoint", "ftp://h"],
        ["--endpoint", "http://user:word@h"],
        ["--processes", "3", "--connections", "2"],
        ["--size", "0"],
    ],
    ids=["not http", "a user", "more processes than connections", "empty objects"],
)
def test_a_run_that_means_nothing_is_refused(options: list[str]) -> None:
    arguments = parser().parse_args(["--access-key", "a", "--secret-key", "b", *options])
    with pytest.raises(ValueError, match=r"an endpoint|at least"):
        settings(arguments)


def test_there_are_as_many_objects_as_fit_but_one_per_connection() -> None:
    keys = ["--access-key", "a", "--secret-key", "b"]
    few = settings(parser().parse_args([*keys, "--size", "100MB", "--connections", "50"]))
    many = settings(parser().parse_args([*keys, "--size", "1MB"]))
    assert (50, 2000) == (few.workload.objects, many.workload.objects)


def test_deleting_has_no_warm_up() -> None:
    keys = ["--access-key", "a", "--secret-key", "b"]
    assert 0.0 == settings(parser().parse_args([*keys, "--op", "delete"])).warmup_s


def test_ratios_are_taken_pair_by_pair() -> None:
    pairs = [{"A": {"x": a}, "B": {"x": b}} for a, b in ((2.0, 1.0), (9.0, 3.0), (4.0, 4.0))]
    assert {"min": 1.0, "median": 2.0, "max": 3.0} == ratios(pairs, "x")


def test_there_is_no_ratio_to_nothing() -> None:
    with pytest.raises(BenchError, match="nothing"):
        ratios([{"A": {"x": 1.0}, "B": {"x": 0.0}}], "x")


def test_the_host_header_leaves_out_the_port_that_goes_without_saying() -> None:
    names = [
        parse_endpoint(url).name
        for url in (
            "http://h:9000",
            "http://h",
            "https://h:443",
            "https://h:80",
            "http://[::1]:90/",
        )
    ]
    assert ["h:9000", "h", "h", "h:80", "[::1]:90"] == names
