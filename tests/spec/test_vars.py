"""References, their types and bounds; values from the command line and from a spec that reads this one."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import dedent

import pytest

from synthkit.core.errors import Mark, SpecError

from .conftest import Load

ROWS = """
steps:
  rows:
    read: {path: "${vars.path}"}
"""


def test_whole_values_keep_their_type_and_texts_are_filled(spec: Load) -> None:
    variables = """
        vars:
          folder: data
          language: en
          path: "${vars.folder}/${vars.language}/*.jsonl"
          number: 3
          share: 0.5
          flag: true
          styles: [plain, formal]
          copy: "${vars.styles}"
          deep: {inner: {x: 1}}
          inner: "${vars.deep.inner}"
          told: "n=${vars.number} ${vars.share} ${vars.flag}"
        """
    loaded = spec(dedent(variables) + ROWS)
    values = loaded.spec.vars
    assert values["path"] == "data/en/*.jsonl"
    assert values["copy"] == ["plain", "formal"]
    assert values["inner"] == {"x": 1}
    assert values["told"] == "n=3 0.5 true"
    assert loaded.spec.steps["rows"].action.model_dump()["path"] == "data/en/*.jsonl"


def test_order_of_variables_does_not_matter(spec: Load) -> None:
    assert spec('vars: {path: "${vars.b}.jsonl", b: "${vars.c}", c: x}' + ROWS).spec.vars["path"] == "x.jsonl"


def test_a_broken_variable_is_told_once(wrong: Callable[..., list[str]]) -> None:
    assert wrong('vars: {path: "${vars.b}", b: "${vars.x}", c: "${vars.b}"}' + ROWS) == ["1: 'vars' has no 'x'"]


def test_a_circle_through_itself(wrong: Callable[..., list[str]]) -> None:
    messages = wrong('vars: {path: "${vars.path}"}' + ROWS)
    assert messages == ["1: the variables refer to each other in a circle: path -> path"]


def test_long_chains_are_refused(wrong: Callable[..., list[str]]) -> None:
    chain = ", ".join(f'v{n}: "${{vars.v{n + 1}}}"' for n in range(200))
    messages = wrong(f'vars: {{path: "${{vars.v0}}", {chain}, v200: x}}' + ROWS)
    assert any("refer to one another in a chain" in message for message in messages)


def test_references_cannot_grow_without_bound(wrong: Callable[..., list[str]]) -> None:
    lists = "\n  ".join(f"v{n}: [{', '.join(['${vars.v' + str(n - 1) + '}'] * 10)}]" for n in range(1, 9))
    quoted = lists.replace("${", '"${').replace("}", '}"')
    assert any(
        "more than 20000 values" in message for message in wrong(f"vars:\n  path: x\n  v0: x\n  {quoted}" + ROWS)
    )
    texts = "\n  ".join(f't{n}: "{("${vars.t" + str(n - 1) + "}") * 20}"' for n in range(1, 9))
    assert any(
        "more than 20000 values" in message for message in wrong(f"vars:\n  path: x\n  t0: xxxxx\n  {texts}" + ROWS)
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${}", "${} is no reference"),
        ("${vars}", "${vars} is no reference"),
        ("${vars.}", "${vars.} is no reference"),
        ("${vars.path.x}", "'vars.path' has no 'x'"),
        ("${env.HOME}", "${env.HOME} may only stand where a secret is expected, as a whole value"),
        ("${x.y}", "${x.y} is no reference"),
        ("${vars.none}", None),
        ("a ${vars.none}", "${vars.none} is null, and cannot stand inside a text"),
        ("a ${vars.map}", "${vars.map} is a mapping, and cannot stand inside a text"),
        ("${ vars.number }", None),
        ("$x {y} $", None),
        ("${vars.path", "'${' is never closed"),
    ],
)
def test_references(wrong: Callable[..., list[str]], spec: Load, text: str, message: str | None) -> None:
    body = f"vars: {{path: p, none: null, map: {{a: 1}}, number: 3}}\nabout: {text!r}" + ROWS
    if message is None:
        try:
            spec(body)
        except SpecError as error:
            assert "is no reference" not in str(error)
    else:
        assert f"2: {message}" in wrong(body)


def test_keys_cannot_be_references(wrong: Callable[..., list[str]]) -> None:
    assert "2: a reference cannot be a key" in wrong('vars: {path: p}\naudit: {"${vars.path}": 1}' + ROWS)


def test_set_takes_yaml_values(spec: Load) -> None:
    text = "vars: {path: p, want: 5, styles: [a]}" + ROWS
    values = spec(text, sets={"vars.want": "8", "vars.styles": "[b, c]", "vars.path": "q", "about": "new"}).spec
    assert values.vars == {"path": "q", "want": 8, "styles": ["b", "c"]}
    assert values.about == "new"


def test_set_reaches_into_steps_and_lists(spec: Load) -> None:
    text = "vars: {path: p}" + ROWS + "  some:\n    from: [rows]\n    filter: {ok: 'true'}\n"
    loaded = spec(
        text, sets={"steps.some.filter.ok": "false or x", "steps.some.from.0": "rows", "steps.some.when": "y"}
    )
    assert loaded.spec.steps["some"].keys.when == "y"
    assert loaded.spec.steps["some"].action.where == {"ok": "false or x"}


@pytest.mark.parametrize(
    ("option", "hint"),
    [
        ("vars.pth", "did you mean 'path'?"),
        ("path", "did you mean 'vars.path'?"),
        ("stesp.rows", "did you mean 'steps'?"),
        ("steps.row.read.path", "did you mean 'rows'?"),
        ("vars.path.x", "'vars.path' holds no keys"),
        ("vars.list.7", "'vars.list' is a list of 1; its items count from 0"),
        ("vars.list.x", "'vars.list' is a list of 1; its items count from 0"),
        ("", "keys:"),
    ],
)
def test_set_names_something(spec: Load, option: str, hint: str) -> None:
    with pytest.raises(SpecError) as caught:
        spec("vars: {path: p, list: [1]}" + ROWS, sets={option: "1"})
    problem = caught.value.problems[0]
    assert problem.mark == Mark(f"--set {option}=1")
    assert problem.help is not None and hint in problem.help


def test_given_values_are_typed_and_marked(spec: Load) -> None:
    text = "vars: {path: p, want: 5}" + ROWS
    assert spec(text, given={"want": [1, "x"]}).spec.vars == {"path": "p", "want": [1, "x"]}
    with pytest.raises(SpecError) as caught:
        spec(text, given={"wnat": 1}, given_at=Mark("outer.yaml", 7, 9))
    assert str(caught.value) == (
        "outer.yaml:7:9: 'vars.wnat' names nothing in spec.yaml\n"
        "  help: keys of 'vars': path, want; did you mean 'want'?"
    )


def test_where_a_value_comes_from(spec: Load) -> None:
    text = "vars: {path: p, want: lots}" + ROWS + '  few: {from: rows, until: {rows: "${vars.want}"}, filter: {a: b}}\n'
    with pytest.raises(SpecError, match=r"the value comes from vars\.want \(spec\.yaml:1:23\)"):
        spec(text)
    with pytest.raises(SpecError, match=r"the value comes from vars\.want \(--set vars\.want=many\)"):
        spec(text, sets={"vars.want": "many"})
