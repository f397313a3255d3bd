"""`read`: rows from files, from another spec, or from a finished run.

A row's id is made of its `key` columns, else of its content, never of the file or line it stands in: files can be moved
and merged. Records that do not fit the declared columns, and keys that come twice, are rejects with `file:line`; no bad
record stops a run. Files are streamed in sorted order, 1,024 rows at a time, at 8 bytes of memory a row.
"""

from __future__ import annotations

import glob
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from synthkit.core.action import Cost, OutType, Scope, SourceAction
from synthkit.core.context import TableContext
from synthkit.core.errors import SpecError
from synthkit.core.ids import Id, digest, mint
from synthkit.core.outcome import Outcome
from synthkit.core.row import Value

if TYPE_CHECKING:
    import pyarrow as pa

    from synthkit.actions.records import Record
    from synthkit.core.types import Type

_BATCH = 1024
_SHIPPED = "shipped:"
_DATA: tuple[Literal["documents", "trajectories"], ...] = ("documents", "trajectories")
_SMALL = 32 * 2**20


class Read(SourceAction):
    """Read rows: `path` for data files, `spec` for a table that another spec makes, `run` for one that is finished.

    Gives: the declared `columns`, or those of the published table.

    Errors: failed `broken JSON`, `not an object`, `broken row`, `invalid UTF-8`, `unreadable file`, `missing column`,
    `wrong type`, `no key`; duplicate `duplicate key` and `same content`; each with file and line.

    Source: ours.
    """

    verb: ClassVar[str] = "read"

    path: str | list[str] | None = None
    """Files, with `*` and `**`, relative to the working directory: .jsonl .json .traj .csv .tsv .parquet .lance .txt
    .md, also .gz .zst .bz2. A .json file is a list of records, one record, or records by name, which is their `id`.
    `shipped:documents/*.jsonl` are the articles that come with synthkit, `shipped:trajectories/*.jsonl` the runs."""
    key: str | list[str] | None = None
    """What names a record, so that a changed one replaces its rows; its content where left out."""
    columns: dict[str, OutType] | None = None
    """Column -> type; other fields are not read. Text files have `text` and `path`."""
    spec: str | None = None
    """A spec file: its run is brought up to date first."""
    run: str | None = None
    """A finished run, `name` or `name@tag`; never built."""
    table: str | None = None
    """The published table of `spec` or `run`."""
    with_vars: dict[str, Any] = Field(default_factory=dict, alias="with")
    """Variables handed to `spec`."""

    def adds(self, scope: Scope) -> Mapping[str, Type]:
        """The declared columns, or those of the published table."""
        if self.path is None:
            if (self.spec is None) == (self.run is None) or self.table is None:
                return {}
            at = ("spec",) if self.spec is not None else ("run",)
            return scope.published(self.table, spec=self.spec, run=self.run, with_vars=self.with_vars, at=at)
        declared = self.columns if self.columns is not None else {"text": "str", "path": "str"}
        found = {name: scope.type(each, ("columns", name)) for name, each in declared.items()}
        return {name: each for name, each in found.items() if each is not None}

    def check(self, scope: Scope) -> None:
        """Exactly one source, whole; files that exist and can be read."""
        given = [name for name in ("path", "spec", "run") if getattr(self, name) is not None]
        if len(given) != 1:
            said = " and ".join(given) or "nothing"
            scope.problem(f"read takes one of path, spec and run, not {said}", (given[1],) if given else ())
        elif given == ["path"]:
            self._check_files(scope)
        else:
            if self.table is None:
                todo = "write table: and a name under its publish:"
                scope.problem(f"read: {given[0]} needs the table to read", (given[0],), help=todo)
            for name in ("key", "columns"):
                if getattr(self, name) is not None:
                    scope.problem(f"{name} belongs to path; a published table brings its own", (name,))
        if self.with_vars and self.spec is None:
            scope.problem("with hands variables to spec; there is none", ("with",))
        if self.table is not None and self.path is not None:
            scope.problem("table belongs to spec or run, not to path", ("table",))

    def _check_files(self, scope: Scope) -> None:
        from synthkit.actions.records import form

        try:
            files = self.files()
        except SpecError as error:
            scope.problem(error.problems[0].message, ("path",), help=error.problems[0].help)
            return
        if self.columns is None and any(form(place) != "text" for place in files):
            todo = "write columns: {title: str, text: str}"
            scope.problem("columns are missing: name those to read, with their types", (), help=todo)

    def cost(self) -> Cost:
        """The number of rows, where counting lines or files tells it in milliseconds."""
        from synthkit.actions.records import form

        try:
            files = self.files() if self.path is not None else {}
        except SpecError:
            return Cost()
        kinds = {form(place) for place in files}
        if kinds == {"text"}:
            return Cost(total=len(files))
        plain = all(place.endswith((".jsonl", ".ndjson")) for place in files)
        if not files or not plain or sum(file.stat().st_size for file in files.values()) > _SMALL:
            return Cost()
        return Cost(total=sum(_lines(file) for file in files.values()))

    def files(self) -> dict[str, Path]:
        """Name -> file, sorted by name; SpecError where a pattern matches none or a format is unknown."""
        from synthkit.actions.records import form

        found: dict[str, Path] = {}
        for pattern in [self.path] if isinstance(self.path, str) else self.path or []:
            matched = dict(_match(pattern))
            if not matched and Path(pattern).is_dir():
                raise SpecError(f"{pattern!r} is a folder; name the files in it, as in {pattern.rstrip('/')}/*.jsonl")
            if not matched:
                kind = "that ships with synthkit " if pattern.startswith(_SHIPPED) else ""
                raise SpecError(
                    f"no file {kind}matches {pattern!r}; a path is relative to the working directory, or starts with "
                    f"{_SHIPPED}documents/"
                )
            found |= matched
        for place in found:
            if not form(place):
                raise SpecError(
                    f"the format of {place!r} is unknown; known: .jsonl .json .traj .csv .tsv .parquet .lance .txt "
                    ".md, also with .gz, .zst or .bz2"
                )
        return dict(sorted(found.items()))

    async def stamp(self, ctx: TableContext) -> str | None:
        """Names, sizes and times of the files; the version of a published table, its spec brought up to date."""
        if self.path is None:
            assert self.table is not None, "`check` has seen to it"
            return await ctx.published_version(self.table, run=self.run)
        return digest([[place, *_state(file)] for place, file in self.files().items()])

    async def batches(self, ctx: TableContext) -> AsyncIterator[pa.RecordBatch]:
        """Rows of files in sorted order, or of the published table under the ids they have there."""
        if self.path is None:
            async for batch in self._published(ctx):
                yield batch
            return
        from synthkit.actions.records import records
        from synthkit.actions.seen import Seen

        keys = [self.key] if isinstance(self.key, str) else self.key or []
        wanted = frozenset({*ctx.adds, *keys})
        seen = Seen()
        waiting: list[tuple[Id, str, dict[str, Value]]] = []
        for place, file in self.files().items():
            for record in records(file, place, wanted):
                if (row := self._row(record, keys, ctx)) is not None:
                    waiting.append(row)
                if len(waiting) == _BATCH:
                    yield self._batch(waiting, seen, ctx)
                    waiting = []
        if waiting:
            yield self._batch(waiting, seen, ctx)

    async def _published(self, ctx: TableContext) -> AsyncIterator[pa.RecordBatch]:
        from synthkit.core.types import Str
        from synthkit.core.types.arrow import decode

        assert self.table is not None, "`check` has seen to it"
        if self.spec is not None:
            frame = await ctx.read_spec(self.spec, self.table, self.with_vars)
        else:
            assert self.run is not None, "`check` has seen to it"
            frame = ctx.read_run(self.run, self.table)
        columns = {"_id": Str(), **ctx.adds}
        for part in frame.select(list(columns)).collect_batches(chunk_size=_BATCH, maintain_order=True):
            if part.height:
                yield ctx.batch([{**row, "_parents": []} for row in decode(part.to_arrow(), columns)])

    def _row(self, record: Record, keys: list[str], ctx: TableContext) -> tuple[Id, str, dict[str, Value]] | None:
        """A record's id, place and columns; None where it is rejected."""
        from synthkit.actions.fit import fit
        from synthkit.actions.records import Unreadable

        fields = record.fields
        if isinstance(fields, Unreadable):
            self._reject(ctx, record, fields.reason, error=fields.error)
            return None
        values: dict[str, Value] = {}
        for name, declared in ctx.adds.items():
            values[name], problem = fit(declared, fields.get(name), text=record.cells)
            if problem:
                reason = "wrong type" if fields.get(name) is not None else "missing column"
                self._reject(ctx, record, reason, column=name, error=problem)
                return None
        named = [fields.get(name) for name in keys]
        if any(value is None or value == "" for value in named):
            self._reject(ctx, record, "no key", error=f"every one of {', '.join(keys)} must be there")
            return None
        path = [value if isinstance(value, bool | int | float | str) else str(value) for value in named]
        return mint("", ctx.step, *(path or [digest(values)])), record.place, values

    def _batch(self, rows: list[tuple[Id, str, dict[str, Value]]], seen: Any, ctx: TableContext) -> pa.RecordBatch:
        """Rows as Arrow; those whose id came before are duplicates."""
        kept = []
        for (row, place, values), again in zip(rows, seen.add([each[0] for each in rows]), strict=True):
            if again:
                reason = "duplicate key" if self.key else "same content"
                ctx.drop([mint(row, ctx.step, place)], Outcome.DUPLICATE, reason, [{"at": place, "dup_of": row}])
            else:
                kept.append({"_id": row, "_parents": [], **values})
        return ctx.batch(kept)

    def _reject(self, ctx: TableContext, record: Record, reason: str, **detail: Value) -> None:
        """Set a record aside; it is named by its place, for it may have no key and no content."""
        ctx.drop([mint("", ctx.step, record.place)], Outcome.FAILED, reason, [{"at": record.place, **detail}])


