"""The units of systemd: they are right, they confine the server, and it works so confined."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from tests.support.notified import ALIVE, Notified

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "deploy" / "systemd"

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, check=False
    )


def test_units_are_what_systemd_understands(tmp_path: Path) -> None:
    for unit in UNITS.glob("s3server.*"):
        text = unit.read_text().replace("/usr/bin/s3server", sys.executable)
        (tmp_path / unit.name).write_text(text)

    found = analyze("verify", "--man=no", *sorted(tmp_path.iterdir()))

    assert (0, "") == (found.returncode, found.stderr)


def test_exposure_is_at_most_two() -> None:
    found = analyze("security", "--offline=true", "--no-pager", UNITS / "s3server.service")

    exposure = re.search(r"exposure level for \S+: ([0-9.]+)", found.stdout)
    assert exposure is not None, found
    assert float(exposure[1]) <= 2.0


def syscalls(name: str) -> set[str]:
    """Return the system calls of a set of systemd's, and of the sets in it."""
    lines = [line.strip() for line in analyze("syscall-filter", name).stdout.splitlines()[1:]]
    found = {line for line in lines if line and line[0] not in "#@"}
    return found.union(*(syscalls(line) for line in lines if line.startswith("@")))


def allowed_syscalls(unit: Path) -> set[str]:
    """Return what the SystemCallFilter= lines of a unit leave, in their order (systemd.exec(5))."""
    allowed: set[str] = set()
    for line in re.findall(r"^SystemCallFilter=(.*)$", unit.read_text(), re.MULTILINE):
        names = line.removeprefix("~").split()
        found = set().union(*(syscalls(name) if name[0] == "@" else {name} for name in names))
        allowed = allowed - found if line.startswith("~") else allowed | found
    return allowed


# A launcher that forbids memory to become executable, as MemoryDenyWriteExecute= does.
CONFINED = """
import ctypes, os, sys
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1
if ctypes.CDLL(None).prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) != 0:
    print("no such thing before Linux 6.3", file=sys.stderr)
os.execv(sys.executable, [sys.executable, "-m", "s3server", *sys.argv[1:]])
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_server_works_and_tells_systemd_within_what_the_unit_allows(
    tmp_path: Path, channel: Notified
) -> None:
    trace = tmp_path / "trace"
    listen = ["--listen", "127.0.0.1:0", "--workers", "2", "--pool", "ec:2+1", "--json"]
    process = subprocess.Popen(
        # awscrt asks for memory near its processor, and has to do without.
        [
            *("strace", "-f", "-qq", "-o", trace, "-e", "inject=set_mempolicy:error=EPERM"),
            *(sys.executable, "-c", CONFINED, "quickstart", str(tmp_path / "store"), *listen),
        ],
        cwd=ROOT,
        env=os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        access = json.loads(process.stdout.readline())
        assert re.fullmatch(
            rf"READY=1\nSTATUS={re.escape(access['endpoint'])} with 2 workers",
            channel.next(),
        )
        s3 = boto3.client(
            "s3",
            endpoint_url=access["endpoint"],
            aws_access_key_id=access["access_key"],
            aws_secret_access_key=access["secret_key"],
            region_name=access["region"],
            config=Config(s3={"addressing_style": "path"}),
        )
        s3.create_bucket(Bucket="confined")
        for size in (1_000, 3_000_000):
            s3.put_object(Bucket="confined", Key=str(size), Body=b"x" * size)
            assert size == len(s3.get_object(Bucket="confined", Key=str(size))["Body"].read())
            s3.delete_object(Bucket="confined", Key=str(size))
        assert ALIVE == channel.next()
    finally:
        (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(child), signal.SIGTERM)
        assert 0 == process.wait(60)
        process.stdout.close()
    assert "STOPPING=1" == channel.next_but_alive()

    calls = re.findall(r"^\d+ +(\w+)\(", trace.read_text(errors="replace"), re.MULTILINE)
    assert "sched_setscheduler" in calls  # threads that give way
    assert {"set_mempolicy"} >= set(calls) - allowed_syscalls(UNITS / "s3server.service")
