"""Settings: layers, messages, secrets, what fits together."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from s3server import config, settings
from s3server.config import ConfigError
from s3server.settings import load, systemd_sockets

BASE = """
[storage]
meta_dir = "meta"
master_key_file = "master.key"
[root]
access_key = "AKIAROOT"
secret_key = "abcdefghijklmnopqrst"
[[osds]]
id = 0
path = "osd.0"
[[pools]]
name = "default"
codec = "replica:1"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "s3server.toml"
    file.write_text(BASE)
    return file


def add(file: Path, text: str) -> None:
    file.write_text(file.read_text() + text)


def drop_in(file: Path, name: str, text: str) -> Path:
    directory = file.parent / "conf.d"
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(text)
    return directory / name


def error_of(file: Path | None, **options) -> str:
    with pytest.raises(ConfigError) as caught:
        load(file, **({"environ": {}} | options))
    return str(caught.value)


def test_defaults_hold_where_nothing_is_said(file: Path) -> None:
    server = load(file, environ={}).server

    assert (server.listen, server.region, server.drain_s) == ("127.0.0.1:9000", "us-east-1", 30)


def test_layers_override_in_their_order(file: Path) -> None:
    add(file, '[server]\nregion = "file"\nlisten = "127.0.0.1:1"\nworkers = 1\ndrain_s = 1\n')
    drop_in(file, "10.toml", "[server]\nworkers = 2\ndrain_s = 2\nlisten = '127.0.0.1:2'\n")
    drop_in(file, "20.toml", "[server]\ndrain_s = 3\nlisten = '127.0.0.1:3'\n")
    environ = {"S3SERVER_SERVER__DRAIN_S": "4", "S3SERVER_SERVER__LISTEN": "127.0.0.1:4"}
    server = load(file, environ=environ, command_line={"server": {"listen": "127.0.0.1:5"}}).server

    assert (server.region, server.workers, server.drain_s, server.listen) == (
        "file",
        2,
        4,
        "127.0.0.1:5",
    )


def test_origins_name_the_layer_of_each_value_and_mask_secrets(file: Path) -> None:
    extra = drop_in(file, "a.toml", "[[osds]]\nid = 7\npath = '/srv/osd.7'\n")
    loaded = load(
        file,
        environ={"S3SERVER_SERVER__REGION": "lyon"},
        command_line={"server": {"workers": 3}},
    )
    found = {name: (value, layer) for name, value, layer in settings.origins(loaded)}

    assert found["server.listen"] == ("127.0.0.1:9000", "default")
    assert found["server.region"] == ("lyon", "environment")
    assert found["server.workers"] == (3, "command line")
    assert found["osds.0.path"] == (str(file.parent / "osd.0"), str(file))
    assert found["osds.1.path"] == ("/srv/osd.7", str(extra))
    assert found["root.secret_key"] == ("********", str(file))
    assert "abcdefghij" not in repr(loaded)


def test_relative_paths_are_relative_to_the_file(file: Path) -> None:
    storage = load(file, environ={}).storage

    assert (storage.meta_dir, storage.master_key_file) == (
        file.parent / "meta",
        file.parent / "master.key",
    )


def test_environment_holds_lists_as_json(file: Path) -> None:
    environ = {"S3SERVER_SERVER__BASE_DOMAINS": '["s3.example", "s3.test"]'}

    assert load(file, environ=environ).server.base_domains == ("s3.example", "s3.test")


def test_all_settings_can_come_from_the_environment() -> None:
    environ = {
        "S3SERVER_STORAGE__META_DIR": "/m",
        "S3SERVER_STORAGE__MASTER_KEY_FILE": "/k",
        "S3SERVER_ROOT_ACCESS_KEY": "AKIA",
        "S3SERVER_ROOT_SECRET_KEY": "abcdefgh",
        "S3SERVER_OSDS": '[{"id": 0, "path": "/o"}]',
        "S3SERVER_POOLS": '[{"codec": "replica:1"}]',
    }
    loaded = load(None, environ=environ)

    assert (loaded.root.access_key, loaded.osds[0].path) == ("AKIA", Path("/o"))


