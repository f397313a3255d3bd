"""`until:` as a gate: rows are accepted in source order, whatever order their replies come in.

Each source row of the level takes its turn at the gate, also when it brings no candidate, so the set of accepted rows
depends on the rows alone and not on timing. A stratum that is full at a row's turn is full for every later row:
those are not asked at all (if they are at the gate's step already) and are `unused: over quota`.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from synthkit.core.ids import canonical


class Gate:
    """The quota of one step."""

    def __init__(self, rows: int | None, tokens: int | None, per: str | None) -> None:
        """Accept `rows` rows, or rows until they hold `tokens` tokens, per value of the column `per` (or in all)."""
        self.rows = rows
        self.tokens = tokens
        self.per = per
        self._taken: dict[bytes, int] = defaultdict(int)
        self._turn = 0
        self._waiting: dict[int, asyncio.Future[None]] = {}

    def stratum(self, data: Mapping[str, Any]) -> bytes:
        """Which quota a row counts for."""
        return canonical(data.get(self.per)) if self.per else b""

    def full(self, data: Mapping[str, Any]) -> bool:
        """Whether no later row of this row's stratum can be accepted."""
        most = self.rows if self.rows is not None else self.tokens
        return most is not None and self._taken[self.stratum(data)] >= most

    def accept(self, data: Mapping[str, Any]) -> bool:
        """Count one candidate; only the source row whose turn it is may call this."""
        if self.full(data):
            return False
        self._taken[self.stratum(data)] += 1 if self.rows is not None else int(data.get("tokens") or 0)
        return True

    async def turn(self, sequence: int) -> None:
        """Wait until all source rows before `sequence` have passed."""
        if self._turn != sequence:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting[sequence] = future
            await future

    def passed(self) -> None:
        """Let the next source row in."""
        self._turn += 1
        future = self._waiting.pop(self._turn, None)
        if future is not None and not future.done():
            future.set_result(None)
