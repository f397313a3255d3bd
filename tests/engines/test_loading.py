"""Replicas load together, and none is left behind."""

from __future__ import annotations

import asyncio
import time
from threading import Barrier, Event

import pytest

from synthkit.engines.loading import load_all


def never() -> None:
    raise AssertionError("nothing is to be interrupted")


async def test_the_first_loads_alone_and_the_others_together() -> None:
    first_is_there = Event()
    together = Barrier(3, timeout=10)

    def load(index: int) -> str:
        if index == 0:
            time.sleep(0.05)
            first_is_there.set()
        else:
            assert first_is_there.is_set()
            together.wait()
        return f"engine {index}"

    assert await load_all(load, 4, never, print) == [f"engine {index}" for index in range(4)]


async def test_cancelled_it_waits_for_the_threads_and_discards_what_they_loaded() -> None:
    interrupted, begun = Event(), Event()
    discarded: list[str] = []

    def load(index: int) -> str:
        if index:
            begun.set()
            assert interrupted.wait(10)
            time.sleep(0.3)
            if index == 1:
                raise RuntimeError("its core was killed")
        return f"engine {index}"

    work = asyncio.create_task(load_all(load, 3, interrupted.set, discarded.append))
    await asyncio.to_thread(begun.wait, 10)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert discarded == ["engine 0", "engine 2"]


async def test_one_that_fails_ends_the_others() -> None:
    interrupted = Event()
    discarded: list[str] = []

    def load(index: int) -> str:
        if index == 1:
            raise ValueError("no memory left on the GPU")
        assert index == 0 or interrupted.wait(10)
        return f"engine {index}"

    with pytest.raises(ValueError, match="no memory left"):
        await load_all(load, 3, interrupted.set, discarded.append)
    assert discarded == ["engine 0", "engine 2"]