def _match(pattern: str) -> Iterator[tuple[str, Path]]:
    """Files of a pattern with the names they are called by; a folder counts only as a Lance dataset."""
    root, inner, prefix = Path(), pattern, ""
    if pattern.startswith(_SHIPPED):
        from synthkit.core.resources import shipped

        kind, _, inner = pattern.removeprefix(_SHIPPED).partition("/")
        data = next((each for each in _DATA if each == kind), None)
        if data is None:
            return
        root, prefix = shipped(data), f"{_SHIPPED}{kind}/"
    for name in glob.glob(inner, root_dir=root, recursive=True):  # noqa: PTH207 - Path.glob takes no absolute pattern
        file = root / name
        if file.is_file() or file.suffix == ".lance":
            yield prefix + Path(name).as_posix(), file


def _state(file: Path) -> list[int]:
    """Size and time of a file; of a Lance dataset those of its newest version, and how many there are."""
    versions = sorted((file / "_versions").iterdir(), key=lambda each: each.stat().st_mtime_ns) if file.is_dir() else []
    newest = (versions[-1] if versions else file).stat()
    return [newest.st_size, newest.st_mtime_ns, len(versions)]


def _lines(file: Path) -> int:
    """Lines that are not blank, counted by their ends."""
    with file.open("rb") as stream:
        return sum(1 for line in stream if line.strip())
