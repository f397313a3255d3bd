from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from synthkit.actions.route import Route
from synthkit.core.outcome import Outcome
from synthkit.testing import RecordingContext

from .fakes import FakeScope, types

COLUMNS = types({"tokens": "int", "text": "str", "maybe": "int|none"})


def route(**into: Any) -> Route:
    return Route.model_validate({"by": "tokens", "into": into or {"short": "..32Ki", "long": "..128Ki"}})


@given(st.integers(0, 200_000))
async def test_the_first_range_that_fits_takes_the_row(tokens: int) -> None:
    ran = await RecordingContext().run(route(), {"tokens": tokens})
    if tokens > 128 * 1024:
        assert ran.rows == []
        assert ran.reject is not None
        assert (ran.reject.reason, ran.reject.outcome) == ("fits no range", Outcome.FILTERED)
        assert ran.reject.detail == {"measure": tokens}
    else:
        assert ran.rows == [{"range": "short" if tokens <= 32 * 1024 else "long"}]


async def test_a_row_without_a_measure_fits_nowhere() -> None:
    ran = await RecordingContext().run(Route(by="maybe", into={"any": "0.."}), {"maybe": None})  # type: ignore[dict-item]
    assert ran.reject is not None
    assert ran.reject.reason == "fits no range"


def test_types_and_branches() -> None:
    action = route()
    assert str(action.adds(FakeScope(COLUMNS))["range"]) == "short|long"
    assert action.branches() == {"short": "range", "long": "range"}
    assert FakeScope(COLUMNS).told(action) == []


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (Route(by="text", into={"a": "1.."}), "a range is of numbers, and 'text' is str"),  # type: ignore[dict-item]
        (route(wide="..10", narrow="..5"), "nothing reaches 'narrow': 'wide' stands above it and takes all"),
        (route(**{"a b": "..10"}), "'a b' cannot be taken by `from`"),
    ],
)
def test_what_check_says(action: Route, said: str) -> None:
    assert said in FakeScope(COLUMNS).told(action)


def test_a_length_is_written_in_binary() -> None:
    with pytest.raises(ValidationError, match="32Ki"):
        route(short="..32K")
