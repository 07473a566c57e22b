"""What is made of a result: its file, ratios, figures and a page."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from bench.comparison import compare, table
from bench.errors import BenchError
from bench.latency import Latency
from bench.plots import figures
from bench.report import write_page, write_plots
from bench.result import Client, Experiment, Point, Result, load, save, schema


def point(op: str, connections: int, ops_per_s: float, **more: object) -> Point:
    late = Latency(1.0, 2.0, 3.0, 4.0, 5.0)
    fields = {
        "op": op,
        "size": 4096,
        "connections": connections,
        "objects": 100,
        "seconds": 1.0,
        "ops_per_s": ops_per_s,
        "mb_per_s": ops_per_s * 4096 / 1e6,
        "latency_ms": late,
        "by_kind": {},
        "errors": {},
        "histograms": {},
        **more,
    }
    return Point(**fields)  # type: ignore[arg-type]


def result(*points: Point) -> Result:
    experiment = Experiment(
        endpoint="http://s3.test",
        region="us-east-1",
        location="",
        accounts=1,
        buckets=5,
        processes=2,
        duration_s=1.0,
        warmup_s=0.1,
        rounds=2,
        payload="signed",
        loop="closed",
        arrivals="poisson",
        verify="sample",
        seed=1,
    )
    return Result(
        title="a <server> & more",
        started="2026-01-01T00:00:00+00:00",
        client=Client("Linux", 2, "3.11"),
        experiment=experiment,
        points=list(points),
    )


ONE = result(
    point("get", 5, 100.0),
    point("get", 5, 120.0),
    point("put", 5, 50.0, errors={"503 SlowDown": 3}, error_sample="HTTP/1.1 503 <Slow> Down"),
    point("get", 50, 400.0),
    point("put", 50, 200.0),
)


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    save(ONE, tmp_path / "one.json")
    assert load(tmp_path / "one.json") == ONE
    assert ["one.json"] == [path.name for path in tmp_path.iterdir()]


def test_what_is_no_result_is_refused(tmp_path: Path) -> None:
    broken = msgspec.to_builtins(ONE)
    del broken["points"][0]["ops_per_s"]
    (tmp_path / "broken.json").write_text(json.dumps(broken))
    with pytest.raises(BenchError, match="ops_per_s"):
        load(tmp_path / "broken.json")


def test_the_schema_names_what_every_point_has() -> None:
    required = schema()["$defs"]["Point"]["required"]
    assert {"op", "size", "connections", "ops_per_s", "mb_per_s", "latency_ms", "errors"} <= set(
        required
    )


def test_ratios_are_of_medians_with_the_extremes_that_rounds_allow() -> None:
    half = result(point("get", 5, 50.0), point("get", 5, 60.0), point("head", 5, 1.0))
    (found,) = compare(ONE, half)
    assert ("get", 5, 2.0) == (found.op, found.connections, found.ratio)
    assert (round(100 / 60, 3), round(120 / 50, 3)) == (found.low, found.high)
    assert {1.0} == {one.ratio for one in compare(ONE, ONE)}
    assert [0, 3, 0, 0] == [one.errors_a for one in compare(ONE, ONE)]


def test_a_table_of_ratios_leaves_out_nothing_in_a_pipe(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table(compare(ONE, ONE), "one", "the same")
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    line = "get 5 ops/s 110.0 110.0 1.00 0.83-1.20 1.00 0 / 0"
    assert line.split() in rows


def test_large_objects_are_compared_by_bytes() -> None:
    large = result(point("put", 4, 2.0, size=100_000_000, mb_per_s=200.0))
    assert ["mb_per_s"] == [one.figure for one in compare(large, large)]
    assert {"mb_per_s-100000000", "latency-mb_per_s-100000000"} == set(figures(large))


def test_results_with_nothing_in_common_have_no_ratio() -> None:
    with pytest.raises(BenchError, match="in common"):
        compare(ONE, result(point("get", 800, 1.0)))
    with pytest.raises(BenchError, match="completed no get"):
        compare(ONE, result(point("get", 5, 0.0)))


def test_the_page_needs_no_other_file_and_shows_errors(tmp_path: Path) -> None:
    write_page(ONE, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert 2 == page.count('src="data:image/png;base64,iVBOR') == page.count("src=")
    assert "href=" not in page
    assert "a &lt;server&gt; &amp; more" in page
    assert "503 SlowDown" in page
    assert "&lt;Slow&gt;" in page


def test_figures_are_written_as_png_beside_each_other(tmp_path: Path) -> None:
    paths = write_plots(ONE, tmp_path / "new", "one")
    assert ["one-ops_per_s-4096.png", "one-latency-ops_per_s-4096.png"] == [
        path.name for path in paths
    ]
    assert {b"\x89PNG"} == {path.read_bytes()[:4] for path in paths}
