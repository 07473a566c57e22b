"""The listening socket: bound once and shared by all workers."""

from __future__ import annotations

import socket

BACKLOG = 4096  # connections that the kernel holds until a worker takes them


class ListenError(Exception):
    """The address cannot be listened on; the text says why."""


def bind(host: str, port: int) -> socket.socket:
    """Return a listening, non-blocking socket. Port 0 takes a free one. Raises ListenError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ListenError(f"{host}:{port}: {error.strerror or error}") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ListenError(f"{host}:{port}: {error.strerror or error}") from None
    listener.setblocking(False)
    return listener


def url(listener: socket.socket, scheme: str) -> str:
    """Return the URL at which the socket is reached from this machine."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (compared, not bound)
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
