"""Multipart uploads, step by step, for tests."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from xml.sax.saxutils import escape

from s3server.wire.checksums import ALGORITHMS
from tests.support.asgi_client import Answer, Client

MIB = 1 << 20
Part = tuple[int, str] | tuple[int, str, str]  # number, ETag, elements of checksums
CHECKSUM_ELEMENTS = {f"x-amz-checksum-{name.lower()}": f"Checksum{name}" for name in ALGORITHMS}


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
    sums = "".join(
        f"<{name}>{value}</{name}>"
        for header, value in (headers or {}).items()
        if (name := CHECKSUM_ELEMENTS.get(header))
    )
    etag = answer.header("etag") or ""
    return (number, etag, sums) if sums else (number, etag)


def parts_document(parts: Iterable[Part], extra: str = "") -> bytes:
    """Return the body of CompleteMultipartUpload."""
    listed = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(etag)}</ETag>{''.join(sums)}{extra}</Part>"
        for number, etag, *sums in parts
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


async def complete_upload(
    client: Client, path: str, pieces: Sequence[bytes], *, algorithm: str = ""
) -> Answer:
    """Make an object of pieces, each sent with its checksum where an algorithm is named."""
    headers = {"x-amz-checksum-algorithm": algorithm} if algorithm else {}
    upload = await begin(client, path, headers)
    parts = [
        await send_part(client, path, upload, number, piece, _checksum(algorithm, piece))
        for number, piece in enumerate(pieces, 1)
    ]
    answer = await complete(client, path, upload, parts)
    assert answer.status == 200, answer.body
    return answer


def _checksum(algorithm: str, piece: bytes) -> dict[str, str]:
    if not algorithm:
        return {}
    running = ALGORITHMS[algorithm].new()
    running.update(piece)
    return {ALGORITHMS[algorithm].header: b64encode(running.digest()).decode()}
