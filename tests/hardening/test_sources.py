"""What our own source never does: the rows of the hardening reference that ask for a lint."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import s3server

ROOT = Path(s3server.__file__).parent
# Of a request, what a client can make read otherwise than it was routed (CVE-2026-48710); of
# Starlette, what reads files by paths (CVE-2023-29159); databases asked in text (CVE-2024-40120).
BANNED_ATTRIBUTES = {"url", "base_url", "url_for", "execute", "executemany", "executescript"}
BANNED_NAMES = {"StaticFiles", "FileResponse", "sqlite3", "pickle", "shelve", "marshal", "yaml"}
URL_OWNERS = {"request", "http", "scope", "self.request"}


def weaknesses(source: str) -> set[str]:
    """Return the banned names that a module uses."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in BANNED_ATTRIBUTES:
            is_request = ast.unparse(node.value) in URL_OWNERS
            if is_request or node.attr.startswith("execute"):
                found.add(node.attr)
        elif isinstance(node, ast.Name) and node.id in BANNED_NAMES:
            found.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name for alias in node.names} | {getattr(node, "module", "") or ""}
            found |= {name for name in names if name.partition(".")[0] in BANNED_NAMES}
    return found


def test_no_module_does_what_is_banned() -> None:
    found = {path.name: weaknesses(path.read_text()) for path in sorted(ROOT.rglob("*.py"))}
    assert len(found) > 100
    assert {name: banned for name, banned in found.items() if banned} == {}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("bucket = request.url.path", {"url"}),
        ("from starlette.staticfiles import StaticFiles", {"StaticFiles"}),
        ("connection.execute(f'SELECT {key}')", {"execute"}),
        ("import sqlite3", {"sqlite3"}),
        ("import pickle as p", {"pickle"}),
    ],
)
def test_what_is_banned_is_noticed(source: str, found: set[str]) -> None:
    assert weaknesses(source) == found
