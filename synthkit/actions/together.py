"""Calls of one row side by side.

All of them end before the first error is raised: a finished completion is journaled by then, so that a resumed run
does not pay for it again because a sibling failed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from typing import TypeVar

T = TypeVar("T")


async def together(calls: Iterable[Awaitable[T]]) -> list[T]:
    """Results in the order of the calls; the first error, once all have ended."""
    waiting = list(calls)
    if len(waiting) == 1:
        return [await waiting[0]]
    done = await asyncio.gather(*waiting, return_exceptions=True)
    results: list[T] = []
    for each in done:
        if isinstance(each, BaseException):
            raise each
        results.append(each)
    return results
