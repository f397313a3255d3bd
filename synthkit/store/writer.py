"""The one thread that commits to Lance, so that no two commits of a run ever race and the event loop never waits.

Lance is safe with many writers, but merging conflicting deletes costs retries; one thread orders the commits as the
store's crash rules need them. Reads go elsewhere: they work on pinned versions.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from synthkit.core.errors import StoreError, StoreFull

P = ParamSpec("P")
T = TypeVar("T")


class Writer:
    """Runs functions one after another on its own thread."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="synthkit-writer")

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Wait for the function without blocking the loop; it finishes even where the waiting task is cancelled."""
        loop = asyncio.get_running_loop()
        return await asyncio.shield(loop.run_in_executor(self._thread, lambda: guarded(function, *args, **kwargs)))

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Wait for the function, blocking."""
        return self._thread.submit(lambda: guarded(function, *args, **kwargs)).result()

    def close(self) -> None:
        """Finish what was submitted and end the thread."""
        self._thread.shutdown(wait=True)


def guarded(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call the function; what the disk or Lance raises becomes a StoreError that says what to do."""
    try:
        return function(*args, **kwargs)
    except StopIteration as error:  # no future takes it: who waits would wait for ever
        raise StoreError("the run directory cannot be written: an iterator ended where rows were expected") from error
    except OSError as error:
        raise disk_error(error) from error


def disk_error(error: OSError) -> StoreError:
    """A failed write or read as a StoreError."""
    if error.errno == errno.ENOSPC or "No space left" in str(error):
        return StoreFull(
            "the disk is full; everything acknowledged so far is kept: free space, then run again to go on"
        )
    return StoreError(f"the run directory cannot be read or written: {error}")
