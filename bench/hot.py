"""What one small GET, HEAD, range or listing costs the server itself: no sockets, no other process.

`python -m bench.hot --op get`, or `--op range --objects 1 --size 100000000`: the worker's protocol
and application in this process, fed with signed requests of objects that are in the page cache, by
a transport that drops what it is given. Microseconds of processor time per request. With
`--profile` where they go, by function.

Under `valgrind --tool=callgrind` the difference of two counts (`--requests`, `--rounds 1`) is the
number of instructions per request, which is the same on every machine and at every load.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import os
import pstats
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

from bench.servers import ACCESS_KEY, SECRET_KEY, print_result
from bench.signing import UNSIGNED, Account, Signer
from s3server.admin import quickstart
from s3server.app import build
from s3server.maintenance import initialise, open_tenants
from s3server.process.protocol import S3Protocol
from s3server.process.worker import WorkerServer

HOST, BUCKET = "127.0.0.1:9000", "bench-hot"
WAIT_S = 10


class Sink:
    """A transport that counts what is written to it."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def writelines(self, pieces: list[bytes]) -> None:
        self.written.extend(pieces)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 9000)}.get(name, default)

    def is_closing(self) -> bool:
        return False

    def can_write_eof(self) -> bool:
        return False

    def nothing(self, *_: object, **__: object) -> None:
        """Stand in for what only a real connection can do."""

    set_write_buffer_limits = pause_reading = resume_reading = close = abort = nothing


class Client:
    """One connection to an application in this process."""

    def __init__(self, server: WorkerServer) -> None:
        self.sink = Sink()
        self.protocol = S3Protocol(server.config, server.server_state, server.application.at_once)
        self.protocol.connection_made(self.sink)  # type: ignore[arg-type]

    async def ask(self, request: bytes) -> None:
        """Send a request and wait for a 200. Raises ValueError for another answer."""
        self.protocol.data_received(request)
        async with asyncio.timeout(WAIT_S):
            while not self.sink.written:
                await asyncio.sleep(0)
        answer = b"".join(self.sink.written)
        self.sink.written.clear()
        if not answer.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 206 ")):
            raise ValueError(answer[:500])

    def run(self, requests: list[bytes], count: int) -> None:
        """Send requests in turn; each is answered before take() returns."""
        feed, written, many = self.protocol.take, self.sink.written, len(requests)
        flush = self.protocol.flush
        for number in range(count):
            feed(requests[number % many])
            flush()
            if not written:
                raise ValueError("a request was not answered at once")
            written.clear()


async def _filled(client: Client, sign: Signer, given: argparse.Namespace) -> list[bytes]:
    """Store objects; return the requests to measure, each answered once."""
    await client.ask(sign.render("PUT", f"/{BUCKET}"))
    names = [f"/{BUCKET}/obj-{number:08d}" for number in range(given.objects)]
    for name in names:
        put = sign.render("PUT", name, size=given.size, sha256=UNSIGNED)
        await client.ask(put + os.urandom(given.size))
    if given.op == "range":
        starts = range(0, given.size - given.span + 1, given.span)
        spans = [{"range": f"bytes={start}-{start + given.span - 1}"} for start in starts]
        requests = [sign.render("GET", name, headers=span) for name in names for span in spans]
    elif given.op == "list":
        requests = [sign.render("GET", f"/{BUCKET}", query="list-type=2&max-keys=1000")]
    else:
        requests = [sign.render(given.op.upper(), name) for name in names]
    for request in requests:
        await client.ask(request)
    return requests


async def measure(directory: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Return what a request costs, over several rounds."""
    os.environ["S3SERVER_ROOT_ACCESS_KEY"] = ACCESS_KEY
    os.environ["S3SERVER_ROOT_SECRET_KEY"] = SECRET_KEY
    config = quickstart.prepare(directory / "store", osds=None, codec=None, server={})()
    await initialise(config)
    key = ACCESS_KEY, SECRET_KEY
    if given.user:
        async with open_tenants(config) as tenants:
            await tenants.users.create_user("bench")
            record, secret = await tenants.users.create_key("bench")
            key = record.id, secret
    application = build(config, slot=0)
    await application.open()
    try:
        server = WorkerServer(application, config)
        server.config.load()
        client = Client(server)
        sign = Signer(HOST, Account(*key), config.server.region)
        requests = await _filled(client, sign, given)
        gc.collect()
        gc.freeze()
        gc.disable()
        if given.profile:
            with cProfile.Profile() as profile:
                client.run(requests, given.requests)
            pstats.Stats(profile).sort_stats("tottime").print_stats(60)
        found = []
        for _ in range(given.rounds):
            began = time.thread_time()
            client.run(requests, given.requests)
            found.append((time.thread_time() - began) / given.requests * 1e6)
    finally:
        gc.enable()
        await application.close()
    return {
        "op": given.op,
        "us_per_request": {
            "min": round(min(found), 2),
            "median": round(statistics.median(found), 2),
            "max": round(max(found), 2),
        },
    }


def main() -> dict[str, Any]:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(prog="bench.hot", description=__doc__)
    parser.add_argument("--op", choices=("get", "head", "range", "list"), default="get")
    parser.add_argument("--span", type=int, default=140_000, help="bytes of a range")
    parser.add_argument("--user", action="store_true", help="as a user; else as root")
    parser.add_argument("--size", type=int, default=4096, help="bytes of an object")
    parser.add_argument("--objects", type=int, default=200)
    parser.add_argument("--requests", type=int, default=3_000, help="per round")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--dir", type=Path, default=None, help="where the store is made")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.dir) as name:
        return uvloop.run(measure(Path(name), given))


if __name__ == "__main__":
    print_result(main)
