"""Clients that do everything at once to a handful of buckets, and judge what they are told."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import itertools
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

from tests.support.crash_client import CrashClient, Faulted, NotSent, Refused, Reply
from tests.support.journal import Journal, UnknownOutcome, Value
from tests.support.signing import Key
from tests.support.values import Content, Values

BUCKETS = ("alpha", "beta", "gamma")
CHURNED = tuple(f"churned-{number}" for number in range(4))  # made and deleted, always empty
KEYS = 40
LARGE_KEYS = 12
MIN_PART = 5 * 1024 * 1024
PAGE_KEYS = "400"


@dataclass(slots=True)
class UploadState:
    """A multipart upload as its client knows it."""

    id: str
    bucket: str
    key: str
    content: Content
    parts: int = 0  # acknowledged, from the first on
    wish: str = ""  # "complete" or "abort", once that was asked for


@dataclass(slots=True)
class Load:
    """What the clients of one server have done so far."""

    port: int
    key: Key
    seed: int
    journal: Journal = field(default_factory=Journal)
    uploads: list[UploadState] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    lost_connections: int = 0
    reads: int = 0
    values: Values = field(init=False)
    chance: random.Random = field(init=False)
    round: int = 0  # names the keys that are written once
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.values, self.chance = Values(self.seed), random.Random(self.seed)

    def client(self) -> CrashClient:
        """Return a new connection to the server."""
        return CrashClient(self.port, self.key)

    async def create_buckets(self) -> None:
        """Make the buckets that are never deleted."""
        async with contextlib.aclosing(self.client()) as client:
            for bucket in BUCKETS:
                await self.write(client, bucket, "", 0, "PUT")

    async def run(self, stop: asyncio.Event, clients: int = 16) -> None:
        """Keep `clients` busy until `stop` is set."""
        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(self._work(stop))

    async def _work(self, stop: asyncio.Event) -> None:
        actions: list[Callable[[CrashClient], Awaitable[None]]] = [
            self.put_small, self.put_once, self.put_large, self.copy, self.delete,
            self.delete_many, self.upload, self.get, self.list_keys, self.churn_bucket,
        ]  # fmt: skip
        weights = [24, 16, 7, 9, 9, 4, 6, 16, 4, 5]
        async with contextlib.aclosing(self.client()) as client:
            while not stop.is_set():
                action = self.chance.choices(actions, weights)[0]
                try:
                    await action(client)
                except Faulted as error:
                    self.problems.append(str(error))
                except Refused as refusal:
                    self.problems.append(f"{action.__name__}: {refusal}")
                except (UnknownOutcome, NotSent):
                    self.lost_connections += 1
                    await asyncio.sleep(0.02)  # until the process is there again, or stop is set

    # --- operations --------------------------------------------------------------------------

    async def write(
        self, client: CrashClient, bucket: str, key: str, value: Value, method: str,
        body: bytes = b"",
    ) -> Reply:  # fmt: skip
        """Send one PUT or DELETE of a register and record it. What it stores names itself."""
        headers = {"x-amz-meta-value": str(value)} if key and value is not None else {}
        with self.journal.writing(self.journal.register(bucket, key), values=lambda: (value,)):
            return await client.send(method, bucket, key, headers=headers, body=body)

    async def put_small(self, client: CrashClient) -> None:
        """Overwrite a key by some KB, in a volume."""
        content = self.values.make(self.chance.choice((16, 300, 4_096, 4_096, 4_096, 65_536)))
        bucket, key = self._pick("small", KEYS)
        await self._put(client, bucket, key, content)

    async def put_once(self, client: CrashClient) -> None:
        """Write a key that is never touched again."""
        key = f"once/{self.round:04}/{next(self._numbers):06}"
        await self._put(client, self.chance.choice(BUCKETS), key, self.values.make(4_096))

    async def put_large(self, client: CrashClient) -> None:
        """Overwrite a key by up to 3 MB, in shard files."""
        content = self.values.make(self.chance.randrange(100_000, 3_000_000))
        bucket, key = self._pick("large", LARGE_KEYS)
        await self._put(client, bucket, key, content)

    async def _put(self, client: CrashClient, bucket: str, key: str, content: Content) -> None:
        reply = await self.write(client, bucket, key, content.id, "PUT", content.data)
        self._expect(reply.headers["etag"] == f'"{content.etag}"', f"ETag of PUT {bucket}/{key}")

    async def delete(self, client: CrashClient) -> None:
        """Delete a key that may be there."""
        await self.write(client, *self._pick_any(), None, "DELETE")

    async def delete_many(self, client: CrashClient) -> None:
        """Delete several keys by one request."""
        bucket = self.chance.choice(BUCKETS)
        keys = sorted({self._pick_any()[1] for _ in range(8)})
        entries = "".join(f"<Object><Key>{key}</Key></Object>" for key in keys)
        body = f"<Delete><Quiet>true</Quiet>{entries}</Delete>".encode()
        registers = [self.journal.register(bucket, key) for key in keys]
        with self.journal.writing(*registers, values=lambda: (None,)):
            headers = {"content-md5": base64.b64encode(hashlib.md5(body).digest()).decode()}
            reply = await client.send("POST", bucket, "", {"delete": ""}, headers, body)
            if errors := reply.document.findall("Error"):
                raise Faulted(f"DeleteObjects: {errors[0].findtext('Code')}")

    async def copy(self, client: CrashClient) -> None:
        """Copy a key that others write; the answer's ETag tells which value it was."""
        bucket, key = self._pick(*self.chance.choice((("small", KEYS), ("large", LARGE_KEYS))))
        source = self.journal.register(bucket, key)
        target = self._pick("copy", KEYS)
        headers = {"x-amz-copy-source": f"/{bucket}/{key}"}
        with self.journal.reading() as begin:
            try:
                with self.journal.writing(
                    self.journal.register(*target), values=lambda: source.ever
                ) as op:
                    reply = await client.send("PUT", *target, headers=headers)
                    etag = reply.document.findtext("ETag") or ""
                    value = self.values.by_etag(etag)
                    op.values = lambda: (value,)
            except Refused as refusal:
                value = self._absent(refusal, f"copy of {bucket}/{key}")
            found = source.allowed(begin, self.journal.now())
            self._expect(value in found, f"copy of {bucket}/{key} found {value}, not {found}")

    async def get(self, client: CrashClient) -> None:
        """Read a key that others write."""
        bucket, key = self._pick_any()
        register = self.journal.register(bucket, key)
        with self.journal.reading() as begin:
            value = await self.read(client, bucket, key)
            found = register.allowed(begin, self.journal.now())
            self._expect(value in found, f"GET {bucket}/{key} found {value}, not {found}")

    async def read(self, client: CrashClient, bucket: str, key: str) -> Value:
        """Return which value a key has; one that is not whole is a problem."""
        self.reads += 1
        try:
            reply = await client.send("GET", bucket, key)
        except Refused as refusal:
            return self._absent(refusal, f"GET {bucket}/{key}")
        value = int(reply.headers["x-amz-meta-value"])
        is_whole = self.values.by_etag(reply.headers["etag"]) == value
        is_whole &= reply.body == self.values.bytes_of(value)
        self._expect(is_whole, f"GET {bucket}/{key}: bytes, ETag and metadata of several values")
        return value

    async def list_keys(self, client: CrashClient) -> None:
        """List a bucket while others write to it."""
        bucket = self.chance.choice(BUCKETS)
        prefix = self.chance.choice(
            ("small/", "large/", "copy/", "upload/", f"once/{self.round:04}/")
        )
        with self.journal.reading() as begin:
            listed = await self.listing(client, bucket, prefix)
            end = self.journal.now()
            for name, key in self.journal.names:
                if name == bucket and key.startswith(prefix):
                    allowed = self.journal.register(bucket, key).allowed(begin, end)
                    value = listed.get(key)
                    self._expect(value in allowed, f"{bucket}/{key} listed as {value}")

    async def listing(self, client: CrashClient, bucket: str, prefix: str = "") -> dict[str, Value]:
        """Return all keys of a bucket and which value each has, by the ETags of the listing."""
        query = {"list-type": "2", "prefix": prefix, "max-keys": PAGE_KEYS}
        found: dict[str, Value] = {}
        while True:
            page = (await client.send("GET", bucket, "", query)).document
            for entry in page.findall("Contents"):
                key = entry.findtext("Key") or ""
                self._expect(key not in found, f"{bucket}/{key} listed twice")
                found[key] = self.values.by_etag(entry.findtext("ETag") or "") or -1
            token = page.findtext("NextContinuationToken")
            if token is None:
                return found
            query["continuation-token"] = token

    async def churn_bucket(self, client: CrashClient) -> None:
        """Make or delete a bucket that stays empty."""
        bucket = self.chance.choice(CHURNED)
        method, value = self.chance.choice((("PUT", 0), ("DELETE", None)))
        with contextlib.suppress(Refused):  # it was there, or was not
            await self.write(client, bucket, "", value, method)

    # --- uploads -----------------------------------------------------------------------------

    async def upload(self, client: CrashClient) -> None:
        """Upload in parts, and complete, abort or leave that."""
        sizes = (MIN_PART, 70_000) if self.chance.random() < 0.15 else (
            self.chance.randrange(16, 400_000),
        )  # fmt: skip
        content = self.values.make(*sizes, multipart=True)
        bucket, key = self._pick("upload", LARGE_KEYS)
        headers = {"x-amz-meta-value": str(content.id)}
        reply = await client.send("POST", bucket, key, {"uploads": ""}, headers)
        upload_id = reply.document.findtext("UploadId") or ""
        state = UploadState(upload_id, bucket, key, content)
        self.uploads.append(state)
        for number, piece in enumerate(content.pieces, start=1):
            query = {"partNumber": str(number), "uploadId": upload_id}
            await client.send("PUT", bucket, key, query, body=piece)
            state.parts = number
        wish = self.chance.choices((self.complete, self.abort, None), (6, 3, 1))[0]
        if wish is not None:
            await wish(client, state)

    async def complete(self, client: CrashClient, state: UploadState) -> None:
        """Complete an upload whose parts are all there."""
        state.wish = "complete"
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
            for number, etag in enumerate(state.content.part_etags, start=1)
        )
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        value = state.content.id
        register = self.journal.register(state.bucket, state.key)
        with self.journal.writing(register, values=lambda: (value,)):
            await client.send("POST", state.bucket, state.key, {"uploadId": state.id}, body=body)
        self.uploads.remove(state)

    async def abort(self, client: CrashClient, state: UploadState) -> None:
        """Give an upload up."""
        state.wish = "abort"
        await client.send("DELETE", state.bucket, state.key, {"uploadId": state.id})
        self.uploads.remove(state)

    # --- pieces ------------------------------------------------------------------------------

    def _pick(self, kind: str, count: int) -> tuple[str, str]:
        return self.chance.choice(BUCKETS), f"{kind}/{self.chance.randrange(count):02}"

    def _pick_any(self) -> tuple[str, str]:
        kinds = (("small", KEYS), ("large", LARGE_KEYS), ("copy", KEYS), ("upload", LARGE_KEYS))
        return self._pick(*self.chance.choice(kinds))

    def _absent(self, refusal: Refused, what: str) -> Value:
        self._expect(refusal.code == "NoSuchKey", f"{what}: {refusal}")
        return None

    def _expect(self, holds: bool, what: str) -> None:
        if not holds:
            self.problems.append(what)
