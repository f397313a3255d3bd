"""Random types, and values that replies of a type may hold."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from synthkit.core.types import (
    Bool,
    Choice,
    Date,
    Float,
    Int,
    Json,
    ListOf,
    MapOf,
    Object,
    Optional,
    Str,
    Type,
)

names = st.from_regex(r"[a-z][a-z0-9_]{0,8}|[\u4e00-\u4e20]{1,3}", fullmatch=True).filter(str.isidentifier)
words = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=12)


@st.composite
def lengths(draw: st.DrawFn, top: int = 6) -> dict[str, Any]:
    low = draw(st.integers(0, top))
    return {"min": low, "max": draw(st.none() | st.integers(low, top + 4))}


@st.composite
def numbers(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> dict[str, Any]:
    low, high = draw(st.none() | values), draw(st.none() | values)
    if low is not None and high is not None and low > high:
        low, high = high, low
    return {"min": low, "max": high}


floats = st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: round(x, 4) + 0.0)  # no -0.0, which bounds nothing
leaves: st.SearchStrategy[Type] = st.one_of(
    lengths().map(lambda b: Str(**b)),
    numbers(st.integers(-1000, 1000)).map(lambda b: Int(**b)),
    numbers(floats).map(lambda b: Float(**b)),
    st.just(Bool()),
    st.just(Date()),
    st.lists(words, min_size=1, max_size=4, unique=True).map(lambda v: Choice(tuple(v))),
)
types: st.SearchStrategy[Type] = st.recursive(
    leaves,
    lambda inner: st.one_of(
        inner.filter(lambda t: not isinstance(t, Optional)).map(Optional),
        st.builds(lambda of, b: ListOf(of, **b), inner, lengths(3)),
        inner.map(MapOf),
        st.dictionaries(names, inner, min_size=1, max_size=4).map(Object),
    ),
    max_leaves=6,
)
types_with_json = st.recursive(
    leaves | st.just(Json()),
    lambda inner: st.one_of(
        inner.map(lambda t: t if isinstance(t, Optional | Json) else Optional(t)),
        inner.map(ListOf),
        inner.map(MapOf),
        st.dictionaries(names, inner, min_size=1, max_size=4).map(Object),
    ),
    max_leaves=6,
)
texts = st.text(st.characters(exclude_categories=("Cs", "Cc")))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | floats | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
dates = st.dates().map(str).flatmap(lambda d: st.sampled_from([d, d[:7], d[:4]]))


def values_of(type: Type) -> st.SearchStrategy[Any]:
    """Values a reply of that type may hold."""
    match type:
        case Str():
            return st.text(
                st.characters(exclude_categories=("Cs", "Cc")),
                min_size=type.min,
                max_size=min(type.limit, type.min + 20),
            )
        case Int():
            low, high = type.range
            return st.integers(low, high)
        case Float():
            return st.floats(type.min, type.max, allow_nan=False, allow_infinity=False)
        case Bool():
            return st.booleans()
        case Date():
            return dates
        case Json():
            return json_values
        case Choice(values):
            return st.sampled_from(values)
        case Optional(of):
            return st.none() | values_of(of)
        case ListOf(of):
            return st.lists(values_of(of), min_size=type.min, max_size=min(type.limit, type.min + 3))
        case MapOf(of):
            return st.dictionaries(texts, values_of(of), max_size=3)
        case Object(fields):
            return st.fixed_dictionaries({name: values_of(of) for name, of in fields.items()})
    raise AssertionError(type)
