"""A map in a store: settings that seed it, the calls that change it, a clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from s3server.cluster.live import ClusterWatch, watch_cluster
from s3server.cluster.maps import ClusterMaps
from s3server.cluster.seed import seed
from s3server.config import Config
from s3server.meta.memory import MemoryStore
from s3server.settings import load
from tests.support.core_store import ManualClock

POOL = {"name": "default", "codec": "replica:3", "pg_count": 64}


def settings(
    directory: Path, *osds: dict[str, object], pools: tuple[dict[str, object], ...] = (POOL,)
) -> Config:
    """Return settings with these OSDs; each needs an id, the rest has defaults."""
    tables = {
        "storage": {
            "meta_dir": str(directory / "meta"),
            "master_key_file": str(directory / "master.key"),
        },
        "root": {"access_key": "AKIATEST", "secret_key": "s" * 20},
        "osds": [{"path": str(directory / f"osd.{osd['id']}"), **osd} for osd in osds],
        "pools": list(pools),
    }
    return load(None, command_line=tables, environ={})


@dataclass(slots=True)
class MappedStore:
    """A store in memory with OSDs in a directory."""

    directory: Path
    meta: MemoryStore = field(default_factory=MemoryStore)
    clock: ManualClock = field(default_factory=ManualClock)

    @property
    def maps(self) -> ClusterMaps:
        return ClusterMaps(self.meta, self.clock)

    async def seed(
        self, *osds: dict[str, object], pools: tuple[dict[str, object], ...] = (POOL,)
    ) -> None:
        """Do what a start with these settings does."""
        await seed(settings(self.directory, *osds, pools=pools), self.meta, self.clock)

    async def watch(self) -> ClusterWatch:
        """Open the cluster, as a worker does; close() the watch at the end."""
        return await watch_cluster(self.meta, small_limit=65_536)


def numbered(count: int, **options: object) -> list[dict[str, object]]:
    """Return OSDs 0.. with the same options."""
    return [{"id": number, **options} for number in range(count)]
