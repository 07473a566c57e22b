"""Apache Libcloud, with its driver for stores of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.clients.client import Library


class Libcloud(Library):
    """It has neither copies nor signed URLs, and tidies paths up."""

    odd_keys = ("trail/", "100% +1?#&;=")

    def open(self) -> None:
        rgw: Any = pytest.importorskip(
            "libcloud.storage.drivers.rgw", reason="apache-libcloud is not installed"
        )
        security: Any = pytest.importorskip("libcloud.security")
        if self.is_tls:
            security.CA_CERTS_PATH = self.authority
        host, _, port = self.host.partition(":")
        self._driver: Any = rgw.S3RGWStorageDriver(
            self.access_key,
            self.secret_key,
            secure=self.is_tls,
            host=host,
            port=int(port),
            region=self.region,
            signature_version="4",
        )

    def close(self) -> None:
        self._driver.connection.connection.session.close()

    def make(self, bucket: str) -> None:
        self._driver.create_container(bucket)

    def put(self, bucket: str, key: str, file: Path) -> None:
        container = self._driver.get_container(bucket)
        with file.open("rb") as stream:
            self._driver.upload_object_via_stream(stream, container, key)

    def keys(self, bucket: str) -> set[str]:
        container = self._driver.get_container(bucket)
        return {one.name for one in self._driver.iterate_container_objects(container)}

    def get(self, bucket: str, key: str, file: Path) -> None:
        found = self._driver.get_object(bucket, key)
        assert self._driver.download_object(found, str(file), overwrite_existing=True)

    def read(self, bucket: str, key: str, start: int, stop: int) -> bytes:
        found = self._driver.get_object(bucket, key)
        return b"".join(self._driver.download_object_range_as_stream(found, start, stop))

    def delete(self, bucket: str, key: str) -> None:
        assert self._driver.delete_object(self._driver.get_object(bucket, key))
