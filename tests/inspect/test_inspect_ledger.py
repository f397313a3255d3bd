from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthkit import inspect
from synthkit.core.errors import StoreError
from synthkit.core.ids import digest, mint
from synthkit.core.outcome import Outcome, Reject
from synthkit.core.store import JournalKey, JournalRecord, StepCounts, StepLayout
from synthkit.inspect.ledger import account
from synthkit.store.run import LanceRun, open_run
from tests.inspect.small_run import DOCS, PARTS

Make = Callable[..., Path]


def test_every_row_and_every_sample_is_counted_once(make_run: Make) -> None:
    run = inspect.open(make_run())
    found = run.ledger()
    assert list(found) == ["docs", "parts", "judged"], "an alias has no ledger of its own"
    assert found["docs"] == StepCounts(input=12, kept=12, output=12)
    assert found["parts"] == StepCounts(
        input=12,
        kept=9,
        filtered=1,
        failed=1,
        pending=1,
        output=27,
        asked=22,
        accepted=20,
        rejected=2,
        reasons={"not long": 1, "not parsed": 1},
    )
    assert found["judged"] == StepCounts(input=27, kept=20, filtered=7, output=20, reasons={"not good": 7})
    assert all(counts.balanced() for counts in found.values())
    assert list(run.ledger("judged")) == ["judged"]
    with pytest.raises(StoreError, match="no step 'jugded'"):
        run.ledger("jugded")
    assert account(run.store).problems == []


def test_a_row_in_two_places_is_an_imbalance_and_named(make_run: Make) -> None:
    async def change(run: LanceRun) -> None:
        await run.table("judged").write([], [Reject("judged", PARTS[0], Outcome.FAILED, "x")])

    run = inspect.open(make_run(change=change))
    assert not run.ledger()["judged"].balanced()
    assert f"judged: 1 input rows are kept and rejected at once: {PARTS[0]}" in account(run.store).problems


def test_children_of_rows_that_are_gone_and_ids_that_stand_twice(make_run: Make) -> None:
    async def change(run: LanceRun) -> None:
        await run.table("docs").write([], [], DOCS[:2])
        again = [{"_id": PARTS[6], "_parents": [PARTS[6]], "_in": digest(1), "score": 1}]
        await run.table("judged").write(again, [])

    problems = account(inspect.open(make_run(change=change)).store, "parts", "judged").problems
    assert f"parts: rows of 2 parents that are gone: {', '.join(sorted(DOCS[:2]))}" in problems
    assert f"judged: 1 ids stand more than once: {PARTS[6]}" in problems


def test_rejects_of_rows_that_left_the_input_do_not_count(make_run: Make) -> None:
    async def change(run: LanceRun) -> None:
        await run.table("docs").write([], [], [DOCS[9], DOCS[10]])

    counts = inspect.open(make_run(change=change)).ledger()["parts"]
    assert (counts.input, counts.kept, counts.filtered, counts.failed, counts.pending) == (10, 9, 0, 0, 1)
    assert (counts.asked, counts.accepted, counts.rejected) == (18, 17, 1)


def test_a_retried_row_counts_by_its_newest_attempt_and_refused_requests_were_asked(make_run: Make) -> None:
    async def change(run: LanceRun) -> None:
        key = JournalKey(DOCS[10], "parts", "main", 1, digest("prompt"))
        run.retry("parts", {DOCS[10]: {}})
        run.journal.append(JournalRecord(key, 0, ({"text": "better"},), at=3.0))
        refused = Reject("parts", DOCS[11], Outcome.FAILED, "too long", sample=0, key="main", boundary="engine")
        await run.table("parts").write([], [refused])

    counts = inspect.open(make_run(change=change)).ledger()["parts"]
    assert (counts.asked, counts.accepted, counts.rejected) == (22, 20, 2)
    assert (counts.failed, counts.pending) == (0, 2)


def test_a_union_and_a_group_balance(tmp_path: Path) -> None:
    rows = [mint("", "a", n) for n in range(6)]

    async def work() -> dict[str, StepCounts]:
        run = open_run(tmp_path / "run", write=True)
        run.describe(
            [
                StepLayout("a", digest("a"), {}),
                StepLayout("b", digest("b"), {}, ("a",), keeps_id=True),
                StepLayout("c", digest("c"), {}, ("a",), keeps_id=True),
                StepLayout("u", digest("u"), {}, ("b", "c"), union=True),
                StepLayout("g", digest("g"), {}, ("u", "a"), carries=False),
            ]
        )
        await run.table("a").write([{"_id": row, "_parents": []} for row in rows], [])
        for step, some in (("b", rows[:4]), ("c", rows[2:])):
            rejects = [Reject(step, row, Outcome.FILTERED, "no") for row in rows if row not in some]
            await run.table(step).write([{"_id": row, "_parents": [row]} for row in some], rejects)
        union = [
            {"_id": mint(row, "u", branch), "_parents": [row], "_branch": branch}
            for branch, some in (("b", rows[:4]), ("c", rows[2:]))
            for row in some
        ]
        await run.table("u").write(union, [])
        groups = [{"_id": mint("", "g", n), "_parents": [row["_id"] for row in union[n::2]]} for n in range(2)]
        await run.table("g").write(groups, [])
        found = account(run).counts
        assert account(run).problems == []
        await run.close()
        return found

    found = asyncio.run(work())
    assert (found["u"].input, found["u"].kept, found["u"].output) == (8, 8, 8)
    assert (found["g"].input, found["g"].kept, found["g"].output) == (8, 8, 2)


FATES = st.lists(st.sampled_from([*Outcome, None]), max_size=8)


@settings(max_examples=15)
@given(FATES)
def test_the_ledger_equals_what_was_done(tmp_path_factory: pytest.TempPathFactory, fates: list[Outcome | None]) -> None:
    rows = [mint("", "a", n) for n in range(len(fates))]

    async def work() -> StepCounts:
        run = open_run(tmp_path_factory.mktemp("run"), write=True)
        run.describe([StepLayout("a", digest("a"), {}), StepLayout("b", digest("b"), {}, ("a",))])
        await run.table("a").write([{"_id": row, "_parents": []} for row in rows], [])
        kept = [row for row, fate in zip(rows, fates, strict=True) if fate is Outcome.KEPT]
        rejects = [
            Reject("b", row, fate, fate.value)
            for row, fate in zip(rows, fates, strict=True)
            if fate not in (None, Outcome.KEPT)
        ]
        children = [{"_id": mint(row, "b", n), "_parents": [row]} for row in kept for n in range(2)]
        await run.table("b").write(children, rejects)
        counts = account(run).counts["b"]
        await run.close()
        return counts

    counts = asyncio.run(work())
    assert counts.balanced()
    assert counts.output == 2 * counts.kept
    for outcome in (Outcome.KEPT, Outcome.FILTERED, Outcome.DUPLICATE, Outcome.FAILED, Outcome.UNUSED):
        assert getattr(counts, outcome.value) == fates.count(outcome)
    assert counts.pending == fates.count(None) + fates.count(Outcome.PENDING)
