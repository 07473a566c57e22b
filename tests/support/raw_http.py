"""HTTP as bytes on a socket, for requests that no library sends."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """What came back on a connection, up to its end or to the end of one response."""

    status: int
    headers: dict[str, str]
    body: bytes
    rest: bytes = b""  # what follows the response


def exchange(endpoint: str, request: bytes, *, half_close: bool = False) -> RawAnswer:
    """Send bytes on a new connection and read one response; `half_close` ends our side."""
    with connect(endpoint) as connection:
        connection.sendall(request)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        return read_answer(connection)


def connect(endpoint: str) -> socket.socket:
    """Return a new connection; one of TLS trusts whoever answers."""
    parts = urlsplit(endpoint)
    assert parts.hostname
    assert parts.port
    plain = socket.create_connection((parts.hostname, parts.port), timeout=60)
    if parts.scheme == "http":
        return plain
    return ssl._create_unverified_context().wrap_socket(plain)


def open_connections(endpoint: str) -> int:
    """Return how many connections a server on this machine has that it has not closed."""
    local = f":{urlsplit(endpoint).port:04X}"
    rows = Path("/proc/net/tcp").read_text().splitlines()[1:]
    states = [row.split()[3] for row in rows if row.split()[1].endswith(local)]
    return states.count("01") + states.count("08")  # ESTABLISHED, CLOSE_WAIT


def read_answer(connection: socket.socket) -> RawAnswer:
    """Read one response with a Content-Length, or until the end of the connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65_536)
        if not more:
            break
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    line, *fields = head.decode("latin-1").split("\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)
    }
    length = int(headers.get("content-length", "0"))
    while len(body) < length:
        more = connection.recv(65_536)
        if not more:
            break
        body += more
    status = int(line.split(" ")[1]) if line else 0
    return RawAnswer(status, headers, body[:length], body[length:])


def head_of(method: str, target: str, headers: dict[str, str]) -> bytes:
    """Return a request line and header section."""
    lines = [
        f"{method} {target} HTTP/1.1",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
