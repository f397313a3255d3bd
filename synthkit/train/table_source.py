"""Documents of a published table, at the one version that its tag or today names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthkit.core.errors import StoreError
from synthkit.core.ids import digest
from synthkit.core.names import nearest
from synthkit.core.registry import open_store
from synthkit.train.batch import BATCH_ROWS, Batch, Cursor, Missing, readable, rows_of
from synthkit.train.recipe import SourceKeys

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

_HELD_BY = "_held_by"
_FIRST = 256
"""Rows by which the size of a batch is found."""


class TableSource:
    """A published table of a run, at the version that its tag names."""

    def __init__(self, name: str, keys: SourceKeys) -> None:
        """Open it; raises where run, tag, table or column is not there."""
        from synthkit.core.types import Choice, Int, Str
        from synthkit.core.types.model import bare

        self.name = name
        run, _, tag = str(keys.run).partition("@")
        below = Path("runs") / run
        path = Path(run) if Path(run).exists() and not below.exists() else below
        self.store = open_store()(path, write=False)
        self.table = str(keys.table)
        self.tag = tag or None
        try:
            self.types = self.store.published_types(self.table, self.tag)
        except StoreError as error:
            if self.table in self.store.published_names():
                raise
            known = self.store.published_names()
            raise Missing(
                f"run {run!r} publishes no table {self.table!r}", "table", nearest(self.table, known, "tables")
            ) from error
        self.column = keys.messages or keys.text
        wanted = [self.column, *([keys.tools] if keys.tools else [])]
        for each, key in zip(wanted, ("messages" if keys.messages else "text", "tools"), strict=False):
            if each not in self.types:
                raise Missing(f"table {self.table!r} has no column {each!r}", key, nearest(each, self.types, "columns"))
        if keys.messages is None and not isinstance(bare(self.types[self.column]), Str):
            declared = self.types[self.column]
            raise Missing(f"column {self.column!r} of table {self.table!r} is {declared}, not text", "text")
        self.together = keys.together
        if self.together is not None:
            declared = bare(self.types[self.together]) if self.together in self.types else None
            if declared is None:
                told = f"table {self.table!r} has no column {self.together!r}"
                raise Missing(told, "together", nearest(self.together, self.types, "columns"))
            if not isinstance(declared, Str | Choice | Int):
                raise Missing(f"column {self.together!r} is {declared}, and rows are held together by text", "together")
        self.tools = keys.tools
        self.chat = keys.messages is not None
        self.version = self.store.published_version(self.table, self.tag)
        self.frame: pl.LazyFrame = self.store.published(self.table, self.tag)
        state = self.store.state
        self.identity: Mapping[str, Any] = {
            "run": str(path),
            "tag": self.tag,
            "table": self.table,
            "column": self.column,
            "lance_version": self.version,
            "begun": state.get("created"),
            "spec": state.get("name"),
            "spec_hash": digest(state.get("spec_text") or ""),
            "fingerprint": self._fingerprint(state),
        }
        self.stamp = digest(self.identity)

    def _fingerprint(self, state: Mapping[str, Any]) -> str | None:
        node = dict(state.get("published_from") or {}).get(self.table)
        layout = self.store.layouts.get(node) if node else None
        return layout.fingerprint if layout else None

    def batches(self, cursor: Cursor) -> Iterator[Batch]:
        """Rows in the order in which they were published."""
        import polars as pl
        import pyarrow as pa

        at = int(cursor.get("row", 0))
        names = ["_id", self.column, *(["spans"] if self._has_spans() else [])]
        if self.tools:
            names.append(self.tools)
        held_by = [pl.col(self.together).cast(pl.String).alias(_HELD_BY)] if self.together else []
        frame = self.frame.select(*names, *held_by).slice(at)
        for part in frame.collect_batches(chunk_size=self._rows(), maintain_order=True):
            table = part.to_arrow()
            rows = table.column("_id").to_pylist()
            at += len(rows)
            held = part[_HELD_BY].to_list() if self.together else []
            together = [row if value is None else value for value, row in zip(held, rows, strict=True)] if held else []
            if self.chat:
                none = pa.array([], pa.large_string())
                yield Batch(rows, none, None, {"row": at}, values=self._values(table), together=together)
                continue
            text = table.column(self.column).cast(pa.large_string()).combine_chunks()
            spans = table.column("spans").combine_chunks() if "spans" in names else None
            yield readable(Batch(rows, text, spans, {"row": at}, together=together), text, self.column)

    def _has_spans(self) -> bool:
        """Whether there is a column of role spans, as `render` makes it."""
        from synthkit.core.types import ListOf, Object
        from synthkit.core.types.model import bare

        declared = bare(self.types["spans"]) if "spans" in self.types and not self.chat else None
        inner = declared.of if isinstance(declared, ListOf) else None
        return isinstance(inner, Object) and {"role", "start", "end"} <= inner.fields.keys()

    def _rows(self) -> int:
        """Rows of a batch, by the first texts; chats are taken to be long."""
        import polars as pl

        if self.chat:
            return BATCH_ROWS // 8
        first = self.frame.select(pl.col(self.column).str.len_bytes()).head(_FIRST).mean().collect()
        return rows_of(first.item() or 1.0)

    def _values(self, table: pa.Table) -> list[dict[str, Any]]:
        from synthkit.core.types.arrow import decode

        names = {"messages": self.column, **({"tools": self.tools} if self.tools else {})}
        types = {column: self.types[column] for column in names.values()}
        return [{key: row[column] for key, column in names.items()} for row in decode(table, types)]

    def size(self) -> int | None:
        """Rows of the table."""
        import polars as pl

        return int(self.frame.select(pl.len()).collect().item())

    def roles(self) -> set[str]:
        """All of the table's."""
        import polars as pl

        if not self._has_spans():
            return set()
        spans = pl.col("spans").explode(empty_as_null=False, keep_nulls=False)
        found = self.frame.select(spans.struct.field("role").unique()).collect().to_series()
        return {each for each in found.to_list() if each}
