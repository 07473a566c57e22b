"""obstore: Rust's object_store."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.clients.client import Library


class Obstore(Library):
    """Its paths have no empty segments and neither "." nor ".."; other keys it cannot name."""

    odd_keys = ("100% +1?#&;=",)

    def open(self) -> None:
        self._obstore: Any = pytest.importorskip("obstore", reason="obstore is not installed")
        self._stores: Any = pytest.importorskip("obstore.store")

    def _store(self, bucket: str) -> Any:
        options: dict[str, Any] = {"allow_http": not self.is_tls}
        if self.authority is not None:
            options["root_certificate"] = Path(self.authority).read_bytes()
        return self._stores.S3Store(
            bucket,
            endpoint=self.endpoint,
            access_key_id=self.access_key,
            secret_access_key=self.secret_key,
            region=self.region,
            virtual_hosted_style_request=False,
            client_options=options,
            retry_config={"max_retries": 0},
        )

    def put(self, bucket: str, key: str, file: Path) -> None:
        self._store(bucket).put(key, file, chunk_size=5 << 20)

    def keys(self, bucket: str) -> set[str]:
        return {entry["path"] for page in self._store(bucket).list() for entry in page}

    def get(self, bucket: str, key: str, file: Path) -> None:
        file.write_bytes(self._store(bucket).get(key).bytes())

    def read(self, bucket: str, key: str, start: int, stop: int) -> bytes:
        return bytes(self._store(bucket).get_range(key, start=start, end=stop))

    def copy(self, bucket: str, source: str, target: str) -> None:
        self._store(bucket).copy(source, target)

    def url(self, bucket: str, key: str) -> str:
        return str(self._obstore.sign(self._store(bucket), "GET", key, timedelta(minutes=5)))

    def delete(self, bucket: str, key: str) -> None:
        self._store(bucket).delete(key)

    def delete_all(self, bucket: str) -> None:
        self._store(bucket).delete(sorted(self.keys(bucket)))
