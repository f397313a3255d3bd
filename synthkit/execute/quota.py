"""`until:` as a gate: rows are accepted in source order, whatever order their replies come in.

Each source row of the level takes its turn at the gate, also when it brings no candidate, so the set of accepted rows
depends on the rows alone and not on timing. A stratum that is full at a row's turn is full for every later row: those
are `unused: over quota`. No more rows are begun than are expected to fill their stratum, by what the rows before them
brought. At 43 % accepted and 100 wanted 225 rows are used and 238 asked, at a window of 16, 64 or 256 requests; without
that 288, 477, 1024 are. Where replies take very unequal time up to 40 % too many are asked. The price is that the last
rows come one after another, about two replies' time where the window is wider than the quota.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from synthkit.core.ids import canonical

WEIGHT = 8
"""Source rows that an expectation counts for, beside those that were seen: few rows say little."""


@dataclass(slots=True)
class Stratum:
    """One value of `per`, or all rows."""

    taken: int = 0
    """Rows, or tokens, accepted."""
    passed: int = 0
    """Source rows that had their turn."""
    ahead: int = 0
    """Source rows that were begun and have not had it."""
    held: deque[asyncio.Future[None]] = field(default_factory=deque)
    """Those that may not begin yet, in source order."""


class Gate:
    """The quota of one step."""

    def __init__(self, rows: int | None, tokens: int | None, per: str | None) -> None:
        """Accept `rows` rows, or rows until they hold `tokens` tokens, per value of the column `per` (or in all)."""
        self.rows = rows
        self.tokens = tokens
        self.per = per
        self.gives = 1.0
        """Candidates of a source row if nothing is rejected on its way; what is expected before any had its turn."""
        self._strata: dict[bytes, Stratum] = defaultdict(Stratum)
        self._all = Stratum()
        self._turn = 0
        self._waiting: dict[int, asyncio.Future[None]] = {}

    def stratum(self, data: Mapping[str, Any]) -> Stratum:
        """Which quota a row counts for."""
        return self._strata[canonical(data.get(self.per)) if self.per else b""]

    def full(self, data: Mapping[str, Any]) -> bool:
        """Whether no later row of this row's stratum can be accepted."""
        return self._left(self.stratum(data)) <= 0

    def accept(self, data: Mapping[str, Any]) -> bool:
        """Count one candidate; only the source row whose turn it is may call this."""
        stratum = self.stratum(data)
        if self._left(stratum) <= 0:
            return False
        size = 1 if self.rows is not None else int(data.get("tokens") or 0)
        stratum.taken += size
        self._all.taken += size
        return True

    async def begin(self, data: Mapping[str, Any]) -> None:
        """Wait while the rows begun before this one are expected to fill its stratum; in source order."""
        stratum = self.stratum(data)
        if stratum.held or self._enough(stratum):
            stratum.held.append(asyncio.get_running_loop().create_future())
            await stratum.held[-1]
        else:
            stratum.ahead += 1

    async def turn(self, sequence: int) -> None:
        """Wait until all source rows before `sequence` have passed."""
        if self._turn != sequence:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting[sequence] = future
            await future

    def passed(self, data: Mapping[str, Any] | None = None) -> None:
        """Let the next source row in; `data` of one that had to `begin` tells what to expect of the others."""
        self._turn += 1
        future = self._waiting.pop(self._turn, None)
        if future is not None and not future.done():
            future.set_result(None)
        if data is not None:
            self._learn(self.stratum(data))

    def _learn(self, stratum: Stratum) -> None:
        """Count a source row that had its turn, and let those begin that are now wanted."""
        stratum.ahead -= 1
        stratum.passed += 1
        self._all.passed += 1
        for each in self._strata.values():
            while each.held and not self._enough(each):
                each.ahead += 1
                future = each.held.popleft()
                if not future.done():
                    future.set_result(None)

    def _enough(self, stratum: Stratum) -> bool:
        """Whether what is ahead is expected to fill the stratum, with some to spare; never where nothing is ahead."""
        left = self._left(stratum)
        if left <= 0 or not stratum.ahead:
            return False
        best = self.gives if self.rows is not None else 0
        everywhere = (_hoped(self._all.taken) + WEIGHT * best) / (self._all.passed + WEIGHT)
        each = (_hoped(stratum.taken) + WEIGHT * everywhere) / (stratum.passed + WEIGHT)
        needed = left / each if each else math.inf
        return stratum.ahead >= needed + math.sqrt(needed)

    def _left(self, stratum: Stratum) -> float:
        """Rows, or tokens, still wanted."""
        most = self.rows if self.rows is not None else self.tokens
        return math.inf if most is None else most - stratum.taken


def _hoped(taken: int) -> float:
    """What was taken and what may have been bad luck: who begins too few can begin more, but not the other way."""
    return taken + math.sqrt(taken)
