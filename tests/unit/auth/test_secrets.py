"""Secrets at rest: sealing, generation and the key file."""

import os
import re
import stat

import pytest

from s3server.auth.secrets import (
    SecretBox,
    SecretError,
    load_or_create_key_file,
    new_access_key_id,
    new_secret,
)

BOX = SecretBox(bytes(32))


def test_sealed_secret_opens_for_the_same_access_key_only():
    sealed = BOX.seal("s3cret", "AKIA1")
    assert BOX.open(sealed, "AKIA1") == "s3cret"
    with pytest.raises(SecretError):
        BOX.open(sealed, "AKIA2")


def test_sealing_twice_gives_different_bytes():
    assert BOX.seal("s3cret", "AKIA1") != BOX.seal("s3cret", "AKIA1")


def test_every_changed_byte_is_noticed():
    sealed = BOX.seal("s3cret", "AKIA1")
    for index in range(len(sealed)):
        changed = sealed[:index] + bytes([sealed[index] ^ 1]) + sealed[index + 1 :]
        with pytest.raises(SecretError):
            BOX.open(changed, "AKIA1")


@pytest.mark.parametrize("length", [0, 1, 12, 13, 28])
def test_cut_sealed_secret_is_refused(length):
    with pytest.raises(SecretError):
        BOX.open(BOX.seal("s3cret", "AKIA1")[:length], "AKIA1")


def test_another_master_key_does_not_open():
    with pytest.raises(SecretError):
        SecretBox(bytes([1]) * 32).open(BOX.seal("s3cret", "AKIA1"), "AKIA1")


def test_newest_master_key_seals_and_older_ones_still_open():
    old, new = bytes([1]) * 32, bytes([2]) * 32
    sealed = SecretBox(old).open(SecretBox(old).seal("s3cret", "AKIA1"), "AKIA1")
    assert sealed == SecretBox(old, new).open(SecretBox(old).seal("s3cret", "AKIA1"), "AKIA1")
    assert SecretBox(new).open(SecretBox(old, new).seal("s3cret", "AKIA1"), "AKIA1") == "s3cret"


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_master_key_has_256_bits(length):
    with pytest.raises(SecretError):
        SecretBox(bytes(length))


def test_new_keys_are_of_the_stated_shape_and_differ():
    ids = {new_access_key_id() for _ in range(100)}
    secrets = {new_secret() for _ in range(100)}
    assert len(ids) == 100
    assert len(secrets) == 100
    assert all(re.fullmatch("[A-Z0-9]{20}", text) for text in ids)
    assert all(re.fullmatch("[A-Za-z0-9]{40}", text) for text in secrets)


def test_key_file_is_made_once_private_and_alone(tmp_path):
    path = tmp_path / "master.key"
    (key,) = load_or_create_key_file(path)
    assert len(key) == 32
    assert load_or_create_key_file(path) == (key,)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["master.key"]


def test_key_files_of_two_stores_differ(tmp_path):
    assert load_or_create_key_file(tmp_path / "a") != load_or_create_key_file(tmp_path / "b")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_key_file_that_others_may_touch_is_refused(tmp_path, mode):
    path = tmp_path / "master.key"
    load_or_create_key_file(path)
    path.chmod(mode)
    with pytest.raises(SecretError):
        load_or_create_key_file(path)


@pytest.mark.parametrize("text", ["", "zz" * 32, "00" * 31, "00" * 33, "00" * 500])
def test_key_file_that_holds_something_else_is_refused(tmp_path, text):
    path = tmp_path / "master.key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(SecretError):
        load_or_create_key_file(path)
