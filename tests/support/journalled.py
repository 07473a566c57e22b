"""A store with a journal on OSD directories, for tests of what the journal promises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from s3server.data.osd_directory import DirectoryOsd
from s3server.data.vfs import Vfs
from s3server.meta.base import Row
from s3server.meta.journal import Journal
from s3server.meta.journal_files import Candidate, Osd
from s3server.meta.journal_read import History
from s3server.meta.lmdb import LmdbStore
from tests.support.blobs import CLUSTER

SEGMENT = 64 << 10


@dataclass
class Site:
    """OSD directories and a metadata directory beside them."""

    root: Path
    count: int = 4
    copies: int = 3
    vfs: Mapping[int, Vfs] = field(default_factory=dict)
    ballast_bytes: int = 0

    def __post_init__(self) -> None:
        for osd in range(self.count):
            if not (self.root / f"osd{osd}").exists():
                DirectoryOsd.initialise(str(self.root / f"osd{osd}"), cluster=CLUSTER, osd=osd)

    def osds(self) -> list[DirectoryOsd]:
        return [
            DirectoryOsd(str(self.root / f"osd{osd}"), osd, self.vfs.get(osd) or Vfs())
            for osd in range(self.count)
        ]

    def journal(self) -> Journal:
        return Journal(
            CLUSTER,
            [Candidate(osd, str(osd.id)) for osd in self.osds()],
            copies=self.copies,
            segment_bytes=SEGMENT,
        )

    def open(self, *, name: str = "meta") -> LmdbStore:
        """Open the store with its journal, as a process does."""
        store = LmdbStore.open(self.root / name, map_size=1 << 30, ballast_bytes=self.ballast_bytes)
        store.attach(self.journal())
        return store

    def segments(self, osd: int) -> list[Path]:
        return sorted((self.root / f"osd{osd}" / "journal").glob("*.log"))

    def replayed(self, osds: Sequence[Osd] | None = None) -> dict[bytes, bytes]:
        """Return all rows as the journals have them that begin at commit 0."""
        rows: dict[bytes, bytes] = {}
        for entry in History(self.osds() if osds is None else osds, CLUSTER).entries(0, 0):
            for key, value in entry.changes:
                if value is None:
                    rows.pop(key, None)
                else:
                    rows[key] = value
        return rows


async def rows_of(store: LmdbStore) -> list[Row]:
    return await store.scan(b"", b"\xff" * 20, limit=1_000_000)
