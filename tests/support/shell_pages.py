"""Runs the shell and Python blocks of a page of the documentation, and compares what they print.

    <!-- run -->        the fenced block below is run; all of a page run in one shell, in order
    <!-- prints -->     the fenced block below is what the run before prints: lines in this order,
                        others between them; "..." stands for anything within a line
    <!-- run            commands up to the closing -->, which a reader does by hand or need not see

A command that fails ends the page. Blocks find the server's directory as ./s3data, as readers do.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

PAGE_S = 600
BLOCK = re.compile(
    r"^ *<!-- (?P<kind>run|prints)"
    r"(?: -->\n+ *```(?P<language>\w*)\n(?P<shown>.*?)^ *```|\n(?P<hidden>.*?)^ *-->)$",
    re.MULTILINE | re.DOTALL,
)
MARKER = re.compile(r"^ *<!-- (?:run|prints)\b", re.MULTILINE)
MARK = "@@ block of line "


@dataclass(slots=True)
class Run:
    """Commands of a page, and the texts that it says they print."""

    line: int
    script: str
    prints: list[str] = field(default_factory=list)


def read_page(page: Path) -> list[Run]:
    """Return what a page has to run. Raises ValueError where a marker marks nothing."""
    text = page.read_text("utf-8")
    runs: list[Run] = []
    for found in BLOCK.finditer(text):
        body = dedent(found["shown"] if found["shown"] is not None else found["hidden"])
        if found["kind"] == "prints":
            runs[-1].prints.append(body)
            continue
        if found["language"] == "python":
            body = f"python3 - <<'END_OF_PYTHON'\n{body}END_OF_PYTHON\n"
        runs.append(Run(text.count("\n", 0, found.start()) + 1, body))
    if len(MARKER.findall(text)) != sum(1 + len(run.prints) for run in runs):
        raise ValueError(f"{page}: a marker has no block below it")
    return runs


def run_page(page: Path, directory: Path, environment: Mapping[str, str]) -> None:
    """Run all blocks of a page in a directory; fail where a command does, or prints otherwise."""
    runs = read_page(page)
    assert runs, f"{page.name} has nothing to run"
    steps = [f"echo '{MARK}{run.line}'\n{run.script}" for run in runs]
    stop_all = "trap 'kill $(jobs -p) 2>/dev/null || :; wait' EXIT\n"
    log = directory / f"{page.stem}.log"
    with log.open("wb") as output:
        done = subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", stop_all + "".join(steps)],
            cwd=directory,
            env={**environment, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=PAGE_S,
            check=False,
        )
    text = log.read_text("utf-8", errors="replace")
    assert done.returncode == 0, f"{page.name} ended with {done.returncode}\n{text}"
    printed = dict(part.split("\n", 1) for part in text.split(MARK)[1:])
    for run in runs:
        for said in run.prints:
            found = printed[str(run.line)]
            assert is_printed(said, found), f"{page.name}:{run.line} printed\n{found}\nnot\n{said}"


def is_printed(said: str, output: str) -> bool:
    """Return whether all lines of `said` are in the output, in their order."""
    lines = iter(output.splitlines())
    patterns = [
        re.compile(".*".join(re.escape(part.strip()) for part in line.split("...")))
        for line in map(_plain, said.splitlines())
        if line not in ("", "...")
    ]
    return all(any(pattern.fullmatch(_plain(line)) for line in lines) for pattern in patterns)


def _plain(line: str) -> str:
    """Return a line with single spaces: columns are as wide as what is in them."""
    return " ".join(line.split())
