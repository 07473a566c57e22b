"""A process killed while it writes loses no commit that it had acknowledged."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from s3server.meta.base import Put
from s3server.meta.lmdb import LmdbStore

ROOT = Path(__file__).parents[2]


def acknowledged_before_kill(path: Path, name: str, count: int) -> list[str]:
    """Let a process commit keys, kill it after `count` of them; return all it acknowledged."""
    with subprocess.Popen(
        [sys.executable, ROOT / "tests/support/metadata_process.py", path, "endless", name],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(ROOT)},
    ) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(count)]
        child.kill()
        lines += child.stdout.readlines()
    return [line.strip() for line in lines if line.endswith("\n")]


async def test_killed_process_loses_no_acknowledged_commit(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    for round_number, count in enumerate([1, 20, 77, 150, 300, 411]):
        name = f"round{round_number}"
        keys = await asyncio.to_thread(acknowledged_before_kill, tmp_path / "meta", name, count)
        assert len(keys) >= count
        acknowledged += keys
        store = LmdbStore.open(tmp_path / "meta", ballast_bytes=0)
        found = await store.get_many([key.encode() for key in acknowledged])
        assert [key.encode() * 20 for key in acknowledged] == found
        sequence = await store.commit([Put(b"after", name.encode())])
        rows = await store.scan(b"", b"\xff", limit=100_000)
        await store.close()
        # every row but "after" was put once, by a commit of its own, whole
        assert sequence == len(rows) + round_number
        assert {key * 20 for key, _ in rows if key != b"after"} == {
            value for key, value in rows if key != b"after"
        }
