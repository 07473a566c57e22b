"""`s3bench scan` reads the same numbers from everywhere."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bench import event_file
from bench.cli import main
from bench.errors import BenchError
from bench.sources import Local, parts

UPROOT = str(Path(__file__).parents[3] / ".venv-clients/bin/python")
RANGES = [(10, 3), (20, 2)]
MULTIPART = (
    b"\r\n--x\r\nContent-Type: a/b\r\nContent-Range: bytes 10-12/99\r\n\r\n--x"
    b"\r\n--x\r\nContent-Type: a/b\r\nContent-Range: bytes 20-21/99\r\n\r\nde\r\n--x--\r\n"
)


def test_a_scan_reads_one_tree_and_leaves_the_others_out(tmp_path: Path) -> None:
    path = tmp_path / "events"
    event_file.write(path, 20_000_000)
    size = path.stat().st_size
    source = Local(path)
    asked: list[int] = []

    def read(ranges: list[event_file.Range]) -> list[bytes]:
        asked.append(len(ranges))
        return source.read(ranges)

    total, read_bytes = event_file.scan(read, size)
    source.close()
    assert total > 0
    assert 0.6 < read_bytes / size < 0.7
    assert [1, 1, *[64] * (len(asked) - 2)] == asked  # footer, index, clusters
    assert len(asked) > 3


def test_neighbours_are_one_range() -> None:
    assert [(0, 30), (40, 5)] == event_file.merged([(0, 10), (10, 20), (40, 5)])


def test_parts_are_found_whatever_bytes_they_hold() -> None:
    assert [b"--x", b"de"] == parts(MULTIPART, b"x", RANGES)


@pytest.mark.parametrize("ranges", [[(10, 3), (20, 3)], [(20, 2), (10, 3)], [*RANGES, (30, 1)]])
def test_parts_that_were_not_asked_for_are_refused(ranges: list[tuple[int, int]]) -> None:
    with pytest.raises(BenchError, match="not where it should be"):
        parts(MULTIPART, b"x", ranges)


OURS = ["http", "http, many ranges", "https", "https, many ranges"]


@pytest.mark.skipif(not shutil.which("nginx", path="/usr/sbin:/usr/bin"), reason="needs nginx")
@pytest.mark.parametrize(
    ("reader", "sources"),
    [([], OURS), pytest.param(["--uproot", UPROOT], ["http", "https"], marks=pytest.mark.slow)],
    ids=["our reader", "uproot"],
)
def test_all_sources_are_timed_against_the_local_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    reader: list[str],
    sources: list[str],
) -> None:
    if reader and not Path(UPROOT).exists():
        pytest.skip("the virtual environment of clients is not there")
    out, figure, here = tmp_path / "scan.json", tmp_path / "scan.png", tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    options = ["--ours", "--size", "3MB", "--rounds", "1", "--dir", str(tmp_path)]
    options += ["--plot", str(figure), *(["--out", str(out)] if reader else [])]
    monkeypatch.setattr("sys.argv", ["s3bench", "scan", *options, *reader])
    main()
    printed = json.loads(capsys.readouterr().out)
    found = json.loads(out.read_text()) if reader else printed
    ratios = found["ratio_to_local"]
    assert printed in (found, ratios)
    assert [] == list(here.iterdir())  # files are written where one is asked for, and nowhere else
    assert sources == list(ratios)
    assert min(one["median"] for one in ratios.values()) > 0
    assert [1] * (1 + len(sources)) == [len(one["seconds"]) for one in found["sources"].values()]
    assert figure.read_bytes().startswith(b"\x89PNG")
