"""The command line: help, exit statuses, JSON; users and keys on a real store."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from s3server import __version__
from s3server.admin import cli, quickstart
from s3server.admin.client_config import TOOLS
from s3server.config import Config
from s3server.core.projects import DEFAULT_ACCOUNT
from s3server.core.records import BucketRecord
from s3server.maintenance import open_buckets, open_tenants
from s3server.model import Principal


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = cli.run(list(arguments))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_version_is_printed(capsys) -> None:
    assert run(capsys, "version") == (0, f"{__version__}\n", "")
    assert json.loads(run(capsys, "version", "--json")[1]) == {"version": __version__}


def test_help_names_every_command(capsys) -> None:
    status, out, _ = run(capsys, "--help")

    assert status == 0
    commands = "quickstart serve config client-config user bucket key osd placement version"
    assert [name for name in commands.split() if f"  {name} " not in out] == []


@pytest.mark.parametrize(
    "arguments",
    [["frobnicate"], ["user", "create"], ["user", "list", "--config", "a", "--dir", "b"]],
)
def test_wrong_usage_exits_2(capsys, arguments: list[str]) -> None:
    assert run(capsys, *arguments)[0] == 2


def test_store_that_is_not_there_exits_3(capsys, tmp_path: Path) -> None:
    status, _, err = run(capsys, "user", "list", "--dir", str(tmp_path))

    assert status == 3
    assert err.startswith(f"s3server: {tmp_path}/s3server.toml: cannot be read")


def test_without_a_store_the_options_are_asked_for(
    capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    status, out, err = run(capsys, "user", "list")
    assert (status, out) == (3, "")
    assert err.startswith("s3server: which store? There is neither ./s3data here nor /etc/")
    assert err.endswith(": give --config FILE or --dir DIR\n")


def test_store_in_s3data_is_found(
    capsys, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(store).rename(tmp_path / "s3data")
    monkeypatch.chdir(tmp_path)

    assert run(capsys, "config", "check")[:2] == (0, "s3data/s3server.toml: valid\n")


def test_settings_that_are_wrong_exit_3_with_the_reason(capsys, store: str) -> None:
    file = Path(store) / "s3server.toml"
    file.write_text(file.read_text() + "\nworker = 2\n")

    assert run(capsys, "config", "check", "--dir", store) == (
        3,
        "",
        f"s3server: {file}: server.worker: no such setting; did you mean workers?\n",
    )


def test_config_show_names_origins_and_hides_the_secret(capsys, store: str) -> None:
    rows = json.loads(run(capsys, "config", "show", "--origin", "--json", "--dir", store)[1])
    found = {row["name"]: (row["value"], row["origin"]) for row in rows}

    assert found["root.secret_key"] == ("********", f"{store}/s3server.toml")
    assert found["server.region"] == ("us-east-1", "default")


def test_config_show_prints_names_and_values(capsys, store: str) -> None:
    out = run(capsys, "config", "show", "--dir", store)[1]

    assert ["server.region", "us-east-1"] in [line.split() for line in out.splitlines()]


# --- client-config ------------------------------------------------------------------------------


@pytest.mark.parametrize("tool", TOOLS)
def test_client_config_fills_in_the_store(capsys, store: str, tool: str) -> None:
    status, out, _ = run(capsys, "client-config", tool, "--dir", store, "--json")
    text = json.loads(out)["text"]
    root = json.loads(run(capsys, "config", "show", "--json", "--dir", store)[1])
    access_key = next(row["value"] for row in root if row["name"] == "root.access_key")

    assert (status, "127.0.0.1:9000" in text, access_key in text) == (0, True, True)
    assert "********" not in text


def test_client_config_takes_options_instead_of_a_store(capsys, tmp_path) -> None:
    (tmp_path / "secret").write_text("SK\n", encoding="utf-8")
    options = ["--endpoint", "https://s3.example/", "--access-key", "AK"]
    options += ["--secret-key-file", str(tmp_path / "secret")]
    _, out, _ = run(capsys, "client-config", "duckdb", *options, "--region", "lyon")

    assert "ENDPOINT 's3.example', URL_STYLE 'path', USE_SSL true" in out
    assert "KEY_ID 'AK', SECRET 'SK', REGION 'lyon'" in out


def test_client_config_for_another_tool_exits_2(capsys) -> None:
    status, _, err = run(capsys, "client-config", "frob")

    assert status == 2
    assert "boto3" in err


@pytest.mark.parametrize("tool", ["boto3", "s3fs", "pandas", "minio-py", "obstore"])
def test_blocks_for_python_are_python(capsys, store: str, tool: str) -> None:
    _, out, _ = run(capsys, "client-config", tool, "--dir", store)

    assert compile(out, tool, "exec").co_names != ()


# --- users and keys -----------------------------------------------------------------------------


def test_users_live_from_create_to_delete(capsys, store: str) -> None:
    at = ["--dir", store, "--json"]
    created = json.loads(run(capsys, "user", "create", "alice", "--email", "a@b.c", *at)[1])
    listed = json.loads(run(capsys, "user", "list", *at)[1])
    run(capsys, "user", "delete", "alice", *at)
    again = json.loads(run(capsys, "user", "create", "alice", *at)[1])

    assert listed == [created]
    assert (created["email"], again["email"]) == ("a@b.c", "")
    assert again["id"] != created["id"]


def test_user_has_any_number_of_keys(capsys, store: str) -> None:
    at = ["--dir", store, "--json"]
    run(capsys, "user", "create", "alice", *at)
    made = [json.loads(run(capsys, "key", "create", "alice", *at)[1]) for _ in range(5)]
    shown = json.loads(run(capsys, "user", "show", "alice", *at)[1])
    run(capsys, "key", "delete", made[0]["access_key"], *at)
    left = json.loads(run(capsys, "key", "list", "alice", *at)[1])

    assert {key["access_key"] for key in shown["keys"]} == {key["access_key"] for key in made}
    assert {key["access_key"] for key in left} == {key["access_key"] for key in made[1:]}
    assert all(len(key["secret_key"]) == 40 for key in made)
    assert not any("secret_key" in key for key in shown["keys"])


def test_key_of_another_store_can_be_brought_along(capsys, store: str, tmp_path: Path) -> None:
    run(capsys, "user", "create", "alice", "--dir", store)
    (tmp_path / "secret").write_text("SECRETSECRETSECRETSECRET\n")
    arguments = ["--access-key", "AKIAOLD", "--secret-key-file", str(tmp_path / "secret")]
    _, out, _ = run(capsys, "key", "create", "alice", *arguments, "--dir", store, "--json")
    key = json.loads(out)

    assert (key["access_key"], key["secret_key"]) == ("AKIAOLD", "SECRETSECRETSECRETSECRET")


def test_key_has_an_end_and_a_scope(capsys, store: str, tmp_path: Path) -> None:
    at = ["--dir", store, "--json"]
    run(capsys, "user", "create", "alice", *at)
    policy = tmp_path / "policy.json"
    statement = {"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}
    policy.write_text(json.dumps({"Version": "2012-10-17", "Statement": statement}))
    for scope, shown in (("s3://raw/2026/", "s3://raw/2026/"), (str(policy), policy.read_text())):
        options = ["--expires", "2999-01-31", "--scope", scope, "--description", "beam line"]
        made = json.loads(run(capsys, "key", "create", "alice", *options, *at)[1])
        assert (made["expires"], made["scope"]) == ("2999-01-31T00:00:00+00:00", shown)
    listed = json.loads(run(capsys, "key", "list", "alice", *at)[1])
    assert {key["description"] for key in listed} == {"beam line"}
    policy.write_text("{}")
    assert run(capsys, "key", "create", "alice", "--scope", str(policy), *at)[0] == 2
    assert run(capsys, "key", "create", "alice", "--scope", "write-only", *at)[0] != 0


def test_tables_are_for_people(capsys, store: str) -> None:
    run(capsys, "user", "create", "alice", "--dir", store)
    lines = run(capsys, "user", "list", "--dir", store)[1].splitlines()

    assert [line.split()[0] for line in lines] == ["name", "alice"]


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["user", "show", "bob"], 4),
        (["user", "delete", "bob"], 4),
        (["key", "create", "bob"], 4),
        (["key", "delete", "AKIANONE"], 4),
        (["user", "create", "alice"], 6),
        (["user", "create", "no/slash"], 2),
    ],
)
def test_expected_errors_are_one_line_and_a_status(
    capsys, store: str, arguments: list[str], status: int
) -> None:
    run(capsys, "user", "create", "alice", "--dir", store)
    found, out, err = run(capsys, *arguments, "--dir", store)

    assert (found, out, err.count("\n")) == (status, "", 1)
    assert err.startswith("s3server: ")


def test_error_that_is_a_bug_keeps_its_traceback(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "s3server.admin.quickstart", None)

    with pytest.raises(ImportError):
        cli.run(["client-config", "aws", "--dir", store])


def test_bucket_is_set_to_accept_head_on_urls_for_get(capsys, store: str) -> None:
    missing = run(capsys, "bucket", "set", "data", "--head-on-get-url", "--dir", store)
    assert missing[0] == 4
    load = quickstart.prepare(Path(store), osds=None, codec=None, server={})
    asyncio.run(_create_bucket(load()))
    for option, is_on in (("--head-on-get-url", True), ("--no-head-on-get-url", False)):
        status, out, _ = run(capsys, "bucket", "set", "data", option, "--dir", store, "--json")
        assert (status, json.loads(out)["head_on_get_url"]) == (0, is_on)
        assert asyncio.run(_find_bucket(load())).head_on_get_url is is_on


def test_all_buckets_are_listed_with_their_owners(capsys, store: str) -> None:
    at = ("--dir", store, "--json")
    run(capsys, "project", "create", "geo", *at)
    owners = [
        json.loads(run(capsys, "user", "create", name, "--project", project, *at)[1])
        for name, project in (("ann", "geo"), ("bob", "geo"), ("ann", "default"))
    ]
    config = quickstart.prepare(Path(store), osds=None, codec=None, server={})()
    geo = json.loads(run(capsys, "project", "show", "geo", *at)[1])["id"]
    for owner, name in zip(owners, ("of-ann", "of-bob", "elsewhere"), strict=True):
        account = geo if owner["project"] == "geo" else DEFAULT_ACCOUNT
        asyncio.run(_create_bucket(config, name, Principal("user", owner["id"], "", account)))
    asyncio.run(_create_bucket(config, "of-nobody"))
    root = asyncio.run(_root_id(config))
    asyncio.run(_create_bucket(config, "of-root", Principal("root", root, "", DEFAULT_ACCOUNT)))

    def listed(*options: str) -> list[tuple[str, str, str | None]]:
        rows = json.loads(run(capsys, "bucket", "list", *options, *at)[1])
        return [(row["name"], row["project"], row["owner"]) for row in rows]

    ann, bob = ("of-ann", "geo", "ann"), ("of-bob", "geo", "bob")
    elsewhere, nobodys = ("elsewhere", "default", "ann"), ("of-nobody", "default", None)
    assert listed() == [elsewhere, ann, bob, nobodys, ("of-root", "default", "root")]
    assert listed("--project", "geo") == [ann, bob]
    assert listed("--project", "geo", "--user", "bob") == [bob]
    assert listed("--user", "ann") == [elsewhere]
    assert "of-nobody" in run(capsys, "bucket", "list", "--dir", store)[1]


async def _root_id(config: Config) -> str:
    async with open_tenants(config) as tenants:
        return tenants.root


STRANGER = Principal("user", "1" * 64, "owner", DEFAULT_ACCOUNT)


async def _create_bucket(config: Config, name: str = "data", owner: Principal = STRANGER) -> None:
    async with open_buckets(config) as buckets:
        await buckets.create(name, owner)


async def _find_bucket(config: Config) -> BucketRecord:
    async with open_buckets(config) as buckets:
        return await buckets.get("data")


def test_encryption_keys_are_rotated(capsys, store: str) -> None:
    ids = []
    for _ in range(2):
        status, out, _ = run(capsys, "encryption", "rotate", "--dir", store, "--json")
        assert status == 0
        ids.append(json.loads(out)["key"])
    file = Path(store) / "encryption.keys"
    assert len(set(ids)) == len(file.read_text().split()) == 2
    file.chmod(0o644)
    assert run(capsys, "encryption", "rotate", "--dir", store)[0] == 3


def test_keys_of_objects_are_wrapped_anew(capsys, store: str) -> None:
    run(capsys, "encryption", "rotate", "--dir", store)
    status, out, _ = run(capsys, "encryption", "rewrap", "--dir", store, "--json")
    assert (status, json.loads(out)) == (0, {"rewrapped": 0, "lost": 0})


def test_a_projects_first_administrator_is_given_a_policy(capsys, store: str) -> None:
    def ours(*arguments: str) -> tuple[int, str, str]:
        return run(capsys, *arguments, "--project", "higgs", "--dir", store)

    assert run(capsys, "project", "create", "higgs", "--dir", store)[0] == 0
    assert ours("user", "create", "ada")[0] == 0
    arn = "arn:aws:iam::aws:policy/AdministratorAccess"

    assert ours("user", "attach", "ada", "AdministratorAccess")[:2] == (
        0,
        f"ada: attached {arn}\n",
    )
    assert json.loads(ours("user", "show", "ada", "--json")[1])["policies"] == [arn]
    assert ours("user", "detach", "ada", arn)[0] == 0
    assert json.loads(ours("user", "show", "ada", "--json")[1])["policies"] == []
    status, _, err = ours("user", "attach", "ada", "NoSuchPolicy")
    assert status != 0
    assert "NoSuchPolicy" in err
