"""By how much a change alters what is counted: of its bucket, of the project, of the owners."""

from __future__ import annotations

from s3server.core.project_records import bucket_scope, project_scope, user_scope
from s3server.core.records import BucketRecord, ObjectRecord
from s3server.meta.base import Add, Write

Counts = dict[str, int]


class Tally:
    """What one plan counts, up or down."""

    __slots__ = ("_bucket", "_counts")

    def __init__(self, bucket: BucketRecord) -> None:
        self._bucket = bucket
        self._counts: dict[str, Counts] = {}  # by owner

    def add(self, owner: str, **deltas: int) -> None:
        """Count something of an owner's; `part_bytes` stands for the counter "part-bytes"."""
        _add(
            self._counts.setdefault(owner, {}),
            {name.replace("_", "-"): delta for name, delta in deltas.items() if delta},
        )

    def version(self, record: ObjectRecord, sign: int, *, is_current: bool) -> None:
        """Count a version that comes (1) or goes (-1): a current one, or an older one."""
        size = sign * record.space
        if record.is_delete_marker:
            self.add(record.owner, markers=sign)
        elif is_current:
            self.add(record.owner, objects=sign, bytes=size)
        else:
            self.add(record.owner, old=sign, old_bytes=size)

    def absorb(self, other: Tally) -> None:
        """Count what another plan for the same bucket counts, which counts nothing any more."""
        for owner, counts in other._counts.items():
            _add(self._counts.setdefault(owner, {}), counts)
        other._counts.clear()

    def scopes(self) -> dict[bytes, Counts]:
        """Return what changes in each scope; anonymous owners have none of their own."""
        total: Counts = {}
        for counts in self._counts.values():
            _add(total, counts)
        found = {bucket_scope(self._bucket.id): total, project_scope(self._bucket.account): total}
        for owner, counts in self._counts.items():
            if owner:
                found[user_scope(owner)] = counts
        return found

    @property
    def writes(self) -> list[Write]:
        """What the plan writes of it."""
        return [
            Add(scope + name.encode(), delta)
            for scope, counts in self.scopes().items()
            for name, delta in counts.items()
            if delta
        ]


def _add(counts: Counts, deltas: Counts) -> None:
    for name, delta in deltas.items():
        counts[name] = counts.get(name, 0) + delta
