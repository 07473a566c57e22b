"""Listeners hear every worker, and never hold one up."""

from __future__ import annotations

from pathlib import Path

from s3server.listeners import SUFFIX, Listeners, listening


def test_all_listeners_hear_and_the_directory_may_be_deep(tmp_path: Path) -> None:
    directory = tmp_path.joinpath(*["deep" * 10] * 4)
    directory.mkdir(parents=True)
    listeners = Listeners(directory / "run")
    listeners.look()
    assert not listeners
    with listening(directory / "run") as one, listening(directory / "run") as other:
        listeners.look()
        listeners.tell(b"{}")
        assert (one.recv(100), other.recv(100)) == (b"{}", b"{}")
    listeners.look()
    assert not listeners
    listeners.close()


def test_a_listener_that_does_not_read_holds_nobody_up(tmp_path: Path) -> None:
    listeners = Listeners(tmp_path)
    with listening(tmp_path) as slow:
        listeners.look()
        for _ in range(5_000):
            listeners.tell(bytes(1_000))
        assert listeners
        assert len(slow.recv(10_000)) == 1_000
    listeners.close()


def test_a_listener_that_was_killed_is_forgotten(tmp_path: Path) -> None:
    listeners = Listeners(tmp_path)
    with listening(tmp_path) as killed:
        killed.close()
        listeners.look()
        assert listeners
        listeners.tell(b"{}")
        assert not listeners
        assert not list(tmp_path.glob(f"*{SUFFIX}"))
    listeners.close()


def test_directory_that_cannot_be_looked_into_has_no_listeners(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    listeners = Listeners(tmp_path / "run")
    listeners.look()
    assert not listeners
