"""The command line, run by the process of the tests.

It is another process than any server, as an operator's is, and does not take a second to start.
"""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from structlog.testing import capture_logs

from s3server.admin import cli


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str


def run_command(*arguments: str) -> Ran:
    """Run a command. Blocks, and the output of other threads is taken for its own meanwhile."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), capture_logs():
        status = cli.run(list(arguments))
    return Ran(status, out.getvalue(), err.getvalue())


def command(directory: Path, *arguments: str) -> Any:
    """Run a command on the store in a directory, and return what it prints."""
    ran = run_command(*arguments, "--dir", str(directory), "--json")
    assert 0 == ran.status, ran.out + ran.err
    return json.loads(ran.out)
