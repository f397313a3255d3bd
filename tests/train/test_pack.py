"""The pack plan: every document once, no pack too full, and how full they get."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthkit.train.pack import pack


@given(st.lists(st.integers(1, 40), max_size=200), st.sampled_from([40, 41, 64, 600]))
def test_every_document_is_in_one_pack(lengths: list[int], capacity: int) -> None:
    plan = pack(np.array(lengths, dtype=np.int64), capacity)
    assert sorted(plan.order.tolist()) == list(range(len(lengths)))
    packs = [plan.order[low:high].tolist() for low, high in zip(plan.first[:-1], plan.first[1:], strict=True)]
    assert len(packs) == len(plan)
    for members in packs:
        assert members and sum(lengths[each] for each in members) <= capacity
        assert members == sorted(members)
    assert [members[0] for members in packs] == sorted(members[0] for members in packs)


@given(st.lists(st.integers(1, 90), min_size=1, max_size=120))
def test_it_is_best_fit_decreasing(lengths: list[int]) -> None:
    """As many packs as the plain algorithm, one document at a time, makes."""
    rooms: list[int] = []
    for length in sorted(lengths, reverse=True):
        fitting = [at for at, room in enumerate(rooms) if room >= length]
        if fitting:
            rooms[min(fitting, key=lambda at: rooms[at])] -= length
        else:
            rooms.append(100 - length)
    assert len(pack(np.array(lengths, dtype=np.int64), 100)) == len(rooms)


@pytest.mark.parametrize("capacity", [32 * 1024, 128 * 1024])
def test_a_realistic_mix_fills_packs(capacity: int) -> None:
    """Lengths of agents' documents: most of some thousand tokens, a long tail; 99.9 % at both lengths."""
    random = np.random.default_rng(5)
    lengths = np.clip(random.lognormal(8.0, 1.1, 50_000), 20, capacity).astype(np.int64)
    plan = pack(lengths, capacity)
    assert lengths.sum() / (len(plan) * capacity) >= 0.999


def test_a_document_that_fits_nowhere_is_refused() -> None:
    with pytest.raises(ValueError, match="not within 1 and 10"):
        pack(np.array([11]), 10)
    assert len(pack(np.array([], dtype=np.int64), 10)) == 0
    assert len(pack(np.array([10, 10]), 10)) == 2
