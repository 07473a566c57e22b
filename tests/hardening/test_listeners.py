"""What a started server listens on: row 35 of the hardening reference (CVE-2026-72920)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.server_process import RunningServer

LISTENING = "0A"


def family(pid: int) -> set[int]:
    """Return a process and all its descendants."""
    found = {pid}
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found |= family(int(child))
    return found


def listening_ports(pids: Iterable[int]) -> set[int]:
    """Return the TCP ports on which some of these processes listen."""
    sockets = set()
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # it was closed meanwhile
                sockets.add(os.readlink(descriptor))
    ports = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENING and f"socket:[{fields[9]}]" in sockets:
                ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports


def test_server_has_one_listener(server: RunningServer) -> None:
    processes = family(server.pid)
    assert len(processes) >= 4  # supervisor, two workers, jobs
    assert listening_ports(processes) == {urlsplit(server.endpoint).port}


def test_side_door_is_noticed() -> None:
    program = (
        "import socket, sys\n"
        "doors = [socket.create_server(('127.0.0.1', 0)) for _ in range(2)]\n"
        "print(*(door.getsockname()[1] for door in doors), flush=True)\n"
        "sys.stdin.read()\n"
    )
    line = [sys.executable, "-c", program]
    with subprocess.Popen(
        line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        ports = {int(port) for port in process.stdout.readline().split()}
        assert len(ports) == 2
        assert listening_ports(family(process.pid)) == ports
        process.communicate()
