"""From pydantic's errors to diagnostics: the key or value in the file, in plain words, with what is allowed.

Locations are YAML paths once the tags that pydantic adds for unions are taken out. All errors of one value become one
problem: where one member of a union wanted text and another looked into the mapping, only the deeper error is told.
Validation is strict (through JSON), so that `votes: "3"` and `count: yes` are errors and not guesses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import orjson
from pydantic import BaseModel, PydanticUserError, ValidationError
from pydantic_core import ErrorDetails

from synthkit.core.errors import Problem
from synthkit.core.field_docs import about
from synthkit.core.names import guess, nearest
from synthkit.core.row import Value
from synthkit.spec.document import Site, YamlPath
from synthkit.spec.model import BRANCH, FIGURE, FILE_NAME, NAME

_Model = TypeVar("_Model", bound=BaseModel)

_WANTED = {
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "finite": "a finite number",
    "bool": "true or false",
    "string": "text",
    "dict": "a mapping",
    "mapping": "a mapping",
    "model": "a mapping",
    "dataclass": "a mapping",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen": "a list",
    "none": "null",
    "date": "a date",
    "path": "a path",
}
"""By the first word of pydantic's error type, where the type ends in `_type`, `_parsing` or the like."""
_REPRESENTATION = frozenset({"tuple_type", "set_type", "frozen_set_type", "path_type", "date_type", "is_instance_of"})
"""Kinds that YAML cannot write; below a "before" validator, pydantic is strict about them even with JSON input."""
_BOUNDS = {
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "multiple_of": "a multiple of {multiple_of}",
}


def validate(
    model: type[_Model], value: Value, site: Site, what: str, *, shorthand: str | None = None
) -> _Model | list[Problem]:
    """An instance of `model`, or what is wrong; `what` names the mapping, `shorthand` the field it stands for."""
    data = {shorthand: value} if shorthand else value
    try:
        return model.model_validate_json(orjson.dumps(data), strict=True)
    except ValidationError as error:
        failed = error
    except PydanticUserError as error:  # an annotation that cannot be resolved: the mistake is in the class
        return [site.problem(f"the class of {what} is not complete: {error.message.splitlines()[0]}", key=True)]
    if any(each["type"] in _REPRESENTATION for each in failed.errors(include_url=False)):
        try:
            return model.model_validate_json(orjson.dumps(data))
        except ValidationError as error:
            failed = error
    return list(_problems(failed, model, data, site, what, shorthand))


def _problems(
    error: ValidationError, model: type[BaseModel], value: Value, site: Site, what: str, shorthand: str | None
) -> Iterator[Problem]:
    """One problem per place."""
    places: dict[YamlPath, list[ErrorDetails]] = {}
    for each in error.errors(include_url=False):
        places.setdefault(_path(each, value), []).append(each)
    for path, errors in places.items():
        deeper = any(len(other) > len(path) and other[: len(path)] == path for other in places)
        if deeper and all(_wanted(each) for each in errors):
            continue
        shown = path[1:] if shorthand else path
        if site.document.is_broken((*site.path, *shown)):
            continue
        yield _problem(path, errors, model, site, what, shown)


def _path(error: ErrorDetails, value: Value) -> YamlPath:
    """The error's location without union tags; of a missing key, with that key."""
    path: list[str | int] = []
    here: Any = value
    for part in error["loc"]:
        below: dict[Any, Value] = dict(enumerate(here)) if isinstance(here, list) else here
        if isinstance(below, dict) and part in below:
            here = below[part]
            path.append(part)
    if error["type"] == "missing":
        path.append(error["loc"][-1])
    return tuple(path)


def _problem(
    path: YamlPath, errors: Sequence[ErrorDetails], model: type[BaseModel], site: Site, what: str, shown: YamlPath
) -> Problem:
    """What is wrong at one place."""
    first = errors[0]
    owner = _model_at(model, path[:-1])
    inside = repr(_key(shown[:-1])) if shown[:-1] else what
    if first["type"] == "extra_forbidden":
        hint = nearest(str(path[-1]), keys_of(owner), f"keys of {inside}") if owner else None
        return site.problem(f"{inside} has no key {str(path[-1])!r}", *shown, key=True, help=hint)
    if first["type"] == "missing":
        return site.problem(
            f"{inside} lacks the key {str(path[-1])!r}", *shown[:-1], key=True, help=_about(owner, path[-1])
        )
    if first["loc"][-1:] == ("[key]",):
        return site.problem(f"the name {path[-1]!r} must be {_limit(first)}", *shown, key=True)
    subject = repr(_key(shown)) if shown else what
    told = _told(errors, first["input"])
    about = _about(owner, path[-1], shown) if path and isinstance(path[-1], str) else None
    return site.problem(
        f"{subject} {told}" if told.startswith(("must ", "is ")) else f"{subject}: {told}", *shown, help=about
    )


