"""Time and new identifiers. Nothing else in the server reads a clock or draws a random number."""

from __future__ import annotations

import os
import threading
import time
from typing import Protocol

_DRAWN_BYTES = 2_048


class Clock(Protocol):
    """Where the time comes from; tests bring their own."""

    def now_ms(self) -> int:
        """Return milliseconds since 1970-01-01 UTC."""
        ...


class SystemClock:
    """The clock of the machine."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


class Ids:
    """New identifiers that no two processes ever give twice. Thread-safe.

    Random bytes are drawn ahead: each call of the operating system lets go of the GIL, and
    with threads waiting for it comes back 40 us later.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._drawn = b""
        self._lock = threading.Lock()

    def _random(self, count: int) -> bytes:
        with self._lock:
            if len(self._drawn) < count:
                self._drawn = os.urandom(_DRAWN_BYTES)
            taken, self._drawn = self._drawn[:count], self._drawn[count:]
        return taken

    def blob_id(self) -> bytes:
        """Return 16 bytes: 6 of milliseconds, 10 random.

        The time in front keeps new rows together in the ordered map, so that a commit of many
        new blobs touches few pages; the layout is that of UUID version 7 (RFC 9562) without its
        version bits.
        """
        return self._clock.now_ms().to_bytes(6, "big") + self._random(10)

    upload_id = blob_id

    def sequence_after(self, previous: int) -> int:
        """Return the sequence of a key's next version, greater than that of the last one.

        44 bits of milliseconds and 20 random ones, so that a key whose versions were all removed
        does not give the same version ids again; order comes from `previous`, never from the time.
        """
        fresh = self._clock.now_ms() << 20 | int.from_bytes(self._random(3), "big") >> 4
        return max(previous + 1, fresh)

    def bucket_id(self) -> bytes:
        """Return 8 random bytes; creation checks that they are unused."""
        return os.urandom(8)

    def request_id(self) -> str:
        """Return 16 hexadecimal digits."""
        return self._random(8).hex().upper()

    def project_id(self) -> str:
        """Return 12 decimal digits; creation checks that they are unused."""
        return f"{int.from_bytes(os.urandom(8), 'big') % 10**12:012}"

    def canonical_user_id(self) -> str:
        """Return 64 hexadecimal digits."""
        return os.urandom(32).hex()
