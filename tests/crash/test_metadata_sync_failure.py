"""A sync that fails: the commit is not acknowledged, and the process commits nothing more."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from s3server.meta.lmdb import LmdbStore

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace to make fdatasync fail")
@pytest.mark.parametrize("when", [1, 3, 8])
async def test_failed_sync_ends_all_commits(tmp_path: Path, when: int) -> None:
    await LmdbStore.open(tmp_path / "meta", ballast_bytes=0).close()
    child = await asyncio.to_thread(
        subprocess.run,
        [
            *("strace", "-f", "-qq", "-o", tmp_path / "trace", "-e", "trace=fdatasync"),
            *("-e", f"inject=fdatasync:error=EIO:when={when}"),
            *(sys.executable, ROOT / "tests/support/metadata_process.py"),
            *(tmp_path / "meta", "append", "1000"),
        ],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT)},
        timeout=60,
    )
    if "ptrace" in child.stderr and "Operation not permitted" in child.stderr:
        pytest.skip("ptrace is not allowed here")
    acknowledged = [int(line) for line in child.stdout.split()]  # no "done" among them
    assert "UnavailableError: metadata commit failed" in child.stderr
    assert when == (tmp_path / "trace").read_text().count("fdatasync(")
    store = LmdbStore.open(tmp_path / "meta", ballast_bytes=0)
    rows = await store.scan(b"E", b"F", limit=2_000)
    await store.close()
    assert acknowledged == [int.from_bytes(key[1:9], "big") for key, _ in rows]
