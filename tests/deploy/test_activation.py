"""Sockets of systemd's, and what it is told: its own tool hands the socket over."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bench.servers import free_port
from tests.support.server_process import ROOT

ACTIVATE = shutil.which("systemd-socket-activate")
WAIT_S = 60


@pytest.mark.skipif(ACTIVATE is None, reason="systemd-socket-activate is not installed")
def test_a_client_that_came_before_the_server_is_served_and_reloads_are_told(
    tmp_path: Path,
) -> None:
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    channel.bind(str(tmp_path / "notify"))
    channel.settimeout(WAIT_S)
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
        assert f"READY=1\nSTATUS=http://127.0.0.1:{port} with 1 workers" == told(channel)
        os.kill(process.pid, signal.SIGHUP)  # the tool has become the server
        assert told(channel).startswith("RELOADING=1\nMONOTONIC_USEC=")
        assert told(channel) == "READY=1"
    finally:
        process.terminate()
        assert process.wait(WAIT_S) == 0
        process.stderr.close()
    assert told(channel) == "STOPPING=1"
    channel.close()


def told(channel: socket.socket) -> str:
    """Return the next that systemd is told, but signs of life."""
    while (state := channel.recv(4096)) == b"WATCHDOG=1":
        pass
    return state.decode()
