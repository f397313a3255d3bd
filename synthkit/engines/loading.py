"""Loading the same model several times, in threads: the first alone, then the others together.

The first fills the caches (files of the hub, compiled kernels) that the others read. Nothing that was begun is left
behind: when one fails or the whole is cancelled, the loads under way are interrupted until every thread is back, and
what they loaded all the same is handed to `discard`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_AGAIN = 0.2
"""Seconds between two interruptions: a child may be born just after one."""
Loaded = TypeVar("Loaded")


async def load_all(
    load: Callable[[int], Loaded],
    count: int,
    interrupt: Callable[[], None],
    discard: Callable[[Loaded], None],
) -> list[Loaded]:
    """What `load(0)` to `load(count - 1)` return; raises what the first to fail raised."""
    loop = asyncio.get_running_loop()
    threads = ThreadPoolExecutor(count, thread_name_prefix="synthkit-load")
    begun: list[asyncio.Future[Loaded]] = []
    try:
        for indices in (range(1), range(1, count)):
            now = [loop.run_in_executor(threads, load, index) for index in indices]
            begun += now
            if now:
                # Not gather: cancelled, it would forget the futures while their threads go on.
                done, _ = await asyncio.wait(now, return_when=asyncio.FIRST_EXCEPTION)
                for future in done:
                    future.result()
        return [future.result() for future in begun]
    except BaseException:
        while under_way := [future for future in begun if not future.done()]:
            interrupt()
            await asyncio.wait(under_way, timeout=_AGAIN)
        for future in begun:
            if future.exception() is None:
                await asyncio.to_thread(discard, future.result())
        raise
    finally:
        threads.shutdown(wait=False)
