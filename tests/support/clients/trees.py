"""The tree of files that every client has to bring up, list, bring back, copy and delete."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

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


def make_tree(directory: Path, spell: Callable[[str], str]) -> dict[str, bytes]:
    """Write the files of SIZES, as somebody spells them; return their contents by key."""
    contents = {spell(key): os.urandom(size) for key, size in SIZES.items()}
    for key, content in contents.items():
        file = directory / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return contents


def files_of(directory: Path) -> list[tuple[str, Path]]:
    """Return all files under a directory with their paths in it."""
    found = (file for file in directory.rglob("*") if file.is_file())
    return [(str(file.relative_to(directory)), file) for file in found]


def read_tree(directory: Path) -> dict[str, bytes]:
    """Return the contents of all files under a directory by their path."""
    return {key: file.read_bytes() for key, file in files_of(directory)}


def differences(expected: Mapping[str, bytes], actual: Mapping[str, bytes]) -> list[str]:
    """Return the keys that are missing, too many or different: none of megabytes in a diff."""
    keys = sorted(expected.keys() | actual.keys())
    return [key for key in keys if expected.get(key) != actual.get(key)]
