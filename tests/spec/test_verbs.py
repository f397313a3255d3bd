"""Local Python actions, and what a verb can mean."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from synthkit.core.action import Action
from synthkit.core.errors import SpecError
from synthkit.spec.reference import LABELS, describe_verb, list_verbs
from synthkit.spec.schema import native_verbs
from synthkit.spec.verbs import packaged

from .conftest import Load

Write = Callable[[str, str], Path]
SPEC = "steps:\n  rows:\n    read: {path: p.jsonl}\n  loud:\n    from: rows\n    shout: {text: body}\n"
SHOUT = '''
from __future__ import annotations
from collections.abc import AsyncIterator
from typing import ClassVar
from synthkit.core.action import Column, NewColumn, RowAction

class Shout(RowAction):
    """Say it loud.

    Very loud."""

    verb: ClassVar[str] = "shout"
    gives: ClassVar[str] = "{loud: str}"

    text: Column
    """What is said."""
    marks: int = 3
    """How loud."""
    into: NewColumn = "loud"
    """Where it goes."""

    async def rows(self, row, ctx):
        yield row | {self.into: row[self.text].upper() + "!" * self.marks}
'''

TWICE = """
action: twice
about: Twice.
params: {n: int = 2}
needs: [a]
steps: {s: {from: input, let: {b: a}}}
output: {from: s, adds: [b]}
"""


def test_an_incomplete_class(wrong: Callable[..., list[str]], write: Write) -> None:
    write("actions/a.py", SHOUT.replace("marks: int", "marks: Loudness"))
    (message,) = wrong(SPEC)
    assert message.startswith("6: the class of 'shout' is not complete: `Shout` is not fully defined")


def test_a_local_class_is_a_verb(spec: Load, write: Write) -> None:
    write("actions/loud.py", SHOUT)
    action = spec(SPEC).spec.steps["loud"].action
    assert action is not None and type(action).__name__ == "Shout"
    assert [(meaning, text) for meaning, _, text in action.mentions()] == [("column", "body"), ("new column", "loud")]
    again = spec(SPEC).spec.steps["loud"].action
    assert type(again) is type(action), "an unchanged file is loaded once"
    module = sys.modules[type(action).__module__]
    assert module.__name__.startswith("synthkit_local_loud_") and module.__file__ is not None
    write("actions/loud.py", SHOUT.replace("marks: int = 3", "marks: int = 4"))
    changed = spec(SPEC).spec.steps["loud"].action
    assert changed is not None and changed.marks == 4


def test_beside_the_spec_goes_before_the_working_directory(spec: Load, write: Write) -> None:
    write("actions/loud.py", SHOUT)
    write("specs/actions/loud.py", SHOUT.replace("marks: int = 3", "marks: int = 5"))
    action = spec(SPEC, name="specs/s.yaml").spec.steps["loud"].action
    assert action is not None and action.marks == 5


def test_python_is_only_imported_when_a_verb_is_missing(spec: Load, write: Write) -> None:
    write("actions/boom.py", "raise RuntimeError('imported')")
    assert spec("steps: {rows: {read: {path: p.jsonl}}}\n").spec.steps
    with pytest.raises(SpecError, match=r"boom\.py:1:1: cannot be imported: RuntimeError: imported"):
        spec(SPEC)


@pytest.mark.parametrize(
    ("code", "diagnostic"),
    [
        (
            "x = 1\nclass Shout(\n",
            "actions/a.py:2:12: is not Python: '(' was never closed\n   2 | class Shout(\n     |            ^",
        ),
        (
            "import nonsense_module\n",
            "actions/a.py:1:1: cannot be imported: ModuleNotFoundError: No module named 'nonsense_module'",
        ),
        ("def f():\n    raise SystemExit(3)\nf()\n", "actions/a.py:2:1: cannot be imported: SystemExit: 3"),
        ("x = 1\n", "actions/a.py: defines no action\n  help: derive a class from synthkit.RowAction"),
        (SHOUT.replace('"shout"', '"filter"'), "actions/a.py: the verb 'filter' of class Shout is a native one"),
        ("\0", "actions/a.py:"),
    ],
    ids=["syntax", "import", "exit", "nothing", "taken", "nul"],
)
def test_mistakes_in_local_files_are_problems(spec: Load, write: Write, code: str, diagnostic: str) -> None:
    write("actions/a.py", code)
    with pytest.raises(SpecError) as caught:
        spec(SPEC)
    assert diagnostic in str(caught.value)
    assert "there is no verb 'shout'" in str(caught.value)


def test_reference_of_local_and_native_verbs(write: Write) -> None:
    write("actions/loud.py", SHOUT)
    write("actions/twice.yaml", TWICE)
    listed = list_verbs().splitlines()
    assert any(line.split() == ["shout", "Say", "it", "loud."] for line in listed)
    assert any(line.startswith("twice") and line.endswith("Twice. (composite)") for line in listed)
    assert {"read", "generate", "filter", "plan_action"} <= {line.split()[0] for line in listed}
    assert describe_verb("shout") == (
        "shout (row action)\n  Say it loud.\n  Very loud.\n  gives: {loud: str}\n\n"
        "  text: column\n      What is said.\n"
        "  marks: int = 3\n      How loud.\n  into: new column = loud\n      Where it goes."
    )
    assert describe_verb("twice") == (
        "twice (composite of s)\n  Twice.\n  needs: a\n  gives: b\n\n  n: int = 2\n  file: actions/twice.yaml"
    )
    with pytest.raises(SpecError, match="did you mean 'shout'"):
        describe_verb("shuot")


@pytest.mark.parametrize("verb", [line.split()[0] for line in list_verbs().splitlines()])
def test_every_shipped_verb_says_what_it_takes_gives_and_sets_aside_and_whose_idea_it_is(verb: str) -> None:
    told = describe_verb(verb)
    assert told.startswith(verb)
    assert re.search(r"^  \w+: \S", told, re.M), "its keys"
    for label in LABELS:
        assert len(re.findall(rf"^  {label} \S", told, re.M)) == 1, label


@pytest.mark.parametrize("action", list(native_verbs()), ids=lambda action: action.verb)
def test_every_reason_in_a_verbs_code_is_among_its_errors(action: type[Action]) -> None:
    said = (action.__doc__ or "").partition("Errors:")[2]
    for reason in _reasons(Path(inspect.getfile(action))):
        for part in reason:
            assert part in " ".join(said.split()), f"{action.verb}: {reason}"


def _reasons(file: Path) -> Iterator[list[str]]:
    """What the code gives as reasons of rejects; of one that is made of parts those that are fixed."""
    calls = [node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.Call)]
    for call in calls:
        match call.func, call.args:
            case (ast.Attribute(ast.Name("ctx"), "reject"), [reason, *_]) | (
                ast.Attribute(ast.Name("ctx"), "drop"),
                [_, _, reason, *_],
            ):
                parts = [each for each in ast.walk(reason) if isinstance(each, ast.Constant)]
                yield [each.value.strip() for each in parts if isinstance(each.value, str) and len(each.value) > 3]


def test_packaged_composites_are_found_without_importing_the_package() -> None:
    assert packaged("synthkit.actions:composites/plan_action.yaml").is_file()
    with pytest.raises(SpecError, match="not there"):
        packaged("no_such_package_here:x.yaml")
