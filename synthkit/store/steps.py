"""One step's table: `_id`, `_parents`, `_fp`, `_in` and only the columns the step adds.

Each fingerprint is a run of Lance versions with its own schema; leaving one tags its newest version `fp-<12 hex>`,
coming back restores it, and the last three are kept. The table is the only authority on what is done: a batch of whole
parents is one commit (2-6 ms), and the order of the commits in `write` is what makes a kill between any two harmless.
Where rows do not keep their parent's id, a private column `_parent` holds it, for deletes and joins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa

from synthkit.core.errors import StoreError
from synthkit.core.ids import Id
from synthkit.core.outcome import Reject
from synthkit.core.store import StepLayout
from synthkit.core.types.arrow import arrow_schema, encode
from synthkit.store.dataset import Dataset, metadata, reader, same_columns
from synthkit.store.keys import pack_array
from synthkit.store.rejects import Rejects
from synthkit.store.snapshot import LanceSnapshot
from synthkit.store.writer import Writer

if TYPE_CHECKING:
    import polars as pl

KEPT_FINGERPRINTS = 3
"""How many fingerprints of a step stay on disk, the one in force included."""
FINGERPRINT = "synthkit.fingerprint"
"""Schema metadata that says what a version was computed by."""
_REJECTS = 8192
"""Lines of a table step that are written in one commit."""
_IN_USE = "in-use"
_PREFIX = "fp-"


def table_schema(layout: StepLayout) -> Any:
    """The Arrow schema of a step's table, private columns included."""
    columns = [
        pa.field("_id", pa.string()),
        pa.field("_parents", pa.list_(pa.string())),
        pa.field("_fp", pa.string()),
        pa.field("_in", pa.string()),
    ]
    if parent_column(layout) == "_parent":
        columns.append(pa.field("_parent", pa.string()))
    if layout.union:
        columns.append(pa.field("_branch", pa.string()))
    adds = {name: str(declared) for name, declared in layout.adds.items()}
    return pa.schema(
        [*columns, *arrow_schema(layout.adds)],
        metadata={FINGERPRINT: layout.fingerprint, "synthkit.adds": orjson.dumps(adds).decode()},
    )


def parent_column(layout: StepLayout) -> str:
    """The column that holds the id of the (first) parent."""
    return "_id" if layout.keeps_id or not layout.parents else "_parent"


def version_of(path: Path, layout: StepLayout) -> tuple[Dataset, int] | None:
    """The newest version of a step's table that has the layout's fingerprint and schema; changes nothing."""
    dataset = Dataset.open(path)
    if dataset is None:
        return None
    if _matches(dataset.schema, layout):
        return dataset, dataset.version
    tagged = dataset.tags().get(_tag(layout.fingerprint))
    if tagged is not None and _matches(dataset.handle.checkout_version(tagged).schema, layout):
        return dataset, tagged
    return None


