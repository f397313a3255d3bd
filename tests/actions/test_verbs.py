"""What every native verb owes its readers: a name, a description of each field, a light import, its memory."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from synthkit.actions.dedup import Dedup
from synthkit.actions.group import Group
from synthkit.actions.let import Let
from synthkit.core import registry
from synthkit.core.action import Action, TableAction
from synthkit.core.field_docs import about

OURS = sorted(name for name in registry.actions() if registry.actions()[name].__module__.startswith("synthkit."))
HEAVY = [
    "polars",
    "pyarrow",
    "lance",
    "numpy",
    "datasketch",
    "jsonschema",
    "tokenizers",
    "aiohttp",
    "torch",
    "vllm",
    "rich",
]


@pytest.mark.parametrize("name", OURS)
def test_every_field_is_described(name: str) -> None:
    action: type[Action] = registry.actions()[name]
    assert action.verb == name
    assert action.__doc__
    for field in action.model_fields:
        assert about(action, field), f"{name}.{field} has no docstring"
    assert action.model_json_schema(by_alias=True)["properties"]


@pytest.mark.parametrize("name", OURS)
def test_barriers_state_their_memory(name: str) -> None:
    action: type[Action] = registry.actions()[name]
    if issubclass(action, TableAction):
        assert "Memory" in (action.__doc__ or "")
        assert "KB" in (action.__doc__ or "") or "bytes" in (action.__doc__ or "")


def test_importing_all_verbs_loads_nothing_heavy() -> None:
    code = (
        "import sys; from synthkit.core import registry; [registry.actions()[name] for name in registry.actions()];"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (Dedup(by="t", within="e", apart=["d"]), {("column", "t"), ("column", "e"), ("column", "d")}),
        (Dedup(by="t", cluster="c"), {("column", "t"), ("new column", "c")}),
        (Group(by="e", carry=["a"], collect={"s": ["x"]}), {("column", "e"), ("column", "a"), ("column", "x")}),
        (Group(by=["e", "f"]), {("column", "e"), ("column", "f")}),
        (Let.model_validate({"columns": {"a": "x", "b": {"is": "y", "type": "int"}}}), {("expr", "x"), ("expr", "y")}),
    ],
)  # fmt: skip
def test_fields_say_what_is_read_and_written(action: Action, expected: set[Any]) -> None:
    assert {(meaning, text) for meaning, _, text in action.mentions()} == expected
