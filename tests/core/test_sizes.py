"""Counts, lengths, shares and ranges as people write them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from synthkit.core.names import guess, nearest
from synthkit.core.sizes import (
    Bounds,
    Count,
    Range,
    Share,
    TokenRange,
    Tokens,
    parse_count,
    parse_fraction,
    parse_share,
    parse_tokens,
)


@pytest.mark.parametrize(
    ("text", "number"),
    [("5K", 5000), ("2B", 2 * 10**9), ("1.5M", 1_500_000), ("7", 7), (7, 7), ("1T", 10**12), ("0", 0)],
)
def test_counts_are_decimal(text: object, number: int) -> None:
    assert parse_count(text) == number


@pytest.mark.parametrize(
    ("text", "number"), [("32Ki", 32768), ("1Mi", 2**20), (600, 600), ("600", 600), ("0.5Ki", 512)]
)
def test_lengths_are_binary(text: object, number: int) -> None:
    assert parse_tokens(text) == number


@pytest.mark.parametrize(
    ("parse", "value", "hint"),
    [
        (parse_tokens, "32K", "written 32Ki"),
        (parse_tokens, "128k", "written 128Ki"),
        (parse_tokens, "1M", "written 1Mi"),
        (parse_tokens, "2B", "unknown unit 'B'"),
        (parse_count, "5Ki", "write 5K"),
        (parse_count, "1Gi", "write 1B"),
        (parse_count, "5k", "unknown unit 'k'"),
        (parse_count, "1_000", "write 1000"),
        (parse_count, "1,000", "write 1000"),
        (parse_count, "1.5", "not a whole number"),
        (parse_count, -1, "between 0"),
        (parse_count, "99999999T", "between 0"),
        (parse_count, True, "expected a count"),
        (parse_count, 2.0, "expected a count"),
        (parse_count, None, "expected a count"),
        (parse_share, 60, "write 60%"),
        (parse_share, "130%", "between 0% and 100%"),
        (parse_share, float("nan"), "between 0% and 100%"),
        (parse_share, "most", "0.6 or 60%"),
        (parse_share, False, "0.6 or 60%"),
        (Range.parse, "8..4", "empty"),
        (Range.parse, "..", "needs an end"),
        (Range.parse, "a..b", "expected a count"),
        (Range.parse, [1, 2], "expected a range"),
        (Range.parse, "1..2..3", "expected a count"),
        (Bounds.parse, "x..", "0.6 or 60%"),
    ],
)
def test_what_is_wrong_says_what_to_write(parse: Any, value: object, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        parse(value)


def test_shares_and_fractions() -> None:
    assert parse_share("60%") == parse_share(0.6) == 0.6
    assert parse_share("0.1%") == 0.001
    assert parse_share(1) == 1
    assert parse_fraction("-1e3") == -1000


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("4..8", 4, 8),
        ("..600", None, 600),
        ("3..", 3, None),
        ("5", 5, 5),
        (5, 5, 5),
        ("1K..2K", 1000, 2000),
        ("4 .. 8", 4, 8),
    ],
)
def test_ranges(text: object, low: int | None, high: int | None) -> None:
    assert Range.parse(text) == Range(low, high)


def test_membership() -> None:
    assert 4 in Range(4, 8) and 8 in Range(4, 8) and 9 not in Range(4, 8)
    assert 10**9 in Range(3) and "5" not in Range(3)
    assert 0.35 in Bounds(0.3, 0.7) and 0.2 not in Bounds(0.3, 0.7)


@given(st.integers(0, 10**15) | st.none(), st.integers(0, 10**15) | st.none())
def test_a_range_reads_back_what_it_writes(low: int | None, high: int | None) -> None:
    if low is None and high is None:
        return
    if low is not None and high is not None and low > high:
        low, high = high, low
    assert Range.parse(str(Range(low, high))) == Range(low, high)


class Sizes(BaseModel):
    count: Count = 0
    tokens: Tokens = 0
    share: Share = 0.0
    items: Range | None = None
    length: TokenRange | None = None
    audit: dict[str, Bounds] = {}


def test_as_fields() -> None:
    sizes = Sizes.model_validate_json(
        '{"count": "5K", "tokens": "32Ki", "share": "60%", "items": "4..8", "length": "..32Ki",'
        ' "audit": {"x": "30%..70%"}}',
        strict=True,
    )
    assert sizes == Sizes.model_validate(sizes.model_dump())
    assert (sizes.count, sizes.tokens, sizes.share) == (5000, 32768, 0.6)
    assert sizes.length == Range(None, 32768)
    assert sizes.model_dump(mode="json")["items"] == "4..8"
    assert sizes.model_dump(mode="json")["audit"] == {"x": "0.3..0.7"}
    with pytest.raises(ValidationError, match="32Ki"):
        Sizes.model_validate({"length": "..32K"})


def test_schema_accepts_what_the_fields_accept() -> None:
    import jsonschema

    schema = Sizes.model_json_schema()
    good = {
        "count": "5K",
        "tokens": 600,
        "share": "60%",
        "items": "..600",
        "length": "1Ki..32Ki",
        "audit": {"a": "0.01.."},
    }
    jsonschema.validate(good, schema)
    for bad in ({"count": "1_000"}, {"tokens": "32K"}, {"share": 60}, {"items": ".."}, {"audit": {"a": "much"}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, schema)


def test_nearest_names() -> None:
    assert guess("questoin", ["answer", "question"]) == "question"
    assert guess("Question", ["answer", "question"]) == "question"
    assert guess("x", ["answer"]) is None
    assert nearest("promt", ["model", "prompt"], "keys") == "keys: model, prompt; did you mean 'prompt'?"
    assert nearest("promt", [], "keys") == "there are no keys"
