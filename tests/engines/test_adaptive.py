"""The limit finds a modelled server's capacity; time is simulated, so only counts are asserted."""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass
from random import Random

import pytest

from synthkit.engines.adaptive import Limit


@dataclass
class Found:
    share: float
    """Throughput after the first quarter, as a share of the best there is."""
    refused: int
    limit: int


def serve(slots: int, requests: int, refuse_above: int | None = None, spread: float = 0.0, most: int = 4096) -> Found:
    """A server of `slots`, each busy for 0.2 s a request; more than `refuse_above` at once are answered 429."""
    random, limit, events = Random(1), Limit(most), []
    waiting: deque[tuple[int, float]] = deque()
    now, number, busy, refused, done = 0.0, 0, 0, 0, []

    def work(sent: float, name: int) -> None:
        heapq.heappush(events, (now + 0.2 * (1 + spread * (random.random() - 0.5)), name, True, sent))

    while len(done) < requests:
        while limit.free:
            limit.sent()
            number += 1
            if refuse_above is not None and busy + len(waiting) >= refuse_above:
                heapq.heappush(events, (now + 0.01, number, False, now))
            elif busy < slots:
                busy += 1
                work(now, number)
            else:
                waiting.append((number, now))
        now, _, served, sent = heapq.heappop(events)
        if not served:
            refused += 1
            limit.refused(sent, now)
            continue
        busy -= 1
        done.append(now)
        limit.done(sent, now, 1)
        if waiting:
            busy += 1
            name, sent = waiting.popleft()
            work(sent, name)
    quarter = requests // 4
    rate = (requests - quarter) / (done[-1] - done[quarter - 1])
    return Found(rate / (slots / 0.2), refused, limit.value)


@pytest.mark.parametrize("slots", [1, 4, 20, 100, 256, 300])
@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_it_finds_nine_tenths_of_the_throughput(slots: int, spread: float) -> None:
    found = serve(slots, 10_000, spread=spread)
    assert found.share >= 0.9
    assert found.limit <= max(20, 4 * slots)


@pytest.mark.parametrize("slots", [50, 100, 256])
def test_refusals_stay_few_and_throughput_high(slots: int) -> None:
    found = serve(slots, 20_000, refuse_above=slots)
    assert found.share >= 0.9
    assert found.refused <= 0.03 * 20_000
    assert found.limit <= 1.1 * slots


@pytest.mark.parametrize("half", [8, 50, 200])
def test_a_server_that_saturates_smoothly_is_used(half: int) -> None:
    """Each request is slower the more there are, as in a real batch: the throughput at `half` is half the best."""
    random, limit, events, done, now, number = Random(2), Limit(4096), [], [], 0.0, 0
    while len(done) < 20_000:
        while limit.free:
            limit.sent()
            number += 1
            seconds = 0.2 * (1 + limit.in_flight / half) * (0.75 + 0.5 * random.random())
            heapq.heappush(events, (now + seconds, number, now))
        now, _, sent = heapq.heappop(events)
        done.append(now)
        limit.done(sent, now, 1)
    rate = 15_000 / (done[-1] - done[4_999])
    assert rate / (half / 0.2) >= 0.85


def test_a_server_that_takes_less_than_it_could_is_respected() -> None:
    found = serve(300, 20_000, refuse_above=100)
    assert found.refused <= 400
    assert 60 <= found.limit <= 110


def test_the_configured_most_is_never_passed() -> None:
    assert 19 <= serve(300, 5_000, most=24).limit <= 24


def test_one_volley_of_refusals_halves_once() -> None:
    limit = Limit(64, first=64)
    for _ in range(64):
        limit.sent()
    for _ in range(64):
        limit.refused(1.0, 2.0)
    assert limit.value == 32
    assert limit.in_flight == 0


def test_faults_say_nothing_about_capacity() -> None:
    limit = Limit(64)
    for _ in range(100):
        limit.sent()
        limit.dropped()
    assert limit.value == 16
