"""The clients that are libraries of this process: boto3, minio-py, obstore."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

PARTS = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)


def _files(directory: Path) -> list[tuple[str, Path]]:
    found = (file for file in directory.rglob("*") if file.is_file())
    return [(str(file.relative_to(directory)), file) for file in found]


class Boto3:
    """boto3 with its transfer manager."""

    def __init__(self, environment: dict[str, str], home: Path) -> None:
        self._s3: Any = boto3.client("s3", config=Config(retries={"total_max_attempts": 1}))

    def upload(self, directory: Path, bucket: str) -> None:
        for key, file in _files(directory):
            self._s3.upload_file(str(file), bucket, key, Config=PARTS)

    def keys(self, bucket: str) -> set[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, PaginationConfig={"PageSize": 2}
        )
        return {entry["Key"] for page in pages for entry in page.get("Contents", ())}

    def download(self, bucket: str, directory: Path) -> None:
        for key in self.keys(bucket):
            (directory / key).parent.mkdir(parents=True, exist_ok=True)
            self._s3.download_file(bucket, key, str(directory / key), Config=PARTS)

    def copy(self, bucket: str, source: str, target: str) -> None:
        self._s3.copy({"Bucket": bucket, "Key": source}, bucket, target, Config=PARTS)

    def delete(self, bucket: str, key: str) -> None:
        self._s3.delete_object(Bucket=bucket, Key=key)

    def delete_all(self, bucket: str) -> None:
        keys = [{"Key": key} for key in self.keys(bucket)]
        answer = self._s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
        assert "Errors" not in answer
        self._s3.close()


class MinioPy:
    """minio-py, which signs its bodies and writes XML of its own."""

    def __init__(self, environment: dict[str, str], home: Path) -> None:
        minio = pytest.importorskip("minio", reason="minio is not installed")
        self._copy_source = minio.commonconfig.CopySource
        self._deleted = minio.deleteobjects.DeleteObject
        self._client = minio.Minio(
            endpoint=environment["AWS_S3_ENDPOINT"],
            access_key=environment["AWS_ACCESS_KEY_ID"],
            secret_key=environment["AWS_SECRET_ACCESS_KEY"],
            region=environment["AWS_REGION"],
            secure=False,
        )

    def upload(self, directory: Path, bucket: str) -> None:
        for key, file in _files(directory):
            self._client.fput_object(bucket, key, str(file), part_size=5 << 20)

    def keys(self, bucket: str) -> set[str]:
        return {entry.object_name for entry in self._client.list_objects(bucket, recursive=True)}

    def download(self, bucket: str, directory: Path) -> None:
        for key in self.keys(bucket):
            self._client.fget_object(bucket, key, str(directory / key))

    def copy(self, bucket: str, source: str, target: str) -> None:
        self._client.copy_object(bucket, target, self._copy_source(bucket, source))

    def delete(self, bucket: str, key: str) -> None:
        self._client.remove_object(bucket, key)

    def delete_all(self, bucket: str) -> None:
        keys = [self._deleted(key) for key in self.keys(bucket)]
        assert [] == list(self._client.remove_objects(bucket, keys))


class Obstore:
    """obstore: Rust's object_store."""

    def __init__(self, environment: dict[str, str], home: Path) -> None:
        self._stores = pytest.importorskip("obstore.store", reason="obstore is not installed")
        self._environment = environment

    def _store(self, bucket: str) -> Any:
        return self._stores.S3Store(
            bucket,
            endpoint=self._environment["AWS_ENDPOINT_URL"],
            access_key_id=self._environment["AWS_ACCESS_KEY_ID"],
            secret_access_key=self._environment["AWS_SECRET_ACCESS_KEY"],
            region=self._environment["AWS_REGION"],
            virtual_hosted_style_request=False,
            client_options={"allow_http": True},
            retry_config={"max_retries": 0},
        )

    def upload(self, directory: Path, bucket: str) -> None:
        for key, file in _files(directory):
            self._store(bucket).put(key, file, chunk_size=5 << 20)

    def keys(self, bucket: str) -> set[str]:
        return {entry["path"] for page in self._store(bucket).list() for entry in page}

    def download(self, bucket: str, directory: Path) -> None:
        for key in self.keys(bucket):
            (directory / key).parent.mkdir(parents=True, exist_ok=True)
            (directory / key).write_bytes(self._store(bucket).get(key).bytes())

    def copy(self, bucket: str, source: str, target: str) -> None:
        self._store(bucket).copy(source, target)

    def delete(self, bucket: str, key: str) -> None:
        self._store(bucket).delete(key)

    def delete_all(self, bucket: str) -> None:
        self._store(bucket).delete(sorted(self.keys(bucket)))
