"""Time and new identifiers. Nothing else in the server reads a clock or draws a random number."""

from __future__ import annotations

import os
import time
from typing import Protocol


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
    """New identifiers that no two processes ever give twice."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def blob_id(self) -> bytes:
        """Return 16 bytes: 6 of milliseconds, 10 random.

        The time in front keeps new rows together in the ordered map, so that a commit of many
        new blobs touches few pages; the layout is that of UUID version 7 (RFC 9562) without its
        version bits.
        """
        return self._clock.now_ms().to_bytes(6, "big") + os.urandom(10)

    upload_id = blob_id

    def bucket_id(self) -> bytes:
        """Return 8 random bytes; creation checks that they are unused."""
        return os.urandom(8)

    def canonical_user_id(self) -> str:
        """Return 64 hexadecimal digits."""
        return os.urandom(32).hex()
