"""aws cli; its parts are 8 MiB."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.client_tools import program, run
from tests.support.clients.client import Client


class AwsCli(Client):
    """One process per call, each of which takes most of a second to start."""

    def _run(self, *arguments: str) -> str:
        return run([program("aws"), *arguments], self.environment).decode()

    def upload(self, directory: Path, bucket: str) -> None:
        self._run("s3", "cp", "--recursive", "--quiet", str(directory), f"s3://{bucket}/")

    def keys(self, bucket: str) -> set[str]:
        lines = self._run("s3", "ls", "--recursive", f"s3://{bucket}").splitlines()
        return {line[31:] for line in lines}

    def download(self, bucket: str, directory: Path) -> None:
        self._run("s3", "sync", "--quiet", f"s3://{bucket}", str(directory))

    def copy(self, bucket: str, source: str, target: str) -> None:
        self._run("s3", "cp", "--quiet", f"s3://{bucket}/{source}", f"s3://{bucket}/{target}")

    def read(self, bucket: str, key: str, start: int, stop: int) -> bytes:
        file = self.home / "range"
        self._run("s3api", "get-object", "--bucket", bucket, "--key", key,
                  "--range", f"bytes={start}-{stop - 1}", str(file))  # fmt: skip
        return file.read_bytes()

    def url(self, bucket: str, key: str) -> str:
        return self._run("s3", "presign", f"s3://{bucket}/{key}").strip()

    def delete(self, bucket: str, key: str) -> None:
        self._run("s3", "rm", f"s3://{bucket}/{key}")

    def delete_all(self, bucket: str) -> None:
        objects = json.dumps({"Objects": [{"Key": key} for key in sorted(self.keys(bucket))]})
        self._run("s3api", "delete-objects", "--bucket", bucket, "--delete", objects)
