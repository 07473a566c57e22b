"""Projects on the command line, as people and programs see them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from s3server.admin import cli, quickstart


class Cli:
    """The commands on a store whose server does not run."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._directory, self._capsys = directory, capsys

    def __call__(self, *arguments: str) -> Any:
        """Return what a command prints as JSON, or its exit status where it failed."""
        status = cli.run([*arguments, "--json", "--dir", str(self._directory)])
        out = self._capsys.readouterr().out
        return status or json.loads(out)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("projects") / "store"
    quickstart.prepare(path, osds=None, codec=None, server={})
    return path


@pytest.fixture
def run(directory: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(directory, capsys)


def test_last_day_belongs_to_the_project_and_grace_follows(run: Cli) -> None:
    made = run("project", "create", "geo", "--owner", "alice", "--end", "2999-06-30",
               "--grace-days", "7")  # fmt: skip
    assert made["end"] == "2999-06-30"
    assert made["disabled_at"] == "2999-07-08T00:00:00+00:00"
    assert (made["owner"], made["state"], made["notice_days"]) == ("alice", "active", 30)
    assert run("project", "show", "geo") == made


def test_renewed_project_is_active_again(run: Cli) -> None:
    run("project", "create", "renewed")
    assert run("project", "disable", "renewed")["state"] == "disabled"
    assert run("project", "renew", "renewed", "--end", "2999-01-01")["state"] == "active"
    assert run("project", "disable", "renewed")["state"] == "disabled"
    assert run("project", "renew", "renewed", "--no-end")["state"] == "active"
    assert run("project", "renew", "renewed") == 2
    assert run("project", "renew", "renewed", "--no-end", "--end", "2999-01-01") == 2


def test_dates_are_shown_as_they_are_given(run: Cli) -> None:
    days = ["--start", "2998-02-28", "--end", "2998-02-28"]
    made = run("project", "create", "one-day", *days)
    assert (made["start"], made["end"]) == ("2998-02-28", "2998-02-28")
    endless = run("project", "renew", "one-day", "--no-end")
    assert (endless["end"], endless["disabled_at"]) == ("", "")


def test_owner_and_days_of_grace_change_alone(run: Cli) -> None:
    run("project", "create", "handed-over", "--end", "2999-06-30")
    run("project", "disable", "handed-over")
    shown = run("project", "renew", "handed-over", "--owner", "bob", "--grace-days", "90")
    assert (shown["owner"], shown["grace_days"], shown["end"]) == ("bob", 90, "2999-06-30")
    assert shown["state"] == "disabled"


def test_project_cannot_be_made_to_have_ended(run: Cli) -> None:
    run("project", "create", "past", "--end", f"{datetime.now(UTC):%Y-%m-%d}")
    for change in ("create", "renew"):
        assert run("project", change, "past", "--end", "2019-06-30") == 2
    assert run("project", "show", "past")["state"] == "notice"


def test_projects_are_listed_with_the_default_one(run: Cli) -> None:
    run("project", "create", "listed")
    names = [row["name"] for row in run("project", "list")]
    assert {"default", "listed"} <= set(names)
    assert names == sorted(names)


def test_users_of_projects_are_apart(run: Cli) -> None:
    run("project", "create", "red")
    made = [run("user", "create", "bob", *of) for of in ([], ["--project", "red"])]
    assert [user["project"] for user in made] == ["default", "red"]
    assert run("user", "list", "--project", "red") == [made[1]]
    key = run("key", "create", "bob", "--project", "red")["access_key"]
    assert [key] == [k["access_key"] for k in run("key", "list", "bob", "--project", "red")]
    assert run("key", "list", "bob") == []
    assert run("user", "create", "bob", "--project", "blue") == 4


def test_only_a_project_that_ended_is_deleted_and_only_by_its_name(run: Cli) -> None:
    run("project", "create", "old")
    assert run("project", "delete", "old", "--yes-delete-everything", "other") == 2
    assert run("project", "delete", "old", "--yes-delete-everything", "old") == 2
    run("project", "disable", "old")
    deleted = run("project", "delete", "old", "--yes-delete-everything", "old")
    assert deleted["state"] == "deleting"
    assert run("project", "renew", "old", "--no-end")["state"] == "active"


def test_rates_are_set_one_by_one(run: Cli) -> None:
    run("project", "create", "fast")
    run("project", "limit", "fast", "--bytes-per-second", "2MB")
    shown = run("project", "limit", "fast", "--requests-per-second", "7.5")
    assert (shown["bytes_per_second"], shown["requests_per_second"]) == (2_000_000, 7.5)
    assert run("project", "limit", "fast") == 2


def test_quota_is_set_piece_by_piece_and_cleared(run: Cli) -> None:
    run("project", "create", "small")
    run("user", "create", "eve", "--project", "small")
    of_eve = ["--project", "small", "--user", "eve"]
    run("quota", "set", *of_eve, "--bytes", "1.5GiB")
    shown = run("quota", "set", *of_eve, "--objects", "7")
    assert (shown["scope"], shown["bytes"], shown["objects"]) == ("user", 1_610_612_736, 7)
    assert run("quota", "show", "--project", "small")["bytes"] is None
    assert run("quota", "clear", *of_eve)["bytes"] is None
    for wrong in (["--bytes", "many"], [], ["--bucket", "b", "--buckets", "1"]):
        assert run("quota", "set", *wrong) == 2
    assert run("quota", "set", "--bucket", "nowhere", "--bytes", "1") == 4
