"""s5cmd: the AWS SDK for Go, version 1."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.client_tools import program, run
from tests.support.clients.client import ODD_KEYS, Client


class S5cmd(Client):
    """Each call is a process. A key that ends in a slash it lists, but removes by no wildcard."""

    odd_keys = tuple(key for key in ODD_KEYS if key != "trail/")

    def open(self) -> None:
        self._path = program("s5cmd")
        self.environment = self.environment | {"S3_ENDPOINT_URL": self.endpoint}

    def _run(self, *arguments: str) -> str:
        command = [self._path, "--json", "--retry-count", "0", *arguments]
        return run(command, self.environment).decode()

    def make(self, bucket: str) -> None:
        self._run("mb", f"s3://{bucket}")

    def upload(self, directory: Path, bucket: str) -> None:
        self._run("cp", "--part-size", "5", f"{directory}/", f"s3://{bucket}/")

    def keys(self, bucket: str) -> set[str]:
        entries = map(json.loads, self._run("ls", f"s3://{bucket}/*").splitlines())
        return {entry["key"].removeprefix(f"s3://{bucket}/") for entry in entries}

    def download(self, bucket: str, directory: Path) -> None:
        self._run("cp", "--part-size", "5", f"s3://{bucket}/*", f"{directory}/")

    def copy(self, bucket: str, source: str, target: str) -> None:
        self._run("cp", f"s3://{bucket}/{source}", f"s3://{bucket}/{target}")

    def url(self, bucket: str, key: str) -> str:
        return run([self._path, "presign", f"s3://{bucket}/{key}"], self.environment).decode()

    def delete(self, bucket: str, key: str) -> None:
        self._run("rm", f"s3://{bucket}/{key}")

    def delete_all(self, bucket: str) -> None:
        self._run("rm", f"s3://{bucket}/*")
