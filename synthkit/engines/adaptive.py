"""How many requests one server is sent at once: found while running, by throughput and refusals.

Throughput is read off Little's law (requests in flight / mean seconds per unit of work), so neither bursts nor
replies of different length disturb it. The limit doubles while doubling pays a tenth of what it promises, then stays
at the last that paid; now and then it tries a fifth less (kept where that costs nothing) or a quarter more. A 429 or
503 halves it at once; it climbs back to nine tenths of where it was refused and asks for more only much later.
On modelled servers of 1 to 300 slots it settles at 0.98 to 1.0 of the best throughput (0.82 to 1.0 over the first
10,000 requests, starting at 16), on one that saturates smoothly at 0.89 to 0.93; where the request after the last slot
is refused, at 0.91 to 0.96 with 0.3 to 2 % of 20,000 requests refused.
"""

from __future__ import annotations

_HOLD = 10
"""Rounds at a limit that paid, before more is tried."""
_HOLD_REFUSED = 40
"""Rounds below a limit that was refused."""
_PAYS, _PAYS_DOWN = 0.1, 0.05
"""Share of a change of the limit that must be seen in the throughput. Too high a limit only makes requests wait in
the server, too low a one wastes it: so growing needs little, and less is kept only where it costs next to nothing."""
_LEAST_ROUND = 32
_START, _UP, _DOWN, _BACK = 2.0, 1.25, 0.8, 1.5
"""Factors: while it starts, when more or less is tried, on the way back from a refusal."""


class Limit:
    """The limit of one server; the caller says when requests are sent and what became of them."""

    def __init__(self, most: int, first: int = 16) -> None:
        """At most `most` at once; starts at `first`."""
        self.most = most
        self.value = min(first, most)
        self.in_flight = 0
        self._ceiling: float = most
        self._factor = _START
        self._hold = 0
        self._best: tuple[int, float] | None = None
        self._changed = self._cut = float("-inf")
        self._full = False
        self._count = self._skip = 0
        self._seconds = self._work = 0.0

    @property
    def free(self) -> bool:
        """Whether one more may be sent."""
        return self.in_flight < self.value

    def sent(self) -> None:
        """A request goes out."""
        self.in_flight += 1
        self._full = self._full or self.in_flight >= self.value

    def dropped(self) -> None:
        """A request ended without saying anything about the server's capacity (fault, cancelled)."""
        self.in_flight -= 1

    def done(self, sent: float, now: float, work: float) -> None:
        """A request sent at `sent` was answered; `work` is its size, in tokens or samples."""
        self.in_flight -= 1
        if sent < self._changed:
            return
        if self._skip:
            self._skip -= 1
            return
        self._count += 1
        self._seconds += now - sent
        self._work += max(work, 1.0)
        if self._count >= max(self.value, _LEAST_ROUND) * (1 if self._factor in (_START, _BACK) else 2):
            if self._full:
                self._judge(now, self.value * self._work / max(self._seconds, 1e-9))
            self._forget()

    def refused(self, sent: float, now: float) -> None:
        """The server had too much (429, 503); only the first of a volley counts."""
        self.in_flight -= 1
        if sent < self._cut:
            return
        self._ceiling = max(1.0, 0.9 * min(self.value, self.in_flight + 1))
        self._cut = now
        self._best = None
        self._factor = _BACK
        self._hold = 0
        self._set(max(1, self.value // 2), now)

    def _judge(self, now: float, rate: float) -> None:
        """A round is over: go on in the direction that is tried, or go back; stay; or try the other direction."""
        if self._hold:
            self._hold -= 1
            self._best = (self.value, rate)
            if self._hold == 0:
                self._ceiling = min(self.most, self._ceiling * 1.1 + 1)
                self._try(now)
            return
        if self._best is not None:
            limit, before = self._best
            pays = _PAYS if self._factor > 1 else _PAYS_DOWN
            if rate < before * (1 + pays * (self.value / limit - 1)):
                # After the start the best lies between the last two limits: a smaller step up comes next, and soon.
                self._hold = 1 if self._factor == _START else _HOLD
                self._factor = _UP if self._factor in (_START, _DOWN) else _DOWN
                self._set(limit, now)
                return
        # While it climbs back after a refusal there is nothing to compare with: the ceiling is what stops it.
        self._best = None if self._factor == _BACK else (self.value, rate)
        self._try(now)

    def _try(self, now: float) -> None:
        """Move by the factor; hold still at the ends."""
        if self._factor < 1:
            limit = max(1, min(self.value - 1, int(self.value * self._factor)))
        else:
            limit = int(min(self._ceiling, max(self.value + 1, self.value * self._factor)))
        if limit == self.value or (limit < self.value) != (self._factor < 1):
            self._factor = _UP if self._factor < 1 else _DOWN
            self._hold = _HOLD if self._ceiling >= self.most else _HOLD_REFUSED
            return
        self._set(limit, now)

    def _set(self, limit: int, now: float) -> None:
        self.value = limit
        self._changed = now
        # The first to return are the short ones; against a round of all lengths they would look too good.
        self._skip = limit if self._factor in (_UP, _DOWN) else 0
        self._forget()

    def _forget(self) -> None:
        self._count = 0
        self._seconds = self._work = 0.0
        self._full = False
