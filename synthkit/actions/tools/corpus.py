"""Documents that tools search and open: files, or the rows of a step above.

Files count by their content where that is read in a moment (64 MiB), else by names, sizes and times, so that `check`
stays quick; rows of a step count by what they say. Either decides which index is used and which stored answers stand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pydantic import BaseModel, ConfigDict, model_validator

from synthkit.core.action import Scope, StepName
from synthkit.core.errors import SpecError
from synthkit.core.ids import Id, digest

if TYPE_CHECKING:
    from synthkit.core.context import Context

_QUICK = 64 << 20


class Document(NamedTuple):
    """One document."""

    id: str
    title: str
    text: str


class Corpus(BaseModel):
    """Documents by id. Whole records only: one without id or text, or an id that comes twice, stops the run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str | list[str] | None = None
    """Files, in the formats and patterns of `read`."""
    step: StepName | None = None
    """Or a step above: its rows, all of them."""
    id: str = "id"
    """Field that names a document; the agent sees it as its address."""
    title: str | None = "title"
    """Field with the title; none where there is none."""
    text: str = "text"
    """Field with the text."""

    @model_validator(mode="after")
    def _one(self) -> Corpus:
        if (self.path is None) == (self.step is None):
            raise ValueError("a corpus has either `path` (files) or `step` (a step above)")
        return self

    def check(self, scope: Scope, at: tuple[str | int, ...]) -> None:
        """Report files that are not there, and columns that the step lacks."""
        from synthkit.core.types import Str
        from synthkit.core.types.model import bare

        if self.step is None:
            try:
                self.files()
            except SpecError as error:
                scope.problem(error.problems[0].message, (*at, "path"), help=error.problems[0].help)
            return
        columns = scope.step_columns(self.step)
        for field, name in (("id", self.id), ("title", self.title), ("text", self.text)):
            if name is None or not columns:
                continue
            if name not in columns:
                known = f"it has: {', '.join(sorted(columns))}"
                scope.problem(f"{self.step!r} has no column {name!r}", (*at, field), help=known)
            elif not isinstance(bare(columns[name]), Str):
                scope.problem(f"{name!r} is {columns[name]}, not text", (*at, field))

    def files(self) -> Mapping[str, Path]:
        """Name -> file, sorted; SpecError where a pattern matches none."""
        from synthkit.actions.read import Read

        return Read(path=self.path).files()

    def stamp(self) -> Id | None:
        """What the documents of files are known by before they are read; None for those of a step."""
        if self.step is not None:
            return None
        try:
            files = self.files()
        except SpecError:
            return None  # reported by `check`
        states = {name: path.stat() for name, path in files.items()}
        if sum(state.st_size for state in states.values()) > _QUICK or any(each.is_dir() for each in files.values()):
            return digest([[name, state.st_size, state.st_mtime_ns] for name, state in states.items()])
        return digest([[name, blake2b(path.read_bytes()).hexdigest()] for name, path in files.items()])

    def documents(self, ctx: Context) -> Iterator[Document]:
        """The documents in an order that does not depend on timing; SpecError at one that is not whole."""
        seen: set[str] = set()
        for place, fields in self._rows(ctx) if self.step is not None else self._records():
            name, title, text = (fields.get(each) if each else "" for each in (self.id, self.title, self.text))
            if not isinstance(name, str | int) or isinstance(name, bool) or not isinstance(text, str):
                raise SpecError(f"corpus: {place} has no {self.text!r} or no {self.id!r}; read and filter it in a step")
            if str(name) in seen:
                raise SpecError(f"corpus: {place} has the {self.id!r} {name!r} again; ids name one document each")
            seen.add(str(name))
            yield Document(str(name), str(title or ""), text)

    def _records(self) -> Iterator[tuple[str, Mapping[str, object]]]:
        from synthkit.actions.records import Unreadable, records

        wanted = frozenset(name for name in (self.id, self.title, self.text) if name)
        for name, path in self.files().items():
            for record in records(path, name, wanted):
                if isinstance(record.fields, Unreadable):
                    raise SpecError(f"corpus: {record.place}: {record.fields.reason} ({record.fields.error})")
                yield record.place, record.fields

    def _rows(self, ctx: Context) -> Iterator[tuple[str, Mapping[str, object]]]:
        assert self.step is not None, "called for the rows of a step"
        names = list(dict.fromkeys(name for name in (self.id, self.title, self.text) if name))
        frame = ctx.scan(self.step, names).collect().sort("_id")  # rows are stored as they were finished
        for row in frame.iter_rows(named=True):
            yield f"row {row['_id']} of {self.step}", row
