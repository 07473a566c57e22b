"""Small files that are whole and there, whatever happens: settings, keys, marks."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def replace_durably(file: Path, text: str, *, mode: int = 0o600) -> None:
    """Write a file, or replace one, so that a power cut leaves the old or the new one. OSError."""
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(descriptor)
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
    sync_path(file.parent)


def sync_path(path: Path) -> None:
    """Make a file's content, or the names in a directory, durable. OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
