"""The contract of a metadata engine: every engine runs this class with its own `store`."""

from __future__ import annotations

import asyncio

import pytest

from s3server.meta.base import (
    MAX_KEY_BYTES,
    SEQUENCE_BYTES,
    Add,
    Append,
    AtMost,
    ConflictError,
    CorruptRecordError,
    Delete,
    Empty,
    Get,
    InlineStore,
    MetadataStore,
    Put,
    Unchanged,
    after_prefix,
    decode_counter,
)

KEYS = [b"a", b"a\x00", b"a\x00b", b"aa", b"b", b"b\x7f", b"b\x80", b"b\xff\xff", "ü".encode()]
EVERYTHING = (b"", b"\xff" * 2_000)


async def fill(store: MetadataStore, keys: list[bytes]) -> None:
    await store.commit([Put(key, b"value of " + key) for key in keys])


async def keys_of(store: MetadataStore, **options: bool) -> list[bytes]:
    return [key for key, _ in await store.scan(*EVERYTHING, limit=10_000, **options)]


class MetadataStoreContract:
    """Subclasses define the fixture `store`: an empty engine."""

    # --- values -----------------------------------------------------------------------------

    async def test_absent_key_reads_as_none(self, store: MetadataStore) -> None:
        assert None is await store.get(b"nothing")

    async def test_put_value_is_read_back(self, store: MetadataStore) -> None:
        await store.commit([Put(b"k", b"one")])
        assert b"one" == await store.get(b"k")

    async def test_look_sees_one_snapshot(self, store: InlineStore) -> None:
        await fill(store, [b"a", b"b"])
        found = store.look(lambda often, get: [often(b"a"), get(b"b"), often(b"c"), get(b"c")])
        assert await store.get_many([b"a", b"b", b"c", b"c"]) == found

    async def test_what_a_look_raises_is_passed_on(self, store: InlineStore) -> None:
        def read(often: Get, get: Get) -> None:
            raise LookupError

        with pytest.raises(LookupError):
            store.look(read)
        assert None is store.look(lambda _, get: get(b"k"))

    async def test_put_replaces(self, store: MetadataStore) -> None:
        await store.commit([Put(b"k", b"one")])
        await store.commit([Put(b"k", b"two")])
        assert [(b"k", b"two")] == await store.scan(*EVERYTHING, limit=10)

    async def test_delete_removes_key_from_get_and_scan(self, store: MetadataStore) -> None:
        await fill(store, [b"a", b"b", b"c"])
        await store.commit([Delete(b"b")])
        assert None is await store.get(b"b")
        assert [b"a", b"c"] == await keys_of(store)

    async def test_delete_of_absent_key_succeeds(self, store: MetadataStore) -> None:
        await fill(store, [b"a"])
        await store.commit([Delete(b"b")])
        assert [b"a"] == await keys_of(store)

    async def test_writes_apply_in_order(self, store: MetadataStore) -> None:
        await store.commit([Put(b"a", b"1"), Delete(b"a"), Put(b"b", b"1"), Put(b"b", b"2")])
        assert [(b"b", b"2")] == await store.scan(*EVERYTHING, limit=10)

    @pytest.mark.parametrize("size", [0, 1, 4_095, 1 << 20])
    async def test_value_of_any_size_is_read_back(self, store: MetadataStore, size: int) -> None:
        value = bytes(index % 251 for index in range(size))
        await store.commit([Put(b"k", value)])
        assert value == await store.get(b"k")
        assert [(b"k", value)] == await store.scan(b"k", b"l", limit=1)

    @pytest.mark.parametrize("size", [1, 511, 512, 1_033, MAX_KEY_BYTES])
    async def test_long_keys_that_differ_in_last_byte_stay_apart(
        self, store: MetadataStore, size: int
    ) -> None:
        first, second = b"k" * (size - 1) + b"1", b"k" * (size - 1) + b"2"
        await store.commit([Put(first, b"one"), Put(second, b"two")])
        assert [b"one", b"two"] == await store.get_many([first, second])
        assert [first, second] == await keys_of(store)
        await store.commit([Delete(first)], [Unchanged(first, b"one")])
        assert [second] == await keys_of(store)

    @pytest.mark.parametrize(
        "write",
        [
            Put(b"k" * (MAX_KEY_BYTES + 1), b""),
            Delete(b"k" * (MAX_KEY_BYTES + 1)),
            Add(b"k" * (MAX_KEY_BYTES + 1), 1),
            Append(b"k" * (MAX_KEY_BYTES - SEQUENCE_BYTES + 1), b""),
            Put(b"", b""),
            Delete(b""),
            Add(b"", 1),
        ],
    )
    async def test_key_out_of_bounds_is_refused_whole(
        self, store: MetadataStore, write: Put | Delete | Add | Append
    ) -> None:
        with pytest.raises(ValueError, match="bytes"):
            await store.commit([Put(b"other", b"1"), write])
        assert [] == await keys_of(store)

    @pytest.mark.parametrize("key", [b"", b"k" * (MAX_KEY_BYTES + 1)])
    async def test_reading_or_checking_key_out_of_bounds_is_refused(
        self, store: MetadataStore, key: bytes
    ) -> None:
        with pytest.raises(ValueError, match="bytes"):
            await store.get(key)
        with pytest.raises(ValueError, match="bytes"):
            await store.get_many([b"k", key])
        with pytest.raises(ValueError, match="bytes"):
            await store.commit([], [Unchanged(key, None)])

    async def test_longest_prefix_can_be_appended_under(self, store: MetadataStore) -> None:
        prefix = b"p" * (MAX_KEY_BYTES - SEQUENCE_BYTES)
        await store.commit([Append(prefix, b"value")])
        rows = await store.scan(prefix, after_prefix(prefix), limit=2)
        assert [(MAX_KEY_BYTES, b"value")] == [(len(key), value) for key, value in rows]

    # --- get_many -----------------------------------------------------------------------------

    async def test_get_many_keeps_order_repeats_and_gaps(self, store: MetadataStore) -> None:
        await store.commit([Put(b"a", b"1"), Put(b"b", b"2")])
        assert [b"2", None, b"1", b"2"] == await store.get_many([b"b", b"x", b"a", b"b"])

    async def test_get_many_of_nothing_is_empty(self, store: MetadataStore) -> None:
        assert [] == await store.get_many([])

    async def test_get_many_never_sees_half_a_commit(self, store: MetadataStore) -> None:
        await store.commit([Put(b"a", b"0"), Put(b"z", b"0")])

        async def write() -> None:
            for number in range(1, 60):
                value = b"%d" % number
                await store.commit([Put(b"a", value), Put(b"z", value)])

        writer = asyncio.create_task(write())
        seen = set()
        while not writer.done():
            seen.add(tuple(await store.get_many([b"a", b"z"])))
            await asyncio.sleep(0)
        await writer
        assert set() == {pair for pair in seen if pair[0] != pair[1]}
        assert len(seen) > 1

    # --- scan ---------------------------------------------------------------------------------

    async def test_scan_is_in_byte_order(self, store: MetadataStore) -> None:
        await fill(store, KEYS[::-1])
        assert sorted(KEYS) == await keys_of(store)

    async def test_reverse_scan_is_in_opposite_order(self, store: MetadataStore) -> None:
        await fill(store, KEYS)
        assert sorted(KEYS, reverse=True) == await keys_of(store, reverse=True)

    async def test_scan_returns_values(self, store: MetadataStore) -> None:
        await fill(store, [b"a", b"b"])
        expected = [(b"a", b"value of a"), (b"b", b"value of b")]
        assert expected == await store.scan(b"a", b"c", limit=5)
        assert expected[::-1] == await store.scan(b"a", b"c", limit=5, reverse=True)

    @pytest.mark.parametrize(
        ("start", "stop", "expected"),
        [
            (b"b", b"d", [b"b", b"c"]),  # start is in, stop is out
            (b"b\x00", b"c\x00", [b"c"]),
            (b"", b"b", [b"a"]),
            (b"d", b"\xff", [b"d"]),
            (b"e", b"\xff", []),
            (b"", b"a", []),
            (b"b", b"b", []),
            (b"d", b"a", []),
            (b"", b"", []),
            (b"b" * 3_000, b"c" * 3_000, [b"c"]),
        ],
    )
    async def test_scan_is_half_open_both_ways(
        self, store: MetadataStore, start: bytes, stop: bytes, expected: list[bytes]
    ) -> None:
        await fill(store, [b"a", b"b", b"c", b"d"])
        forwards = await store.scan(start, stop, limit=10)
        backwards = await store.scan(start, stop, limit=10, reverse=True)
        assert expected == [key for key, _ in forwards]
        assert expected[::-1] == [key for key, _ in backwards]

    async def test_scan_limit_keeps_the_rows_it_meets_first(self, store: MetadataStore) -> None:
        await fill(store, [b"a", b"b", b"c", b"d"])
        forwards = await store.scan(b"b", b"z", limit=2)
        backwards = await store.scan(b"a", b"d", limit=2, reverse=True)
        assert [b"b", b"c"] == [key for key, _ in forwards]
        assert [b"c", b"b"] == [key for key, _ in backwards]
        assert [] == await store.scan(b"a", b"z", limit=0)
        assert [] == await store.scan(b"a", b"z", limit=0, reverse=True)

    async def test_scan_of_empty_store_is_empty(self, store: MetadataStore) -> None:
        assert [] == await store.scan(*EVERYTHING, limit=5)
        assert [] == await store.scan(*EVERYTHING, limit=5, reverse=True)

    async def test_scan_pages_through_thousands_of_rows(self, store: MetadataStore) -> None:
        keys = [b"k%05d" % number for number in range(2_500)]
        await fill(store, keys)
        found: list[bytes] = []
        start = b"k"
        while page := await store.scan(start, b"l", limit=1_000):
            found += [key for key, _ in page]
            start = found[-1] + b"\0"
        assert keys == found

    async def test_scan_many_returns_what_scans_of_each_range_do(
        self, store: MetadataStore
    ) -> None:
        await fill(store, [b"a", b"b", b"c", b"d"])
        ranges = [(b"b", b"d"), (b"", b"z"), (b"d", b"a"), (b"x", b"z"), (b"b", b"d")]
        for limit in (0, 1, 10):
            expected = [await store.scan(*bounds, limit=limit) for bounds in ranges]
            assert expected == await store.scan_many(ranges, limit=limit)
        assert [] == await store.scan_many([], limit=1)

    async def test_scan_many_never_sees_half_a_commit(self, store: MetadataStore) -> None:
        await store.commit([Put(b"a", b"")])

        async def move() -> None:
            for number in range(60):
                here, there = (b"a", b"z") if number % 2 == 0 else (b"z", b"a")
                await store.commit([Delete(here), Put(there, b"")])

        mover = asyncio.create_task(move())
        seen = set()
        while not mover.done():
            found = await store.scan_many([(b"a", b"b"), (b"z", b"zz")], limit=2)
            seen.add(b"".join(key for rows in found for key, _ in rows))
            await asyncio.sleep(0)
        await mover
        assert seen == {b"a", b"z"}

    # --- checks -------------------------------------------------------------------------------

    async def test_unchanged_holds_for_same_value(self, store: MetadataStore) -> None:
        await store.commit([Put(b"k", b"1")])
        await store.commit([Put(b"k", b"2")], [Unchanged(b"k", b"1")])
        assert b"2" == await store.get(b"k")

    @pytest.mark.parametrize("expected", [b"0", b"", None])
    async def test_unchanged_refuses_other_value(
        self, store: MetadataStore, expected: bytes | None
    ) -> None:
        await store.commit([Put(b"k", b"1")])
        check = Unchanged(b"k", expected)
        with pytest.raises(ConflictError) as caught:
            await store.commit([Put(b"k", b"2")], [check])
        assert (check,) == caught.value.args
        assert b"1" == await store.get(b"k")

    async def test_absence_differs_from_empty_value(self, store: MetadataStore) -> None:
        await store.commit([Put(b"k", b"")], [Unchanged(b"k", None)])
        with pytest.raises(ConflictError):
            await store.commit([], [Unchanged(b"k", None)])
        await store.commit([Delete(b"k")], [Unchanged(b"k", b"")])
        with pytest.raises(ConflictError):
            await store.commit([], [Unchanged(b"k", b"")])

    @pytest.mark.parametrize(
        ("start", "stop", "holds"),
        [
            (b"a", b"m", True),
            (b"m", b"m\x00", False),
            (b"l", b"m", True),
            (b"m\x00", b"z", True),
            (b"a", b"z", False),
            (b"", b"\xff", False),
            (b"z", b"a", True),
        ],
    )
    async def test_empty_is_half_open(
        self, store: MetadataStore, start: bytes, stop: bytes, holds: bool
    ) -> None:
        await store.commit([Put(b"m", b"")])
        if holds:
            await store.commit([Put(b"done", b"")], [Empty(start, stop)])
        else:
            with pytest.raises(ConflictError):
                await store.commit([Put(b"done", b"")], [Empty(start, stop)])
        assert (b"" if holds else None) == await store.get(b"done")

    async def test_conflict_leaves_nothing_of_the_commit(self, store: MetadataStore) -> None:
        await store.commit([Put(b"a", b"1"), Add(b"n", 5)])
        before = await store.scan(*EVERYTHING, limit=10)
        writes = [Put(b"a", b"2"), Delete(b"a"), Add(b"n", 1), Append(b"e", b"x"), Put(b"z", b"")]
        with pytest.raises(ConflictError):
            await store.commit(writes, [Unchanged(b"a", b"1"), Unchanged(b"n", None)])
        assert before == await store.scan(*EVERYTHING, limit=10)

    async def test_checks_are_verified_before_own_writes(self, store: MetadataStore) -> None:
        await store.commit([Put(b"k", b"1")], [Unchanged(b"k", None), Empty(b"k", b"l")])
        assert b"1" == await store.get(b"k")

    async def test_commit_may_only_check(self, store: MetadataStore) -> None:
        first = await store.commit([], [Unchanged(b"k", None)])
        assert first < await store.commit([])
        assert [] == await keys_of(store)

    # --- counters and appended rows -------------------------------------------------------------

    async def test_add_starts_at_zero_and_stays_when_it_returns(self, store: MetadataStore) -> None:
        await store.commit([Add(b"n", 7)])
        assert 7 == decode_counter(await store.get(b"n"))
        await store.commit([Add(b"n", -9)])
        assert -2 == decode_counter(await store.get(b"n"))
        await store.commit([Add(b"n", 2)])
        assert bytes(8) == await store.get(b"n")

    async def test_adds_of_one_commit_accumulate(self, store: MetadataStore) -> None:
        await store.commit([Add(b"n", 1), Add(b"n", 2), Delete(b"m"), Add(b"m", 3)])
        assert 3 == decode_counter(await store.get(b"n"))
        assert 3 == decode_counter(await store.get(b"m"))

    async def test_add_after_delete_in_one_commit_starts_at_zero(
        self, store: MetadataStore
    ) -> None:
        await store.commit([Add(b"n", 40)])
        await store.commit([Delete(b"n"), Add(b"n", 2)])
        assert 2 == decode_counter(await store.get(b"n"))

    @pytest.mark.parametrize(("stored", "delta"), [(b"text", 1), (b"\x7f" + b"\xff" * 7, 1)])
    async def test_add_to_no_counter_fails_alone(
        self, store: MetadataStore, stored: bytes, delta: int
    ) -> None:
        await store.commit([Put(b"k", stored)])
        outcomes = await asyncio.gather(
            store.commit([Put(b"before", b"")]),
            store.commit([Put(b"beside", b""), Add(b"k", delta)]),
            store.commit([Put(b"later", b"")]),
            return_exceptions=True,
        )
        assert [int, CorruptRecordError, int] == [type(outcome) for outcome in outcomes]
        assert [b"before", b"k", b"later"] == await keys_of(store)
        assert stored == await store.get(b"k")

    async def test_concurrent_adds_are_all_counted(self, store: MetadataStore) -> None:
        await asyncio.gather(*(store.commit([Add(b"n", number)]) for number in range(64)))
        assert sum(range(64)) == decode_counter(await store.get(b"n"))

    async def test_appended_rows_are_in_commit_order(self, store: MetadataStore) -> None:
        async def append(name: bytes) -> tuple[int, bytes]:
            return await store.commit([Append(b"E", name + b"1"), Append(b"E", name + b"2")]), name

        commits = await asyncio.gather(*(append(b"%d-" % number) for number in range(64)))
        expected = [name + place for _, name in sorted(commits) for place in (b"1", b"2")]
        rows = await store.scan(b"E", b"F", limit=1_000)
        assert expected == [value for _, value in rows]

    async def test_key_of_appended_row_is_prefix_sequence_ordinal(
        self, store: MetadataStore
    ) -> None:
        sequence = await store.commit([Append(b"G", b"1"), Put(b"x", b""), Append(b"E", b"2")])
        place = sequence.to_bytes(8, "big")
        expected = [b"E" + place + b"\0\0\0\1", b"G" + place + b"\0\0\0\0", b"x"]
        assert expected == await keys_of(store)

    # --- order and concurrency ------------------------------------------------------------------

    async def test_sequence_rises_by_one_with_each_commit(self, store: MetadataStore) -> None:
        first = await store.commit([Put(b"k", b"")])
        with pytest.raises(ConflictError):
            await store.commit([], [Unchanged(b"k", None)])
        commits = [store.commit([Put(b"%d" % number, b"")]) for number in range(64)]
        numbers = await asyncio.gather(*commits)
        assert list(range(first + 1, first + 65)) == sorted(numbers)
        assert first + 65 == await store.commit([])

    async def test_check_sees_commit_queued_before_it(self, store: MetadataStore) -> None:
        commits = [
            store.commit([Put(b"chain", b"%d" % (number + 1))], [Unchanged(b"chain", expected)])
            for number, expected in enumerate([None, *(b"%d" % n for n in range(1, 40))])
        ]
        await asyncio.gather(*commits)
        assert b"40" == await store.get(b"chain")

    async def test_empty_sees_rows_queued_before_it(self, store: MetadataStore) -> None:
        await store.commit([Put(b"bucket/a", b"")])
        outcomes = await asyncio.gather(
            store.commit([Delete(b"bucket/a")]),
            store.commit([Put(b"checked", b"")], [Empty(b"bucket/", b"bucket0")]),
            store.commit([Put(b"bucket/b", b"")]),
            store.commit([Delete(b"checked")], [Empty(b"bucket/", b"bucket0")]),
            return_exceptions=True,
        )
        assert [int, int, int, ConflictError] == [type(outcome) for outcome in outcomes]
        assert [b"bucket/b", b"checked"] == await keys_of(store)

    async def test_one_of_64_creators_wins(self, store: MetadataStore) -> None:
        outcomes = await asyncio.gather(
            *(
                store.commit([Put(b"k", b"%d" % number)], [Unchanged(b"k", None)])
                for number in range(64)
            ),
            return_exceptions=True,
        )
        winners = [number for number, found in enumerate(outcomes) if isinstance(found, int)]
        assert 63 == sum(isinstance(outcome, ConflictError) for outcome in outcomes)
        assert [b"%d" % number for number in winners] == [await store.get(b"k")]

    async def test_cancelled_caller_leaves_the_others_alone(self, store: MetadataStore) -> None:
        tasks = [asyncio.create_task(store.commit([Add(b"n", 1)])) for _ in range(9)]
        await asyncio.sleep(0)
        tasks[4].cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert 8 == len({outcome for outcome in outcomes if isinstance(outcome, int)})
        assert decode_counter(await store.get(b"n")) in {8, 9}

    # --- limits -----------------------------------------------------------------------------

    async def test_counter_is_filled_to_its_limit_and_no_further(
        self, store: MetadataStore
    ) -> None:
        limit = AtMost((b"n",), 10)
        await store.commit([Add(b"n", 4)], [limit])
        await store.commit([Add(b"n", 6)], [limit])
        with pytest.raises(ConflictError) as refused:
            await store.commit([Add(b"n", 1), Put(b"k", b"")], [limit])
        assert limit == refused.value.args[0]
        assert [10, None] == [decode_counter(await store.get(b"n")), await store.get(b"k")]

    async def test_limit_is_on_the_sum_after_all_writes(self, store: MetadataStore) -> None:
        limit = AtMost((b"a", b"b", b"absent"), 10)
        await store.commit([Add(b"a", 9)], [limit])
        await store.commit([Add(b"b", 9), Add(b"a", -8)], [limit])
        with pytest.raises(ConflictError):
            await store.commit([Add(b"a", 1)], [limit])
        await store.commit([Add(b"a", 1), Delete(b"b")], [limit])
        assert 2 == decode_counter(await store.get(b"a"))

    async def test_what_changed_is_told_before_a_limit(self, store: MetadataStore) -> None:
        changed = Unchanged(b"k", b"other")
        with pytest.raises(ConflictError) as refused:
            await store.commit([Add(b"n", 2)], [AtMost((b"n",), 1), changed])
        assert changed == refused.value.args[0]

    async def test_limit_holds_for_commits_that_wait_together(self, store: MetadataStore) -> None:
        limit = AtMost((b"n",), 100)
        outcomes = await asyncio.gather(
            *(store.commit([Add(b"n", 7)], [limit]) for _ in range(64)), return_exceptions=True
        )
        refused = [outcome for outcome in outcomes if isinstance(outcome, ConflictError)]
        assert [98, 50] == [decode_counter(await store.get(b"n")), len(refused)]

    async def test_limit_on_what_is_no_counter_is_corruption(self, store: MetadataStore) -> None:
        await store.commit([Put(b"n", b"no counter")])
        with pytest.raises(CorruptRecordError):
            await store.commit([Put(b"k", b"")], [AtMost((b"n",), 1)])
        assert await store.get(b"k") is None
