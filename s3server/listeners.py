"""Who listens to the requests of a server: sockets in its run directory, and nothing else.

A listener (`s3server trace`) binds a datagram socket there and reads; every worker looks once a
second which there are, and sends each a datagram of JSON per request. While nobody listens this
costs a request nothing, and a listener that is too slow loses requests, never holds them up.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SUFFIX = ".listener"
BUFFER_BYTES = 4 << 20  # as far as the kernel lets us


class Listeners:
    """Those of a worker. Call look() every second."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._socket: socket.socket | None = None
        self._names: list[str] = []
        self._folder = -1

    def __bool__(self) -> bool:
        return bool(self._names)

    def look(self) -> None:
        """See who listens."""
        if self._directory is None:
            return
        try:
            self._names = [name for name in os.listdir(self._directory) if name.endswith(SUFFIX)]
        except OSError:  # it is not there yet, or somebody else's: counters tell of that
            self._names = []
        if self._names and self._socket is None:
            self._folder = os.open(self._directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def tell(self, message: bytes) -> None:
        """Send a message to all of them."""
        if self._socket is None:
            return
        for name in tuple(self._names):
            try:
                self._socket.sendto(message, _address(self._folder, name))
            except BlockingIOError:
                continue  # it is slow
            except (ConnectionRefusedError, FileNotFoundError):  # killed, or gone
                self._names.remove(name)
                with suppress(OSError):
                    os.unlink(name, dir_fd=self._folder)
            except OSError:  # a message too long for it, no memory: this one is lost
                continue

    def close(self) -> None:
        """Listen to nobody any more."""
        self._names = []
        if self._socket is not None:
            self._socket.close()
            os.close(self._folder)
            self._socket = None


@contextmanager
def listening(directory: Path) -> Iterator[socket.socket]:
    """Give a socket that receives a datagram for each request, from at most a second on."""
    directory.mkdir(mode=0o700, exist_ok=True)
    folder = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    name = f"{os.getpid()}-{os.urandom(4).hex()}{SUFFIX}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiving:
        receiving.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        receiving.bind(_address(folder, name))
        try:
            yield receiving
        finally:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)
            os.close(folder)


def _address(folder: int, name: str) -> str:
    """Return a name that fits the 108 bytes of a socket's address, however deep the directory."""
    return f"/proc/self/fd/{folder}/{name}"
