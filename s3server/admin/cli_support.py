"""The `support-bundle` command: what somebody far away needs to help, and no secret."""

from __future__ import annotations

import asyncio
import io
import json
import os
import platform
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from s3server.admin.output import ConfigFile, Directory, Json, emit, settings_file
from s3server.core.clock import SystemClock

File = Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it: a new .tar.gz.")]


def support_bundle(
    file: File,
    *,
    log: Annotated[
        Path | None, typer.Option(help="File of the log; else the journal of s3server.service.")
    ] = None,
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Pack settings (secrets masked), doctor, status, metrics and the log's end into one file.

    It holds names of directories, hosts and domains, but no keys, and no bytes of objects. Of the
    log it leaves out what names buckets, users, objects or clients.
    """
    from s3server import settings  # noqa: PLC0415 (slow to load)
    from s3server.admin import doctor  # noqa: PLC0415
    from s3server.admin.log_tail import log_tail  # noqa: PLC0415
    from s3server.admin.status import status_of  # noqa: PLC0415
    from s3server.counters import run_directory  # noqa: PLC0415
    from s3server.metrics.requests import render_requests  # noqa: PLC0415

    loaded = settings.load(settings_file(config, directory))
    # Opened first: a command of root's acts as the owner of the store from then on.
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    parts: dict[str, Callable[[], Any]] = {
        "settings.json": lambda: {
            name: {"value": value, "origin": origin}
            for name, value, origin in settings.origins(loaded)
        },
        "doctor.json": lambda: [
            {"what": each.what, "level": each.level.name.lower(), "finding": each.text}
            for each in doctor.examine(loaded)
        ],
        "status.json": lambda: asyncio.run(status_of(loaded)),
        "metrics.txt": lambda: render_requests(run_directory(loaded.storage.meta_dir)).decode(),
        "log.json": lambda: log_tail(log),
        "machine.json": _machine,
    }
    with open(descriptor, "wb") as raw, tarfile.open(fileobj=raw, mode="w:gz") as bundle:
        for name, part in parts.items():
            _add(bundle, name, part)
    emit({"file": str(file), "parts": sorted(parts)}, as_json=as_json, text=str(file))


def _add(bundle: tarfile.TarFile, name: str, part: Callable[[], Any]) -> None:
    """Add a part; one that cannot be made says why, as that may be what help is needed for."""
    try:
        value = part()
    except Exception as error:
        value = {"error": f"{type(error).__name__}: {error}"}
    text = value if isinstance(value, str) else json.dumps(value, indent=1, default=str)
    content = text.encode()
    entry = tarfile.TarInfo(f"s3server-support/{name}")
    entry.size, entry.mtime, entry.mode = len(content), SystemClock().now_ms() // 1000, 0o600
    bundle.addfile(entry, io.BytesIO(content))


def _machine() -> dict[str, Any]:
    return {
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "load": os.getloadavg(),
        "memory": Path("/proc/meminfo").read_text("utf-8").splitlines()[:5],
        "mounts": Path("/proc/self/mounts").read_text("utf-8", "replace").splitlines(),
    }
