"""`module:Name` as a type: a pydantic model or an outlines term, imported when it is first used.

Pydantic's `$defs` are written out in place, because a schema nested in another cannot keep its own root.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from synthkit.core.errors import ParseError, SpecError

_DEEPEST = 40


@cache
def resolve(path: str) -> Any:
    """The object of that name; SpecError where it cannot be imported or is of another kind."""
    module, _, name = path.partition(":")
    try:
        found = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception as error:
        raise SpecError(f"type '{path}' cannot be imported: {error.__class__.__name__}: {error}") from error
    if not _is_model(found) and _regex(found) is None and _term_schema(found) is None:
        raise SpecError(f"type '{path}' is neither a pydantic model nor an outlines term")
    return found


def schema(path: str) -> dict[str, Any]:
    """The JSON Schema of the type, without references."""
    found = resolve(path)
    raw = found.model_json_schema() if _is_model(found) else _term_schema(found)
    if raw is not None:
        return inlined(raw, f"type '{path}'")
    return {"type": "string", "pattern": f"^({_regex(found)})$"}


def read(path: str, value: Any) -> Any:
    """The value as the type gives it back, JSON-like; ParseError where it does not fit."""
    found = resolve(path)
    if _is_model(found):
        from pydantic import ValidationError

        try:
            return found.model_validate(value).model_dump(mode="json")
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            at = ".".join(str(part) for part in first["loc"])
            raise ParseError(f"{at}: {first['msg']}" if at else first["msg"]) from None
    term = _term_schema(found)
    if term is not None:
        from jsonschema import Draft202012Validator

        problem = next(iter(Draft202012Validator(term).iter_errors(value)), None)
        if problem is not None:
            raise ParseError(f"{problem.json_path[2:]}: {problem.message}" if problem.path else problem.message)
        return value
    import re

    if not isinstance(value, str) or not re.fullmatch(str(_regex(found)), value):
        raise ParseError(f"{value!r:.60} does not match the pattern of '{path}'")
    return value


def regex(path: str) -> str | None:
    """The regular expression of an outlines term that has one; None for models and schemas."""
    found = resolve(path)
    return None if _is_model(found) or _term_schema(found) is not None else _regex(found)


def _is_model(found: Any) -> bool:
    from pydantic import BaseModel

    return isinstance(found, type) and issubclass(found, BaseModel)


def _is_term(found: Any) -> bool:
    """Whether the object comes from outlines; asked without importing outlines."""
    return any(base.__module__.startswith("outlines.") for base in type(found).__mro__)


def _term_schema(found: Any) -> dict[str, Any] | None:
    """The schema of an outlines `JsonSchema` term."""
    import json

    text = getattr(found, "schema", None) if _is_term(found) else None
    return dict(json.loads(text)) if isinstance(text, str) else None


def _regex(found: Any) -> str | None:
    if not _is_term(found):
        return None
    try:
        from outlines.types.dsl import to_regex

        return str(to_regex(found))
    except (ImportError, TypeError, NotImplementedError):
        return None


def inlined(schema: dict[str, Any], name: str) -> dict[str, Any]:
    """The schema with every `$ref` replaced by what it names; SpecError (about `name`) where that has no end."""
    definitions = {**schema.get("definitions", {}), **schema.get("$defs", {})}
    result: dict[str, Any] = _inlined(schema, definitions, 0, name)
    return result


def _inlined(node: Any, definitions: dict[str, Any], depth: int, name: str) -> Any:
    if depth > _DEEPEST:
        raise SpecError(f"{name} refers to itself or is nested too deep; a reply must have an end")
    if isinstance(node, list):
        return [_inlined(item, definitions, depth + 1, name) for item in node]
    if not isinstance(node, dict):
        return node
    target = node.get("$ref")
    if isinstance(target, str):
        if not target.startswith(("#/$defs/", "#/definitions/")) or target.rpartition("/")[2] not in definitions:
            raise SpecError(f"{name}: '{target}' is not one of its own $defs")
        return _inlined(definitions[target.rpartition("/")[2]], definitions, depth + 1, name)
    return {
        key: _inlined(value, definitions, depth + 1, name)
        for key, value in node.items()
        if key not in ("$defs", "definitions") or depth
    }
