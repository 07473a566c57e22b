"""Files of appends are written ahead, and take what fits where space is short."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path

import pytest

from s3server.data.vfs import FIRST_AHEAD, MOST_AHEAD, Handle, Vfs
from tests.support.file_limit import no_file_longer_than


def made(path: Path) -> Handle:
    vfs = Vfs()
    return Handle(vfs, vfs.create(str(path / "file")))


def test_appends_overwrite_zeros_but_for_the_first_into_each_stretch(tmp_path: Path) -> None:
    file, end, growing, chance = made(tmp_path), 0, 0, random.Random(24)
    content = bytearray()
    while end < 3 * MOST_AHEAD:
        pieces = [chance.randbytes(chance.randrange(1, 70_000)) for _ in range(2)]
        before = os.fstat(file.fd)
        assert sum(map(len, pieces)) == Vfs().append_durably(file.fd, pieces, end)
        content += b"".join(pieces)
        end, after = len(content), os.fstat(file.fd)
        assert FIRST_AHEAD <= after.st_size < max(2 * end, FIRST_AHEAD + 1)
        assert after.st_size - end < MOST_AHEAD
        assert after.st_blocks * 512 >= after.st_size  # no holes: really written
        growing += after.st_size > before.st_size
    assert content + bytes(os.fstat(file.fd).st_size - end) == (tmp_path / "file").read_bytes()
    assert 7 >= growing  # 64, 128, 256, 512 KiB, 1, 1.5, 2 MiB


def test_appender_that_knows_the_end_only_does_not_write_what_is_written(tmp_path: Path) -> None:
    """As processes do that share a file: each begins anew, at an end that it was told."""
    file = made(tmp_path)
    Vfs().append_durably(file.fd, [b"a" * 100], 0)
    beyond = b"of another process, which went on meanwhile"
    os.pwrite(file.fd, beyond, 200)
    assert 100 == Vfs().append_durably(file.fd, [b"b" * 100], 100)
    assert beyond == os.pread(file.fd, len(beyond), 200)


def test_records_that_fit_are_taken_where_there_is_no_room_to_write_ahead(tmp_path: Path) -> None:
    file = made(tmp_path)
    with no_file_longer_than(10_000):
        assert 9_000 == Vfs().append_durably(file.fd, [b"a" * 9_000], 0)
        assert 500 == Vfs().append_durably(file.fd, [b"b" * 500], 9_000)
        assert 500 == Vfs().append_durably(file.fd, [b"c" * 700], 9_500)  # cut short: it says so
        with pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
            Vfs().append_durably(file.fd, [b"d"], 10_000)
    assert b"a" * 9_000 + b"b" * 500 + b"c" * 500 == (tmp_path / "file").read_bytes()
