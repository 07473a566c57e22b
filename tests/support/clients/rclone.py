"""rclone: the AWS SDK for Go, version 2."""

from __future__ import annotations

from pathlib import Path

from tests.support.client_tools import program, run
from tests.support.clients.client import Client


class Rclone(Client):
    """Each call is a process. Keys that no file can have it shows under other names."""

    odd_keys = ("100% +1?#&;=",)

    def open(self) -> None:
        self._path = program("rclone")
        (self.home / "rclone.conf").touch()
        self.environment = self.environment | {
            "RCLONE_CONFIG": str(self.home / "rclone.conf"),
            "RCLONE_CONFIG_SITE_TYPE": "s3",
            "RCLONE_CONFIG_SITE_PROVIDER": "Other",
            "RCLONE_CONFIG_SITE_ENV_AUTH": "true",
            "RCLONE_CONFIG_SITE_ENDPOINT": self.endpoint,
            "RCLONE_CONFIG_SITE_REGION": self.region,
            "RCLONE_S3_UPLOAD_CUTOFF": "5Mi",
            "RCLONE_S3_CHUNK_SIZE": "5Mi",
            "RCLONE_RETRIES": "1",
            "RCLONE_LOW_LEVEL_RETRIES": "1",
        }

    def _run(self, *arguments: str) -> str:
        return run([self._path, *arguments], self.environment).decode()

    def make(self, bucket: str) -> None:
        self._run("mkdir", f"site:{bucket}")

    def upload(self, directory: Path, bucket: str) -> None:
        self._run("copy", str(directory), f"site:{bucket}")
        self._run("check", "--download", str(directory), f"site:{bucket}")

    def keys(self, bucket: str) -> set[str]:
        return set(self._run("lsf", "-R", "--files-only", f"site:{bucket}").splitlines())

    def download(self, bucket: str, directory: Path) -> None:
        self._run("copy", f"site:{bucket}", str(directory))

    def read(self, bucket: str, key: str, start: int, stop: int) -> bytes:
        window = ["--offset", str(start), "--count", str(stop - start)]
        return run([self._path, "cat", *window, f"site:{bucket}/{key}"], self.environment)

    def copy(self, bucket: str, source: str, target: str) -> None:
        self._run("copyto", f"site:{bucket}/{source}", f"site:{bucket}/{target}")

    def url(self, bucket: str, key: str) -> str:
        return self._run("link", "--expire", "5m", f"site:{bucket}/{key}").strip()

    def delete(self, bucket: str, key: str) -> None:
        self._run("deletefile", f"site:{bucket}/{key}")

    def delete_all(self, bucket: str) -> None:
        self._run("delete", f"site:{bucket}")
