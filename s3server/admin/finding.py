"""What `doctor` says of one thing."""

from __future__ import annotations

from enum import IntEnum

import msgspec


class Level(IntEnum):
    """How bad it is."""

    OK = 0
    WARNING = 1
    BAD = 2


class Finding(msgspec.Struct, frozen=True):
    """What was looked at, how it is, and what to do about it."""

    what: str
    level: Level
    text: str
