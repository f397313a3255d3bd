"""Columns through one step: what it reads must be there, what it adds must be new, what is blind must stay unseen.

A name is checked where it is written: a template's at the `prompt:` key with the template's line in the message, an
expression's at the expression. Columns computed by expressions remember what from, so that a template which is blind
to `statements` may not read `evidence` either, where `let` made that of statements; through models nothing is traced,
for a question written from statements is meant to be seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from synthkit.core.action import Action
from synthkit.core.errors import Mark
from synthkit.core.names import nearest
from synthkit.core.types import Bool, Choice, Date, Int, Json, Str, Type
from synthkit.core.types.model import bare
from synthkit.plan.graph import Until
from synthkit.plan.scope import Path, StepScope, World
from synthkit.plan.unify import nullable, unify
from synthkit.spec.model import Step

COLUMN = re.compile(r"[^\W\d_]\w{0,63}")
"""A name that templates and expressions can use; a leading underscore is kept for the store."""
RESERVED = frozenset(
    {"vars", "tools", "p", "loop", "none", "true", "false", "not", "and", "or", "in", "is", "if", "else"}
)
"""Names with a meaning of their own in templates or expressions."""


@dataclass
class Flow:
    """What is known of a node's columns beside their types."""

    open: bool = False
    """Some columns are unknown, for what adds them is wrong; nothing is said of a missing one."""
    owner: dict[str, str] = field(default_factory=dict)
    """Column -> the node that added it."""
    derived: dict[str, frozenset[str]] = field(default_factory=dict)
    """Column computed by an expression -> the columns it was computed from, all the way up."""

    @classmethod
    def of_union(cls, flows: Sequence[Flow]) -> Flow:
        """What holds of rows that come from any of them."""
        merged = cls(any(flow.open for flow in flows))
        for flow in flows:
            merged.owner |= flow.owner
            for name, sources in flow.derived.items():
                merged.derived[name] = merged.derived.get(name, frozenset()) | sources
        return merged

    def through(self, scope: StepScope, action: Action, adds: Mapping[str, Type], incomplete: bool) -> Flow:
        """After a step."""
        base = self if action.carries else Flow()
        after = Flow(base.open or incomplete, dict(base.owner), dict(base.derived))
        for name in adds:
            after.owner[name] = scope.step
            after.derived.pop(name, None)
        for meaning, at, text in action.mentions():
            expression = scope.expressions.get(text)
            if meaning == "expr" and expression is not None:
                for part in {str(part) for part in at} & adds.keys():
                    after.derived[part] = self._sources(expression.names)
        return after

    def _sources(self, names: frozenset[str]) -> frozenset[str]:
        """The names and all they were computed from."""
        return names.union(*(self.derived.get(name, frozenset()) for name in names))


def bind_reads(scope: StepScope, action: Action, when: str | None, flow: Flow, label: str) -> frozenset[str]:
    """The input columns that decide the step's result; a missing one is reported and then taken to be `json`."""
    declared = set(action.reads(scope))
    missing: dict[str, None] = {}
    known = dict(scope.columns)
    for names, at, marks in _read_names(scope, action):
        for name in sorted((names & declared) - known.keys()):
            missing[name] = None
            _missing(scope, name, at, marks.get(name), flow, label, known)
    for name in sorted(declared - known.keys() - missing.keys()):
        missing[name] = None
        _missing(scope, name, (), None, flow, label, known)
    condition = scope.expr(when, ()) if when else None
    for name in sorted(condition.names - known.keys()) if condition else ():
        missing[name] = None
        if not flow.open:
            message = f"column {name!r} is not available in {scope.step!r}"
            hint = nearest(name, sorted(known), f"{label!r} has")
            scope.world.problems.add(scope.spec_step.key_problem(message, "when", help=hint))
    scope.columns = known | dict.fromkeys(missing, Json())
    scope.missing = frozenset(missing)
    if not flow.open:
        _blind(scope, action, flow)
    return frozenset(declared | (condition.names if condition else set())) & known.keys()


def _read_names(scope: StepScope, action: Action) -> Iterator[tuple[set[str], Path, Mapping[str, Mark]]]:
    """Every place of the action that names columns: the names, the field path, and a template's own places."""
    for meaning, at, text in action.mentions():
        if meaning == "column" or (meaning == "origin" and text in scope.columns):
            yield {text}, at, {}
        elif meaning == "expr" and (expression := scope.expr(text, at)):
            _check_vars(scope, dict.fromkeys(expression.vars_read), at)
            yield set(expression.names), at, {}
        elif meaning == "prompt" and (prompt := scope.prompt(text, at)):
            _check_vars(scope, prompt.vars_read, at)
            yield set(prompt.reads) - action.provides(), at, prompt.reads
        elif meaning == "model":
            scope.role(text)


def _check_vars(scope: StepScope, names: Mapping[str, Mark | None], at: Path) -> None:
    """Variables must be declared."""
    for name in sorted(names.keys() - scope.vars.keys()):
        mark = names[name]
        message = f"there is no variable {name!r}" + (f" (read at {mark})" if mark else "")
        hint = nearest(name, sorted(scope.vars), "vars")
        scope.world.problems.add(scope.problem_of(message, at, key=mark is not None, help=hint))


