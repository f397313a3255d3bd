from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthkit.core.errors import StoreError
from synthkit.core.ids import digest
from synthkit.core.store import JournalKey, JournalRecord
from synthkit.store import completions as codec
from synthkit.store import journal as module
from synthkit.store.completions import Completions
from synthkit.store.journal import LanceJournal
from synthkit.store.segment import numbers
from synthkit.store.writer import Writer

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
SAMPLE = st.fixed_dictionaries(
    {
        "text": TEXT,
        "finish": st.sampled_from(["stop", "length"]),
        "reasoning": st.none() | TEXT,
        "label_logprobs": st.none() | st.dictionaries(TEXT, st.floats(-50, 0), max_size=3),
    }
)
KEYS = [JournalKey(digest(row), "step", call, 0, digest("q")) for row in range(3) for call in ("main", "other")]
RECORD = st.builds(
    JournalRecord,
    key=st.sampled_from(KEYS),
    first=st.integers(0, 3),
    samples=st.lists(SAMPLE, max_size=3).map(tuple),
    kind=st.sampled_from(["ask", "effect"]),
    model=TEXT,
    prompt_tokens=st.integers(0, 2**40),
    cached_tokens=st.integers(0, 2**40),
    completion_tokens=st.integers(0, 2**40),
    seconds=st.floats(0, 1e6),
    at=st.floats(0, 2e9),
)


async def with_journal(path: Path, use: Callable[[LanceJournal], Coroutine[Any, Any, None]]) -> None:
    writer = Writer()
    try:
        journal = LanceJournal(path, writer)
        await use(journal)
        await journal.close()
    finally:
        writer.close()


@given(RECORD)
def test_a_record_is_the_same_from_a_segment_and_from_lance(
    tmp_path_factory: pytest.TempPathFactory, record: JournalRecord
) -> None:
    assert codec.read(codec.payload(record)) == record
    completions = Completions(tmp_path_factory.mktemp("run") / "completions.lance")
    assert completions.commit([codec.payload(record)]) == 1
    assert completions.take([0]) == [record]


@given(st.lists(st.lists(RECORD, max_size=6), max_size=4), st.booleans())
def test_whatever_is_appended_is_found_through_rolls_and_restarts(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[JournalRecord]], roll: bool
) -> None:
    run = tmp_path_factory.mktemp("run")
    expected: dict[tuple[JournalKey, int], JournalRecord] = {}

    async def check(journal: LanceJournal) -> None:
        found = await asyncio.gather(*(journal.find(key) for key in KEYS))
        for key, records in zip(KEYS, found, strict=True):
            assert records == [expected[key, first] for first in range(4) if (key, first) in expected]

    async def life() -> None:
        for batch in batches:

            async def use(journal: LanceJournal, batch: list[JournalRecord] = batch) -> None:
                for record in batch:
                    journal.append(record)
                    expected.setdefault((record.key, record.first), record)
                    if roll:
                        await journal.sync()
                await check(journal)

            await with_journal(run, use)
        await with_journal(run, check)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SEGMENT_BYTES", 1)
        asyncio.run(life())
    assert numbers(run / "wal") == []


async def test_a_segment_rolls_when_it_is_large_or_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = JournalRecord(KEYS[0], 0, ({"text": "x"},))

    async def use(journal: LanceJournal) -> None:
        journal.append(record)
        await journal.sync()
        assert numbers(tmp_path / "wal") == [1] and len(journal.completions) == 0
        monkeypatch.setattr(module, "SEGMENT_SECONDS", 0.0)
        await journal.sync()
        assert numbers(tmp_path / "wal") == [] and len(journal.completions) == 1
        await journal.sync()
        journal.append(JournalRecord(KEYS[1], 0, ({"text": "y"},)))
        assert numbers(tmp_path / "wal") == [2]

    await with_journal(tmp_path, use)
    assert numbers(tmp_path / "wal") == []


