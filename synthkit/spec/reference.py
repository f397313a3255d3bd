"""The reference of verbs as text: what `synthkit actions` prints, made of the classes and files themselves."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from synthkit.core.action import Action, Meaning, SourceAction, TableAction
from synthkit.core.errors import Problem, SpecError
from synthkit.core.field_docs import about
from synthkit.core.names import nearest
from synthkit.core.sizes import Bounds, Range
from synthkit.spec.model import Composite
from synthkit.spec.schema import composite_verbs, native_verbs
from synthkit.spec.verbs import Verbs

LABELS = ("Gives:", "Errors:", "Source:")
"""Paragraphs of a verb's docstring, or of a composite's `about`, that stand below its keys."""
_WIDTH = 100
_KINDS = {int: "int", float: "float", bool: "bool", str: "str", Range: "range", Bounds: "bounds", Any: "any"}


def list_verbs() -> str:
    """One line a verb, native ones first."""
    lines = [(action.verb, _first(action.__doc__)) for action in native_verbs()]
    lines += [(composite.verb, f"{_first(composite.about)} (composite)") for composite in composite_verbs()]
    width = max((len(verb) for verb, _ in lines), default=0)
    return "\n".join(f"{verb:<{width}}  {about}" for verb, about in lines)


def describe_verb(verb: str) -> str:
    """Everything about one verb: what it does, its keys with types and defaults, what it gives."""
    for action in native_verbs():
        if action.verb == verb:
            return "\n".join(_native(action))
    for composite in composite_verbs():
        if composite.verb == verb:
            return "\n".join(_composite(composite))
    raise SpecError(Problem(f"there is no verb {verb!r}", help=nearest(verb, Verbs((Path(),)).names(), "verbs")))


def describe_fields(model: type[BaseModel]) -> str:
    """The keys of a mapping: an engine's, a role's."""
    return "\n".join(_fields(model, ""))


def _native(action: type[Action]) -> Iterator[str]:
    """A verb that is a class."""
    kind = "source" if issubclass(action, SourceAction) else "table" if issubclass(action, TableAction) else "row"
    yield f"{action.verb} ({kind} action)"
    said, labelled = _parts(action.__doc__ or "")
    yield from _wrapped(said, "  ")
    gives: Any = action.gives
    if gives and isinstance(gives, Mapping):
        gives = f"{{{', '.join(f'{name}: {of}' for name, of in gives.items())}}}"
    if gives:
        yield from _wrapped(f"gives: {gives}", "  ")
    yield ""
    if action.shorthand:
        yield f"  {action.verb}: {_typed(action.model_fields[action.shorthand])}"
        yield from _wrapped(about(action, action.shorthand), "      ")
    else:
        yield from _fields(action, "  ")
    yield from _labelled(labelled)


def _fields(model: type[BaseModel], indent: str) -> Iterator[str]:
    """The keys of a mapping, those of mappings below it indented."""
    for name, field in model.model_fields.items():
        default = "" if field.is_required() else f" = {_default(field)}"
        yield f"{indent}{field.alias or name}: {_typed(field)}{default}"
        yield from _wrapped(about(model, name), f"{indent}    ")
        for inner in _models(field.annotation):
            yield from _fields(inner, f"{indent}    ")


def _composite(composite: Composite) -> Iterator[str]:
    """A verb that is a file."""
    yield f"{composite.verb} (composite of {', '.join(composite.keys.steps)})"
    said, labelled = _parts(composite.about)
    yield from _wrapped(said, "  ")
    yield f"  needs: {', '.join(composite.keys.needs) or 'nothing'}"
    yield f"  gives: {', '.join(composite.keys.output.adds)}"
    yield ""
    for param in composite.params.values():
        default = "" if param.required else f" = {_plain(param.default)}"
        yield f"  {param.name}: {param.declared}{default}"
    yield from _labelled(labelled)
    yield f"  file: {composite.document.file}"


def _parts(text: str) -> tuple[str, list[str]]:
    """The paragraphs of a verb's documentation; those that begin with one of `LABELS` by themselves."""
    paragraphs = text.strip().split("\n\n")
    labelled = [each for each in paragraphs if each.lstrip().startswith(LABELS)]
    return "\n\n".join(each for each in paragraphs if each not in labelled), labelled


def _labelled(paragraphs: list[str]) -> Iterator[str]:
    """What stands below the keys: what comes out, what is set aside, whose idea it is."""
    if paragraphs:
        yield ""
    for paragraph in paragraphs:
        first, *more = _wrapped(paragraph, "      ")
        yield from (first.removeprefix("    "), *more)


def _typed(field: FieldInfo) -> str:
    """A field's type in the words of the spec language."""
    return _named(field.annotation, field.metadata)


def _named(annotation: Any, metadata: list[Any]) -> str:
    meaning = next((each.name for each in metadata if isinstance(each, Meaning)), None)
    if meaning:
        return meaning
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _named(arguments[0], list(arguments[1:]))
    if origin in (Union, UnionType):
        return "|".join("none" if each is type(None) else _named(each, []) for each in arguments)
    if origin is Literal:
        return "|".join(map(str, arguments))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"{{name: {_named(arguments[-1], [])}}}"
    if origin in (list, tuple, set, frozenset):
        return f"[{_named(arguments[0], [])}]"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping"
    return _KINDS.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Models within an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [inner for each in get_args(annotation) for inner in _models(each)]


def _default(field: FieldInfo) -> str:
    return _plain(field.get_default(call_default_factory=True, validated_data={}))


def _plain(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | frozenset | list):
        return "[" + ", ".join(map(_plain, value)) + "]"
    return str(value)


def _first(text: str | None) -> str:
    """The first sentence, or line."""
    return " ".join((text or "").strip().partition("\n\n")[0].split())


def _wrapped(text: str, indent: str) -> list[str]:
    paragraphs = text.strip().split("\n\n")
    return [
        line
        for paragraph in paragraphs
        for line in textwrap.wrap(" ".join(paragraph.split()), _WIDTH, initial_indent=indent, subsequent_indent=indent)
    ]
