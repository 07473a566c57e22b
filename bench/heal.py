"""What the measurements of healing share: a store of many OSDs, filled over HTTP, and its state.

The map is changed and the state is read by the server's own command line, as an operator would.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.run import BenchError
from bench.servers import ACCESS_KEY, SECRET_KEY, Server
from bench.signing import UNSIGNED, signer

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


def request(
    connection: http.client.HTTPConnection,
    server: Server,
    method: str,
    path: str,
    body: bytes = b"",
) -> bytes:
    """Send a signed request; return the body of its answer, or raise BenchError."""
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    host = f"127.0.0.1:{server.port}"
    head = signer(host, ACCESS_KEY, SECRET_KEY, now, "us-east-1").render(
        method, path, sha256=UNSIGNED, size=len(body)
    )
    lines = head.decode().split("\r\n")[1:-2]
    headers = dict(line.split(": ", 1) for line in lines)
    connection.request(method, path, body=body or None, headers=headers)
    answer = connection.getresponse()
    content = answer.read()
    if answer.status >= 300:
        raise BenchError(f"{method} {path}: {answer.status} {content[:300]!r}")
    return content


def fill(server: Server, sizes: list[int], bucket: str = "bench") -> None:
    """Store an object of each of these sizes, with bytes of its own."""
    request(http.client.HTTPConnection("127.0.0.1", server.port), server, "PUT", f"/{bucket}")
    seed = os.urandom(max(sizes))
    failures: list[BaseException] = []

    def store(numbers: range) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        try:
            for number in numbers:
                mark = hashlib.sha256(b"%d" % number).digest()
                body = (mark + seed[: sizes[number]])[: sizes[number]]
                request(connection, server, "PUT", f"/{bucket}/{number:07}", body)
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