class LanceStep:
    """A step's table for one fingerprint; without a writer it can only be read."""

    def __init__(self, path: Path, layout: StepLayout, rejects: Rejects, writer: Writer | None) -> None:
        self.path = path
        self.layout = layout
        self._rejects = rejects
        self._writer = writer
        self._schema = table_schema(layout)
        self._pinned: Any = None
        self._dataset: Dataset | None = None
        if writer is not None:
            self._dataset = writer.call(self._switch)
        else:
            found = version_of(path, layout)
            self._pinned = found[0].handle.checkout_version(found[1]) if found else None

    @property
    def dataset(self) -> Dataset | None:
        """The dataset that is written; None where the run was opened for reading."""
        return self._dataset

    def count(self) -> int:
        """Rows stored now."""
        handle = self._handle()
        return int(handle.count_rows()) if handle is not None else 0

    def ids(self) -> pl.Series:
        """All `_id`s."""
        import polars as pl

        handle = self._handle()
        if handle is None:
            return pl.Series("_id", [], dtype=pl.String)
        return pl.Series("_id", handle.to_table(columns=["_id"]).column("_id"))

    def snapshot(self) -> LanceSnapshot:
        """The finished work of this fingerprint; when writing, lines to be decided anew are taken out first."""
        if self._writer is None or self._dataset is None:
            pinned = self._pinned
        else:
            pinned = self._writer.call(self._pin, self._dataset)
        rejected = self._rejects.rows(self.layout.name, self.layout.fingerprint)
        return LanceSnapshot(pinned, parent_column(self.layout), self.layout.adds, rejected)

    async def write(
        self, rows: Sequence[Mapping[str, Any]], rejects: Sequence[Reject], stale: Sequence[Id] = ()
    ) -> None:
        """Commit a batch of whole parents; returns when all of it is on disk."""
        if self._writer is None or self._dataset is None:
            raise StoreError(f"the run was opened for reading; step {self.layout.name!r} cannot be written")
        await self._writer.run(self._write, self._dataset, list(rows), list(rejects), list(stale))

    async def replace(self, batches: Iterable[Any] | None, rejects: Iterable[Reject]) -> None:
        """A table step's result: the whole table and this step's rejects, anew (`None` keeps the rows).

        `rejects` is read after the last batch, so it may grow while the batches are made.
        """
        if self._writer is None or self._dataset is None:
            raise StoreError(f"the run was opened for reading; step {self.layout.name!r} cannot be written")
        await self._writer.run(self._replace, self._dataset, batches, rejects)

    def finish(self) -> None:
        """Tag the newest version for its fingerprint and let go of the pinned one; called when the run closes."""
        if self._dataset is not None:
            self._dataset.tag(_tag(self.layout.fingerprint))
            self._dataset.untag(_IN_USE)

    def _handle(self) -> Any:
        return self._dataset.handle if self._dataset is not None else self._pinned

    def _pin(self, dataset: Dataset) -> Any:
        self._rejects.delete_undecided(self.layout.name, self.layout.fingerprint)
        dataset.tag(_IN_USE)  # or a run of many hours would clean the version it still reads
        return dataset.at()

    def _write(self, dataset: Dataset, rows: list[Mapping[str, Any]], rejects: list[Reject], stale: list[Id]) -> None:
        batch = self._batch(rows) if rows else None
        if stale:
            self._rejects.delete(self.layout.name, self.layout.fingerprint, stale)
        self._rejects.append(rejects, self.layout.fingerprint)
        if stale and dataset.count():
            dataset.delete(parent_column(self.layout), stale)
        if batch is not None:
            dataset.append(batch)

    def _replace(self, dataset: Dataset, batches: Iterable[Any] | None, rejects: Iterable[Reject]) -> None:
        if batches is not None:
            failed: list[BaseException] = []
            try:
                dataset.overwrite(reader(self._schema, self._complete(batches, failed)), self._schema)
            except Exception:
                if failed:
                    raise failed[0] from None  # Lance hides what the iterable raised
                raise
        self._rejects.delete(self.layout.name, self.layout.fingerprint)
        lines = iter(rejects)
        while some := list(islice(lines, _REJECTS)):
            self._rejects.append(some, self.layout.fingerprint)

    def _batch(self, rows: list[Mapping[str, Any]]) -> Any:
        """Plain rows as an Arrow table with all columns of this one."""
        columns: dict[str, Any] = {
            "_id": pa.array([row["_id"] for row in rows], pa.string()),
            "_parents": pa.array([row["_parents"] for row in rows], pa.list_(pa.string())),
            "_in": pa.array([row.get("_in") for row in rows], pa.string()),
        }
        if self.layout.union:
            columns["_branch"] = pa.array([row["_branch"] for row in rows], pa.string())
        if self.layout.adds:
            added = encode(self.layout.adds, rows)
            columns |= {name: added.column(name) for name in added.schema.names}
        return self._fill(columns, len(rows))

    def _complete(self, batches: Iterable[Any], failed: list[BaseException]) -> Iterator[Any]:
        """Batches of an action with the private columns filled in; what it raises is kept in `failed` too."""
        try:
            for batch in batches:
                if not batch.num_rows:  # all of them were let go
                    continue
                columns = {name: batch.column(name) for name in batch.schema.names}
                yield from self._fill(columns, batch.num_rows).to_batches()
        except BaseException as error:
            failed.append(error)
            raise

    def _fill(self, columns: dict[str, Any], count: int) -> Any:
        pack_array(columns["_id"])
        columns["_fp"] = pa.repeat(pa.scalar(self.layout.fingerprint), count)
        columns.setdefault("_in", pa.nulls(count, pa.string()))
        columns.setdefault("_parents", pa.repeat(pa.scalar([], pa.list_(pa.string())), count))
        if "_parent" in self._schema.names:
            firsts = [parents[0] if parents else None for parents in columns["_parents"].to_pylist()]
            columns["_parent"] = pa.array(firsts, pa.string())
        missing = [name for name in self._schema.names if name not in columns]
        if missing:
            raise StoreError(f"rows of step {self.layout.name!r} lack {', '.join(missing)}")
        arrays = [columns[field.name].cast(field.type) for field in self._schema]
        return pa.Table.from_arrays(arrays, schema=self._schema)

    def _switch(self) -> Dataset:
        """Bring the table to the layout's fingerprint."""
        dataset = Dataset.open(self.path)
        if dataset is None:
            dataset = Dataset.create(self.path, self._schema)
        if not _matches(dataset.schema, self.layout):
            tags = dataset.tags()
            dataset.tag(_tag(metadata(dataset.schema, FINGERPRINT)))
            kept = tags.get(_tag(self.layout.fingerprint))
            if kept is not None and _matches(dataset.handle.checkout_version(kept).schema, self.layout):
                dataset.restore(kept)
            else:
                dataset.overwrite(self._schema.empty_table(), self._schema)
        dataset.tag(_tag(self.layout.fingerprint))
        dataset.untag(_IN_USE)
        fingerprints = {name: at for name, at in dataset.tags().items() if name.startswith(_PREFIX)}
        for name in sorted(fingerprints, key=lambda name: -fingerprints[name])[KEPT_FINGERPRINTS:]:
            dataset.untag(name)
            self._rejects.forget(self.layout.name, name.removeprefix(_PREFIX))
        return dataset


def _tag(fingerprint: Id) -> str:
    return f"{_PREFIX}{fingerprint[:12]}"


def _matches(schema: Any, layout: StepLayout) -> bool:
    return metadata(schema, FINGERPRINT) == layout.fingerprint and same_columns(schema, table_schema(layout))
