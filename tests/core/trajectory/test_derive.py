"""Toolsets from calls: every call they were derived from is valid, and the file reads back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthkit.core.errors import SpecError
from synthkit.core.toolset import load_toolset
from synthkit.core.trajectory import Trajectory
from synthkit.core.trajectory.derive import derive, schema_of, toolset_yaml
from synthkit.core.types.reply import stored_call

from .strategies import PLAIN, trajectories


def step(**call: Any) -> dict[str, Any]:
    return {"thought": None, "call": stored_call(call), "response": ""}


SCHEMAS: list[tuple[list[Any], dict[str, Any]]] = [
    (["a", "b"], {"type": "string"}),
    ([1, 2.5], {"type": "number"}),
    ([True, None], {"type": ["boolean", "null"]}),
    ([[], []], {"type": "array"}),
    ([["a"], [1]], {"type": "array", "items": {"type": ["integer", "string"]}}),
    ([{"a": 1, "b": "x"}, {"a": 2}],
     {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}, "required": ["a"]}),
]  # fmt: skip


@pytest.mark.parametrize(("values", "schema"), SCHEMAS, ids=[str(schema) for _, schema in SCHEMAS])
def test_what_values_show(values: list[Any], schema: dict[str, Any]) -> None:
    assert schema_of(values) == schema


def test_a_derived_toolset(tmp_path: Path) -> None:
    runs = [
        [step(name="look", arguments={"at": "a"}), step(name="go", arguments={}), step(say="Well?")],
        [step(name="look", arguments={"at": "b", "far": True})],
    ]
    found = derive("house", runs)
    assert list(found.tools) == ["look", "go"], "the most called first"
    assert found.tools["look"].parameters["required"] == ["at"]
    assert (found.say, found.derived, found.about) == (True, True, "Seen in 3 calls of 2 trajectories.")
    (tmp_path / "house.yaml").write_text(toolset_yaml(found))
    again = load_toolset(tmp_path / "house.yaml")
    assert again == found
    assert again.model_dump() == found.model_dump()


def test_no_calls_no_toolset() -> None:
    with pytest.raises(SpecError, match="no tool is called in 1 trajectories"):
        derive("house", [[step(final="x")]])


@given(runs=st.lists(trajectories(PLAIN), min_size=1, max_size=4))
def test_the_calls_it_was_derived_from_are_valid(runs: list[Trajectory]) -> None:
    steps = [list(run.steps) for run in runs]
    if any(each["call"]["name"] for run in steps for each in run):
        found = derive("any", steps)
        assert all(found.problem(each["call"]) is None for run in steps for each in run)
        assert found.call_schema()["anyOf"]
