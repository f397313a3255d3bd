"""The editor schema: current, valid draft-07, true to the loader."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from synthkit.core.errors import SpecError
from synthkit.core.resources import shipped
from synthkit.spec.schema import OWN, spec_schema
from synthkit.spec.yaml import read_document
from tests.conftest import Golden

from .bad_specs import FILES

COMMITTED = shipped("specs") / "spec.schema.json"
SPECS = sorted(file for file in shipped("specs").glob("*.yaml") if not file.name.startswith("models"))
NOT_STRUCTURAL = frozenset(
    {
        # names that are not there, and where values come from: no schema can know them
        "composite_declaration", "composite_file", "composite_inner", "composite_params", "composite_recursion",
        "empty_range", "environment", "from_below", "from_twice", "from_unknown", "join_below", "list_in_text",
        "literal_secret", "models_file", "models_missing", "models_option", "models_twice", "set_unknown",
        "set_wrong_type", "unknown_variable", "variable_cycle", "wrong_namespace", "wrong_variable",
        "none_wanted", "quota",
    }
)  # fmt: skip


@pytest.fixture(scope="module")
def validator() -> Draft7Validator:
    return Draft7Validator(spec_schema(OWN))


def test_it_is_committed_as_generated(golden: Golden) -> None:
    golden(json.dumps(spec_schema(OWN), indent=2, ensure_ascii=False), COMMITTED)


def test_it_is_draft_07(validator: Draft7Validator) -> None:
    Draft7Validator.check_schema(validator.schema)
    keywords = {key for node in _nodes(validator.schema) for key in node}
    assert not keywords & {"$defs", "prefixItems", "unevaluatedProperties", "dependentSchemas", "$anchor"}
    references = {node["$ref"] for node in _nodes(validator.schema) if isinstance(node.get("$ref"), str)}
    assert references <= {f"#/definitions/{name}" for name in validator.schema["definitions"]}
    for node in _nodes(validator.schema):
        assert "$ref" not in node or len(node) == 1, "draft-07 ignores what stands beside a $ref"


def test_every_key_is_described(validator: Draft7Validator) -> None:
    for name, each in validator.schema["definitions"].items():
        for key, body in each.get("properties", {}).items():
            assert "description" in body or "$ref" in body, f"{name}.{key}"


@pytest.mark.parametrize("file", SPECS, ids=lambda file: file.stem)
def test_it_accepts_shipped_specs(file: Path, validator: Draft7Validator) -> None:
    assert not [error.message for error in validator.iter_errors(read_document(file).value)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_refuses_structurally_bad_specs(file: Path, validator: Draft7Validator) -> None:
    if file.stem in NOT_STRUCTURAL:
        return
    try:
        value = read_document(file).value
    except SpecError:
        return  # not even YAML
    assert not validator.is_valid(value)


@pytest.mark.parametrize(
    ("step", "valid"),
    [
        ({"read": {"path": "x"}}, True),
        ({"from": "a", "read": {"path": "x"}}, False),
        ({"filter": {"ok": "true"}}, False),
        ({"from": "a", "filter": {"ok": "true"}}, True),
        ({"from": ["a", "b.c"], "filter": {"ok": "true"}, "when": "x", "until": {"rows": "5K", "per": "y"}}, True),
        ({"from": "a", "filter": {"ok": "true"}, "let": {"x": "1"}}, False),
        ({"from": "a", "filter": {}}, False),
        ({"from": "a", "fliter": {"ok": "true"}}, False),
        ({"from": "a", "chunk": {"text": "t", "into": "p", "tokens": "..600"}}, True),
        ({"from": "a", "chunk": {"text": "t", "into": "p", "tokens": "..32K"}}, False),
        ({"from": "a", "chunk": {"text": "t", "into": "p", "tokens": "${vars.n}"}}, True),
        ({"from": "a", "generate": {"model": "w", "prompt": "p", "out": {"x": "str"}, "n": "${vars.n}"}}, True),
        ({"from": "a", "generate": {"model": "w", "prompt": "p", "out": {"x": "str"}, "n": "many"}}, False),
        ({"from": "a", "generate": {"model": "w", "prompt": "p", "out": {"x": "str"}, "each": "${vars.e}"}}, True),
        ({"from": "a", "generate": {"model": "w", "prompt": "p", "out": {"x": "str"}, "each": "plain"}}, False),
        ({"from": "a", "generate": {"model": "w", "promt": "p", "out": {"x": "str"}}}, False),
        ({"from": "a", "plan_action": {"model": "w"}}, True),
        ({"from": "a", "plan_action": {"model": "w", "k": 0}}, False),
        ({"from": "a", "plan_action": {"model": "w", "k": "${vars.k}"}}, True),
        ({"from": "a", "plan_action": {"k": 2}}, False),
    ],
)
def test_steps(step: dict[str, Any], valid: bool, validator: Draft7Validator) -> None:
    assert validator.is_valid({"steps": {"s": step}}) == valid


@pytest.mark.parametrize(
    ("part", "valid"),
    [
        ({"models": "models.yaml"}, True),
        ({"engines": {"e": {"vllm": "nano"}}, "models": {"w": {"engine": "e", "temperature": 0.5}}}, True),
        ({"engines": {"e": {"vllm": "nano", "gpus": "${vars.gpus}"}}}, True),
        ({"engines": {"e": {"vlllm": "nano"}}}, False),
        ({"engines": {"e": {}}}, False),
        ({"models": {"w": {"engine": "e", "temprature": 0.5}}}, False),
        ({"models": {"w": {"temperature": 0.5}}}, False),
        ({"publish": {"t": {"from": "s", "columns": ["a"]}}}, True),
        ({"publish": {"t": {"columns": ["a"]}}}, False),
        ({"publish": {"bad name": {"from": "s"}}}, False),
        ({"audit": {"s.kept": "30%..70%"}}, True),
        ({"audit": {"kept": "30%..70%"}}, False),
        ({"audit": {"s.kept": "much"}}, False),
        ({"name": "a/b"}, False),
        ({"vars": {"x y": 1}}, False),
        ({"extra": 1}, False),
    ],
)
def test_top_level(part: dict[str, Any], valid: bool, validator: Draft7Validator) -> None:
    assert validator.is_valid({"steps": {"s": {"read": {"path": "x"}}}} | part) == valid


def test_installed_and_local_verbs_are_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "actions").mkdir()
    steps = "steps: {s: {from: input, let: {a: '1'}}}\noutput: {from: s, adds: [a]}\n"
    text = "action: twice\nparams: {n: int(1..5)}\n" + steps
    (tmp_path / "actions" / "twice.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    local = Draft7Validator(spec_schema())
    assert local.is_valid({"steps": {"s": {"from": "a", "twice": {"n": 3}}}})
    assert not local.is_valid({"steps": {"s": {"from": "a", "twice": {"n": 9}}}})


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from _nodes(each)
    elif isinstance(value, list):
        for each in value:
            yield from _nodes(each)
