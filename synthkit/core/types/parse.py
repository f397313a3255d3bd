"""Reads a declaration: text, or the dicts and lists that YAML makes of `{k: T}` and `[T]`.

Every error carries the path into the YAML; the offset in the text is the scanner's.
"""

from __future__ import annotations

from typing import Any

from synthkit.core.types.model import ListOf, Object, Type
from synthkit.core.types.scanner import DEPTH_LIMIT, Path, TypeSyntaxError, field_problem, parse_bounds, parse_text


def parse_type(declared: Any, at: Path = ()) -> Type:
    """The type of a declaration; raises TypeSyntaxError. A `Type` is returned as it is."""
    if isinstance(declared, Type):
        return declared
    return _declared(declared, at, 0)


def _declared(declared: Any, at: Path, depth: int) -> Type:
    if depth > DEPTH_LIMIT:
        raise TypeSyntaxError(f"types are nested more than {DEPTH_LIMIT} deep", at)
    if isinstance(declared, str):
        try:
            return parse_text(declared, depth)
        except TypeSyntaxError as error:
            raise TypeSyntaxError(error.message, at, error.offset, error.help) from None
    if isinstance(declared, dict):
        if not declared:
            raise TypeSyntaxError("an object needs at least one field", at)
        fields = {}
        for name, value in declared.items():
            problem = field_problem(name)
            if problem:
                raise TypeSyntaxError(problem, (*at, name if isinstance(name, str | int) else str(name)))
            fields[name] = _declared(value, (*at, name), depth + 1)
        return Object(fields)
    if isinstance(declared, list):
        return _declared_list(declared, at, depth)
    if declared is None:
        raise TypeSyntaxError("a type is missing here", at, help="e.g. str, int(1..5), pass|fail, [str]")
    raise TypeSyntaxError(
        f"a type is text, a mapping or a list, not {declared!r}",
        at,
        help='choices that look like numbers are quoted: "1"|"2"',
    )


def _declared_list(declared: list[Any], at: Path, depth: int) -> Type:
    if len(declared) == 2 and isinstance(declared[1], str) and ".." in declared[1]:
        try:
            low, high = parse_bounds(declared[1])
        except TypeSyntaxError as error:
            raise TypeSyntaxError(error.message, (*at, 1), error.offset, error.help) from None
        return ListOf(_declared(declared[0], (*at, 0), depth + 1), low, high)
    if len(declared) != 1:
        raise TypeSyntaxError(
            f"a list has one item type, this has {len(declared)}",
            at,
            help='write [T], with bounds "[T](1..8)" or [T, 1..8]',
        )
    return ListOf(_declared(declared[0], (*at, 0), depth + 1))