def _missing(
    scope: StepScope, name: str, at: Path, read_at: Mark | None, flow: Flow, label: str, known: Mapping[str, Type]
) -> None:
    """Report a column that is not there; the action's own complaints about the field are then left out."""
    scope.silent.add(at)
    if flow.open:
        return
    place = f" (read at {read_at})" if read_at else ""
    message = f"column {name!r} is not available in {scope.step!r}{place}"
    hint = nearest(name, sorted(known), f"{label!r} has") if known else f"{label!r} has no columns"
    scope.world.problems.add(scope.problem_of(message, at, key=read_at is not None, help=hint))


def _blind(scope: StepScope, action: Action, flow: Flow) -> None:
    """A template must not read what was computed from a column it is blind to; that column itself the action checks."""
    blind: Sequence[str] = getattr(action, "blind", ())
    for prompt in scope.prompts.values() if blind else ():
        for name in sorted(prompt.reads.keys() - set(blind)):
            for index, unseen in enumerate(blind):
                if unseen in flow.derived.get(name, ()):
                    scope.problem(
                        f"the template must not read {unseen!r}, and reads {name!r} at {prompt.reads[name]},"
                        f" which is computed from it",
                        ("blind", index),
                        f"take {name!r} out of the template",
                    )


def after(
    scope: StepScope,
    action: Action,
    adds: dict[str, Type],
    conditional: bool,
    flow: Flow,
    label: str,
) -> tuple[dict[str, Type], dict[str, Type]]:
    """Columns visible after the step, and the ones it adds with their final types."""
    before = {name: of for name, of in scope.columns.items() if name not in scope.missing} if action.carries else {}
    replaced = action.replaces()
    final: dict[str, Type] = {}
    for name, of in adds.items():
        if not COLUMN.fullmatch(name) or name in RESERVED:
            scope.problem(
                f"{name!r} cannot be the name of a column", _place_of(scope, action, name), "use letters and digits"
            )
        if name in before and name not in replaced:
            owner = flow.owner.get(name)
            scope.problem(
                f"{scope.step!r} adds the column {name!r}, which {label!r} already has"
                + (f" from {owner!r}" if owner not in (None, label) else ""),
                _place_of(scope, action, name),
                _instead(action, name),
            )
        final[name] = _when_type(scope, name, of, before) if conditional else of
    return before | final, final


def _instead(action: Action, name: str) -> str:
    """What to do about a column that is there already."""
    return f"rename one, or write `replace: [{name}]`" if "replace" in type(action).model_fields else "rename one"


def _when_type(scope: StepScope, name: str, type: Type, before: Mapping[str, Type]) -> Type:
    """The type of a column that rows outside of `when` lack, or keep as it was."""
    if name not in before:
        return nullable(type)
    both = unify(before[name], type)
    if both is None:
        message = f"{name!r} is {before[name]} where `when` is false, and {type} where it is true"
        scope.world.problems.add(scope.spec_step.key_problem(message, "when", help="add it under another name"))
        return type
    return both


def _place_of(scope: StepScope, action: Action, column: str) -> Path:
    """Where the action names a column it adds: a `NewColumn` field, else a key of that name below the verb."""
    for meaning, at, text in action.mentions():
        if meaning == "new column" and text == column:
            return at
    site = scope.spec_step.site
    below = site.document.get((*site.path, scope.spec_step.verb))
    found = next(_keys(below, column), ())
    shorthand = type(action).shorthand
    return (shorthand, *found) if found and shorthand else found


def _keys(value: object, name: str) -> Iterator[Path]:
    """Paths of the keys of that name, outermost first."""
    if isinstance(value, dict):
        if name in value:
            yield (name,)
        for key, inner in value.items():
            for path in _keys(inner, name):
                yield (key, *path)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            for path in _keys(inner, name):
                yield (index, *path)


def quota(step: Step, columns: Mapping[str, Type], flow: Flow, world: World) -> Until | None:
    """The step's quota, its columns checked."""
    until = step.keys.until
    if until is None:
        return None
    if until.per is not None and not flow.open:
        kind = bare(columns[until.per]) if until.per in columns else None
        hint = nearest(until.per, sorted(columns), f"{step.name!r} has")
        if kind is None:
            world.problems.add(
                step.key_problem(f"there is no column {until.per!r} after {step.name!r}", "until", "per", help=hint)
            )
        elif not isinstance(kind, Str | Int | Bool | Choice | Date):
            message = f"a quota needs values it can count, and {until.per!r} is {kind}"
            world.problems.add(
                step.key_problem(message, "until", "per", help="use a column of text, numbers or a choice")
            )
    if until.tokens is not None and not flow.open and not isinstance(columns.get("tokens"), Int):
        message = "a quota in tokens needs a column `tokens`"
        world.problems.add(
            step.key_problem(message, "until", "tokens", help="put it on the `render` step, which gives one")
        )
    return Until(until.rows, until.tokens, until.per)


def union_columns(branches: Mapping[str, Mapping[str, Type]]) -> tuple[dict[str, Type], list[tuple[str, str]]]:
    """The columns of several steps' rows after one another; clashes as (message, help)."""
    merged: dict[str, Type] = {}
    owner: dict[str, str] = {}
    clashes: list[tuple[str, str]] = []
    for branch, columns in branches.items():
        for name, of in columns.items():
            both = unify(merged[name], of) if name in merged else of
            if both is None:
                message = f"column {name!r} is {merged[name]} in {owner[name]!r} and {of} in {branch!r}"
                clashes.append((message, "a union needs equal types; rename one of them with `let` before it"))
                continue
            merged[name] = both
            owner.setdefault(name, branch)
    everywhere = [name for name in merged if all(name in columns for columns in branches.values())]
    return {name: of if name in everywhere else nullable(of) for name, of in merged.items()}, clashes
