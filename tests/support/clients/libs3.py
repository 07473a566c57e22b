"""The program `s3` of libs3: C, and signatures of its own."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.client_tools import installed, run
from tests.support.clients.client import Library


class Libs3(Library):
    """Each call is a process. Over https it verifies nobody: it has no option for that."""

    odd_keys = ("a//b", "/lead", "trail/", "100% +1?#&;=")  # libcurl resolves dots
    parts = ("",)  # but from 15 MB on

    def spell(self, key: str) -> str:
        """It sends a plus for a space, and, as the source of a copy, for a plus."""
        return re.sub("[ +]", "_", key)

    def open(self) -> None:
        self._path = installed("s3", "libs3-2")
        self.environment = self.environment | {
            "S3_HOSTNAME": self.host,
            "S3_ACCESS_KEY_ID": self.access_key,
            "S3_SECRET_ACCESS_KEY": self.secret_key,
        }

    def _run(self, *arguments: str) -> str:
        scheme = [] if self.is_tls else ["--unencrypted"]
        command = [self._path, *scheme, "--retries", "0", *arguments]
        printed = run(["bash", "-c", '"$@" 2>&1', "-", *command], self.environment).decode()
        assert "ERROR" not in printed, printed  # its exit status is 0 all the same
        return printed

    def make(self, bucket: str) -> None:
        self._run("create", bucket)

    def put(self, bucket: str, key: str, file: Path) -> None:
        self._run("put", f"{bucket}/{key}", f"filename={file}")

    def keys(self, bucket: str) -> set[str]:
        lines = self._run("list", bucket, "maxkeys=1000")
        return set(re.findall(r"^(.+?) +\d{4}-\d\d-\d\dT\S+ +\S+$", lines, re.MULTILINE))

    def get(self, bucket: str, key: str, file: Path) -> None:
        self._run("get", f"{bucket}/{key}", f"filename={file}")

    def read(self, bucket: str, key: str, start: int, stop: int) -> bytes:
        file = self.home / "range"
        window = (f"startByte={start}", f"byteCount={stop - start}")
        self._run("get", f"{bucket}/{key}", f"filename={file}", *window)
        return file.read_bytes()

    def copy(self, bucket: str, source: str, target: str) -> None:
        self._run("copy", f"{bucket}/{source}", f"{bucket}/{target}")

    def url(self, bucket: str, key: str) -> str:
        return self._run("gqs", f"{bucket}/{key}").strip()

    def delete(self, bucket: str, key: str) -> None:
        self._run("delete", f"{bucket}/{key}")
