"""What the documentation tells readers to type works, and prints what it says."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.support.server_process import ROOT, run_server
from tests.support.shell_pages import MARKER, is_printed, read_page, run_page

DOCS = ROOT / "docs"
PAGES = sorted(
    str(page.relative_to(DOCS))
    for page in DOCS.rglob("*.md")
    if MARKER.search(page.read_text("utf-8"))
)
FAST = {"tutorials/first-bucket.md", "how-to/add-a-disk.md"}


@pytest.mark.parametrize(
    "name", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in PAGES]
)
def test_commands_of_a_page_work(name: str, tmp_path: Path) -> None:
    full = {"S3SERVER_STORAGE__NEARFULL_RATIO": "1", "S3SERVER_STORAGE__FULL_RATIO": "1"}
    shutil.copy(ROOT / "README.md", tmp_path)  # which readers find where they type
    with run_server(tmp_path / "s3data"):
        environment = {
            **full,
            "HOME": str(tmp_path),
            "LC_ALL": "C.UTF-8",
        }
        run_page(DOCS / name, tmp_path, environment)


def test_fast_pages_are_there() -> None:
    assert set(PAGES) >= FAST


PAGE = """\
<!-- run -->
```sh
x=shell; echo "$HOME"
false | true || echo pipes fail
```

<!-- prints -->
```text
...me
pipes   fail
```

<!-- run
echo hidden, in the same $x
-->

<!-- run -->

```python
print("from Python")
raise SystemExit(STATUS)
```
"""


@pytest.mark.parametrize("status", [0, 3])
def test_page_is_run_in_one_shell_and_fails_with_its_commands(tmp_path: Path, status: int) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.replace("STATUS", str(status)))
    environment = {"HOME": "at home", "PATH": os.environ["PATH"]}

    assert [1, 13, 17] == [run.line for run in read_page(page)]
    if status:
        with pytest.raises(AssertionError, match=r"page.md ended with 3[\s\S]*from Python"):
            run_page(page, tmp_path, environment)
    else:
        run_page(page, tmp_path, environment)
        assert "hidden, in the same shell" in (tmp_path / "page.log").read_text()


def test_what_is_printed_otherwise_is_noticed() -> None:
    output = "osd  state\n0    in\n1    down   Input/output error\n"
    assert is_printed("osd state\n...\n1 down ...\n", output)
    assert is_printed("1 ... error", output)
    assert not is_printed("0 down", output)
    assert not is_printed("1 down ...\n0 in\n", output)  # another order
    assert not is_printed("osd", output)  # a part of a line


def test_marker_without_a_block_is_an_error(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- run -->\nsome text\n")
    with pytest.raises(ValueError, match="no block"):
        read_page(page)
