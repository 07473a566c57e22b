"""The key ring as a file that others write: read only, exchanged, damaged."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from s3server.core.keys import KeyRing, KeyRingError
from s3server.core.sealing import new_data_key


@pytest.fixture
def credential(tmp_path: Path) -> Path:
    """A ring as systemd lays it down: read only, in a directory where nothing can be made."""
    path = tmp_path / "credentials" / "encryption.keys"
    path.parent.mkdir()
    path.write_text(secrets.token_hex(32) + "\n")
    path.chmod(0o400)
    # What keeps even root, who runs some tests, from adding keys.
    path.with_name(f".{path.name}.lock").mkdir()
    path.parent.chmod(0o500)
    return path


@pytest.mark.parametrize("mode", [0o400, 0o440])  # systemd's access lists show as the latter
def test_credential_wraps_and_unwraps(credential: Path, mode: int) -> None:
    credential.chmod(mode)
    data_key = new_data_key()
    envelope = KeyRing(credential).wrap(data_key)
    assert KeyRing(credential).unwrap(envelope) == data_key


def test_credential_is_not_rotated_in_place(credential: Path) -> None:
    before = credential.read_text()
    with pytest.raises(KeyRingError, match="no key can be added here"):
        KeyRing(credential).rotate()
    assert credential.read_text() == before


def test_ring_that_is_missing_and_cannot_be_made_is_told(credential: Path) -> None:
    credential.parent.chmod(0o700)
    credential.unlink()
    with pytest.raises(KeyRingError, match="no key can be added here"):
        KeyRing(credential).wrap(new_data_key())


def test_ring_that_somebody_replaced_is_read_again(credential: Path) -> None:
    ring, data_key = KeyRing(credential), new_data_key()
    first = ring.wrap(data_key)
    credential.parent.chmod(0o700)
    newer = credential.with_name("newer")
    newer.write_text(credential.read_text() + secrets.token_hex(32) + "\n")
    newer.chmod(0o400)
    newer.replace(credential)
    second = ring.wrap(data_key)
    assert first.key_id != second.key_id
    assert ring.unwrap(first) == ring.unwrap(second) == data_key


@pytest.mark.parametrize("mode", [0o620, 0o604])
def test_ring_that_others_reach_is_not_used(credential: Path, mode: int) -> None:
    credential.chmod(mode)
    with pytest.raises(KeyRingError, match="chmod 600"):
        KeyRing(credential).wrap(new_data_key())


@pytest.mark.parametrize("text", ["", "zz", "ab" * 16])
def test_damaged_ring_is_not_used(tmp_path: Path, text: str) -> None:
    path = tmp_path / "encryption.keys"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(KeyRingError, match="does not hold keys"):
        KeyRing(path).wrap(new_data_key())
    with pytest.raises(KeyRingError, match="does not hold keys"):
        KeyRing(path).rotate()


def test_no_other_ring_takes_the_place_of_one_that_is_lost(tmp_path: Path) -> None:
    path, data_key = tmp_path / "encryption.keys", new_data_key()
    envelope = KeyRing(path).wrap(data_key)
    away = path.rename(tmp_path / "away")
    for ring in (KeyRing(path), KeyRing(path)):
        with pytest.raises(KeyRingError, match="is missing, which opens what is encrypted"):
            ring.wrap(data_key)
        with pytest.raises(KeyRingError, match="put it back"):
            ring.rotate()
    away.rename(path)
    KeyRing(path).rotate()
    assert KeyRing(path).unwrap(envelope) == data_key


def test_after_a_lost_ring_one_begins_anew_by_removing_what_tells_of_it(tmp_path: Path) -> None:
    path, data_key = tmp_path / "encryption.keys", new_data_key()
    KeyRing(path).wrap(data_key)
    path.unlink()
    (tmp_path / ".encryption.keys.lock").unlink()
    ring = KeyRing(path)
    assert ring.unwrap(ring.wrap(data_key)) == data_key
