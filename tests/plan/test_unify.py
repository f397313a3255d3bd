"""Unified types hold the values of both sides."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from synthkit.core.types import Bool, Choice, Date, Float, Int, Json, ListOf, MapOf, Object, Optional, Ref, Str, Type
from synthkit.plan.unify import nullable, unify

bound = st.none() | st.integers(0, 9)
leaves = st.one_of(
    st.builds(Str, st.integers(0, 9), st.none() | st.integers(9, 20)),
    st.builds(Int, bound, st.none() | st.integers(9, 20)),
    st.builds(Float, bound, st.none() | st.integers(9, 20)),
    st.just(Bool()),
    st.just(Date()),
    st.just(Json()),
    st.just(Ref("items")),
    st.builds(Choice, st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True).map(tuple)),
)
types = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(ListOf, inner, st.integers(0, 2), st.none() | st.integers(3, 5)),
        st.builds(MapOf, inner),
        st.builds(Object, st.dictionaries(st.sampled_from("xy"), inner, min_size=1)),
        inner.map(nullable),
    ),
    max_leaves=6,
)


@given(types)
def test_a_type_with_itself(one: Type) -> None:
    assert unify(one, one) == one


@given(types, types)
def test_order_decides_only_the_order_of_choices(one: Type, other: Type) -> None:
    forth, back = unify(one, other), unify(other, one)
    assert (forth is None) == (back is None)


@given(types, types)
def test_the_result_takes_both(one: Type, other: Type) -> None:
    both = unify(one, other)
    if both is not None:
        for each in (one, other):
            again = unify(both, each)
            assert again is not None and unify(again, both) == again, "nothing is left to widen"


@given(types, types)
def test_none_on_either_side_admits_none(one: Type, other: Type) -> None:
    both = unify(nullable(one), other)
    assert both is None or isinstance(both, Optional)


def test_numbers_and_text_stay_apart() -> None:
    assert unify(Int(), Str()) is None
    assert unify(Int(), Float()) is None, "another Arrow type"
    assert unify(Json(), Str()) is None, "json is kept as JSON text"
    assert unify(ListOf(Int()), ListOf(Str())) is None
    assert unify(Object({"a": Int()}), Object({"b": Int()})) is None


def test_text_of_any_kind_is_text() -> None:
    assert unify(Choice(("a",)), Str(2, 9)) == Str()
    assert unify(Str(2, 9), Str(1, 5)) == Str(1, 9)
    assert unify(Str(2, 9), Str(1)) == Str(1)
