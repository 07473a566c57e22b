"""`s3server support-bundle` tells how a store is, and none of its secrets."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from s3server.admin.cli import run
from s3server.admin.quickstart import prepare
from s3server.maintenance import initialise


@pytest.fixture
async def directory(tmp_path: Path) -> Path:
    await initialise(prepare(tmp_path / "store", osds=None, codec=None, server={})())
    return tmp_path / "store"


def contents(bundle: Path) -> dict[str, str]:
    with tarfile.open(bundle) as packed:
        return {
            Path(entry.name).name: packed.extractfile(entry).read().decode() for entry in packed
        }


def test_bundle_has_what_helps_and_no_secret(directory: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "support.tar.gz"

    assert 0 == run(["support-bundle", str(bundle), "--dir", str(directory)])

    found = contents(bundle)
    assert {
        "settings.json", "doctor.json", "status.json", "machine.json", "metrics.txt", "log.json",
    } == set(found)  # fmt: skip
    health = json.loads(found["status.json"])["health"]
    assert health == "OK" or "full" in health  # this disk may be
    assert 0o600 == bundle.stat().st_mode & 0o777
    settings = (directory / "s3server.toml").read_text()
    secret = next(line for line in settings.splitlines() if line.startswith("secret_key"))
    assert not any(secret.split('"')[1] in text for text in found.values())


def test_store_that_cannot_be_opened_says_why(directory: Path, tmp_path: Path) -> None:
    (directory / "meta" / "data.mdb").write_bytes(b"no such thing")
    bundle = tmp_path / "support.tar.gz"

    assert 0 == run(["support-bundle", str(bundle), "--dir", str(directory)])

    assert "error" in json.loads(contents(bundle)["status.json"])


def test_file_that_is_there_is_not_replaced(directory: Path, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")

    assert 0 != run(["support-bundle", str(tmp_path / "notes"), "--dir", str(directory)])

    assert "mine" == (tmp_path / "notes").read_text()


def test_log_is_packed_without_what_names_people_and_their_data(
    directory: Path, tmp_path: Path
) -> None:
    request = {
        "event": "request", "request_id": "1F", "status": 404, "code": "NoSuchKey",
        "bucket": "private", "key": "private", "user": "private", "client": "private",
        "path": "private", "reason": "private", "access_key": "private",
    }  # fmt: skip
    fault = {
        "event": "internal error",
        "exception": 'Traceback:\n  File "x.py", line 3, in f\n    private()\nKeyError: private',
    }
    lines = [json.dumps(request), json.dumps(fault), "private, not JSON", "[1]"]
    (tmp_path / "log").write_text("\n".join(lines))
    bundle = tmp_path / "support.tar.gz"

    arguments = ["support-bundle", str(bundle), "--log", str(tmp_path / "log")]
    assert 0 == run([*arguments, "--dir", str(directory)])

    text = contents(bundle)["log.json"]
    assert "private" not in text
    assert json.loads(text) == [
        {"event": "request", "request_id": "1F", "status": 404, "code": "NoSuchKey"},
        {"event": "internal error", "exception": ['File "x.py", line 3, in f', "KeyError"]},
    ]
