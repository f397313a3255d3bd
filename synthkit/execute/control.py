"""Why and when a run stops early: Ctrl-C, a budget, a dead engine, too many failures, a full disk.

Every early stop is the same to the executor: no new rows are admitted, requests under way are aborted, what is
finished is committed, and the run can be resumed. Only the exit code differs.
"""

from __future__ import annotations

import asyncio

from synthkit.core.errors import SynthkitError


class Stopped(SynthkitError):
    """The run ended before its work did; everything finished is kept and `run` goes on from there."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        """`exit_code` is what the command line ends with."""
        super().__init__(message)
        self.exit_code = exit_code


class Control:
    """Shared by a run and the runs of the specs it reads."""

    def __init__(self, max_tokens: int | None = None, max_requests: int | None = None) -> None:
        """Budgets count what this process asks for, not what the journal already holds."""
        self.max_tokens = max_tokens
        self.max_requests = max_requests
        self.tokens = 0
        self.requests = 0
        self.reason: Stopped | None = None
        self._wake: set[asyncio.Event] = set()

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

    def wakes(self, event: asyncio.Event) -> None:
        """Set this event, too, when a stop is asked for."""
        self._wake.add(event)
        if self.stopping:
            event.set()

    def spend(self, requests: int = 0, tokens: int = 0) -> None:
        """Count what was sent and generated; stops the run when a budget is used up."""
        self.requests += requests
        self.tokens += tokens
        if self.max_requests is not None and self.requests >= self.max_requests:
            self.stop(Stopped(f"the budget of {self.max_requests} requests is used up"))
        if self.max_tokens is not None and self.tokens >= self.max_tokens:
            self.stop(Stopped(f"the budget of {self.max_tokens} tokens is used up"))
