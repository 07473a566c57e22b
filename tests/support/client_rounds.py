"""What every client has to bring up, list, bring back, copy and delete; and what one can do."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

LARGE = "deep/er/and deeper/12 MB.tif"
COPIED = "with space/4 KB+plus.bin"

# By key; the contents differ from run to run, so that no tool finds anything stored already.
SIZES = {
    "empty": 0,
    "one": 1,
    COPIED: 4_096,
    "nested/a/b/70 KB": 70_000,
    "ünï/日本 😀.bin": 5_000,
    "signs &=;:@$,'()!~*%25#x": 100,
    LARGE: 12_000_000,
}


class Tool(Protocol):
    """A client under test; parts of an upload are 5 MiB where it lets us choose."""

    def upload(self, directory: Path, bucket: str) -> None:
        """Store every file of a directory under its path."""

    def keys(self, bucket: str) -> set[str]:
        """List all keys."""

    def download(self, bucket: str, directory: Path) -> None:
        """Bring all objects back as files."""

    def copy(self, bucket: str, source: str, target: str) -> None:
        """Copy on the server."""

    def delete(self, bucket: str, key: str) -> None:
        """Delete one object."""

    def delete_all(self, bucket: str) -> None:
        """Delete what is left, many in a request where the tool knows how."""


def make_tree(directory: Path) -> dict[str, bytes]:
    """Write the files of SIZES; return their contents by key."""
    contents = {key: os.urandom(size) for key, size in SIZES.items()}
    for key, content in contents.items():
        file = directory / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return contents


def read_tree(directory: Path) -> dict[str, bytes]:
    """Return the contents of all files under a directory by their path."""
    return {
        str(file.relative_to(directory)): file.read_bytes()
        for file in directory.rglob("*")
        if file.is_file()
    }


def differences(expected: Mapping[str, bytes], actual: Mapping[str, bytes]) -> list[str]:
    """Return the keys that are missing, too many or different: none of megabytes in a diff."""
    keys = sorted(expected.keys() | actual.keys())
    return [key for key in keys if expected.get(key) != actual.get(key)]
