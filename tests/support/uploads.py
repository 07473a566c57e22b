"""Multipart uploads, step by step, for tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from xml.sax.saxutils import escape

from tests.support.asgi_client import Answer, Client

MIB = 1 << 20
Part = tuple[int, str]  # number and ETag


async def begin(client: Client, path: str, headers: Mapping[str, str] | None = None) -> str:
    """Begin an upload; return its id."""
    answer = await client.made(f"{path}?uploads", method="POST", headers=headers)
    upload = answer.text("UploadId")
    assert upload
    return upload


async def send_part(
    client: Client,
    path: str,
    upload: str,
    number: int,
    body: bytes,
    headers: Mapping[str, str] | None = None,
) -> Part:
    """Upload a part that must be taken; return what Complete names it by."""
    target = f"{path}?partNumber={number}&uploadId={upload}"
    answer = await client.made(target, body=body, headers=headers)
    return number, answer.header("etag") or ""


def parts_document(parts: Iterable[Part], extra: str = "") -> bytes:
    """Return the body of CompleteMultipartUpload."""
    listed = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(etag)}</ETag>{extra}</Part>"
        for number, etag in parts
    )
    return f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()


async def complete(
    client: Client,
    path: str,
    upload: str,
    parts: Iterable[Part],
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Ask for an upload to be completed."""
    body = parts_document(parts)
    return await client("POST", f"{path}?uploadId={upload}", body=body, headers=headers)