def test_root_key_in_the_environment_is_above_the_file(file: Path) -> None:
    environ = {"S3SERVER_ROOT_ACCESS_KEY": "OTHER", "S3SERVER_ROOT_SECRET_KEY": "other-secret-key"}
    root = load(file, environ=environ).root

    assert (root.access_key, root.secret_key.get_secret_value()) == ("OTHER", "other-secret-key")


# --- messages -----------------------------------------------------------------------------------


def test_unknown_key_is_an_error_with_file_and_suggestion(file: Path) -> None:
    add(file, "[server]\nlissten = '127.0.0.1:1'\n")

    assert error_of(file) == f"{file}: server.lissten: no such setting; did you mean listen?"


def test_unknown_section_is_an_error_with_suggestion(file: Path) -> None:
    add(file, "[servre]\nlisten = '127.0.0.1:1'\n")

    assert error_of(file) == f"{file}: servre: no such setting; did you mean server?"


def test_unknown_key_of_a_device_is_an_error_with_suggestion(file: Path) -> None:
    extra = drop_in(file, "a.toml", "[[osds]]\nid = 7\npath = '/srv/osd.7'\nrak = 'r2'\n")

    assert error_of(file) == f"{extra}: osds.1.rak: no such setting; did you mean rack?"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("S3SERVER_SERVER__LISTN", "server.listn: no such setting; did you mean listen?"),
        ("S3SERVER_SERVRE__LISTEN", "S3SERVER_SERVRE__LISTEN: no such section; did you mean ser"),
    ],
)
def test_unknown_variable_is_an_error_with_suggestion(file: Path, name: str, text: str) -> None:
    assert error_of(file, environ={name: "x"}).startswith(f"environment: {text}")


def test_value_that_does_not_fit_names_file_and_key(file: Path) -> None:
    add(file, "[server]\nworkers = -1\n")

    assert error_of(file).startswith(f"{file}: server.workers: Input should be greater than")


def test_missing_root_is_an_error() -> None:
    assert "root: has to be set" in error_of(None).splitlines()


def test_file_that_is_no_toml_is_an_error_with_line(file: Path) -> None:
    add(file, "[server\n")

    assert error_of(file).startswith(f"{file}: ")
    assert "line" in error_of(file)


def test_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    assert "cannot be read" in error_of(tmp_path / "none.toml")


# --- secrets ------------------------------------------------------------------------------------


def secret_in_a_file(file: Path, mode: int) -> None:
    secret = file.parent / "secret"
    secret.write_text("from-the-file-0123\n")
    secret.chmod(mode)
    file.write_text(
        BASE.replace('secret_key = "abcdefghijklmnopqrst"', 'secret_key_file = "secret"')
    )


def test_secret_is_read_from_its_file(file: Path) -> None:
    secret_in_a_file(file, 0o600)

    assert load(file, environ={}).root.secret_key.get_secret_value() == "from-the-file-0123"


def test_secret_file_that_others_can_read_is_refused(file: Path) -> None:
    secret_in_a_file(file, 0o644)

    assert "other users can reach it" in error_of(file)


def test_secret_given_twice_is_refused(file: Path) -> None:
    text = BASE.replace("[root]", '[root]\nsecret_key_file = "secret"')
    file.write_text(text)

    assert error_of(file) == f"{file}: root.secret_key and root.secret_key_file are both set"


def test_systemd_credentials_are_above_files(file: Path, tmp_path: Path) -> None:
    directory = tmp_path / "credentials"
    directory.mkdir()
    (directory / "root_secret_key").write_text("from-systemd-012345\n")
    (directory / "master.key").touch()
    (directory / "encryption.keys").touch()
    loaded = load(file, environ={"CREDENTIALS_DIRECTORY": str(directory)})

    assert loaded.root.secret_key.get_secret_value() == "from-systemd-012345"
    assert loaded.storage.master_key_file == directory / "master.key"
    assert loaded.storage.encryption_keys_file == directory / "encryption.keys"


