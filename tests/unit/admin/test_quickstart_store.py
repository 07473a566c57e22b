"""The files that quickstart makes and finds again."""

from __future__ import annotations

import stat
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from s3server.admin import quickstart
from s3server.admin.client_config import Access
from s3server.config import ConfigError


@pytest.fixture(autouse=True)
def _no_key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("S3SERVER_ROOT_ACCESS_KEY", raising=False)
    monkeypatch.delenv("S3SERVER_ROOT_SECRET_KEY", raising=False)


def prepare(directory: Path, *, osds=None, codec=None, **server):
    return quickstart.prepare(directory, osds=osds, codec=codec, server=server)()


def test_first_start_makes_random_keys_that_the_next_start_finds(tmp_path: Path) -> None:
    first, again = prepare(tmp_path / "a"), prepare(tmp_path / "a")
    other = prepare(tmp_path / "b")

    assert first.root == again.root
    assert first.root.secret_key != other.root.secret_key
    assert (len(first.root.access_key), len(first.root.secret_key)) == (20, 40)


def test_first_starts_at_once_agree_on_the_keys(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        starts = [pool.submit(prepare, tmp_path / "a") for _ in range(8)]
    keys = {start.result().root.access_key for start in starts}

    assert keys == {prepare(tmp_path / "a").root.access_key}


def test_keys_in_the_environment_are_used(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("S3SERVER_ROOT_ACCESS_KEY", "AKIAMINE")
    monkeypatch.setenv("S3SERVER_ROOT_SECRET_KEY", "my-own-secret-key")
    root = prepare(tmp_path / "a").root

    assert (root.access_key, root.secret_key.get_secret_value()) == (
        "AKIAMINE",
        "my-own-secret-key",
    )


def test_files_with_secrets_are_for_their_owner_only(tmp_path: Path) -> None:
    prepare(tmp_path / "a")
    quickstart.write_credentials(tmp_path / "a", Access("http://h:1", "AK", "SK", "lyon"))
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "a").iterdir()}

    assert modes == {"s3server.toml": 0o600, "credentials.env": 0o600}
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700


def test_credentials_are_lines_that_a_shell_reads(tmp_path: Path) -> None:
    quickstart.write_credentials(tmp_path, Access("http://h:1", "AK", "SK", "lyon"))

    assert (tmp_path / "credentials.env").read_text().splitlines() == [
        "AWS_ACCESS_KEY_ID=AK",
        "AWS_SECRET_ACCESS_KEY=SK",
        "AWS_ENDPOINT_URL=http://h:1",
        "AWS_REGION=lyon",
        "AWS_DEFAULT_REGION=lyon",
    ]


@pytest.mark.parametrize(("codec", "count"), [("replica:3", 3), ("ec:4+2", 6), (None, 3)])
def test_there_are_as_many_devices_as_the_pool_needs(
    tmp_path: Path, codec: str | None, count: int
) -> None:
    assert len(prepare(tmp_path / "a", codec=codec).osds) == count


def test_fewer_devices_than_the_pool_needs_are_refused_and_nothing_is_made(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConfigError, match="ec:4\\+2 needs 6 of osd, found 3"):
        prepare(tmp_path / "a", codec="ec:4+2", osds=3)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("change", [{"osds": 4}, {"codec": "replica:2"}])
def test_another_layout_for_a_store_that_exists_is_refused(tmp_path: Path, change) -> None:
    prepare(tmp_path / "a", osds=3, codec="replica:3")

    with pytest.raises(ConfigError, match="this store was made with"):
        prepare(tmp_path / "a", **change)


def test_the_same_layout_again_is_accepted(tmp_path: Path) -> None:
    prepare(tmp_path / "a", osds=6, codec="ec:4+2")

    assert prepare(tmp_path / "a", osds=6, codec="ec:4+2").pools[0].codec == "ec:4+2"


def test_server_options_are_kept_from_the_first_start_and_hold_once_later(tmp_path: Path) -> None:
    directory = tmp_path / "a"
    prepare(directory, listen="127.0.0.1:1", region="lyon")
    changed = prepare(directory, listen="127.0.0.1:2").server
    kept = prepare(directory).server

    assert (changed.listen, kept.listen, kept.region) == ("127.0.0.1:2", "127.0.0.1:1", "lyon")


def test_store_without_its_settings_is_not_made_anew(tmp_path: Path) -> None:
    (tmp_path / "meta").mkdir()

    with pytest.raises(ConfigError, match=r"its s3server\.toml is missing"):
        prepare(tmp_path)


def test_settings_file_can_be_moved_with_its_store(tmp_path: Path) -> None:
    prepare(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")

    assert prepare(tmp_path / "b").storage.meta_dir == tmp_path / "b" / "meta"


def test_tables_survive_the_way_through_toml() -> None:
    tables = {
        "server": {"region": 'a "b" \\ \x7f \n é 😀', "workers": 3, "base_domains": ["x", "y"]},
        "osds": [{"id": 0, "path": "a b"}, {"id": 1, "path": "c"}],
    }

    assert tomllib.loads(quickstart.to_toml(tables)) == tables


def test_banner_has_endpoint_keys_and_a_block_for_each_usual_tool(tmp_path: Path) -> None:
    text = quickstart.banner(tmp_path, Access("http://h:1", "AKIA", "the-secret", "lyon"))

    assert [line for line in text.splitlines() if line.startswith("# ")] == [
        "# aws",
        "# boto3",
        "# rclone",
        "# s3cmd",
        "# duckdb",
    ]
    assert ("http://h:1" in text, "AKIA" in text, "the-secret" in text) == (True, True, True)