def _told(errors: Sequence[ErrorDetails], given: Value) -> str:
    """What a value must be; an action's own words where it has some."""
    own = next((e for e in errors if e["type"] in ("value_error", "assertion_error")), None)
    if own:
        return str(own.get("ctx", {}).get("error") or own["msg"])
    wanted = list(dict.fromkeys(_wanted(each) or _limit(each) for each in errors))
    if errors[0]["type"] in ("too_short", "string_too_short") and not given:
        return "is empty"
    hint = ""
    choices = [name for each in errors for name in _CHOICE.findall(str(each.get("ctx", {}).get("expected", "")))]
    if choices and isinstance(given, str) and (meant := guess(given, choices)):
        hint = f"; did you mean {meant!r}?"
    return f"must be {' or '.join(wanted)}, not {_written(given)}{hint}"


def _wanted(error: ErrorDetails) -> str | None:
    """The kind of value that was expected, for errors of kind."""
    kind = error["type"]
    if kind.endswith(("_type", "_parsing", "_from_float", "_required", "_number", "_instance_of", "_parsing_size")):
        return _WANTED.get(kind.split("_")[0])
    return None


def _limit(error: ErrorDetails) -> str:
    """The limit that a value of the right kind breaks."""
    kind, limits = error["type"], error.get("ctx", {})
    if kind in _BOUNDS:
        return _BOUNDS[kind].format(**limits)
    if kind in ("literal_error", "enum"):
        return f"one of {limits['expected']}"
    if kind == "string_pattern_mismatch":
        most = _LONGEST.get(str(limits["pattern"]))
        if most is not None and len(str(error["input"])) > most:
            return f"at most {most} characters long"
        return _PATTERNS.get(str(limits["pattern"]), f"text that matches {limits['pattern']}")
    if kind in ("too_short", "too_long", "string_too_short", "string_too_long"):
        least = "short" in kind
        unit = "characters" if kind.startswith("string") else "entries"
        return f"{'at least' if least else 'at most'} {limits['min_length' if least else 'max_length']} {unit} long"
    message = error["msg"]
    return message[:1].lower() + message[1:]


_LONGEST = {NAME: 64, FILE_NAME: 100}
"""What the patterns allow: who reads that a name must be letters does not see that it has too many."""
_CHOICE = re.compile(r"'([^']*)'")
_PATTERNS = {
    NAME: "letters, digits and '_', beginning with a letter",
    BRANCH: "a step's name, or step.branch",
    FILE_NAME: "letters, digits and any of '_-.', beginning with a letter or digit",
    FIGURE: "step.figure",
}


def _written(value: Value) -> str:
    """A value as its author would recognise it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"the text {value[:60] + '...' if len(value) > 60 else value!r}"
    if isinstance(value, int | float):
        return str(value)
    return "a mapping" if isinstance(value, Mapping) else "a list"


def _key(path: YamlPath) -> str:
    """The name of a value: its key, with the index of a list item."""
    names = [i for i, part in enumerate(path) if isinstance(part, str)]
    start = names[-1] if names else 0
    return "".join(f"[{part}]" if isinstance(part, int) else part for part in path[start:])


def keys_of(model: type[BaseModel] | None) -> list[str]:
    """The YAML keys of a model."""
    return [field.alias or name for name, field in model.model_fields.items()] if model else []


def _about(model: type[BaseModel] | None, key: str | int, shown: YamlPath = ("",)) -> str | None:
    """A field's docstring, for the help line; without its name where the value stands for the whole mapping."""
    for name, field in model.model_fields.items() if model else ():
        if key in (name, field.alias) and model and (said := about(model, name)):
            text = " ".join(said.split())
            return f"{key}: {text}" if shown else text
    return None


def _model_at(annotation: Any, path: YamlPath) -> type[BaseModel] | None:
    """The model that the mapping at `path` is read by."""
    for member in _members(annotation):
        if isinstance(member, type) and issubclass(member, BaseModel):
            if not path:
                return member
            inner = next((f.annotation for n, f in member.model_fields.items() if path[0] in (n, f.alias)), None)
        else:
            arguments = [each for each in get_args(member) if each is not Ellipsis]
            inner = arguments[-1] if arguments and path else None
        found = _model_at(inner, path[1:]) if inner is not None else None
        if found:
            return found
    return None


def _members(annotation: Any) -> list[Any]:
    """The members of a union, without annotations."""
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [inner for each in get_args(annotation) for inner in _members(each)]
    return [annotation]
