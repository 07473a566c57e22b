"""Starts and stops the servers that are compared, each on a free port in a directory of its own."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bench.errors import BenchError
from bench.signing import Account

ACCESS_KEY = "benchaccesskey00001"  # rclone refuses short ones
SECRET_KEY = "benchsecretkey0000000000000000000000001"
ACCOUNT = Account(ACCESS_KEY, SECRET_KEY)
_START_S = 60.0
_STOP_S = 30.0

# {dir} {port} {access} {secret} are filled in; the keys also go into the environment.
OURS = (
    f"{sys.executable} -m s3server quickstart {{dir}} --listen 127.0.0.1:{{port}}"
    " --pool replica:3 --workers 2"
)
RCLONE = (
    f"{Path(sys.executable).parent / 'rclone'} serve s3 --auth-key {{access}},{{secret}}"
    " --addr 127.0.0.1:{port} {dir}"
)

# Others that can be compared with, by name, where their programs are on the PATH. MinIO has as many
# directories as it needs to lose two of (EC:2); as it refuses to share one disk with the system
# otherwise, it is told that this is a test.
PEERS = {
    "ours": OURS,
    "rclone": RCLONE,
    "minio": (
        "env MINIO_CI_CD=1 MINIO_ROOT_USER={access} MINIO_ROOT_PASSWORD={secret}"
        " minio server --quiet --address 127.0.0.1:{port} {dir}/1 {dir}/2 {dir}/3 {dir}/4"
    ),
    "versitygw": (
        "versitygw --quiet --access {access} --secret {secret} --port 127.0.0.1:{port} posix {dir}"
    ),
}


class ServerError(Exception):
    """A server did not start or died."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    name: str
    port: int
    pid: int

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def print_result(measure: Callable[[], object]) -> None:
    """Print what was measured as JSON; exit with a message where no figure can be had.

    SIGTERM ends the measurement as an exception does: the servers that it started are stopped.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: stopped by SIGTERM"))
    try:
        result = measure()
    except (BenchError, ServerError, ValueError, OSError) as error:
        sys.exit(f"bench: {error}")
    print(json.dumps(result, indent=2))


@contextmanager
def running(name: str, template: str, directory: Path, port: int = 0) -> Iterator[Server]:
    """Start a server, wait until it answers, stop it at the end.

    Its output goes to `name`.log in the directory. Raises ServerError with the log's end. What it
    imports is what is installed for its interpreter, never what lies in the current directory: two
    checkouts would be compared, and the same code run twice.
    """
    port = port or free_port()
    data = directory / name
    data.mkdir(exist_ok=True)  # it may be started again
    command = template.format(dir=data, port=port, access=ACCESS_KEY, secret=SECRET_KEY)
    environment = {
        **os.environ,
        "S3SERVER_ROOT_ACCESS_KEY": ACCESS_KEY,
        "S3SERVER_ROOT_SECRET_KEY": SECRET_KEY,
        "PYTHONSAFEPATH": "1",
    }
    with (directory / f"{name}.log").open("w+b") as log:
        process = subprocess.Popen(
            shlex.split(command),
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        try:
            _wait(process, port, log)
            yield Server(name, port, process.pid)
        finally:
            _stop(process)


def free_port() -> int:
    """Return a port that nobody listens on, and below those that the system gives away.

    What asks for any port, or connects, cannot have taken it when it is bound, or bound again.
    """
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def _wait(process: subprocess.Popen[bytes], port: int, log: IO[bytes]) -> None:
    """Wait until an HTTP request is answered, whatever the answer."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
            return
        except (OSError, http.client.HTTPException):
            time.sleep(0.1)
        finally:
            connection.close()
    log.seek(0)
    tail = log.read().decode(errors="replace")[-2000:]
    raise ServerError(f"the server did not start: {process.args!r}\n{tail}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the server to end; whatever is left of its session is killed."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
