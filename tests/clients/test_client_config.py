"""What `s3server client-config` prints works when it is pasted."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from s3server.admin.client_config import TOOLS
from tests.support.client_tools import environment_of, program, run, run_python
from tests.support.server_process import ROOT, RunningServer

pytestmark = pytest.mark.clients

SHELL = ("aws", "rclone", "s3cmd", "s5cmd")
PYTHON = ("boto3", "minio-py")
ELSEWHERE = {
    "duckdb": "SQL, run below",
    "gdal": "variables, run below",
    "mc": "a program that pip does not install",
    "obstore": "a store without a request, run below",
    "pandas": "options without a request, run below",
    "s3fs": "run below, in its own virtual environment",
}


@pytest.fixture
def block(server: RunningServer, tmp_path: Path) -> Callable[[str], str]:
    """Return what client-config prints for a tool."""

    def printed(tool: str) -> str:
        command = [sys.executable, "-m", "s3server", "client-config", tool]
        command += ["--endpoint", server.endpoint, "--access-key", server.access_key]
        secret = tmp_path / "secret"
        secret.write_text(server.secret_key, encoding="utf-8")
        command += ["--secret-key-file", str(secret), "--region", server.region]
        return run(command, {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}).decode()

    return printed


@pytest.fixture
def bare(server: RunningServer, tmp_path: Path) -> dict[str, str]:
    """An environment that says nothing of the server."""
    variables = environment_of(server, tmp_path)
    path = f"{Path(sys.executable).parent}:{variables['PATH']}"
    return {"HOME": str(tmp_path), "LC_ALL": "C.UTF-8", "PATH": path}


def test_every_tool_is_run_here() -> None:
    assert set(TOOLS) == {*SHELL, *PYTHON, *ELSEWHERE}


@pytest.mark.parametrize("tool", SHELL)
def test_pasted_into_a_shell(
    block: Callable[[str], str], bare: dict[str, str], bucket: str, tool: str
) -> None:
    program(tool)
    text = block(tool).replace("my-bucket", f"{bucket}-{tool}")
    output = run(["bash", "-euc", f"cd ~\n{text}"], bare).decode()
    assert bucket in output


@pytest.mark.parametrize("tool", PYTHON)
def test_pasted_into_python(
    block: Callable[[str], str], bare: dict[str, str], bucket: str, tool: str
) -> None:
    assert bucket in run([sys.executable, "-c", block(tool)], bare).decode()


def test_s3fs_pandas_obstore_and_gdal_read_what_they_are_told(
    block: Callable[[str], str], bare: dict[str, str], bucket: str, s3
) -> None:
    s3.put_object(Bucket=bucket, Key="my-file.csv", Body=b"a,b\n1,2\n")
    s3.put_object(Bucket=bucket, Key="p.geojson", Body=POINT)

    assert bucket in run_python(block("s3fs"), bare)
    pandas = "import pandas\nprint(pandas.read_csv('s3://my-bucket/my-file.csv',"
    pandas += " storage_options=storage_options).b.sum())"
    assert "2" == run_python((block("pandas") + pandas).replace("my-bucket", bucket), bare)
    obstore = "print(bytes(store.get('my-file.csv').bytes()))"
    source = (block("obstore") + obstore).replace("my-bucket", bucket)
    assert b"b'a,b\\n1,2\\n'\n" == run([sys.executable, "-c", source], bare)
    variables = dict(
        line.removeprefix("export ").split("=", 1)
        for line in block("gdal").splitlines()
        if line.startswith("export ")
    )
    gdal = f"import pyogrio; print(pyogrio.read_info('/vsis3/{bucket}/p.geojson')['features'])"
    assert "1" == run_python(gdal, bare | variables)


POINT = b"""{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {},
 "geometry": {"type": "Point", "coordinates": [3.1, 45.7]}}]}"""


def test_pasted_into_duckdb(block: Callable[[str], str], s3, bucket: str) -> None:
    duckdb = pytest.importorskip("duckdb")
    package = pytest.importorskip("duckdb_extension_httpfs")
    (file,) = Path(package.__file__).parent.rglob("httpfs.duckdb_extension")
    s3.put_object(Bucket=bucket, Key="my-file.csv", Body=b"a,b\n1,2\n3,4\n")
    with duckdb.connect(config={"autoinstall_known_extensions": "false"}) as connection:
        connection.load_extension(str(file))
        connection.sql(block("duckdb"))
        found = connection.sql(f"SELECT SUM(b) FROM read_csv('s3://{bucket}/my-file.csv')")
        assert [(6,)] == found.fetchall()
