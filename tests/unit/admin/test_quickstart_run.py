"""quickstart as a program: what keeps it from starting is one clear line."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

from tests.support.server_process import run_server


def quickstart(directory: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "s3server", "quickstart", str(directory), *arguments],
        env={"PYTHONPATH": str(Path.cwd())} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr


def test_port_in_use_exits_1(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = quickstart(tmp_path / "store", "--listen", f"127.0.0.1:{port}")

    assert found == (1, f"s3server: 127.0.0.1:{port}: Address already in use\n")


def test_weak_root_key_on_a_public_address_exits_3_and_makes_nothing(tmp_path: Path) -> None:
    status, text = quickstart(
        tmp_path / "store", "--listen", "0.0.0.0:0", S3SERVER_ROOT_SECRET_KEY="minioadmin"
    )

    assert status == 3
    assert "needs a root.secret_key of 16 characters or more" in text
    assert not (tmp_path / "store").exists()


def test_server_starts_where_credentials_cannot_be_written(tmp_path: Path) -> None:
    """As on a full disk, where the server is needed for the deletes."""
    (tmp_path / "store" / "credentials.env").mkdir(parents=True)
    with run_server(tmp_path / "store") as server:
        health = urllib.request.urlopen(f"{server.endpoint}/-/health/ready")
        assert "ok" == json.load(health)["status"]
    assert "credentials.env is not written" in (tmp_path / "store.log").read_text()
