"""A YAML file as plain values, with the place of every key and value.

The verb is the key, so a pydantic error location *is* a YAML path; a path without a mark of its own takes the one of
its closest ancestor. Scalars are pointed at themselves, blocks at their key. `Site` is a path in a document that
can be handed to lower code, which then reports problems without knowing about files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from synthkit.core.errors import Mark, Problem
from synthkit.core.row import Value

_LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_WIDEST = 160
"""Characters of a source line that a diagnostic shows."""

YamlPath = tuple[str | int, ...]
"""Keys and list indexes from the top of a document."""


def shown(path: Path) -> str:
    """A path as diagnostics show it: relative to the working directory where it lies below it."""
    full = os.path.abspath(path)  # noqa: PTH100 - Path.resolve would follow links
    here = str(Path.cwd())
    return os.path.relpath(full, here) if full.startswith(here + os.sep) else str(path)


@dataclass(frozen=True)
class Document:
    """One parsed file."""

    file: str
    """Its name in diagnostics."""
    path: Path | None = None
    """Where it lies; None for text that is no file."""
    text: str = ""
    value: Value = None
    """Plain values: None, bool, int, float, str, list, dict with string keys."""
    keys: Mapping[YamlPath, Mark] = field(default_factory=dict)
    """Where each key stands, by the path of its value."""
    values: Mapping[YamlPath, Mark] = field(default_factory=dict)
    """Where each value begins."""
    blocks: frozenset[YamlPath] = frozenset()
    """Collections in block style, which begin on the line after their key."""
    overrides: Mapping[YamlPath, Mark] = field(default_factory=dict)
    """Values given on the command line; their mark is the option itself."""
    origins: Mapping[YamlPath, str] = field(default_factory=dict)
    """Where a value comes from that was written as a reference, e.g. `vars.k (specs/x.yaml:4:8)`."""
    broken: frozenset[YamlPath] = frozenset()
    """Values with a reference that could not be resolved; already reported, so nothing more is said of them."""

    @cached_property
    def lines(self) -> Sequence[str]:
        """The text by lines, for carets; lines end where YAML ends them."""
        return _LINE_END.split(self.text)

    def is_broken(self, path: YamlPath) -> bool:
        """Whether the value of that path, or one it is part of, was already reported."""
        return bool(self.broken) and any(path[:n] in self.broken for n in range(len(path) + 1))

    def mark(self, path: YamlPath, *, key: bool = False) -> Mark:
        """Where the value (with `key`: its key) of that path stands."""
        for length in range(len(path), -1, -1):
            prefix = path[:length]
            if prefix in self.overrides:
                return self.overrides[prefix]
            on_key = self.keys.get(prefix)
            if on_key and (key or prefix != path or prefix in self.blocks):
                return on_key
            if prefix in self.values:
                return self.values[prefix]
        return Mark(self.file)

    def origin(self, path: YamlPath) -> str | None:
        """Where the value of that path was taken from, if it was written as a reference."""
        return next((self.origins[path[:n]] for n in range(len(path), -1, -1) if path[:n] in self.origins), None)

    def problem(
        self,
        message: str,
        path: YamlPath = (),
        *,
        key: bool = False,
        help: str | None = None,
        via: tuple[Mark, ...] = (),
    ) -> Problem:
        """A problem at that path, with its source line and the origin of a referenced value."""
        origin = self.origin(path)
        told = f"the value comes from {origin}" if origin else None
        hint = "; ".join(part for part in (help and help.rstrip("."), told) if part) if told else help
        return self.problem_at(message, self.mark(path, key=key), help=hint, via=via)

    def problem_at(self, message: str, mark: Mark, *, help: str | None = None, via: tuple[Mark, ...] = ()) -> Problem:
        """A problem at a known place of this file."""
        lines = self.lines
        known = mark.file == self.file and 0 < mark.line <= len(lines) and mark.column <= _WIDEST
        return Problem(message, mark, help, lines[mark.line - 1][:_WIDEST] if known else None, via)

    def get(self, path: YamlPath) -> Value:
        """The value at a path; None where there is none."""
        value: Any = self.value
        for part in path:
            if isinstance(value, list):
                value = dict(enumerate(value))
            if not isinstance(value, dict) or part not in value:
                return None
            value = value[part]
        return value

    def with_value(self, value: Value, origins: Mapping[YamlPath, str]) -> Document:
        """The same text with its references resolved."""
        return replace(self, value=value, origins=origins)


@dataclass(frozen=True)
class Site:
    """A path in a document, and through which call sites it is used (for composite actions, outermost first)."""

    document: Document
    path: YamlPath = ()
    via: tuple[Mark, ...] = ()

    def at(self, *parts: str | int) -> Site:
        """The site of a value below this one."""
        return Site(self.document, (*self.path, *parts), self.via)

    def mark(self, *parts: str | int, key: bool = False) -> Mark:
        """Where the value (or its key) stands."""
        return self.document.mark((*self.path, *parts), key=key)

    def problem(self, message: str, *parts: str | int, key: bool = False, help: str | None = None) -> Problem:
        """A problem at the value (or key) `parts` below this site."""
        return self.document.problem(message, (*self.path, *parts), key=key, help=help, via=self.via)
