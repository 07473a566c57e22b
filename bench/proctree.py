"""What a process and all its descendants use, read from /proc: memory (PSS) and processor time."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def tree(root: int) -> list[int]:
    """Return `root` and its living descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields:
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [root]
    for pid in found:  # grows while it is walked
        found.extend(children.get(pid, []))
    return found


def pss_bytes(root: int) -> int:
    """Return the proportional set size of the tree: shared pages are counted once."""
    return sum(_rollup(pid, "Pss:") for pid in tree(root))


def anonymous_bytes(pid: int) -> int:
    """Return a process's memory without pages of files, which the kernel takes back at need."""
    return _rollup(pid, "Pss_Anon:")


def workers(root: int) -> list[int]:
    """Return those processes of a server of ours that answer requests."""
    return [pid for pid in tree(root) if b"worker" in _command(pid)]


def cpu_s(root: int) -> float:
    """Return the processor seconds that the tree has used, with children already waited for."""
    ticks = 0
    for pid in tree(root):
        fields = _stat(pid)
        if fields:
            ticks += sum(int(value) for value in fields[11:15])
    return ticks / _TICKS


def _stat(pid: int) -> list[str]:
    """Return /proc/PID/stat from the state on; empty if the process has gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def _command(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def _rollup(pid: int, name: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # gone, or a zombie
        return 0
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(name))
