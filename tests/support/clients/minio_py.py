"""minio-py, which signs its bodies and writes XML of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.clients.client import Library


class MinioPy(Library):
    """It refuses keys with "." or ".." between slashes before it asks anybody."""

    odd_keys = ("a//b", "/lead", "trail/", "100% +1?#&;=")

    def open(self) -> None:
        minio = pytest.importorskip("minio", reason="minio is not installed")
        self._copy_source = minio.commonconfig.CopySource
        self._deleted = minio.deleteobjects.DeleteObject
        self._client: Any = minio.Minio(
            endpoint=self.host,
            access_key=self.access_key,
            secret_key=self.secret_key,
            region=self.region,
            secure=self.is_tls,
        )

    def make(self, bucket: str) -> None:
        self._client.make_bucket(bucket)

    def put(self, bucket: str, key: str, file: Path) -> None:
        self._client.fput_object(bucket, key, str(file), part_size=5 << 20)

    def keys(self, bucket: str) -> set[str]:
        return {entry.object_name for entry in self._client.list_objects(bucket, recursive=True)}

    def get(self, bucket: str, key: str, file: Path) -> None:
        self._client.fget_object(bucket, key, str(file))

    def read(self, bucket: str, key: str, start: int, stop: int) -> bytes:
        answer = self._client.get_object(bucket, key, offset=start, length=stop - start)
        try:
            return bytes(answer.data)
        finally:
            answer.close()
            answer.release_conn()

    def copy(self, bucket: str, source: str, target: str) -> None:
        self._client.copy_object(bucket, target, self._copy_source(bucket, source))

    def url(self, bucket: str, key: str) -> str:
        return str(self._client.presigned_get_object(bucket, key))

    def delete(self, bucket: str, key: str) -> None:
        self._client.remove_object(bucket, key)

    def delete_all(self, bucket: str) -> None:
        keys = [self._deleted(key) for key in self.keys(bucket)]
        assert [] == list(self._client.remove_objects(bucket, keys))
