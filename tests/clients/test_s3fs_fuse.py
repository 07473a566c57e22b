"""s3fs-fuse: a bucket is mounted, and programs work on its files."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.support.client_tools import TOOL_S, installed, over_http_and_https, run
from tests.support.clients.trees import COPIED, LARGE, differences, files_of, make_tree, read_tree

pytestmark = pytest.mark.clients

PROBLEMS = ("fusermount", "fuse: mount failed", "fuse: device not found", "Operation not permitted")


@pytest.fixture
def mount(
    environment: dict[str, str], bucket: str, tmp_path: Path
) -> Callable[[], AbstractContextManager[Path]]:
    """Mounts the bucket, each time with nothing in a cache."""
    s3fs = installed("s3fs", "s3fs")
    if not Path("/dev/fuse").exists():
        pytest.skip("there is no /dev/fuse here")
    passwords = tmp_path / "passwd-s3fs"
    key = f"{environment['AWS_ACCESS_KEY_ID']}:{environment['AWS_SECRET_ACCESS_KEY']}"
    passwords.write_text(key)
    passwords.chmod(0o600)
    options = [f"url={environment['AWS_ENDPOINT_URL']}", f"endpoint={environment['AWS_REGION']}",
               "use_path_request_style", f"passwd_file={passwords}", "multipart_size=5",
               "singlepart_copy_limit=5", "retries=3"]  # fmt: skip
    place = tmp_path / "mounted"
    place.mkdir()

    @contextmanager
    def mounted() -> Iterator[Path]:
        command = [s3fs, bucket, str(place), "-o", ",".join(options)]
        done = subprocess.run(
            command, check=False, env=environment, capture_output=True, timeout=TOOL_S
        )
        message = done.stderr.decode()
        if any(problem in message for problem in PROBLEMS):
            pytest.skip(f"FUSE is not permitted here: {message.strip()}")
        assert done.returncode == 0, message
        assert place.is_mount()
        try:
            yield place
        finally:
            run(["umount", str(place)], environment)

    return mounted


@over_http_and_https
def test_files_of_a_mounted_bucket_are_its_objects(
    mount: Callable[[], AbstractContextManager[Path]], s3, bucket: str, tmp_path: Path
) -> None:
    contents = make_tree(tmp_path / "up", str)
    s3.put_object(Bucket=bucket, Key="by boto3/100% + é", Body=b"not by s3fs")
    contents["by boto3/100% + é"] = b"not by s3fs"
    with mount() as place:
        for key, file in files_of(tmp_path / "up"):
            (place / key).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place / key)
    assert [] == differences(contents, files_in(s3, bucket))
    parts = s3.head_object(Bucket=bucket, Key=LARGE)["ETag"].strip('"').partition("-")[2]
    assert "2" == parts  # the last is the larger

    with mount() as place:
        assert [] == differences(contents, read_tree(place))
    with mount() as place, (place / LARGE).open("rb") as file:
        file.seek(5_000_000)
        assert contents[LARGE][5_000_000:6_000_000] == file.read(1_000_000)

    with mount() as place:
        for source in (COPIED, LARGE):  # by copies on the server
            (place / source).rename(place / f"moved {len(source)}")
            contents[f"moved {len(source)}"] = contents.pop(source)
        with (place / "nested/a/b/70 KB").open("r+b") as file:
            file.seek(10)
            file.write(b"changed")
        whole = contents["nested/a/b/70 KB"]
        contents["nested/a/b/70 KB"] = whole[:10] + b"changed" + whole[17:]
        (place / "one").unlink()
        del contents["one"]
    assert [] == differences(contents, files_in(s3, bucket))

    with mount() as place:
        for found in place.iterdir():
            shutil.rmtree(found) if found.is_dir() else found.unlink()
    assert {} == files_in(s3, bucket)


def files_in(s3, bucket: str) -> dict[str, bytes]:
    """Return what a bucket holds but directories, which are empty objects with names ending so."""
    entries = s3.list_objects_v2(Bucket=bucket).get("Contents", ())
    return {
        entry["Key"]: s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
        for entry in entries
        if not entry["Key"].endswith("/")
    }
