"""The reference in docs/ says what the code does."""

from __future__ import annotations

import re

from s3server import configuration_errors, errors, iam_errors, sts_errors
from tests.support.server_process import ROOT
from tools import reference


def test_reference_is_not_stale() -> None:
    """`python tools/reference.py` makes it anew."""
    pages = reference.pages()
    files = {file.name: file.read_text() for file in reference.FOLDER.iterdir()}
    files.pop("README.md")  # the contents of the folder, written by hand

    assert pages == files
    assert '| `region` | `"us-east-1"` |' in pages["configuration.md"]
    assert "$ s3server quickstart [OPTIONS]" in pages["commands.md"]
    assert "| NoSuchKey | 404 |" in pages["errors.md"]
    assert 1 == pages["errors.md"].count(
        "| AccessDenied |"
    )  # though classes of it tell cases apart


def test_every_error_that_is_defined_is_raised_somewhere() -> None:
    sources = [file.read_text() for file in (ROOT / "s3server").rglob("*.py")]
    words = set(re.findall(r"\w+", re.sub(r"class \w+\(", "", "\n".join(sources))))
    for module in (errors, configuration_errors, iam_errors, sts_errors):
        defined = {name for name, one in vars(module).items() if isinstance(one, type)}
        assert defined <= words
