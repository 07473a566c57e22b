"""Rows that cannot be read, where all others go on without them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

import structlog

from s3server.core.records import Record, decode
from s3server.meta.base import CorruptRecordError, Row

R = TypeVar("R", bound=Record)


class Damaged:
    """Reads rows of which some may be damaged, and tells of each such row once."""

    def __init__(self, log: str) -> None:
        self._log = structlog.get_logger(log)
        self._told: set[bytes] = set()

    def read(self, kind: type[R], key: bytes, row: bytes) -> R | None:
        """Return what a row holds; None where it is damaged."""
        try:
            return decode(kind, row)
        except CorruptRecordError as error:
            if key not in self._told:
                self._told.add(key)
                self._log.error("row is damaged and passed over", key=key.hex(), reason=str(error))
            return None

    def readable(self, kind: type[R], rows: Iterable[Row]) -> Iterator[R]:
        """Yield what rows hold, but for those that are damaged."""
        for key, row in rows:
            record = self.read(kind, key, row)
            if record is not None:
                yield record
