"""Composite actions: a YAML file with typed parameters that is used as a verb.

A parameter is `type = default`, with the types of the `out:` language, and `model prompt column new_column expr` for
names that only mean something inside the steps. Types are checked at the call, where the mistake is.
"""

from __future__ import annotations

from pathlib import Path

from synthkit.core.errors import Problem, SpecError
from synthkit.core.names import nearest
from synthkit.core.row import Value
from synthkit.spec.document import Site
from synthkit.spec.model import Composite, CompositeKeys, Param
from synthkit.spec.wording import validate
from synthkit.spec.yaml import parse_value, read_document

NAMES = ("model", "prompt", "column", "new_column", "expr")
"""Kinds of parameter that are names or expressions."""


def read_composite(file: Path, verb: str) -> Composite:
    """The declaration in a composite's file; SpecError with every problem of its own."""
    document = read_document(file)
    site = Site(document)
    if not isinstance(document.value, dict):
        raise SpecError(site.problem("an action's file is a mapping of action, params, needs, steps, output"))
    keys = validate(CompositeKeys, document.value, site, "an action's file")
    if isinstance(keys, list):
        raise SpecError(keys)
    problems: list[Problem] = []
    if keys.action != verb:
        problems.append(
            site.problem(
                f"the action calls itself {keys.action!r}, but its file says {verb!r}", "action", help="name both alike"
            )
        )
    params: dict[str, Param] = {}
    for name, declared in keys.params.items():
        try:
            params[name] = read_param(name, declared)
        except SpecError as error:
            hint = f"a parameter may also be {', '.join(NAMES)}"
            problems.extend(
                site.problem(each.message, "params", name, help=each.help or hint) for each in error.problems
            )
    if problems:
        raise SpecError(problems)
    return Composite(verb, keys.about, params, keys, document)


def read_param(name: str, declared: Value) -> Param:
    """A parameter as declared: `int(1..32) = 1`, `prompt = fas/plan.j2`, `model`, or a mapping of types."""
    from synthkit.core.types import Str, parse_type

    if not isinstance(declared, str):
        return Param(name, "value", str(parse_type(declared)), parse_type(declared))
    text, equals, default = (part.strip() for part in declared.partition("="))
    kind = next((each for each in NAMES if each == text), None)
    if kind:
        return Param(name, kind, text, None, not equals, default or None)  # type: ignore[arg-type]
    wanted = parse_type(text)
    if not equals:
        return Param(name, "value", text, wanted)
    try:
        value = default if isinstance(wanted, Str) else parse_value(default)
    except ValueError as error:
        raise SpecError(Problem(f"the default of {name!r} is not YAML: {error}")) from error
    param = Param(name, "value", text, wanted, False, value)
    wrong = _wrong(param, value)
    if wrong:
        raise SpecError(Problem(f"the default of {name!r}: {wrong}"))
    return param


def read_params(composite: Composite, value: Value, site: Site) -> dict[str, Value] | list[Problem]:
    """The parameters of a call, defaults filled in, or what is wrong with them."""
    if not isinstance(value, dict):
        return [site.problem(f"{composite.verb!r} takes a mapping of parameters", help=_declared(composite))]
    problems = []
    for name in value:
        if name not in composite.params:
            hint = nearest(name, composite.params, f"parameters of {composite.verb!r}")
            problems.append(site.problem(f"{composite.verb!r} has no key {name!r}", name, key=True, help=hint))
    params: dict[str, Value] = {}
    for name, param in composite.params.items():
        if name not in value:
            params[name] = param.default
            if param.required:
                message = f"{composite.verb!r} lacks the key {name!r}"
                problems.append(site.problem(message, key=True, help=f"{name}: {param.declared}"))
            continue
        params[name] = value[name]
        wrong = _wrong(param, value[name])
        if wrong and not site.document.is_broken((*site.path, name)):
            problems.append(site.problem(f"{name!r}: {wrong}", name, help=f"{name}: {param.declared}"))
    broken = any(site.document.is_broken((*site.path, name)) for name in value)
    return problems if problems or broken else params


def _wrong(param: Param, value: Value) -> str | None:
    """Why a value does not fit a parameter."""
    if param.type is None:
        return None if isinstance(value, str) and value else f"must be {_NAMED[param.kind]}, as text"
    from synthkit.core.types import check_value

    return check_value(param.type, value)


_NAMED = {
    "model": "the name of a role",
    "prompt": "the path of a template",
    "column": "the name of a column",
    "new_column": "the name of a column",
    "expr": "an expression",
}


def _declared(composite: Composite) -> str:
    return "; ".join(f"{param.name}: {param.declared}" for param in composite.params.values()) or "it has none"
