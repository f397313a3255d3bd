from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthkit.core.errors import StoreError
from synthkit.store.keys import SortedKeys, pack, pack_array, unpack

HALF = st.sampled_from([0, 1, 2, 2**63, 2**64 - 1]) | st.integers(0, 2**64 - 1)
IDS = st.tuples(HALF, HALF).map(lambda halves: f"{halves[0]:016x}{halves[1]:016x}")


@given(st.lists(IDS))
def test_ids_come_back_from_their_halves(ids: list[str]) -> None:
    assert unpack(*pack(ids)) == ids
    assert unpack(*pack_array(pa.array(ids, pa.string()))) == ids
    assert unpack(*pack_array(pa.chunked_array([ids[:1], ids[1:]], pa.string()))) == ids
    assert unpack(*pack_array(pa.array(["x", *ids], pa.large_string()).slice(1))) == ids


@given(st.lists(IDS, max_size=30), st.lists(IDS, max_size=10))
def test_every_id_is_found_with_all_its_places_and_no_other(ids: list[str], others: list[str]) -> None:
    keys = SortedKeys(*pack(ids))
    assert len(keys) == len(set(ids))
    asked = [*ids, *others]
    found = keys.locate(*pack(asked)).tolist()
    for each, index in zip(asked, found, strict=True):
        places = [at for at, other in enumerate(ids) if other == each]
        assert (index >= 0) == bool(places)
        if places:
            assert list(keys.places(index)) == places
            assert keys.first_places()[index] == places[0]
            assert keys.last_places()[index] == places[-1]


@pytest.mark.parametrize("bad", ["", "7", "A" * 32, "g" * 32, "0" * 31 + "\x00"])
def test_malformed_ids_are_named(bad: str) -> None:
    good = "0" * 32
    with pytest.raises(StoreError, match="is not 32 lower-case hex digits"):
        pack_array(pa.array([good, bad]))
    if not bad.isupper():
        with pytest.raises(StoreError, match="is not 32 lower-case hex digits"):
            pack([good, bad])


def test_absent_hashes_are_zeros() -> None:
    hi, lo = pack_array(pa.array([None, "", "1" * 32]), optional=True)
    assert hi.tolist()[:2] == lo.tolist()[:2] == [0, 0]
    assert hi.dtype == np.uint64 and hi[2] == 0x1111111111111111
