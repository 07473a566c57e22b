"""What commands say where they cannot do what they are asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from s3server.admin import cli
from s3server.admin.output import reason_of


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Run a command that fails; return its exit status and what it says."""
    status = cli.run(list(arguments))
    return status, capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["quickstart", "{}/file"], "{}/file: File exists"),
        (["osd", "add", "{}/file", "--dir", "{}/store"], "{}/file: Not a directory"),
        (
            ["support-bundle", "{}/no/where", "--dir", "{}/store"],
            "{}/no/where: No such file or directory",
        ),
        (
            ["key", "create", "ann", "--scope", "{}/no.json", "--dir", "{}/store"],
            "{}/no.json: No such file or directory",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_name(
    capsys, store: str, tmp_path: Path, arguments: list[str], reason: str
) -> None:
    (tmp_path / "file").touch()
    status, err = told(capsys, *(each.format(tmp_path) for each in arguments))
    assert (status, err.splitlines()[-1]) == (1, f"s3server: {reason.format(tmp_path)}")


@pytest.mark.parametrize(
    ("name", "near"),
    [("getobject", ": GetObject"), ("AssumeRoles", ": AssumeRole"), ("Nope", "Nope is none")],
)
def test_trace_does_not_wait_for_an_operation_that_there_is_not(
    capsys, store: str, name: str, near: str
) -> None:
    status, err = told(capsys, "trace", "--operation", name, "--dir", store)
    assert (status, near in err) == (2, True)


def test_settings_that_are_not_there_are_named_once(capsys, tmp_path: Path) -> None:
    file = tmp_path / "s3server.toml"
    assert told(capsys, "status", "--dir", str(tmp_path)) == (
        3,
        f"s3server: {file}: cannot be read: No such file or directory\n",
    )


def test_who_may_run_commands_is_told_where_something_is_forbidden() -> None:
    error = PermissionError(13, "Permission denied", "/srv/meta")
    assert reason_of(error) == (
        "/srv/meta: Permission denied; commands for a store are for root, and for the user whom "
        "it belongs to"
    )


@pytest.mark.parametrize("other", ["--user", "--project"])
@pytest.mark.parametrize("command", [["set", "--bytes", "1GB"], ["show"], ["clear"]])
def test_quota_is_on_one_thing(capsys, store: str, command: list[str], other: str) -> None:
    options = ["--bucket", "data", other, "default", "--dir", store]
    status, err = told(capsys, "quota", *command, *options)
    assert (status, "--bucket stands alone" in err) == (2, True)


def test_key_that_would_have_ended_is_not_made(capsys, store: str) -> None:
    at = ["--dir", store]
    assert cli.run(["user", "create", "ann", *at]) == 0
    capsys.readouterr()
    status, err = told(capsys, "key", "create", "ann", "--expires", "2020-01-31", *at)
    assert (status, "2020-01-31T00:00:00+00:00 is past" in err) == (2, True)
    assert cli.run(["key", "list", "ann", "--json", *at]) == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize("secret", ["", "short\n"])
def test_secret_that_is_brought_along_is_one(capsys, store: str, secret: str) -> None:
    file = Path(store) / "secret"
    file.write_text(secret)
    options = ["--access-key", "AKIAOLD", "--secret-key-file", str(file), "--dir", store]
    status, err = told(capsys, "key", "create", "ann", *options)
    assert (status, "at least 8 characters" in err) == (2, True)


def test_zone_of_the_end_of_a_key_is_heeded(capsys, store: str) -> None:
    at = ["--dir", store, "--json"]
    assert cli.run(["user", "create", "ann", *at]) == 0
    capsys.readouterr()
    assert cli.run(["key", "create", "ann", "--expires", "2999-01-31T01:00:00+02:00", *at]) == 0
    assert json.loads(capsys.readouterr().out)["expires"] == "2999-01-30T23:00:00+00:00"


def test_lost_master_key_is_asked_for_and_none_takes_its_place(capsys, store: str) -> None:
    at = ["--dir", store]
    assert cli.run(["user", "create", "ann", *at]) == 0
    key = Path(store) / "master.key"
    key.rename(Path(store) / "kept")
    status, err = told(capsys, "key", "create", "ann", *at)
    assert (status, f"s3server: {key} is missing" in err, key.exists()) == (3, True, False)
    (Path(store) / "kept").rename(key)
    assert cli.run(["key", "create", "ann", *at]) == 0


def test_inventories_that_are_not_there_are_told_of(capsys, store: str) -> None:
    status, err = told(capsys, "inventory", "run", "s3://none", "--dir", store)
    assert (status, "bucket does not exist" in err) == (4, True)


def test_commands_are_listed_by_name(capsys) -> None:
    cli.run(["--help"])
    commands = capsys.readouterr().out.partition("Commands:\n")[2].partition("\n\n")[0]
    names = [
        line.split()[0]
        for line in commands.splitlines()
        if line.startswith("  ") and line[2] != " "
    ]
    assert len(names) > 20
    assert names == sorted(names)
