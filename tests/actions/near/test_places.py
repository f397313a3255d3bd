from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from synthkit.actions.near.places import Places

HASHES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=30)


@given(st.lists(st.tuples(HASHES, st.booleans()), max_size=5))
def test_rows_are_those_a_dictionary_gives(batches: list[tuple[list[tuple[int, int]], bool]]) -> None:
    places, known, count = Places(), {}, 0
    for batch, again in batches:
        rows, new = places.add(np.array(batch, dtype=np.uint64).reshape(-1, 2), again=again)
        for at, each in enumerate(batch):
            assert new[at] == (each not in known)
            known.setdefault(each, count)
            count += int(new[at] or again)
            assert rows[at] == known[each]
        assert places.count == count


def test_it_grows() -> None:
    places = Places()
    hashes = np.random.default_rng(1).integers(0, 1 << 63, (50_000, 2)).astype(np.uint64)
    for at in range(0, len(hashes), 7_000):
        rows, new = places.add(hashes[at : at + 7_000])
        assert new.all() and rows[0] == at
    rows, new = places.add(hashes)
    assert not new.any() and (rows == np.arange(len(hashes))).all()
