"""What the measurements of healing share: a store of many OSDs, filled over HTTP, and its state.

The map is changed and the state is read by the server's own command line, as an operator would.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from bench.endpoint import Api, parse_endpoint, talking
from bench.errors import BenchError
from bench.servers import ACCOUNT, Server

_FILL_THREADS = 8
_LOOK_S = 0.5


def command(*arguments: str, check: bool = True) -> str:
    """Run the server's command line and return its output; BenchError where it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "s3server", *arguments], capture_output=True, text=True, check=False
    )
    if check and done.returncode:
        raise BenchError(f"{arguments}: {done.stderr[-1000:]}")
    return done.stdout


def status(store: Path) -> dict[str, Any]:
    """Return what `s3server status` tells."""
    found: dict[str, Any] = json.loads(command("status", "--json", "--dir", str(store)))
    return found


def job(state: dict[str, Any], name: str) -> dict[str, Any]:
    """Return what is told of a job; an empty one before its first step."""
    empty = {"job": name, "state": "", "note": "", "done": 0, "counts": {}}
    return next((each for each in state["jobs"] if each["job"] == name), empty)


def talk(server: Server) -> AbstractContextManager[Api]:
    """Return a connection to a server, for single requests."""
    return talking(parse_endpoint(server.endpoint), ACCOUNT)


def fill(server: Server, sizes: list[int], bucket: str = "bench") -> None:
    """Store an object of each of these sizes, with bytes of its own."""
    with talk(server) as api:
        api.request("PUT", f"/{bucket}")
    seed = os.urandom(max(sizes))
    failures: list[BaseException] = []

    def store(numbers: range) -> None:
        try:
            with talk(server) as api:
                for number in numbers:
                    mark = hashlib.sha256(b"%d" % number).digest()
                    body = (mark + seed[: sizes[number]])[: sizes[number]]
                    api.request("PUT", f"/{bucket}/{number:07}", body=body)
        except BaseException as error:
            failures.append(error)

    threads = [
        threading.Thread(target=store, args=(range(at, len(sizes), _FILL_THREADS),))
        for at in range(_FILL_THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise BenchError(f"the store could not be filled: {failures[0]}")


def until(is_done: Callable[[], bool], within_s: float, what: str) -> float:
    """Wait until something is so; return how many seconds that took, or raise BenchError."""
    began = time.monotonic()
    while not is_done():
        if time.monotonic() - began > within_s:
            raise BenchError(f"{what}: not within {within_s} s")
        time.sleep(_LOOK_S)
    return time.monotonic() - began
