"""pyarrow's S3FileSystem: the AWS SDK for C++."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.clients.client import Library


class Arrow(Library):
    """Its paths have no empty segments, and its libcurl resolves dots that were signed."""

    odd_keys = ("100% +1?#&;=",)

    def open(self) -> None:
        self._arrow: Any = pytest.importorskip("pyarrow.fs", reason="pyarrow is not installed")
        self._fs: Any = self._arrow.S3FileSystem(
            access_key=self.access_key,
            secret_key=self.secret_key,
            region=self.region,
            endpoint_override=self.host,
            scheme="https" if self.is_tls else "http",
            tls_ca_file_path=self.authority or "",
            allow_bucket_creation=True,
            retry_strategy=self._arrow.AwsStandardS3RetryStrategy(max_attempts=1),
        )

    def make(self, bucket: str) -> None:
        self._fs.create_dir(bucket)

    def put(self, bucket: str, key: str, file: Path) -> None:
        with file.open("rb") as source, self._fs.open_output_stream(f"{bucket}/{key}") as target:
            shutil.copyfileobj(source, target, 1 << 20)

    def keys(self, bucket: str) -> set[str]:
        listed = self._fs.get_file_info(self._arrow.FileSelector(bucket, recursive=True))
        is_file = self._arrow.FileType.File
        return {one.path.removeprefix(f"{bucket}/") for one in listed if one.type == is_file}

    def get(self, bucket: str, key: str, file: Path) -> None:
        with self._fs.open_input_stream(f"{bucket}/{key}") as source, file.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)

    def read(self, bucket: str, key: str, start: int, stop: int) -> bytes:
        with self._fs.open_input_file(f"{bucket}/{key}") as source:
            return bytes(source.read_at(stop - start, start))

    def copy(self, bucket: str, source: str, target: str) -> None:
        self._fs.copy_file(f"{bucket}/{source}", f"{bucket}/{target}")

    def delete(self, bucket: str, key: str) -> None:
        """Delete an object, and the empty one that it leaves for an empty directory."""
        self._fs.delete_file(f"{bucket}/{key}")
        directory = f"{bucket}/{key}".rpartition("/")[0]
        if directory != bucket and not self._fs.get_file_info(self._arrow.FileSelector(directory)):
            self._fs.delete_dir(directory)

    def delete_all(self, bucket: str) -> None:
        self._fs.delete_dir_contents(bucket)
