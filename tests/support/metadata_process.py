"""A process of its own that works on an LMDB store: `python metadata_process.py PATH COMMAND ...`.

append COUNT    make COUNT commits, 16 at a time, printing each sequence number; then "done"
endless NAME    commit ever new keys, 8 at a time, printing each key once it is acknowledged
serve           answer lines of standard input: "get KEY" and "put KEY VALUE"
hold            take the write transaction, print "held", and never give it back
"""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path

from s3server.meta.base import Append, Put
from s3server.meta.lmdb import LmdbStore
from s3server.meta.lmdb_files import open_environment


async def append(store: LmdbStore, count: str) -> None:
    left = int(count)

    async def one_after_the_other() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            print(await store.commit([Append(b"E", b"")]), flush=True)

    await asyncio.gather(*(one_after_the_other() for _ in range(16)))
    print("done", flush=True)


async def endless(store: LmdbStore, name: str) -> None:
    async def commit_for_ever(task: int) -> None:
        number = 0
        while True:
            key = f"{name}-{task}-{number:06}"
            await store.commit([Put(key.encode(), key.encode() * 20)])
            print(key, flush=True)
            number += 1

    await asyncio.gather(*(commit_for_ever(task) for task in range(8)))


async def serve(store: LmdbStore) -> None:
    while words := (await asyncio.to_thread(sys.stdin.readline)).split():
        if words[0] == "get":
            value = await store.get(words[1].encode())
            print("absent" if value is None else value.decode(), flush=True)
        else:
            print(await store.commit([Put(words[1].encode(), words[2].encode())]), flush=True)


def hold(path: str) -> None:
    env = open_environment(Path(path), map_size=1 << 30, max_readers=126)
    with env.begin(write=True) as txn:
        txn.put(b"half", b"done")
        print("held", flush=True)
        threading.Event().wait()


async def main(path: str, command: str, *arguments: str) -> None:
    store = LmdbStore.open(path, ballast_bytes=0)
    await {"append": append, "endless": endless, "serve": serve}[command](store, *arguments)
    await store.close()


if __name__ == "__main__":
    if sys.argv[2] == "hold":
        hold(sys.argv[1])
    else:
        asyncio.run(main(*sys.argv[1:]))