def test_settings_travel_to_another_process_with_their_secrets(file: Path) -> None:
    loaded = load(file, environ={})
    text = config.to_json(loaded)

    assert config.from_json(text).model_dump() == loaded.model_dump()
    assert json.loads(text)["root"]["secret_key"] == "abcdefghijklmnopqrst"


# --- what fits together -------------------------------------------------------------------------


@pytest.mark.parametrize("secret", ["minioadmin", "short-secret"])
def test_weak_root_secret_is_refused_where_others_can_connect(file: Path, secret: str) -> None:
    file.write_text(BASE.replace("abcdefghijklmnopqrst", secret))

    assert load(file, environ={}).server.listen == "127.0.0.1:9000"
    assert "16 characters" in error_of(file, environ={"S3SERVER_SERVER__LISTEN": "0.0.0.0:9000"})


GRID = """
[tls]
certificate = "c.pem"
key = "k.pem"
[certificates]
authorities = "ca"
listen = "0.0.0.0:9002"
"""


def test_listener_for_certificates_is_off_until_it_is_named(file: Path) -> None:
    assert load(file, environ={}).certificates.address is None
    file.write_text(BASE + GRID)
    assert load(file, environ={}).certificates.address == ("0.0.0.0", 9002)


@pytest.mark.parametrize(
    ("missing", "text"),
    [
        ('certificate = "c.pem"\nkey = "k.pem"\n', "needs tls.certificate"),
        ('authorities = "ca"\n', "needs tls.certificate and certificates.authorities"),
        (":9002", "expected HOST:PORT"),
    ],
)
def test_listener_for_certificates_needs_both_and_a_port(
    file: Path, missing: str, text: str
) -> None:
    file.write_text(BASE + GRID.replace(missing, ""))
    assert text in error_of(file, environ={})


def test_weak_root_secret_is_refused_where_others_reach_the_certificates(file: Path) -> None:
    file.write_text(BASE.replace("abcdefghijklmnopqrst", "short-secret") + GRID)
    assert "listen is 0.0.0.0:9002" in error_of(file, environ={})


def test_sockets_of_systemd_have_names(monkeypatch: pytest.MonkeyPatch) -> None:
    assert systemd_sockets() == []
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "2")
    assert systemd_sockets() == ["", ""]
    monkeypatch.setenv("LISTEN_FDNAMES", "s3server.socket:certificates")
    assert systemd_sockets() == ["s3server.socket", "certificates"]


def test_name_that_only_begins_like_loopback_is_not_loopback(file: Path) -> None:
    file.write_text(BASE.replace("abcdefghijklmnopqrst", "short-secret"))
    environ = {"S3SERVER_SERVER__LISTEN": "localhost.example.org:9000"}

    assert "16 characters" in error_of(file, environ=environ)


@pytest.mark.parametrize(
    ("codec", "across", "text"),
    [
        ("replica:2", "osd", "pool default: replica:2 needs 2 of osd, found 1"),
        ("ec:4+2", "osd", "pool default: ec:4+2 needs 6 of osd, found 1"),
    ],
)
def test_pool_needs_as_many_devices_as_shards(
    file: Path, codec: str, across: str, text: str
) -> None:
    file.write_text(BASE.replace("replica:1", codec) + f'across = "{across}"\n')

    assert text in error_of(file)


@pytest.mark.parametrize("across", ["host", "rack", "datacenter"])
def test_pool_across_sites_needs_as_many_sites_as_shards(file: Path, across: str) -> None:
    elsewhere = 'id = 1\npath = "osd.1"\ndatacenter = "dc2"\nrack = "r2"\nhost = "n2"\n'
    add(file, f'across = "{across}"\n[[osds]]\n{elsewhere}')
    file.write_text(file.read_text().replace("replica:1", "replica:2"))

    assert load(file, environ={}).pools[0].across == across