async def test_a_crash_between_commit_and_delete_leaves_nothing_twice(tmp_path: Path) -> None:
    records = [JournalRecord(key, 0, ({"text": str(at)},)) for at, key in enumerate(KEYS)]

    async def use(journal: LanceJournal) -> None:
        for record in records:
            journal.append(record)
        segment = next((tmp_path / "wal").glob("*.seg"))
        kept = segment.read_bytes()
        await journal.close()
        segment.write_bytes(kept + b"\x00\x01torn")

    await with_journal(tmp_path, use)

    async def again(journal: LanceJournal) -> None:
        assert len(journal.completions) == len(records)
        assert [await journal.find(record.key) for record in records] == [
            [codec.read(codec.payload(record))] for record in records
        ]

    await with_journal(tmp_path, again)


async def test_a_segment_that_cannot_be_moved_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = JournalRecord(KEYS[0], 0, ({"text": "x"},))
    monkeypatch.setattr(module, "SEGMENT_BYTES", 1)

    async def use(journal: LanceJournal) -> None:
        journal.append(record)
        real = journal.completions.commit

        def full(records: Any) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(journal.completions, "commit", full)
        with pytest.raises(StoreError, match="the disk is full"):
            await journal.sync()
        assert len(await journal.find(record.key)) == 1
        monkeypatch.setattr(journal.completions, "commit", real)
        await journal.sync()
        assert len(journal.completions) == 1
        assert len(await journal.find(record.key)) == 1

    await with_journal(tmp_path, use)


async def test_look_ups_of_one_tick_are_one_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fill(journal: LanceJournal) -> None:
        for key in KEYS:
            journal.append(JournalRecord(key, 0, ({"text": key.call},)))

    await with_journal(tmp_path, fill)

    async def use(journal: LanceJournal) -> None:
        reads = []
        real = journal.completions.take
        monkeypatch.setattr(journal.completions, "take", lambda positions: reads.append(1) or real(positions))
        found = await asyncio.gather(*(journal.find(key) for key in KEYS))
        assert [records[0].samples[0]["text"] for records in found] == [key.call for key in KEYS]
        assert len(reads) == 1

    await with_journal(tmp_path, use)


async def test_an_error_reaches_everyone_who_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fill(journal: LanceJournal) -> None:
        journal.append(JournalRecord(KEYS[0], 0, ({"text": "x"},)))

    await with_journal(tmp_path, fill)

    async def use(journal: LanceJournal) -> None:
        def broken(positions: Any) -> Any:
            raise OSError("gone")

        monkeypatch.setattr(journal.completions, "take", broken)
        found = await asyncio.gather(*(journal.find(KEYS[0]) for _ in range(2)), return_exceptions=True)
        assert all(isinstance(each, StoreError) and "gone" in str(each) for each in found)

    await with_journal(tmp_path, use)


async def test_one_who_stops_waiting_takes_nothing_from_the_others(tmp_path: Path) -> None:
    async def fill(journal: LanceJournal) -> None:
        journal.append(JournalRecord(KEYS[0], 0, ({"text": "x"},)))

    await with_journal(tmp_path, fill)

    async def use(journal: LanceJournal) -> None:
        first, second = (asyncio.create_task(journal.find(KEYS[0])) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        assert len(await second) == 1

    await with_journal(tmp_path, use)


def test_merging_runs_keeps_every_position(tmp_path: Path) -> None:
    completions = Completions(tmp_path / "completions.lance")
    keys = [JournalKey(digest(n), "s", "main", 0, digest("q")) for n in range(200)]
    sizes = [1, 1, 2, 3, 5, 8, 40, 1, 1, 60, 78]
    at = 0
    for size in sizes:
        some = [JournalRecord(key, 0, ({"text": key.row},)) for key in keys[at : at + size]]
        assert completions.commit(map(codec.payload, some)) == size
        assert completions.commit(map(codec.payload, some)) == 0
        at += size
    found = completions.locate([bytes.fromhex(key.digest()) for key in keys])
    assert [positions for positions in found] == [[n] for n in range(at)]
    assert len(completions._runs) <= math.log2(at) + 1
    again = Completions(tmp_path / "completions.lance")
    assert again.locate([bytes.fromhex(key.digest()) for key in keys]) == found
    assert [record.samples[0]["text"] for record in again.take([7, 3, 7])] == [digest(7), digest(3), digest(7)]
