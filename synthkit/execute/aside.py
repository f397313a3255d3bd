"""Blocking work beside the event loop, which a stop of the run does not wait for.

Nothing ends a thread that is inside polars or Lance. So who waits is told at once, and the thread ends by itself: a
function when it looks, an action's own Python at its next instruction, native code when it returns. The process ends
with its threads: one that leaves while a thread is inside native code may crash instead.
"""

from __future__ import annotations

import asyncio
import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import ParamSpec, TypeVar

from synthkit.execute.control import Control

P = ParamSpec("P")
T = TypeVar("T")


async def aside(control: Control, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The function's result, from a thread of its own; raises the run's reason as soon as it stops."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: list[T], error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(result[0])
        else:
            done.set_exception(error)

    def work() -> None:
        result: list[T] = []
        failed: BaseException | None = None
        try:
            result.append(function(*args, **kwargs))
        except StopIteration as error:  # no future takes it: who waits would wait for ever
            failed = RuntimeError("an iterator ended where a value was expected")
            failed.__cause__ = error
        except BaseException as error:
            failed = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(settle, result, failed)

    control.ends(done)
    threading.Thread(target=work, name="synthkit-aside").start()
    return await done


class Abandoned(SystemExit):
    """Raised inside a `Worker` that was abandoned; no `except Exception` of an action holds it."""


class Worker(threading.Thread):
    """A thread that can be told to end while it is at foreign work."""

    def __init__(self, work: Callable[[Worker], None], name: str) -> None:
        """`work` is called once, by `start`; it says by `exposed` where it may be ended."""
        super().__init__(name=name)
        self._work = work
        self._exposed = self._left = False
        self._guard = threading.Lock()

    def run(self) -> None:
        """Work to the end, or until abandoned."""
        with suppress(Abandoned):
            self._work(self)

    @contextmanager
    def exposed(self) -> Iterator[None]:
        """Here, and nowhere else, `abandon` raises `Abandoned`: not in what must leave things in order."""
        with self._guard:
            if self._left:
                raise Abandoned
            self._exposed = True
        try:
            yield
        finally:
            with self._guard:
                self._exposed = False

    def abandon(self) -> None:
        """End its foreign work at the next Python instruction."""
        with self._guard:
            self._left = True
            if self._exposed and self.ident is not None:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.ident), ctypes.py_object(Abandoned))
