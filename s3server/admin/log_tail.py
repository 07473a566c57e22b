"""The end of the server's log, for somebody far away: without what names people and their data."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

LINES = 5_000
_UNIT = "s3server.service"

# What stays of a line. Of requests: no bucket, key, user, address, and no text about them.
_OF_REQUESTS = frozenset(
    {
        "event", "level", "timestamp", "process", "request_id", "method", "operation", "status",
        "code", "received", "sent", "first_byte_ms", "total_ms",
    }
)  # fmt: skip
_DROPPED = frozenset({"bucket", "key", "user", "access_key", "client", "path", "name", "topic"})


def log_tail(file: Path | None) -> list[dict[str, Any]]:
    """Return the last lines of a log file, or of the journal of systemd's unit.

    Raises OSError, subprocess.SubprocessError. Lines that are not JSON are left out.
    """
    if file is not None:
        lines = file.read_text("utf-8", "replace").splitlines()[-LINES:]
    elif journalctl := shutil.which("journalctl"):
        command = [journalctl, "--unit", _UNIT, "--output", "cat", "--lines", str(LINES)]
        done = subprocess.run([*command, "--quiet"], capture_output=True, timeout=60, check=True)  # noqa: S603
        lines = done.stdout.decode("utf-8", "replace").splitlines()
    else:
        raise FileNotFoundError("there is no journal; name the log by --log FILE")
    return [kept for line in lines if (kept := _kept(line))]


def _kept(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    if found.get("event") == "request":
        return {name: value for name, value in found.items() if name in _OF_REQUESTS}
    kept = {name: value for name, value in found.items() if name not in _DROPPED}
    if "exception" in kept:
        kept["exception"] = _frames(str(kept["exception"]))
    return kept


def _frames(text: str) -> list[str]:
    """Return where an exception was raised, and its kind; its text may name anything."""
    lines = text.splitlines()
    kind = lines[-1].partition(":")[0] if lines else ""
    return [*(line.strip() for line in lines if line.startswith("  File ")), kind]
