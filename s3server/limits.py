"""Rates that all workers of a machine keep together: token buckets in a file that they share.

A bucket is one number: the time at which it is full again (the generic cell rate algorithm, ITU-T
I.371). Taking n of it puts that time off by n / rate; it may lie ahead by the burst at most. The
file is a hash table of fixed size, locked (fcntl) for the microsecond that a look takes, and only
for those who have a limit. Where it is full, the fullest bucket gives way to a new one.
"""

from __future__ import annotations

import fcntl
import ipaddress
import math
import mmap
import os
from hashlib import blake2b
from pathlib import Path

import structlog

from s3server.core.clock import Clock
from s3server.core.project_records import ProjectRecord
from s3server.errors import SlowDown

SLOTS = 4_096
PROBED = 16  # slots that a key may be in
BURST_S = 1.0  # of requests and bytes that may be taken at once
MAX_AHEAD_S = 10.0  # that bytes may be taken in advance of, before requests are refused
FAILURES_BURST_S = 60.0  # a minute's failures may come at once

_SLOT_BYTES = 16
# The last slot tells until when failures have to be looked at.
_FILE_BYTES = (SLOTS + 1) * _SLOT_BYTES

_log = structlog.get_logger("limits")


class Limits:
    """Buckets of requests and bytes of projects, and of failures of addresses."""

    def __init__(self, file: Path | None, clock: Clock, *, failures_per_minute: int = 0) -> None:
        """Use `file`, made where it is missing; None: memory of this process alone.

        With 0 failures a minute they are not limited.
        """
        self._clock, self._failures_per_s = clock, failures_per_minute / 60
        self._file: int | None = None
        mapped = mmap.mmap(-1, _FILE_BYTES)
        try:
            if file is not None:
                self._file, mapped = _map(file)
        except OSError as error:  # a full disk
            _log.warning("each worker keeps limits for itself", error=str(error))
        memory = memoryview(mapped)
        self._keys, self._full_at = memory.cast("Q"), memory.cast("d")

    def admit(self, project: ProjectRecord) -> None:
        """Take a request of a project. Raises SlowDown where it has no more of them or of bytes."""
        if project.bytes_per_s:
            ahead_s = self._take(_key("bytes", project.id), 0)
            if ahead_s > MAX_AHEAD_S:
                raise _slow_down(ahead_s - MAX_AHEAD_S)
        if project.requests_per_s:
            cost_s = 1 / project.requests_per_s
            ahead_s = self._take(_key("requests", project.id), cost_s, at_most_s=BURST_S)
            if ahead_s > BURST_S:
                raise _slow_down(ahead_s - BURST_S)

    def pause_s(self, project: ProjectRecord, size: int) -> float:
        """Take bytes of a project; return how long to wait before more are passed on."""
        if not project.bytes_per_s:
            return 0.0
        ahead_s = self._take(_key("bytes", project.id), size / project.bytes_per_s)
        return max(0.0, ahead_s - BURST_S)

    def check_failures(self, address: str) -> None:
        """Raise SlowDown for an address from which too many authentications have failed.

        As long as none fails anywhere this is one look at memory.
        """
        if not self._failures_per_s or self._now_s() >= self._full_at[2 * SLOTS + 1]:
            return
        ahead_s = self._take(_key("failures", _network(address)), 0)
        if ahead_s > FAILURES_BURST_S:
            raise _slow_down(ahead_s - FAILURES_BURST_S)

    def fail(self, address: str) -> None:
        """Count a failure of an address; those of an IPv6 network of 64 bits are one."""
        if self._failures_per_s:
            ahead_s = self._take(_key("failures", _network(address)), 1 / self._failures_per_s)
            self._full_at[2 * SLOTS + 1] = max(
                self._full_at[2 * SLOTS + 1], self._now_s() + ahead_s
            )

    def close(self) -> None:
        """Leave the file to the others."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _now_s(self) -> float:
        return self._clock.now_ms() / 1000

    def _take(self, key: int, cost_s: float, *, at_most_s: float = math.inf) -> float:
        """Put off when a bucket is full again by `cost_s`; return how far ahead that is then.

        Beyond `at_most_s` nothing is taken.
        """
        if self._file is not None:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            now_s = self._now_s()
            slot = self._slot(key)
            full_at = self._full_at[2 * slot + 1] if self._keys[2 * slot] == key else now_s
            if full_at - now_s > 3_600:  # the clock was set back
                full_at = now_s
            ahead_s = max(full_at - now_s, 0.0) + cost_s
            if cost_s and ahead_s <= at_most_s:
                self._keys[2 * slot] = key
                self._full_at[2 * slot + 1] = now_s + ahead_s
            return ahead_s
        finally:
            if self._file is not None:
                fcntl.lockf(self._file, fcntl.LOCK_UN)

    def _slot(self, key: int) -> int:
        """Return the slot of a key: where it is, or a free one, or else the fullest bucket's."""
        slots = [(key + step) % SLOTS for step in range(PROBED)]
        for slot in slots:
            if self._keys[2 * slot] in (key, 0):
                return slot
        return min(slots, key=lambda slot: self._full_at[2 * slot + 1])


def _map(file: Path) -> tuple[int, mmap.mmap]:
    file.parent.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, _FILE_BYTES)  # a hole could not be filled later
        return descriptor, mmap.mmap(descriptor, _FILE_BYTES)
    except OSError:
        os.close(descriptor)
        raise


def _key(kind: str, name: str) -> int:
    digest = blake2b(f"{kind} {name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") or 1


def _network(address: str) -> str:
    """Return what an address counts as: itself, or its network of 64 bits."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:  # a unix socket
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return address


def _slow_down(wait_s: float) -> SlowDown:
    return SlowDown(headers={"retry-after": str(max(1, math.ceil(wait_s)))})
