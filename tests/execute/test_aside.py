"""A stop does not wait for what computes in a thread."""

import asyncio
import threading

import pytest

from synthkit.core.errors import StoreError
from synthkit.execute.aside import Worker, aside
from synthkit.execute.control import Control, Stopped
from synthkit.store.writer import Writer


async def test_the_result_and_the_error_of_a_function() -> None:
    assert await aside(Control(), divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await aside(Control(), divmod, 7, 0)


async def test_an_iterator_that_ends_early_leaves_nobody_waiting() -> None:
    """asyncio takes no StopIteration as a result: the future would never be done."""
    with pytest.raises(RuntimeError, match="an iterator ended"):
        await asyncio.wait_for(aside(Control(), next, iter([])), 20)
    writer = Writer()
    with pytest.raises(StoreError, match="an iterator ended"):
        await asyncio.wait_for(writer.run(next, iter([])), 20)
    writer.close()
    with pytest.raises(RuntimeError, match="after shutdown"):
        await asyncio.wait_for(writer.run(divmod, 7, 2), 20)


async def test_who_waits_is_told_at_once_and_the_thread_ends_by_itself() -> None:
    control, begun, go_on, over = Control(), threading.Event(), threading.Event(), threading.Event()

    def blocking() -> None:
        begun.set()
        go_on.wait()
        over.set()

    waiting = asyncio.create_task(aside(control, blocking))
    await asyncio.to_thread(begun.wait)
    control.stop(Stopped("interrupted", 130))
    with pytest.raises(Stopped, match="interrupted"):
        await waiting
    assert not over.is_set()
    go_on.set()
    await asyncio.to_thread(over.wait)
    with pytest.raises(Stopped, match="interrupted"):
        await aside(control, divmod, 7, 2)


def test_a_worker_that_is_abandoned_ends_where_it_is_exposed() -> None:
    begun, left = threading.Event(), threading.Event()
    ends: list[str] = []

    def work(self: Worker) -> None:
        begun.set()
        left.wait()
        ends.append("what is not exposed goes on")
        try:
            with self.exposed():
                ends.append("never")
        finally:
            ends.append("cleaned up")

    worker = Worker(work, "waiting")
    worker.start()
    begun.wait()
    worker.abandon()
    left.set()
    worker.join()
    assert ends == ["what is not exposed goes on", "cleaned up"]


def test_a_worker_that_computes_without_end_is_ended() -> None:
    begun = threading.Event()

    def endless(self: Worker) -> None:
        with self.exposed():
            begun.set()
            while True:
                try:
                    sum(range(100))
                except Exception:
                    raise AssertionError("an action's own handlers see nothing") from None

    worker = Worker(endless, "endless")
    worker.start()
    begun.wait()
    worker.abandon()
    worker.join()
    worker.abandon()


def test_a_worker_that_has_done_its_work_is_left_alone() -> None:
    for _ in range(50):
        done: list[int] = []

        def work(self: Worker, done: list[int] = done) -> None:
            with self.exposed():
                pass
            done.extend(range(1000))

        worker = Worker(work, "short")
        worker.start()
        worker.abandon()
        worker.join()
        assert len(done) in (0, 1000)
