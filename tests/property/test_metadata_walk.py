"""A random walk over each engine beside a plain dict, checked after every commit.

Keys and values are few and short, so that commits meet each other; the rest is chance.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3server.meta.base import (
    Add,
    Append,
    Check,
    ConflictError,
    CorruptRecordError,
    Delete,
    Empty,
    MetadataStore,
    Put,
    Unchanged,
    Write,
    decode_counter,
    encode_counter,
    sequence_suffix,
)
from s3server.meta.lmdb import LmdbStore
from s3server.meta.memory import MemoryStore

keys = st.sampled_from([b"a", b"a\0", b"ab", b"b", b"\xff", b"\xff\xff", b"n" * 1_033])
counters = st.sampled_from([b"n", b"n1"])
values = st.sampled_from([b"", b"1", b"2", b"v" * 5_000])
writes = st.lists(
    st.one_of(
        st.builds(Put, keys, values),
        st.builds(Delete, st.one_of(keys, counters)),
        st.builds(Add, st.one_of(counters, counters, keys), st.integers(-3, 3)),
        st.builds(Append, keys, values),
    ),
    max_size=5,
)
checks = st.lists(
    st.one_of(st.builds(Unchanged, keys, st.none() | values), st.builds(Empty, keys, keys)),
    max_size=2,
)
batches = st.lists(st.lists(st.tuples(writes, checks), min_size=1, max_size=4), max_size=6)
Outcome = int | type[BaseException]


class Model:
    """The ordered map as a dict: written as plainly as can be."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.sequence = 0

    def commit(self, writes: Sequence[Write], checks: Sequence[Check]) -> Outcome:
        if not all(self.holds(check) for check in checks):
            return ConflictError
        rows = dict(self.rows)
        ordinal = 0
        for write in writes:
            match write:
                case Put(key, value):
                    rows[key] = value
                case Delete(key):
                    rows.pop(key, None)
                case Add(key, delta):
                    if key in rows and len(rows[key]) != 8:
                        return CorruptRecordError
                    rows[key] = encode_counter(decode_counter(rows.get(key)) + delta)
                case Append(prefix, value):
                    rows[prefix + sequence_suffix(self.sequence + 1, ordinal)] = value
                    ordinal += 1
        self.rows = rows
        self.sequence += 1
        return self.sequence

    def holds(self, check: Check) -> bool:
        if isinstance(check, Unchanged):
            return self.rows.get(check.key) == check.value
        return not [key for key in self.rows if check.start <= key < check.stop]


async def walk(store: MetadataStore, batches: list[list[tuple[list[Write], list[Check]]]]) -> None:
    model = Model()
    for batch in batches:
        expected = [model.commit(*commit) for commit in batch]
        found = await asyncio.gather(
            *(store.commit(*commit) for commit in batch), return_exceptions=True
        )
        assert expected == [
            type(outcome) if isinstance(outcome, BaseException) else outcome for outcome in found
        ]
        rows = sorted(model.rows.items())
        assert rows == await store.scan(b"", b"\xff" * 40, limit=1_000)
        assert rows[::-1] == await store.scan(b"", b"\xff" * 40, limit=1_000, reverse=True)
        bounds = [(start, stop) for start, _ in rows for stop, _ in rows]
        for start, stop in bounds[:30]:
            inside = [row for row in rows if start <= row[0] < stop]
            assert inside[:2] == await store.scan(start, stop, limit=2)
            assert inside[::-1][:2] == await store.scan(start, stop, limit=2, reverse=True)
        names = [key for key, _ in rows] + [b"absent"]
        assert [model.rows.get(name) for name in names] == await store.get_many(names)
    await store.close()


@pytest.mark.parametrize("engine", ["memory", "lmdb"])
@settings(max_examples=60, deadline=None, derandomize=True)
@given(batches=batches)
def test_engine_follows_the_model(
    engine: str, batches: list[list[tuple[list[Write], list[Check]]]]
) -> None:
    async def run() -> None:
        if engine == "memory":
            await walk(MemoryStore(), batches)
        else:
            with tempfile.TemporaryDirectory() as directory:
                await walk(LmdbStore.open(f"{directory}/meta", ballast_bytes=0), batches)

    asyncio.run(run())
