"""What a delimiter does to names, and where a page begins."""

from __future__ import annotations

from dataclasses import dataclass

from s3server.meta.base import after_prefix

FIRST_SCAN_ROWS = 1  # read after a seek, for it may be folded too; doubled while no seek follows
MAX_SCAN_ROWS = 1_024


@dataclass(frozen=True, slots=True)
class Fold:
    """What a delimiter does to names: the part up to it, after the prefix, stands for them all."""

    prefix: bytes
    delimiter: bytes
    suffix: int = 0  # bytes at the end of a name that are no part of the key

    def common_prefix(self, name: bytes) -> bytes | None:
        """Return the common prefix that stands for `name`, None where it stands for itself."""
        if not self.delimiter or not name.startswith(self.prefix):
            return None
        end = name.find(self.delimiter, len(self.prefix), len(name) - self.suffix)
        return None if end < 0 else name[: end + len(self.delimiter)]


def start_after(after: str, prefix: str, delimiter: str, *, end_of_key: bytes = b"\0") -> bytes:
    """Return the first name that may follow `after`."""
    if not after:
        return b""
    name = after.encode()
    if Fold(prefix.encode(), delimiter.encode()).common_prefix(name) == name:
        return after_prefix(name)
    return name + end_of_key
