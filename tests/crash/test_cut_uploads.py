"""Uploads whose connection is cut in the middle of the body leave nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.blobs import files_of, pattern
from tests.support.crash_client import CrashClient
from tests.support.crash_server import KEY, CrashServer, until
from tests.support.signing import (
    SIGNED_CHUNKS,
    UNSIGNED_CHUNKS,
    sign,
    signed_chunks,
    unsigned_chunks,
)
from tests.support.store_audit import audit, stopped_store

CUTS = 200
AT_ONCE = 40
CHUNK = 65_536
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[CrashServer]:
    server = CrashServer(tmp_path / "store")
    await server.start()
    yield server
    await server.close()


@dataclass(frozen=True, slots=True)
class Cut:
    """A request of which only the beginning is sent, and how its connection ends."""

    head: bytes
    body: bytes  # as much of it as is sent
    ending: str


def make_cut(port: int, upload_id: str, chance: random.Random) -> Cut:
    """Return some upload and where it is cut: anywhere before its last byte."""
    data = pattern(chance.choice((300, 4_096, 60_000, 150_000, 1_000_000, 3_000_000)))
    target = chance.choice(("/bucket/key", f"/bucket/parts?partNumber=7&uploadId={upload_id}"))
    framing = chance.choice(("UNSIGNED-PAYLOAD", UNSIGNED_CHUNKS, SIGNED_CHUNKS))
    headers = {} if framing == "UNSIGNED-PAYLOAD" else {
        "content-encoding": "aws-chunked", "x-amz-decoded-content-length": str(len(data)),
    }  # fmt: skip
    url = f"http://127.0.0.1:{port}{target}"
    signed = sign("PUT", url, headers, key=KEY, at=datetime.now(UTC), payload=framing)
    sizes = [min(CHUNK, len(data) - start) for start in range(0, len(data), CHUNK)]
    body = data
    if framing == UNSIGNED_CHUNKS:
        body = unsigned_chunks(data, sizes=sizes)
    elif framing == SIGNED_CHUNKS:
        body = signed_chunks(signed, data, key=KEY, sizes=sizes)
    lines = [f"PUT {signed.target} HTTP/1.1", f"host: 127.0.0.1:{port}"]
    lines += [f"{name}: {value}" for name, value in signed.headers.items()]
    lines.append(f"content-length: {len(body)}")
    head = ("\r\n".join(lines) + "\r\n\r\n").encode()
    ending = chance.choice(("close", "reset", "half-close"))
    return Cut(head, body[: chance.randrange(len(body))], ending)


async def send(port: int, cut: Cut, limit: asyncio.Semaphore) -> bytes:
    """Send it, cut it, and return what the server answered."""
    async with limit:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        answer = b""
        with contextlib.suppress(ConnectionError):
            writer.write(cut.head + cut.body)
            await writer.drain()
            if cut.ending == "half-close":
                writer.write_eof()
                answer = await reader.read()
        if cut.ending == "reset":
            connection: socket.socket = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        return answer


def files_in_incoming(server: CrashServer) -> list[Path]:
    return list(server.directory.glob("osd.*/incoming/*"))


def descriptors(server: CrashServer, *, sockets: bool) -> dict[int, int]:
    """Return how many sockets, or how many other files, each worker has open."""
    found = {}
    for pid in server.workers:
        folder = f"/proc/{pid}/fd"
        found[pid] = 0
        for name in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):  # it was closed meanwhile
                link = os.readlink(f"{folder}/{name}")
                found[pid] += link.startswith("socket:") == sockets
    return found


def none_more(found: dict[int, int], before: dict[int, int]) -> bool:
    """Return whether no worker has more than it had."""
    return all(found[pid] <= count for pid, count in before.items())


async def warm_up(server: CrashServer) -> str:
    """Store one object of each kind, begin an upload, and let every worker serve; return its id."""
    async with contextlib.aclosing(CrashClient(server.port, KEY)) as client:
        await client.send("PUT", "bucket")
        for size in (4_096, 200_000):
            await client.send("PUT", "bucket", f"size-{size}", body=pattern(size))
        reply = await client.send("POST", "bucket", "parts", {"uploads": ""})
    upload_id = reply.document.findtext("UploadId") or ""
    await send_all(server, upload_id, AT_ONCE)
    return upload_id


async def send_all(server: CrashServer, upload_id: str, count: int) -> list[bytes]:
    """Cut uploads, several at a time; return what the server answered to those half closed."""
    chance, limit = random.Random(count), asyncio.Semaphore(AT_ONCE)
    cuts = [make_cut(server.port, upload_id, chance) for _ in range(count)]
    answers = await asyncio.gather(*(send(server.port, cut, limit) for cut in cuts))
    return [answer for answer in answers if answer]


async def test_cut_uploads_leave_no_file_no_object_and_no_descriptor(server: CrashServer) -> None:
    sockets = descriptors(server, sockets=True)
    upload_id = await warm_up(server)
    await until(lambda: descriptors(server, sockets=True) == sockets)
    await until(lambda: not files_in_incoming(server))
    files, others = files_of(server.directory), descriptors(server, sockets=False)

    refused = await send_all(server, upload_id, CUTS)
    await until(lambda: descriptors(server, sockets=True) == sockets)
    await until(lambda: not files_in_incoming(server))

    assert files == files_of(server.directory)
    # A look at the OSDs, once a second, opens files for a moment: then as well as before.
    await until(lambda: none_more(descriptors(server, sockets=False), others))
    assert {b"HTTP/1.1 400 Bad Request"} == {answer.partition(b"\r\n")[0] for answer in refused}
    async with contextlib.aclosing(CrashClient(server.port, KEY)) as client:
        listed = (await client.send("GET", "bucket")).document
        assert ["size-200000", "size-4096"] == [key.text for key in listed.findall("Contents/Key")]
        parts = await client.send("GET", "bucket", "parts", {"uploadId": upload_id})
        assert [] == parts.document.findall("Part")
    assert 0 == await server.stop()
    async with stopped_store(server.directory / "s3server.toml") as store:
        found = await audit(store)
    assert [] == found.problems
    assert (0, 0, 2, 2) == (
        found.dead_shard_files, found.unfinished_files, found.objects, found.blobs,
    )  # fmt: skip
