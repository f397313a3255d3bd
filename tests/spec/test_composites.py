"""Composite actions: parameters, inner steps, nesting, and whose line is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from synthkit.core.errors import SpecError
from synthkit.core.types import Int
from synthkit.spec.composite import read_param

from .conftest import Load

Write = Callable[[str, str], Path]
HEAD = "steps:\n  rows:\n    read: {path: p.jsonl}\n"

LABEL = """
action: label
about: Give a label.
params: {text: column, least: int(0..100) = 3, name: new_column = label, how: expr = true, style: plain|formal = plain}
needs: ["${params.text}"]
steps:
  long:
    from: input
    filter: {long: "${params.text} | length > ${params.least}", how: "${params.how}"}
  named:
    from: long
    let: {style: "'${params.style}'", least: "0 + ${params.least}"}
output: {from: named, adds: ["${params.name}"]}
"""


def test_a_call_is_instantiated(spec: Load, write: Write) -> None:
    write("actions/label.yaml", LABEL)
    loaded = spec(HEAD + "  done:\n    from: rows\n    label: {text: body, least: 7}\n")
    step = loaded.spec.steps["done"]
    call = step.call
    assert step.action is None and call is not None and step.verb == "label"
    assert call.params == {"text": "body", "least": 7, "name": "label", "how": "true", "style": "plain"}
    assert call.needs == ("body",) and call.output == "named" and call.adds == ("label",)
    assert list(call.steps) == ["long", "named"]
    assert call.steps["long"].from_ == ("input",)
    assert call.steps["long"].action.where == {"long": "body | length > 7", "how": "true"}
    problem = call.steps["named"].problem("odd", ("columns", "least"))
    assert str(problem).startswith("spec.yaml:6:5: in the action used here\nactions/label.yaml:12:46: odd\n")
    assert str(call.site.problem("no column", "needs", 0)).splitlines()[1] == "actions/label.yaml:5:9: no column"


def test_a_whole_reference_keeps_the_parameters_type(spec: Load, write: Write) -> None:
    text = """
        action: ask
        params: {n: int(1..8) = 2, model: model, prompt: prompt = en/x.j2}
        steps:
          only:
            from: input
            generate: {model: "${params.model}", prompt: "${params.prompt}", n: "${params.n}", out: {a: str}}
        output: {from: only, adds: [a]}
        """
    write("actions/ask.yaml", text)
    call = spec(HEAD + "  done: {from: rows, ask: {model: writer}}\n").spec.steps["done"].call
    assert call is not None
    action = call.steps["only"].action
    assert (action.n, action.model, action.prompt) == (2, "writer", "en/x.j2")


def test_composites_nest_and_keep_every_call_site(spec: Load, write: Write) -> None:
    write("actions/label.yaml", LABEL)
    outer = """
        action: outer
        params: {least: int}
        steps:
          only:
            from: input
            label: {text: body, least: "${params.least}"}
        output: {from: only, adds: [label]}
        """
    write("actions/outer.yaml", outer)
    call = spec(HEAD + "  done: {from: rows, outer: {least: 5}}\n").spec.steps["done"].call
    assert call is not None
    inner = call.steps["only"].call
    assert inner is not None and inner.params["least"] == 5
    with pytest.raises(SpecError) as caught:
        spec(HEAD + "  done: {from: rows, outer: {least: 500}}\n")
    (problem,) = caught.value.problems
    assert [str(mark) for mark in problem.via] == ["spec.yaml:4:22"]
    assert str(problem.mark) == "actions/outer.yaml:7:32"
    assert problem.message == "'least': 500 is not in 0..100"
    assert problem.help is not None and "params.least" in problem.help


def test_a_broken_call_says_nothing_of_the_inside(wrong: Callable[..., list[str]], write: Write) -> None:
    write("actions/label.yaml", LABEL)
    assert wrong(HEAD + '  done: {from: rows, label: {text: "${vars.x}", least: 5}}\n') == ["4: 'vars' has no 'x'"]


def test_local_composites_beside_the_spec_and_here(spec: Load, write: Write) -> None:
    write("specs/actions/label.yaml", LABEL)
    write("actions/label.yaml", LABEL.replace("Give", "Another"))
    write("actions/other.yaml", LABEL.replace("action: label", "action: other"))
    text = HEAD + "  a: {from: rows, label: {text: t}}\n  b: {from: rows, other: {text: t}}\n"
    steps = spec(text, name="specs/s.yaml").spec.steps
    assert steps["a"].call is not None and steps["a"].call.composite.about == "Give a label."
    assert steps["b"].call is not None


def test_a_local_copy_goes_before_the_installed_one(spec: Load, write: Write) -> None:
    text = "  done: {from: rows, plan_action: {model: writer}}\n"
    installed = spec("toolset: deep_research.yaml\n" + HEAD + text).spec.steps["done"].call
    assert installed is not None and installed.composite.document.path is not None
    assert list(installed.steps) == ["drafts", "sound"]
    write(
        "actions/plan_action.yaml",
        LABEL.replace("action: label", "action: plan_action")
        .replace("text: column", "model: column")
        .replace("params.text", "params.model"),
    )
    local = spec(HEAD + text).spec.steps["done"].call
    assert local is not None and local.composite.document.file == "actions/plan_action.yaml"


@pytest.mark.parametrize("verb", ["../actions/label", "x" * 500, "a\\0b", "label.yaml"])
def test_a_verb_is_a_name_and_no_path(wrong: Callable[..., list[str]], write: Write, verb: str) -> None:
    write("actions/label.yaml", LABEL)
    (message,) = wrong(HEAD + f'  done:\n    from: rows\n    "{verb}": {{text: t}}\n')
    assert message.startswith("6: there is no verb")


def test_vars_do_not_reach_into_composites(wrong: Callable[..., list[str]], write: Write) -> None:
    write("actions/label.yaml", LABEL.replace("${params.how}", "${vars.how}"))
    messages = wrong("vars: {how: x}\n" + HEAD + "  done: {from: rows, label: {text: t}}\n")
    assert messages == ["9: ${vars.how} is no reference"]


@pytest.mark.parametrize(
    ("declared", "kind", "required", "default"),
    [
        ("int(1..32) = 1", "value", False, 1),
        ("int", "value", True, None),
        ("str = a b", "value", False, "a b"),
        ("str = 5", "value", False, "5"),
        ("bool = true", "value", False, True),
        ("float(0..1) = 0.5", "value", False, 0.5),
        ("[str] = [a, b]", "value", False, ["a", "b"]),
        ("pass|fail = pass", "value", False, "pass"),
        ("int|none = null", "value", False, None),
        ("prompt = fas/plan.j2", "prompt", False, "fas/plan.j2"),
        ("model", "model", True, None),
        ("column", "column", True, None),
        ("new_column = x", "new_column", False, "x"),
        ("expr = a == b", "expr", False, "a == b"),
        ({"a": "int"}, "value", True, None),
        (["int"], "value", True, None),
    ],
)
def test_parameters(declared: object, kind: str, required: bool, default: object) -> None:
    param = read_param("x", declared)
    assert (param.kind, param.required, param.default) == (kind, required, default)
    assert (param.type is None) == (kind != "value")


def test_parameter_types_are_those_of_out() -> None:
    declared = read_param("x", "int(1..32) = 1").type
    assert isinstance(declared, Int) and (declared.min, declared.max) == (1, 32)


@pytest.mark.parametrize(
    "declared", ["int(5..1)", "modle", "int(1..3) = 9", "int = x", "[int] = [", "", "= 5", 7, None]
)
def test_bad_parameters(declared: object) -> None:
    with pytest.raises(SpecError):
        read_param("x", declared)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("{}", "'label' lacks the key 'text'"),
        ("", "'label' lacks the key 'text'"),
        ("{text: 5}", "'text': must be the name of a column, as text"),
        ("{text: ''}", "'text': must be the name of a column, as text"),
        ("{text: t, least: 5.5}", "'least':"),
        ("{text: t, least: true}", "'least':"),
        ("{text: t, style: odd}", "'style':"),
        ("[t]", "'label' takes a mapping of parameters"),
    ],
)
def test_bad_calls(wrong: Callable[..., list[str]], write: Write, call: str, message: str) -> None:
    write("actions/label.yaml", LABEL)
    messages = wrong(HEAD + f"  done:\n    from: rows\n    label: {call}\n")
    assert len(messages) == 1 and messages[0].startswith(f"6: {message}")
