"""Looks at a machine and a store before, or after, something goes wrong; changes nothing."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from s3server.admin.doctor_certificate import examine_certificate
from s3server.admin.doctor_disks import examine_directories
from s3server.admin.finding import Finding, Level
from s3server.config import Config
from s3server.core.keys import KeyRingError
from s3server.meta.owner import act_as_owner
from s3server.metadata import was_made
from s3server.parts import key_ring
from s3server.process import listen, state

_FILES = 65_536  # open files that a busy gateway with many OSDs comes near to
_CLOCK_UNSYNCHRONISED = 5  # TIME_ERROR of adjtimex(2)
_LIBRARIES = ("lmdb", "pyeclib", "uvicorn", "awscrt", "botocore", "cryptography")


def examine(config: Config, *, now: datetime | None = None) -> list[Finding]:
    """Return what was found, at `now` or at present. Every check answers, whatever others met."""
    act_as_owner(config.storage.meta_dir)
    running = _running(config)
    return [
        _versions(),
        _server(config, running),
        _clock(),
        _open_files(running),
        *_master_key(config),
        _key_ring(config),
        *examine_certificate(config, now or datetime.now(UTC)),
        *examine_directories(config),
    ]


def _running(config: Config) -> int:
    """Return the process id of the server that runs; 0 where none does."""
    if not state.is_served(config.storage.meta_dir):
        return 0
    return int(state.read(config.storage.meta_dir).get("pid", 0))


def _server(config: Config, running: int) -> Finding:
    if running:
        found = state.read(config.storage.meta_dir)
        text = f"runs at {found['url']} with process id {running}"
        return Finding("server", Level.OK, f"{text} and {len(found['workers'])} workers")
    try:
        listen.bind(*config.server.address).close()
    except listen.ListenError as error:
        text = f"does not run, and {error}: is it systemd's socket, or another program?"
        return Finding("server", Level.WARNING, text)
    return Finding("server", Level.OK, "does not run")


def _versions() -> Finding:
    found = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    text = f"s3server {version('s3server')}, Python {platform.python_version()}, {found}"
    return Finding("versions", Level.OK, text)


def _clock() -> Finding:
    """Requests are refused when client and server are 15 minutes apart."""
    found = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(512))
    if found == _CLOCK_UNSYNCHRONISED:
        text = "not synchronised: run chrony or systemd-timesyncd"
        return Finding("clock", Level.WARNING, text)
    if found < 0:
        return Finding("clock", Level.WARNING, os.strerror(ctypes.get_errno()))
    return Finding("clock", Level.OK, "synchronised")


def _open_files(running: int) -> Finding:
    """Look at the limit of the server that runs, else at that of this command."""
    file = Path(f"/proc/{running or 'self'}/limits")
    if not file.exists():
        return Finding("open files", Level.WARNING, "the server has just ended")
    limits = file.read_text("utf-8")
    found = re.search(r"^Max open files +\S+ +(\S+)", limits, re.MULTILINE)
    most = found[1] if found else "0"
    is_enough = most == "unlimited" or int(most) >= _FILES
    text = f"at most {most}" + ("" if is_enough else f": raise LimitNOFILE= to {_FILES} or more")
    return Finding("open files", Level.OK if is_enough else Level.WARNING, text)


def _master_key(config: Config) -> Iterator[Finding]:
    file = config.storage.master_key_file
    if not file.exists() and was_made(config):
        text = f"{file} is missing: put it back, without it access keys cannot be opened"
        yield Finding("master key", Level.BAD, text)
        return
    if not file.exists():
        yield Finding("master key", Level.OK, f"{file} will be made at the first start")
        return
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & stat.S_IRWXO:
        yield Finding("master key", Level.BAD, f"{file} can be reached by others: chmod o= it")
    elif not os.access(file, os.R_OK):
        yield Finding("master key", Level.BAD, f"{file} cannot be read by user {os.geteuid()}")
    else:
        yield Finding("master key", Level.OK, f"{file}, mode {mode:04o}")


def _key_ring(config: Config) -> Finding:
    try:
        keys = key_ring(config).count()
    except KeyRingError as error:
        return Finding("key ring", Level.BAD, str(error))
    text = f"{keys} keys of SSE-S3" if keys else "will be made for the first object with SSE-S3"
    return Finding("key ring", Level.OK, text)
