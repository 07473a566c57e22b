"""A real server: supervisor, two workers and the jobs process, started by its command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
STOP_S = 90  # more than requests may take to drain


@dataclass(frozen=True, slots=True)
class RunningServer:
    """Where it is and how root reaches it."""

    endpoint: str
    access_key: str
    secret_key: str
    region: str
    directory: Path
    pid: int  # of the supervisor
    authority: Path | None = None  # of its certificate, where it has TLS


@contextmanager
def run_server(directory: Path, *options: str, **settings: str) -> Iterator[RunningServer]:
    """Start `quickstart` on a free port and stop it at the end, by SIGTERM to its supervisor.

    Settings are variables of its environment, like S3SERVER_SERVER__WORKERS.
    """
    command = [sys.executable, "-m", "s3server", "quickstart", str(directory), "--json"]
    command += ["--listen", "127.0.0.1:0", "--workers", "2", *options]
    log = (directory.parent / f"{directory.name}.log").open("wb")
    # How full the disk of whoever runs the tests is, is none of their business.
    environment = {"S3SERVER_STORAGE__NEARFULL_RATIO": "1", "S3SERVER_STORAGE__FULL_RATIO": "1"}
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment | os.environ | settings,
        stdout=subprocess.PIPE,
        stderr=log,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, Path(log.name).read_text(errors="replace")
        access = json.loads(line)
        yield RunningServer(
            endpoint=access["endpoint"],
            access_key=access["access_key"],
            secret_key=access["secret_key"],
            region=access["region"],
            directory=directory,
            pid=process.pid,
        )
    finally:
        process.terminate()
        status = process.wait(STOP_S)
        if process.stdout is not None:
            process.stdout.close()
        log.close()
    assert status == 0, f"the server ended with {status}"
