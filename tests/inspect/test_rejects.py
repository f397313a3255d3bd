"""What `synthkit rejects` shows of a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from synthkit import inspect
from synthkit.core.outcome import Outcome, Reject
from synthkit.inspect.rejects import describe_rejects
from synthkit.store.run import LanceRun
from tests.inspect.small_run import DOCS

Make = Callable[..., Path]


def test_a_row_that_failed_with_its_samples_is_told_by_them(make_run: Make) -> None:
    shown = describe_rejects(inspect.open(make_run()), step="parts", samples=9)
    of_row = [line for line in shown.splitlines() if f"row {DOCS[10]}" in line]
    assert of_row == [f"  row {DOCS[10]}, sample 1, decided by parse"]
    assert f"row {DOCS[9]}" in shown, "a row without samples is shown itself"
    counts = [line.split()[1:5:2] for line in shown.splitlines() if line.startswith("| parts")]
    assert len(counts) == 4, "all are counted"


def test_it_says_how_to_see_more(make_run: Make) -> None:
    run = inspect.open(make_run())
    assert describe_rejects(run, samples=2).endswith(
        "2 of 10 shown; --samples N shows more, --step and --reason choose"
    )
    assert "shown;" not in describe_rejects(run, step="parts", samples=9)
    assert describe_rejects(run, samples=0).endswith("+")


def test_a_reply_that_ran_in_circles_is_shown_by_its_ends(make_run: Make) -> None:
    async def change(run: LanceRun) -> None:
        raw = "begin " + "round " * 900 + "\x1b[31mend"
        reject = Reject("parts", DOCS[11], Outcome.FAILED, "truncated", sample=0, key="main", boundary="parse", raw=raw)
        await run.table("parts").write([], [reject])

    shown = describe_rejects(inspect.open(make_run(change=change)), reason="truncated")
    assert "    begin round round" in shown and "�[31mend" in shown
    assert "4,414 characters left out" in shown
    assert max(map(len, shown.splitlines())) <= 100
