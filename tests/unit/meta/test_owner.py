"""Commands of root's leave no file of root's in a store of somebody else's."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can become somebody else")
def test_command_of_root_acts_as_the_owner_of_the_store() -> None:
    nobody = pwd.getpwnam("nobody")
    # Not below tmp_path: pytest keeps others out of it.
    directory = Path(f"/dev/shm/s3server-owner.{os.getpid()}")
    directory.mkdir()
    os.chown(directory, nobody.pw_uid, nobody.pw_gid)
    script = f"""
import asyncio, os, sys
from pathlib import Path
from s3server.maintenance import initialise
from s3server.settings import quickstart_config
config = quickstart_config(Path({str(directory)!r}), access_key="AKIATEST", secret_key="s" * 20)
asyncio.run(initialise(config))
print(os.getuid(), os.getgid(), os.getgroups())
"""
    try:
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
        )
        owners = {file.stat().st_uid for file in directory.rglob("*")}
    finally:
        subprocess.run(["rm", "-rf", directory], check=True)

    ids = os.getgrouplist(nobody.pw_name, nobody.pw_gid)
    assert f"{nobody.pw_uid} {nobody.pw_gid} {ids}" == done.stdout.splitlines()[-1]
    assert {nobody.pw_uid} == owners
