"""Short runs under random faults, stops and windows: none hangs, and a healthy run comes to the same tables."""

from __future__ import annotations

import asyncio
import errno
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from synthkit import api
from synthkit.core.errors import SynthkitError
from synthkit.execute import commit, quota
from synthkit.execute.control import Stopped
from synthkit.execute.options import RunOptions
from synthkit.store import journal
from synthkit.store.completions import Completions
from synthkit.store.dataset import Dataset
from synthkit.store.segment import Segment
from synthkit.store.snapshot import LanceSnapshot
from tests.execute.bench import Bench, documents
from tests.execute.test_quotas import QUOTAS, STEPS, TWO_GATES, every_step

RUNS = 200
AGAIN = 4
"""Faulty runs of one directory, before a healthy one."""
SECONDS, BUSY = 30, 0.1
"""A run hangs that uses less than so much of a processor in so many seconds: no machine is too busy to tell."""

LOOPS: list[asyncio.AbstractEventLoop] = []
"""That of the newest run."""


class Panic(BaseException):
    """What a panic in native code looks like from Python: no Exception."""


class Chaos:
    """A progress display that only asks for a stop, at a random moment."""

    def __init__(self, after: float | None) -> None:
        self.after = after

    async def __aenter__(self) -> Chaos:
        return self

    async def __aexit__(self, *_: Any) -> None:
        return None

    def add(self, executor: Any) -> None:
        LOOPS[:] = [asyncio.get_running_loop()]
        if self.after is not None:
            stop = executor.scope.control.stop
            asyncio.get_running_loop().call_later(self.after, stop, Stopped("interrupted", 130))


@contextmanager
def failing(rng: random.Random) -> Iterator[None]:
    """Any write, look-up or take of rows may fail, as a disk or native code does."""
    places: list[tuple[Any, str]] = [
        (Dataset, "append"), (Dataset, "overwrite"), (Dataset, "delete"), (Segment, "append"), (Segment, "sync"),
        (Completions, "take"), (Completions, "locate"), (Completions, "commit"),
    ]  # fmt: skip
    rate = rng.choice([0.002, 0.02, 0.2])
    with ExitStack() as stack:
        for owner, name in rng.sample(places, rng.randint(1, 3)):
            error = rng.choice([OSError(errno.ENOSPC, "No space left on device"), RuntimeError("broken"), Panic("!")])
            stack.enter_context(mock.patch.object(owner, name, _failing(getattr(owner, name), error, rate, rng)))
        yield


def _failing(whole: Callable[..., Any], error: BaseException, rate: float, rng: random.Random) -> Callable[..., Any]:
    def attempt(*args: Any, **kwargs: Any) -> Any:
        if rng.random() < rate:
            raise error
        return whole(*args, **kwargs)

    return attempt


def engine(rng: random.Random) -> str:
    """A scripted engine with a small window and some faults."""
    faults = {name: rng.randint(2, 30) for name in ("transport", "dead", "refused") if rng.random() < 0.3}
    listed = ", ".join(f"{name}: {every}" for name, every in faults.items())
    latency, slots, wanted = rng.choice([0, 0.001, 0.005]), rng.randint(1, 8), rng.randint(1, 16)
    return f"scripted: auto, latency: {latency}, slots: {slots}, wanted: {wanted}, faults: {{{listed}}}"


def watched(run: Callable[[], Any]) -> BaseException | None:
    """What ended it, from a thread that may be left behind; fails with all that waits where it does not end."""
    ended: list[BaseException | None] = []

    def work() -> None:
        try:
            run()
        except BaseException as error:
            ended.append(error)
        else:
            ended.append(None)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    used = -BUSY
    while thread.is_alive():
        if time.process_time() - used < BUSY:
            waiting = [awaiting(task.get_coro()) for task in asyncio.all_tasks(LOOPS[0])] if LOOPS else []
            pytest.fail("the run hangs:\n" + "\n".join(waiting))
        used = time.process_time()
        thread.join(SECONDS)
    return ended[0]


def awaiting(coroutine: Any) -> str:
    """Where a coroutine stands, and those it waits for."""
    found = []
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "ag_frame", None)
        found.append(f"{frame.f_code.co_qualname}:{frame.f_lineno}" if frame else repr(coroutine))
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "ag_await", None)
    return " > ".join(found)


def faulty_run(bench: Bench, rng: random.Random) -> None:
    options = RunOptions(
        concurrency=rng.choice([None, 1, 3, 40]),
        max_requests=rng.choice([None, None, rng.randint(1, 60)]),
        max_tokens=rng.choice([None, None, rng.randint(1, 2000)]),
    )
    stop = rng.choice([None, rng.uniform(0, 0.4)])
    graph = api.check(bench.folder / "small.yaml")
    with ExitStack() as stack:
        for name, most in (("BATCH", 20), ("BACKLOG", 40)):
            stack.enter_context(mock.patch.object(commit, name, rng.randint(1, most)))
        stack.enter_context(mock.patch.object(commit, "SECONDS", 0.01))
        stack.enter_context(mock.patch.object(journal, "SEGMENT_BYTES", rng.choice([100, 5000])))
        stack.enter_context(mock.patch.object(quota, "WEIGHT", rng.choice([1, 8])))
        if rng.random() < 0.6:
            stack.enter_context(failing(rng))
        failed = watched(lambda: api.run(graph, out=bench.out, options=options, watch=lambda pool: Chaos(stop)))
    assert failed is None or isinstance(failed, SynthkitError | RuntimeError | OSError | Panic), repr(failed)


@pytest.mark.parametrize("place", [(Dataset, "append"), (Completions, "locate"), (LanceSnapshot, "find")], ids=str)
def test_a_panic_of_native_code_ends_the_run(bench: Bench, place: tuple[Any, str]) -> None:
    """Whoever waits for room, for the journal or for stored rows must hear of it."""
    every_step(bench, "rows: 3")
    bench.run(limit=4)
    bench.documents(documents(12))
    result: list[api.RunResult] = []
    broken = mock.patch.object(*place, _failing(getattr(*place), Panic("it panics"), 1.0, random.Random(0)))
    with broken, mock.patch.object(commit, "BACKLOG", 1):
        failed = watched(lambda: result.append(bench.run(concurrency=1)))
    assert "it panics" in str(failed or result[0].stopped)
    bench.whole()


def test_a_bound_of_nothing_is_refused() -> None:
    for name in ("limit", "concurrency", "max_requests", "max_tokens"):
        with pytest.raises(ValueError, match=f"{name} must be at least 1, not 0"):
            RunOptions(**{name: 0})


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(RUNS // (AGAIN + 1)))
def test_no_run_hangs_and_none_leaves_a_trace(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = random.Random(seed)
    bench = Bench(tmp_path)
    bench.documents(documents(rng.randint(1, 24)))
    quota_of, steps = rng.choice(list(QUOTAS.values())), rng.choice([STEPS, TWO_GATES])
    for _ in range(AGAIN):
        every_step(bench, quota_of, engine(rng), steps)
        faulty_run(bench, rng)
    every_step(bench, quota_of, steps=steps)
    assert watched(lambda: bench.whole()) is None
    left = bench.tables()
    bench.out = tmp_path / "fresh" / "small"
    assert watched(lambda: bench.whole()) is None
    if not any('"refused"' in line for line in left["rejects"]):  # those stay until `retry`
        assert left == bench.tables()