@pytest.mark.parametrize("where", ['datacenter = "dc2"', 'rack = "r2"', 'host = "dc1"'])
def test_name_in_two_places_of_the_tree_is_refused(file: Path, where: str) -> None:
    add(file, f'[[osds]]\nid = 1\npath = "osd.1"\n{where}\n')

    assert "is in two places of the tree" in error_of(file)


@pytest.mark.parametrize("line", ["id = 0\npath = 'osd.9'", "id = 9\npath = 'osd.0'"])
def test_device_named_twice_is_refused(file: Path, line: str) -> None:
    add(file, f"[[osds]]\n{line}\n")

    assert "is named twice" in error_of(file)


@pytest.mark.parametrize("codec", ["replica:0", "replica", "ec:4", "ec:0+1", "raid:5", "ec:4+2+1"])
def test_codec_that_is_none_is_refused(file: Path, codec: str) -> None:
    file.write_text(BASE.replace("replica:1", codec))

    assert "expected replica:N or ec:K+M" in error_of(file)


@pytest.mark.parametrize("listen", ["9000", "host", "host:", "host:x", ":9000", "host:70000"])
def test_address_without_host_or_port_is_refused(file: Path, listen: str) -> None:
    assert "HOST:PORT" in error_of(file, environ={"S3SERVER_SERVER__LISTEN": listen})


def test_address_of_ipv6_loses_its_brackets(file: Path) -> None:
    loaded = load(file, environ={"S3SERVER_SERVER__LISTEN": "[::1]:9000"})

    assert loaded.server.address == ("::1", 9000)


def test_every_setting_has_a_description() -> None:
    sections = (
        config.ServerConfig,
        config.StorageConfig,
        config.RootConfig,
        config.OsdConfig,
        config.PoolConfig,
    )
    missing = [
        f"{section.__name__}.{name}"
        for section in sections
        for name, field in section.model_fields.items()
        if not field.description
    ]

    assert missing == []


def test_quickstart_settings_lie_in_one_directory(tmp_path: Path) -> None:
    loaded = settings.quickstart_config(
        tmp_path, access_key="AKIA", secret_key="abcdefgh", codec="ec:2+1", server={"workers": 1}
    )

    assert [osd.path for osd in loaded.osds] == [tmp_path / f"osd.{n}" for n in range(3)]
    assert (loaded.storage.meta_dir, loaded.server.workers) == (tmp_path / "meta", 1)


def test_file_of_a_secret_that_systemd_passed_is_not_read(file: Path, tmp_path: Path) -> None:
    """It may be readable by root alone, which reads it for the server."""
    secret = tmp_path / "for_root_alone"
    file.write_text(
        BASE.replace('secret_key = "abcdefghijklmnopqrst"', f'secret_key_file = "{secret}"')
    )
    directory = tmp_path / "credentials"
    directory.mkdir()
    (directory / "root_secret_key").write_text("from-systemd-012345\n")

    with pytest.raises(ConfigError, match="for_root_alone: cannot be read"):
        load(file, environ={})
    loaded = load(file, environ={"CREDENTIALS_DIRECTORY": str(directory)})

    assert loaded.root.secret_key.get_secret_value() == "from-systemd-012345"


@pytest.mark.parametrize(
    ("level", "domain"),
    [
        ("datacenter", ("cern",)),
        ("rack", ("cern", "r2")),
        ("host", ("cern", "r2", "h7")),
        ("osd", ("cern", "r2", "h7", "31")),
    ],
)
def test_device_fails_with_what_is_above_it(level: str, domain: tuple[str, ...]) -> None:
    osd = config.OsdConfig(id=31, path=Path("/srv/31"), host="h7", rack="r2", datacenter="cern")

    assert osd.domain(level) == domain
