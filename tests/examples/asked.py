"""What the shipped specs ask for: steps as written, replies read by their types, rows held to their filters."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import yaml

from synthkit.core.expr import compile_expression
from synthkit.core.resources import shipped
from synthkit.core.toolset import Toolset, load_toolset
from synthkit.core.types import parse_type, read_reply
from synthkit.core.types.model import Object

NANO = Path(__file__).parents[2] / "examples" / "nano"
COMPOSITES = Path(importlib.import_module("synthkit").__file__ or "").parent / "actions" / "composites"


def step(spec: str, name: str) -> dict[str, Any]:
    """A step of a shipped spec or composite, as written, with the vars of its spec."""
    folder = COMPOSITES if (COMPOSITES / f"{spec}.yaml").exists() else shipped("specs")
    found: dict[str, Any] = yaml.safe_load((folder / f"{spec}.yaml").read_text(encoding="utf-8"))
    return found["steps"][name] | {"vars": found.get("vars", {})}


def tools(name: str = "deep_research") -> Toolset:
    """A shipped toolset."""
    return load_toolset(shipped("toolsets") / f"{name}.yaml")


def read(out: dict[str, str], reply: str, row: dict[str, Any], toolset: Toolset | None = None) -> Any:
    """The reply, parsed by out types; its keys are in the declared order."""
    fields = {key: parse_type(declared) for key, declared in out.items()}
    assert list(json.loads(reply)) == list(fields), "keys in the declared order"
    return read_reply(Object(fields), reply, row=row, toolset=toolset or tools())


def failed(made: dict[str, Any], row: dict[str, Any], toolset: Toolset | None = None) -> str | None:
    """The first filter of a step that the row fails."""
    for name, text in made["filter"].items():
        if not compile_expression(text).evaluate(row, vars=made["vars"], toolset=toolset or tools()):
            return str(name)
    return None
