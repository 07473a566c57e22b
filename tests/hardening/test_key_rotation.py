"""Rotation of the key ring: what is wrapped anew; that nothing needs older keys then."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable

from s3server.core.keys import KeyRing
from s3server.core.rewrap import ROWS_PER_STEP, Rewrap
from s3server.meta.base import Check, Write
from tests.ops.test_encryption import SSE, customer
from tests.support.served import Store
from tests.support.uploads import begin, complete, send_part


async def rewrap(store: Store) -> tuple[int, int]:
    run, keys, lost = Rewrap(store.meta, KeyRing(store.keys)), 0, 0
    while True:
        step = await run.step()
        keys, lost = keys + step.keys, lost + step.lost
        if not step.has_more:
            return keys, lost


def forget_old_keys(store: Store) -> None:
    store.keys.write_text(store.keys.read_text().split()[-1] + "\n")


async def test_old_key_can_go_once_all_is_wrapped_by_the_new_one(data: Store) -> None:
    safe, client = data, data.alice.changed(scheme="https")
    enable = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    md5 = {"content-md5": base64.b64encode(hashlib.md5(enable).digest()).decode()}
    await client.made("/data?versioning", body=enable, headers=md5)
    older = await client("PUT", "/data/key", body=b"first", headers=SSE)
    await client.made("/data/key", body=b"second", headers=SSE)
    await client.made("/data/plain", body=b"plain")
    await client.made("/data/own", body=b"own", headers=customer())
    upload = await begin(client, "/data/parts", SSE)
    part = await send_part(client, "/data/parts", upload, 1, b"part")
    blobs = dict(safe.pool._blobs)
    KeyRing(safe.keys).rotate()

    assert await rewrap(safe) == (3, 0)
    assert await rewrap(safe) == (0, 0)
    forget_old_keys(safe)
    version = older.header("x-amz-version-id")
    assert (await client("GET", f"/data/key?versionId={version}")).body == b"first"
    assert (await client("GET", "/data/key")).body == b"second"
    assert (await client("GET", "/data/plain")).body == b"plain"
    assert (await client("GET", "/data/own", headers=customer())).body == b"own"
    assert (await complete(client, "/data/parts", upload, [part])).status == 200
    assert (await client("GET", "/data/parts")).body == b"part"
    assert safe.pool._blobs == blobs  # not a byte was written


async def test_interrupted_run_is_begun_again(data: Store) -> None:
    count = ROWS_PER_STEP + 10
    for number in range(count):
        await data.alice.made(f"/data/{number:04}", body=b"x", headers=SSE)
    KeyRing(data.keys).rotate()
    run = Rewrap(data.meta, KeyRing(data.keys))
    assert (await run.step()).keys == 0  # uploads, of which there are none
    assert (await run.step()).keys == ROWS_PER_STEP
    assert await rewrap(data) == (10, 0)


async def test_object_that_is_replaced_meanwhile_stays_the_new_one(data: Store) -> None:
    await data.alice.made("/data/key", body=b"old", headers=SSE)
    KeyRing(data.keys).rotate()
    commit: Callable[..., Awaitable[int]] = data.meta.commit
    raced = False

    async def race(writes: list[Write], checks: list[Check]) -> int:
        nonlocal raced
        if not raced:
            raced = True
            await data.alice.made("/data/key", body=b"new", headers=SSE)
        return await commit(writes, checks)

    data.meta.commit = race  # type: ignore[method-assign,assignment]
    assert await rewrap(data) == (0, 0)
    assert (await data.alice("GET", "/data/key")).body == b"new"


async def test_keys_that_are_lost_are_counted_and_left(data: Store) -> None:
    await data.alice.made("/data/lost", body=b"x", headers=SSE)
    KeyRing(data.keys).rotate()
    forget_old_keys(data)
    await data.alice.made("/data/new", body=b"x", headers=SSE)
    KeyRing(data.keys).rotate()
    assert await rewrap(data) == (1, 1)
