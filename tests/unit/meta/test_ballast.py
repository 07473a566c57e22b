"""The space held back for deletes, and who may use it."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3server.meta.ballast import Ballast, frees_space
from s3server.meta.base import Add, Append, Delete, Put, Write

PUT, DELETE = Put(b"k", b"v"), Delete(b"k")


@pytest.mark.parametrize(
    ("writes", "expected"),
    [
        ([DELETE], True),
        ([DELETE, Append(b"G", b""), Append(b"E", b""), Add(b"n", -1)], True),
        ([DELETE, PUT], True),  # an older version takes the place of the deleted one
        ([DELETE, PUT, PUT], False),
        ([PUT], False),
        ([Append(b"G", b"")], False),
        ([Add(b"n", 1)], False),
        ([], False),
    ],
)
def test_commit_frees_space_where_it_deletes_as_much_as_it_puts(
    writes: list[Write], expected: bool
) -> None:
    assert expected == frees_space(writes)


def test_ballast_really_takes_its_space(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "ballast", 1 << 20)
    assert ballast.is_released()
    ballast.restore()
    assert not ballast.is_released()
    status = (tmp_path / "ballast").stat()
    assert 1 << 20 == status.st_size
    assert status.st_blocks * 512 >= 1 << 20


def test_release_gives_the_file_up_and_may_be_repeated(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "ballast", 1 << 20)
    ballast.restore()
    ballast.release()
    ballast.release()
    assert ballast.is_released()
    assert [] == list(tmp_path.iterdir())


def test_release_by_another_process_is_learnt_at_the_next_look(tmp_path: Path) -> None:
    mine, other = (Ballast(tmp_path / "ballast", 1 << 20) for _ in range(2))
    mine.restore()
    other.restore()
    assert (False, False) == (mine.was_released, other.was_released)
    other.release()
    assert (False, True) == (mine.was_released, other.was_released)
    assert (True, True) == (mine.is_released(), mine.was_released)
    mine.restore()
    assert (False, True) == (mine.was_released, other.was_released)
    assert (False, False) == (other.is_released(), other.was_released)


def test_ballast_beyond_the_disk_stays_released(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "ballast", 1 << 60)
    ballast.restore()
    assert ballast.is_released()


def test_ballast_of_size_zero_is_never_released(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "ballast", 0)
    ballast.restore()
    ballast.release()
    assert not ballast.is_released()
    assert [] == list(tmp_path.iterdir())
