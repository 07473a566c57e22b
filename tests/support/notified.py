"""What takes the place of systemd, and is told how the server is (sd_notify(3))."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WAIT_S = 60
ALIVE = "WATCHDOG=1"


class Notified:
    """Takes what comes at once: the kernel keeps ten messages, and a server waits for nobody."""

    def __init__(self, path: Path) -> None:
        self._channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._channel.bind(str(path))
        self._states: queue.Queue[str] = queue.Queue()
        self._thread = threading.Thread(target=self._take)
        self._thread.start()

    def _take(self) -> None:
        while state := self._channel.recv(4096):
            self._states.put(state.decode())

    def next(self) -> str:
        """Return what was told next."""
        return self._states.get(timeout=WAIT_S)

    def next_but_alive(self) -> str:
        """Return what was told next, but signs of life."""
        while (state := self.next()) == ALIVE:
            pass
        return state

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self._channel.getsockname())
        self._thread.join()
        self._channel.close()


@contextmanager
def notified(path: Path) -> Iterator[Notified]:
    """Listen at a path, NOTIFY_SOCKET of whoever is to tell."""
    channel = Notified(path)
    try:
        yield channel
    finally:
        channel.close()
