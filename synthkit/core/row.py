"""Rows and replies: what actions receive and give.

A `Row` is an immutable mapping of JSON-like values with an id. `row | {...}` is a child of `row` that adds
columns; its identity is minted by the executor from the parent, the step and `path`. Actions see only the
columns they declare, so that the hash of those columns decides what must be computed again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from synthkit.core.ids import Id

Value = Any
"""A JSON-like value: None, bool, int, float, str, list or dict of these."""


class Row(Mapping[str, Value]):
    """One row: an id and its columns. Reading an absent column says which exist."""

    __slots__ = ("_data", "id")

    def __init__(self, id: Id, data: Mapping[str, Value]) -> None:
        """`data` is kept, not copied: hand over a dict nobody else changes."""
        self.id = id
        self._data = data

    def __getitem__(self, column: str) -> Value:
        """The value of a column; `_id` is the row's id."""
        try:
            return self._data[column]
        except KeyError:
            if column == "_id":
                return self.id
            known = ", ".join(sorted(self._data)) or "none"
            raise KeyError(
                f"column {column!r} was not declared by the action that reads it (declared: {known})"
            ) from None

    def __iter__(self) -> Iterator[str]:
        """Column names, without `_id`."""
        return iter(self._data)

    def __len__(self) -> int:
        """The number of columns."""
        return len(self._data)

    def __repr__(self) -> str:
        """Id and columns, for humans."""
        return f"Row({self.id}, {dict(self._data)!r})"

    def child(self, columns: Mapping[str, Value] | None = None, path: tuple[Value, ...] = ()) -> Child:
        """A row made from this one that adds `columns`; `path` tells it from its siblings."""
        return Child(self, dict(columns or {}), path)

    def __or__(self, columns: Mapping[str, Value]) -> Child:
        """`row | reply` or `row | {"column": value}`: a child; a reply brings its sample index as path."""
        path = columns.path if isinstance(columns, Reply) else ()
        return Child(self, dict(columns), path)


class Child:
    """A row that has not got its id yet: the parent, the columns added, and the path among its siblings."""

    __slots__ = ("columns", "parent", "path")

    def __init__(self, parent: Row, columns: dict[str, Value], path: tuple[Value, ...] = ()) -> None:
        """Usually made by `row | columns`."""
        self.parent = parent
        self.columns = columns
        self.path = path

    def __or__(self, columns: Mapping[str, Value]) -> Child:
        """Add more columns to the same child."""
        path = self.path + (columns.path if isinstance(columns, Reply) else ())
        return Child(self.parent, {**self.columns, **columns}, path)


class Reply(Mapping[str, Value]):
    """One parsed sample of a completion; its fields are items and attributes alike."""

    __slots__ = ("_fields", "_reject", "finish", "index", "path", "probabilities", "reasoning", "text")

    def __init__(
        self,
        fields: Mapping[str, Value],
        *,
        text: str,
        index: int,
        finish: str = "stop",
        reasoning: str | None = None,
        probabilities: Mapping[str, float] | None = None,
        reject: Callable[[int, str, Mapping[str, Value]], None] | None = None,
    ) -> None:
        """Made by `Context.ask`; `reject` is how a rejected sample reaches the rejects table."""
        self._fields = fields
        self._reject = reject
        self.text = text
        """The raw reply."""
        self.index = index
        """The sample's index among the samples of its call, from 0."""
        self.finish = finish
        """Why generation ended: `stop` or `length`."""
        self.reasoning = reasoning
        """What a thinking model wrote before its reply, where the engine tells it apart."""
        self.probabilities = probabilities
        """With `labels`: the probability of each label as the first token, normalised over the labels."""
        self.path: tuple[Value, ...] = (index,)

    def __getitem__(self, field: str) -> Value:
        """A field of the parsed reply."""
        return self._fields[field]

    def __getattr__(self, field: str) -> Value:
        """A field of the parsed reply, as an attribute."""
        try:
            return self._fields[field]
        except KeyError:
            raise AttributeError(f"the reply has no field {field!r}; it has {', '.join(self._fields)}") from None

    def __iter__(self) -> Iterator[str]:
        """Field names."""
        return iter(self._fields)

    def __len__(self) -> int:
        """The number of fields."""
        return len(self._fields)

    def reject(self, reason: str, **detail: Value) -> None:
        """Set this one sample aside under a named reason; the other samples of the row go on."""
        if self._reject is not None:
            self._reject(self.index, reason, detail)
