"""boto3 with its transfer manager."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from tests.support.clients.client import Library

PARTS = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)


class Boto3(Library):
    """The AWS SDK for Python, with what it does by default but its retries."""

    def open(self) -> None:
        self._s3: Any = boto3.client("s3", config=Config(retries={"total_max_attempts": 1}))

    def close(self) -> None:
        self._s3.close()

    def make(self, bucket: str) -> None:
        self._s3.create_bucket(Bucket=bucket)

    def put(self, bucket: str, key: str, file: Path) -> None:
        self._s3.upload_file(str(file), bucket, key, Config=PARTS)

    def keys(self, bucket: str) -> set[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, PaginationConfig={"PageSize": 2}
        )
        return {entry["Key"] for page in pages for entry in page.get("Contents", ())}

    def get(self, bucket: str, key: str, file: Path) -> None:
        self._s3.download_file(bucket, key, str(file), Config=PARTS)

    def read(self, bucket: str, key: str, start: int, stop: int) -> bytes:
        asked = f"bytes={start}-{stop - 1}"
        body: bytes = self._s3.get_object(Bucket=bucket, Key=key, Range=asked)["Body"].read()
        return body

    def copy(self, bucket: str, source: str, target: str) -> None:
        self._s3.copy({"Bucket": bucket, "Key": source}, bucket, target, Config=PARTS)

    def url(self, bucket: str, key: str) -> str:
        named = {"Bucket": bucket, "Key": key}
        return str(self._s3.generate_presigned_url("get_object", Params=named))

    def delete(self, bucket: str, key: str) -> None:
        self._s3.delete_object(Bucket=bucket, Key=key)

    def delete_all(self, bucket: str) -> None:
        keys = [{"Key": key} for key in self.keys(bucket)]
        answer = self._s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
        assert "Errors" not in answer
