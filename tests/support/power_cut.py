"""Stores on file systems of their own, and the cut of their power.

A cut stops every thread of the server where it is, shuts down every file system with all that its
journal had not written, kills the server, and mounts again. Source: ioctl EXT4_IOC_SHUTDOWN and
XFS_IOC_GOINGDOWN, flag NOLOGFLUSH, as xfstests' godown uses them. Needs root and loop devices.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import random
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, 2
STOP_S = 120.0  # a thread that waits for a slow disk stands still only after that
# Smallest that mkfs.xfs makes; the images are sparse.
IMAGE_BYTES = 2 << 30  # sparse; what rounds give up is freed only after a minute
MKFS = {
    "ext4": ["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
}


def why_not(kind: str) -> str:
    """Return why this machine cannot do it; empty where it can."""
    if os.geteuid() != 0:
        return "mounting takes root"
    if not Path("/dev/loop-control").exists():
        return "there are no loop devices"
    if shutil.which(MKFS[kind][0]) is None:
        return f"needs {MKFS[kind][0]}"
    return ""


class Disks:
    """The file systems of one store: the first is its directory, the others its OSDs."""

    def __init__(self, images: Path, store: Path, kind: str, osds: int) -> None:
        self._places = [store, *(store / f"osd.{number}" for number in range(osds))]
        self._images = [images / f"disk.{number}" for number in range(osds + 1)]
        self._mounted: list[Path] = []
        for image in self._images:
            with image.open("wb") as file:
                file.truncate(IMAGE_BYTES)
            _run(*MKFS[kind], str(image))

    def mount(self) -> None:
        """Mount all; what the journals hold is replayed."""
        for image, place in zip(self._images, self._places, strict=True):
            place.mkdir(exist_ok=True)
            _run("mount", "-o", "loop", str(image), str(place))
            self._mounted.append(place)

    def unmount(self, *, lazily: bool = False) -> None:
        """Unmount those that are mounted; `lazily` also where somebody still uses them."""
        while self._mounted:
            _run("umount", *(["--lazy"] if lazily else []), str(self._mounted[-1]))
            self._mounted.pop()

    def shut_down(self, chance: random.Random) -> None:
        """Take every file system its power, one shortly after the other, in some order."""
        for place in chance.sample(self._places, len(self._places)):
            directory = os.open(place, os.O_RDONLY)
            try:
                fcntl.ioctl(directory, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
            finally:
                os.close(directory)
            time.sleep(chance.choice((0, 0, 0.002, 0.01)))


@contextlib.contextmanager
def powered(directory: Path, kind: str, osds: int) -> Iterator[tuple[Path, Disks]]:
    """Give a mounted, empty store directory and its disks; skip the test where that cannot be.

    Nothing stays mounted, however the block ends.
    """
    if reason := why_not(kind):
        pytest.skip(reason)
    store = directory / "store"
    disks = Disks(directory, store, kind, osds)
    try:
        try:
            disks.mount()
        except subprocess.CalledProcessError as error:
            pytest.skip(f"this system does not mount {kind}: {error.stderr.strip()}")
        yield store, disks
    finally:
        gc.collect()  # this process may have had the store open too
        disks.unmount(lazily=True)


def freeze(group: int) -> None:
    """Stop every thread of a process group, and wait until each of them stands still."""
    os.killpg(group, signal.SIGSTOP)
    _wait(group, "TtZX")


def wait_until_gone(group: int) -> None:
    """Wait until no process of a killed group has a file open."""
    _wait(group, "ZX")


def _wait(group: int, states: str) -> None:
    deadline = time.monotonic() + STOP_S
    while others := [state for state in _thread_states(group) if state not in states]:
        assert time.monotonic() < deadline, f"threads stay in states {others}"
        time.sleep(0.001)


def _thread_states(group: int) -> Iterator[str]:
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            with contextlib.suppress(OSError):  # it ended
                if os.getpgid(int(process.name)) == group:
                    for thread in (process / "task").iterdir():
                        stat = (thread / "stat").read_text()
                        yield stat.rpartition(")")[2].split()[0]


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
