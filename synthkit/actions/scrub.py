"""`scrub`: secrets and personal data are taken out of texts, or the row is set aside.

What is found is replaced by its kind, `[email]`, and by `[email 2]` where the row has another one, so that a text still
tells two people apart. Numbers by kind are a column, which makes them figures to bound: `{clean.scrubbed.secret: ..0}`.
Patterns find neither names nor streets, and nothing that was written to be hidden: this lowers a risk and ends none.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from synthkit.actions.private import DISTRIBUTIONS, KINDS, PACKAGES, Kind
from synthkit.core.action import Column, NewColumn, RowAction, Scope
from synthkit.core.context import Context
from synthkit.core.outcome import Outcome
from synthkit.core.row import Child, Row, Value

if TYPE_CHECKING:
    from synthkit.core.types import Type

_INSTALL = "pip install 'synthkit[scrub]'"


class Scrub(RowAction):
    """Take secrets, e-mail addresses and telephone and card numbers out of texts, or set such rows aside.

    Gives: the columns with what was found replaced, and `counts`; with `mode: reject` the row as it is.

    Errors: filtered `has KIND` (`mode: reject`), with the numbers.

    Source: patterns of detect-secrets and phonenumbers; the rest is ours.
    """

    verb: ClassVar[str] = "scrub"

    columns: list[Column] = Field(min_length=1)
    """Columns that are looked through: texts, and all texts within lists, objects, calls and json."""
    kinds: list[Kind] = Field(default=["secret", "email", "card", "phone"], min_length=1)
    """What is looked for; `ip` are public addresses of the internet, and numbers of versions look like them."""
    mode: Literal["redact", "reject"] = "redact"
    """`redact` replaces what is found; `reject` sets the row aside, `has email`."""
    regions: list[str] = Field(default=["US", "CN"])
    """Countries (ISO 3166, two letters) whose telephone numbers are known without `+`; none: only those with it."""
    counts: NewColumn = "scrubbed"
    """New column of `redact`: how many of each kind were replaced."""

    def keeps_id(self) -> bool:
        """A row stays or goes."""
        return True

    def replaces(self) -> frozenset[str]:
        """The columns that are redacted."""
        return frozenset(self.columns) if self.mode == "redact" else frozenset()

    def adds(self, scope: Scope) -> Mapping[str, Type]:
        """The columns anew, their texts of any length, and the counts; nothing where rows are rejected."""
        from synthkit.core.types import Int, Object

        if self.mode == "reject":
            return {}
        found: dict[str, Type] = {each: _open(scope.columns[each]) for each in self.columns if each in scope.columns}
        return {**found, self.counts: Object(dict.fromkeys(self._wanted, Int(0)))}

    def check(self, scope: Scope) -> None:
        """Packages that are there, regions that exist, and spans that would no longer fit."""
        for kind in self._wanted:
            if kind in PACKAGES and find_spec(PACKAGES[kind]) is None:
                todo = f"{_INSTALL}, or leave {kind!r} out of kinds"
                scope.problem(f"the kind {kind!r} needs the package {PACKAGES[kind]!r}", ("kinds",), help=todo)
        if "phone" in self._wanted and find_spec("phonenumbers") is not None:
            for index, region in enumerate(self.regions):
                if not _is_region(region):
                    todo = "write the two letters of a country: US, CN, DE"
                    scope.problem(f"there is no region {region!r}", ("regions", index), help=todo)
        if self.mode == "redact" and "text" in self.columns and "spans" in scope.columns:
            scope.problem(
                "the offsets in 'spans' would no longer fit the redacted 'text'",
                ("columns",),
                help="scrub the columns that the document is rendered from, before `render`",
            )

    def depends(self) -> Mapping[str, Value]:
        """The packages and their versions: a newer one knows other tokens."""
        modules = [PACKAGES[kind] for kind in self._wanted if kind in PACKAGES]
        return {module: _version(module) for module in modules}

    @property
    def _wanted(self) -> list[Kind]:
        return [kind for kind in KINDS if kind in self.kinds]

    async def rows(self, row: Row, ctx: Context) -> AsyncIterator[Child]:
        """The row with its texts redacted and the counts, or a reject named after the first kind found."""
        redaction = _Redaction(self._wanted, self.regions)
        values = {name: _walked(row[name], ctx.columns[name], redaction) for name in self.columns}
        if self.mode == "redact":
            yield row | {**values, self.counts: redaction.counts}
            return
        found = {kind: count for kind, count in redaction.counts.items() if count}
        if found:
            ctx.reject(f"has {next(iter(found))}", Outcome.FILTERED, **found)
        yield row.child()


class _Redaction:
    """What was found in one row."""

    def __init__(self, kinds: list[Kind], regions: list[str]) -> None:
        """Nothing yet."""
        self.counts: dict[str, int] = dict.fromkeys(kinds, 0)
        self._kinds = kinds
        self._regions = regions
        self._known: dict[tuple[str, str], str] = {}
        self._numbers: dict[str, int] = {}

    def __call__(self, text: str) -> str:
        """The text without what it holds; counts it."""
        from synthkit.actions.private import find

        parts: list[str] = []
        end = 0
        for each in find(text, self._kinds, self._regions):
            self.counts[each.kind] += 1
            parts += [text[end : each.start], self._mark(each.kind, text[each.start : each.end])]
            end = each.end
        return "".join([*parts, text[end:]])

    def _mark(self, kind: str, value: str) -> str:
        """The same for the same value, in all columns of the row."""
        key = kind, value.casefold()
        if key not in self._known:
            self._numbers[kind] = self._numbers.get(kind, 0) + 1
            number = self._numbers[kind]
            self._known[key] = f"[{kind}]" if number == 1 else f"[{kind} {number}]"
        return self._known[key]


def _walked(value: Value, type: Type, change: Callable[[str], str]) -> Value:
    """The value with every free text changed; words of a choice, dates and references are no free text."""
    from synthkit.core.types import Choice, Date, ListOf, MapOf, Object, Optional, Ref

    if isinstance(type, Optional):
        return None if value is None else _walked(value, type.of, change)
    if isinstance(type, Choice | Date | Ref):
        return value
    if isinstance(type, ListOf):
        return [_walked(item, type.of, change) for item in value]
    if isinstance(type, MapOf):
        return {key: _walked(item, type.of, change) for key, item in value.items()}
    if isinstance(type, Object):
        return {name: _walked(value[name], of, change) for name, of in type.fields.items()}
    return _plain(value, change)


def _plain(value: Value, change: Callable[[str], str]) -> Value:
    """The same for a value of any form: a call, or json."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_plain(item, change) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item, change) for key, item in value.items()}
    return value


def _open(type: Type) -> Type:
    """The type without bounds on its texts, which redaction makes shorter or longer."""
    from synthkit.core.types import ListOf, MapOf, Object, Optional, Str

    if isinstance(type, Str):
        return Str()
    if isinstance(type, Optional):
        return Optional(_open(type.of))
    if isinstance(type, ListOf):
        return ListOf(_open(type.of), type.min, type.max)
    if isinstance(type, MapOf):
        return MapOf(_open(type.of))
    return Object({name: _open(of) for name, of in type.fields.items()}) if isinstance(type, Object) else type


def _version(module: str) -> str:
    """The package that brings a module, and its version."""
    for name in DISTRIBUTIONS[module]:
        with suppress(PackageNotFoundError):
            return f"{name} {version(name)}"
    return "unknown"


def _is_region(name: str) -> bool:
    from phonenumbers import SUPPORTED_REGIONS

    return name in SUPPORTED_REGIONS
