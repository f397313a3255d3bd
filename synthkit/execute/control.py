"""Why and when a run stops early: Ctrl-C, a budget, a dead engine, too many failures, a full disk.

Every early stop is the same to the executor: no new rows are admitted, requests under way are aborted, what is
finished is committed, and the run can be resumed. Only the exit code differs.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from synthkit.core.errors import EngineDead, StoreFull, SynthkitError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the system says where nothing more can be written."""


class Stopped(SynthkitError):
    """The run ended before its work did; everything finished is kept and `run` goes on from there."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        """`exit_code` is what the command line ends with."""
        super().__init__(message)
        self.exit_code = exit_code


def as_stop(error: BaseException) -> Stopped:
    """What ended a part of the run, as the reason the whole run stops."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, Stopped):
        return error
    if isinstance(error, EngineDead):
        reason = Stopped(f"{error}; run again to go on from here", EngineDead.exit_code)
    elif isinstance(error, SynthkitError):
        reason = Stopped(str(error), error.exit_code)
    elif isinstance(error, OSError) and error.errno in FULL:
        said = "everything finished is kept: free space, then run again to go on"
        reason = Stopped(f"the disk is full ({error}); {said}", StoreFull.exit_code)
    else:
        reason = Stopped(f"{type(error).__name__}: {error}")
    reason.__cause__ = error
    return reason


class Control:
    """Shared by a run and the runs of the specs it reads."""

    def __init__(self, max_tokens: int | None = None, max_requests: int | None = None) -> None:
        """Budgets count what this process asks for, not what the journal already holds."""
        self.max_tokens = max_tokens
        self.max_requests = max_requests
        self.tokens = 0
        self.requests = 0
        """Requests sent, answered or not."""
        self._under_way = 0
        self.reason: Stopped | None = None
        self._wake: set[asyncio.Event] = set()
        self._ends: set[asyncio.Future[Any]] = set()
        self._blocked: list[asyncio.Future[None]] = []

    @property
    def stopping(self) -> bool:
        """Whether nothing new may begin."""
        return self.reason is not None

    def stop(self, reason: Stopped) -> None:
        """End the run resumably; the first reason stands."""
        if self.reason is None:
            self.reason = reason
            for event in self._wake:
                event.set()
            for future in tuple(self._ends):
                _raise(future, reason)
            for blocked in self._blocked:
                if not blocked.done():
                    blocked.set_result(None)

    def wakes(self, event: asyncio.Event) -> None:
        """Set this event, too, when a stop is asked for."""
        self._wake.add(event)
        if self.stopping:
            event.set()

    def ends(self, future: asyncio.Future[Any]) -> None:
        """Let the future raise the reason when a stop is asked for."""
        if self.reason is not None:
            _raise(future, self.reason)
            return
        self._ends.add(future)
        future.add_done_callback(self._ends.discard)

    @asynccontextmanager
    async def request(self) -> AsyncIterator[None]:
        """Around each request: begins within the budget only, and raises the reason once the run is stopping.

        What was sent within the budget comes home first; the run stops when there is none left under way.
        """
        if self.reason is None and self._spent():
            self._blocked.append(blocked := asyncio.get_running_loop().create_future())
            self._close_budget()
            await blocked
        if self.reason is not None:
            raise self.reason
        self.requests += 1
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            self._close_budget()

    def _spent(self) -> str:
        """Which budget is used up; empty while there is some left."""
        if self.max_requests is not None and self.requests >= self.max_requests:
            return f"{self.max_requests} requests"
        if self.max_tokens is not None and self.tokens >= self.max_tokens:
            return f"{self.max_tokens} tokens"
        return ""

    def _close_budget(self) -> None:
        if self._blocked and not self._under_way and (budget := self._spent()):
            self.stop(Stopped(f"the budget of {budget} is used up; run again to go on from here"))


def _raise(future: asyncio.Future[Any], reason: Stopped) -> None:
    if not future.done():
        future.set_exception(reason)
