"""A server that does next to nothing, to find out what the client itself can do.

`python -m bench.constant --port 9999`: keeps PUT bodies in memory, checks and syncs nothing, one
process. Any keys are accepted. `s3bench ceiling` runs it by itself.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import cast

import uvloop

_EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_LIST = b"<ListBucketResult/>"
_LISTING = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(_LIST), _LIST)
_MISSING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
_GONE = b"HTTP/1.1 204 No Content\r\n\r\n"


class Constant(asyncio.Protocol):
    """Answers GET with what was PUT there, everything else with an empty success."""

    def __init__(self, stored: dict[bytes, tuple[bytes, bytes]]) -> None:
        self._stored = stored
        self._head = b""
        self._body = bytearray()
        self._left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._left:
            self._take(data)
            return
        data = self._head + data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._head = data
            return
        self._head = data[: end + 4]
        at = data.find(b"Content-Length: ", 0, end)
        self._left = int(data[at + 16 : data.index(b"\r\n", at)]) if at >= 0 else 0
        self._take(data[end + 4 :])

    def _take(self, data: bytes) -> None:
        self._body += data
        self._left -= len(data)
        if self._left:
            return
        method, path, _ = self._head.split(b" ", 2)
        if method == b"PUT":
            length = f"HTTP/1.1 200 OK\r\nContent-Length: {len(self._body)}\r\n\r\n".encode()
            self._stored[path] = length, bytes(self._body)
            self._transport.write(_EMPTY)
        elif method == b"DELETE":
            self._stored.pop(path, None)
            self._transport.write(_GONE)
        elif method == b"GET" and path in self._stored:
            self._transport.writelines(self._stored[path])
        elif method == b"GET" and b"?list-type=2" in path:
            self._transport.write(_LISTING)
        elif method == b"HEAD" and path not in self._stored:
            self._transport.write(_MISSING)
        else:
            self._transport.write(_EMPTY)
        self._head = b""
        self._body = bytearray()


async def _serve(port: int) -> None:
    stored: dict[bytes, tuple[bytes, bytes]] = {}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Constant(stored), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, default=9999)
    uvloop.run(_serve(arguments.parse_args().port))
