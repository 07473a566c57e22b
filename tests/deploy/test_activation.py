"""Sockets of systemd's, and what it is told: its own tool hands the socket over."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench.servers import free_port
from tests.support.notified import Notified
from tests.support.server_process import ROOT

ACTIVATE = shutil.which("systemd-socket-activate")
WAIT_S = 60


@pytest.mark.skipif(ACTIVATE is None, reason="systemd-socket-activate is not installed")
def test_a_client_that_came_before_the_server_is_served_and_reloads_are_told(
    tmp_path: Path, channel: Notified
) -> None:
    environment = {
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "S3SERVER_STORAGE__FULL_RATIO": "1",
        "S3SERVER_STORAGE__NEARFULL_RATIO": "1",
    }
    port = free_port()
    command = [str(ACTIVATE), "--listen", f"127.0.0.1:{port}"]
    command += [f"--setenv={name}={value}" for name, value in environment.items()]
    command += [sys.executable, "-m", "s3server", "quickstart", str(tmp_path / "store")]
    process = subprocess.Popen(
        [*command, "--workers", "1"], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        assert process.stderr is not None
        assert b"Listening on" in process.stderr.readline()
        # The connection is what starts the server; it waits in the socket's queue.
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
        client.request("GET", "/-/health/ready")
        assert client.getresponse().read().startswith(b'{"status":"ok"')
        client.close()
        ready = f"READY=1\nSTATUS=http://127.0.0.1:{port} with 1 workers"
        assert ready == channel.next_but_alive()
        os.kill(process.pid, signal.SIGHUP)  # the tool has become the server
        assert channel.next_but_alive().startswith("RELOADING=1\nMONOTONIC_USEC=")
        assert channel.next_but_alive() == "READY=1"
    finally:
        process.terminate()
        assert process.wait(WAIT_S) == 0
        process.stderr.close()
    assert channel.next_but_alive() == "STOPPING=1"
