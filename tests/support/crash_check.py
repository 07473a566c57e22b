"""What must hold once a server is up again after all its processes were killed.

hardening.md, 3.3: every acknowledged write is there or superseded, unknown ones are all or
nothing, bytes and ETag and metadata belong together, and listings say what reads say.
"""

from __future__ import annotations

import asyncio
import contextlib

from tests.support.crash_client import CrashClient, Refused
from tests.support.crash_load import BUCKETS, CHURNED, Load, UploadState
from tests.support.journal import Value

READERS = 12


async def check_round(load: Load) -> None:
    """Judge all keys that the last round may have touched, and finish what it began."""
    once = f"once/{load.round:04}/"
    await _check(load, ["small/", "large/", "copy/", "upload/", once])
    await _finish_uploads(load, leave_some=True)


async def check_everything(load: Load) -> None:
    """Judge every key of the whole run; then no upload is left."""
    await _check(load, [""])
    await _finish_uploads(load, leave_some=False)
    async with contextlib.aclosing(load.client()) as client:
        for bucket in BUCKETS:
            for key, upload_id in await _listed_uploads(client, bucket):
                await client.send("DELETE", bucket, key, {"uploadId": upload_id})
            left = await _listed_uploads(client, bucket)
            if left:
                load.problems.append(f"{bucket}: {len(left)} uploads after all were aborted")
    await _check(load, ["upload/"])


async def _check(load: Load, prefixes: list[str]) -> None:

    names = [
        (bucket, key)
        for bucket, key in load.journal.names
        if key and any(key.startswith(prefix) for prefix in prefixes)
    ]
    found: dict[tuple[str, str], Value] = {}
    turns = iter(names)

    async def read_in_turn() -> None:
        async with contextlib.aclosing(load.client()) as client:
            for bucket, key in turns:
                found[bucket, key] = await load.read(client, bucket, key)

    async with asyncio.TaskGroup() as group:
        for _ in range(READERS):
            group.create_task(read_in_turn())
    for (bucket, key), value in found.items():
        _judge(load, bucket, key, value)
    async with contextlib.aclosing(load.client()) as client:
        await _compare_listings(load, client, prefixes, found)
        await _check_buckets(load, client)


def _judge(load: Load, bucket: str, key: str, value: Value) -> None:
    register = load.journal.register(bucket, key)
    now = load.journal.now()
    allowed = register.allowed(now, now)
    if value not in allowed:
        load.problems.append(f"after restart {bucket}/{key} is {value}, not one of {allowed}")
    load.journal.settle(register, value)


async def _compare_listings(
    load: Load, client: CrashClient, prefixes: list[str], found: dict[tuple[str, str], Value]
) -> None:
    for bucket in BUCKETS:
        listed: dict[str, Value] = {}
        for prefix in prefixes:
            listed |= await load.listing(client, bucket, prefix)
        readable = {
            key: value
            for (name, key), value in found.items()
            if name == bucket and value is not None
        }
        if listed != readable:
            differing = sorted(listed.items() ^ readable.items(), key=str)[:6]
            load.problems.append(f"{bucket}: listing and reads differ: {differing}")


async def _check_buckets(load: Load, client: CrashClient) -> None:
    document = (await client.send("GET")).document
    listed = {entry.findtext("Name") for entry in document.findall("Buckets/Bucket")}
    if unknown := listed - {*BUCKETS, *CHURNED}:
        load.problems.append(f"buckets that nobody made: {unknown}")
    for bucket in (*BUCKETS, *CHURNED):
        try:
            await client.send("HEAD", bucket)
            value = 0
        except Refused as refusal:
            value = None
            if refusal.status != 404:
                load.problems.append(f"HEAD of bucket {bucket}: {refusal}")
        if (bucket in listed) != (value == 0):
            load.problems.append(f"bucket {bucket}: HEAD says {value}, the list disagrees")
        _judge(load, bucket, "", value)


async def _finish_uploads(load: Load, *, leave_some: bool) -> None:
    """See that uploads in progress have all their parts, by completing them."""
    async with contextlib.aclosing(load.client()) as client:
        for state in list(load.uploads):
            if leave_some and not state.wish and load.chance.random() < 0.2:
                continue
            try:
                await _finish(load, client, state)
            except Refused as refusal:
                was_done = bool(state.wish) and refusal.code == "NoSuchUpload"
                if not was_done:
                    load.problems.append(f"upload of {state.bucket}/{state.key}: {refusal}")
                load.uploads.remove(state)


async def _finish(load: Load, client: CrashClient, state: UploadState) -> None:
    if state.wish == "complete":  # asked again: the same answer, where it is still the object
        await load.complete(client, state)
    elif state.wish == "abort":
        await load.abort(client, state)
    else:
        query = {"uploadId": state.id}
        document = (await client.send("GET", state.bucket, state.key, query)).document
        etags = [entry.findtext("ETag") for entry in document.findall("Part")]
        expected = [f'"{etag}"' for etag in state.content.part_etags]
        if etags[: state.parts] != expected[: state.parts]:
            load.problems.append(f"upload of {state.bucket}/{state.key} has parts {etags}")
        finish = load.complete if len(etags) == len(expected) else load.abort
        await finish(client, state)


async def _listed_uploads(client: CrashClient, bucket: str) -> list[tuple[str, str]]:
    document = (await client.send("GET", bucket, "", {"uploads": ""})).document
    return [
        (entry.findtext("Key") or "", entry.findtext("UploadId") or "")
        for entry in document.findall("Upload")
    ]
