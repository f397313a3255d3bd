"""Twenty lives of a writing process, each ended by `kill -9` at a random moment: nothing acknowledged is lost."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from synthkit.inspect.ledger import account
from synthkit.store.run import open_run
from tests.store.store_child import PARTS, SOURCES, call, children

HERE = Path(__file__).parent


KILLS = 20


def live(path: Path, seed: int, seconds: float) -> list[str]:
    """One life; the clock starts at its first acknowledged write."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "store_child.py"), str(path), str(seed)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    lines = [process.stdout.readline()]
    timer = threading.Timer(seconds, process.send_signal, [signal.SIGKILL])
    timer.start()
    lines += process.stdout.readlines()
    timer.cancel()
    assert process.wait() == -signal.SIGKILL, "killed, and not ended by an error"
    return [line for line in lines if line.endswith("\n")]


@pytest.mark.slow
async def test_nothing_acknowledged_is_lost_and_nothing_is_there_twice(tmp_path: Path) -> None:
    rng = random.Random(3)
    acknowledged: dict[str, set[str]] = {"call": set(), "rows": set(), "rejects": set(), "again": set()}
    torn = 0
    for kill in range(KILLS):
        for line in live(tmp_path, kill, rng.uniform(0.02, 0.35)):
            word, *ids = line.split()
            acknowledged[word].update(ids)
        if rng.random() < 0.5:  # what a power cut may leave at the end of the open segment
            for segment in sorted((tmp_path / "wal").glob("*.seg"))[-1:]:
                segment.open("ab").write(rng.randbytes(rng.randrange(1, 40)))
                torn += 1
    began = time.monotonic()
    run = open_run(tmp_path, write=True)
    run.describe(list(run.layouts.values()))
    table = run.table("parts")
    assert time.monotonic() - began < 5
    calls = [int(number) for number in acknowledged["call"]]
    assert len(calls) > 20 and torn > 2
    for number in calls:
        (record,) = await run.journal.find(call(number))
        assert record.samples[0]["text"] == str(number)
    completions = run.completions().collect()
    assert completions.select("row", "call").n_unique() == completions.height >= len(calls)
    stored = Counter(table.ids())
    assert set(stored.values()) == {1}
    by_parent: dict[str, set[str]] = {}
    for record in run.scan("parts").collect().iter_rows(named=True):
        by_parent.setdefault(record["_parents"][0], set()).add(record["_id"])
    generations = [{row: {str(c["_id"]) for c in children(row, g)} for row in SOURCES} for g in (0, 1)]
    for parent, ids in by_parent.items():
        assert ids in (generations[0][parent], generations[1][parent]), "the children of one parent come together"
    rejected = set(run.rejects().collect()["row"])
    assert acknowledged["again"] <= by_parent.keys()
    undone = (acknowledged["rows"] | acknowledged["rejects"]) - by_parent.keys() - rejected
    assert len(undone) <= 2 * KILLS, "only rows that were being replaced when the kill came may be undone"
    assert not by_parent.keys() & rejected
    counts = account(run).counts["parts"]
    assert counts.balanced() and counts.input == len(SOURCES)
    assert counts.kept == len(by_parent) and counts.failed == len(rejected)
    assert account(run).problems == []
    assert run.layouts["parts"] == PARTS
    await run.close()
    assert not list((tmp_path / "wal").glob("*.seg"))
