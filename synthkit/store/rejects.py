"""Everything that was not kept: one table for all steps of a run.

Lines of older fingerprints stay as long as that fingerprint's rows do, so that going back to it finds its decisions
too; reading shows the fingerprints that are in force. A line written twice (a killed run decides again) is one when
read, by (step, row, sample, key, attempt): the last wins.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa

from synthkit.core.ids import Id
from synthkit.core.outcome import Outcome, Reject
from synthkit.store.completions import clean
from synthkit.store.dataset import Dataset, quoted

if TYPE_CHECKING:
    import polars as pl

SCHEMA = pa.schema(
    [
        ("step", pa.string()),
        ("row", pa.string()),
        ("outcome", pa.string()),
        ("reason", pa.string()),
        ("sample", pa.int32()),
        ("key", pa.string()),
        ("attempt", pa.int32()),
        ("boundary", pa.string()),
        ("raw", pa.string()),
        ("detail", pa.string()),
        ("fingerprint", pa.string()),
        ("input", pa.string()),
        ("at", pa.float64()),
    ]
)
"""Columns of rejects.lance; `detail` is JSON text, `sample` is null where the whole row is meant."""

IDENTITY = ("step", "row", "sample", "key", "attempt")
"""What makes two lines the same one."""

UNDECIDED = f"(outcome = '{Outcome.PENDING}' OR (outcome = '{Outcome.UNUSED}' AND boundary = 'quota'))"
"""Row-level lines that every run decides anew."""

_BATCH = 8192


class Rejects:
    """The rejects table of a run; changed from one thread only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._dataset = Dataset.open(path)

    @property
    def dataset(self) -> Dataset | None:
        """The table, once there is one."""
        return self._dataset

    def scan(self, fingerprints: Mapping[str, Id]) -> pl.LazyFrame:
        """The lines of the steps and fingerprints given, each once."""
        import polars as pl

        from synthkit.store.source import batch_rows, frame_schema, frames, lazy

        schema = frame_schema(SCHEMA)
        if self._dataset is None:
            return schema.to_frame().lazy()
        handle = self._dataset.at()
        force = pl.DataFrame(
            {"step": list(fingerprints), "fingerprint": list(fingerprints.values())},
            schema={"step": pl.String, "fingerprint": pl.String},
        )

        def read(names: Sequence[str], rows: int) -> Iterator[pl.DataFrame]:
            last = _last_of_each(handle)
            at = 0
            for frame in frames(handle, list(dict.fromkeys([*names, "step", "fingerprint"])), rows):
                stays = last[at : at + frame.height]
                at += frame.height
                yield frame.filter(stays).join(force, on=["step", "fingerprint"], how="semi", maintain_order="left")

        return lazy(schema, read, batch_rows(handle))

    def rows(self, step: str, fingerprint: Id) -> Any:
        """Row-level decisions of a step that stand: an Arrow table of row, input, outcome and reason."""
        names = ["row", "input", "outcome", "reason"]
        if self._dataset is None:
            return SCHEMA.empty_table().select(names)
        where = f"{_of(step, fingerprint)} AND sample IS NULL AND NOT {UNDECIDED}"
        return self._dataset.handle.to_table(columns=names, filter=where)

    def append(self, rejects: Sequence[Reject], fingerprint: Id = "") -> None:
        """Write lines in one commit; `fingerprint` goes where a line has none."""
        if not rejects:
            return
        if self._dataset is None:
            self._dataset = Dataset.create(self.path, SCHEMA)
        now = time.time()
        columns: dict[str, list[Any]] = {name: [getattr(r, name) for r in rejects] for name in SCHEMA.names[:-1]}
        columns["outcome"] = [r.outcome.value for r in rejects]
        columns["raw"] = [clean(r.raw) for r in rejects]
        columns["reason"] = [clean(r.reason) for r in rejects]
        columns["detail"] = [_text(r.detail) for r in rejects]
        columns["fingerprint"] = [r.fingerprint or fingerprint for r in rejects]
        columns["at"] = [now] * len(rejects)
        self._dataset.append(pa.table(columns, schema=SCHEMA))

    def delete(self, step: str, fingerprint: Id, rows: Sequence[Id] | None = None) -> None:
        """Take out all lines of some rows of a step, or of all its rows."""
        if self._dataset is None:
            return
        if rows is None:
            self._dataset.handle.delete(_of(step, fingerprint))
        else:
            self._dataset.delete("row", rows, _of(step, fingerprint))

    def delete_undecided(self, step: str, fingerprint: Id) -> None:
        """Take out the row-level lines of a step that are to be decided anew, where there are any."""
        where = f"{_of(step, fingerprint)} AND sample IS NULL AND {UNDECIDED}"
        if self._dataset is not None and self._dataset.handle.count_rows(filter=where):
            self._dataset.handle.delete(where)

    def forget(self, step: str, prefix: str) -> None:
        """Take out the lines of a fingerprint whose rows are no longer kept."""
        if self._dataset is not None:
            self._dataset.handle.delete(f"step = {quoted(step)} AND fingerprint LIKE {quoted(prefix + '%')}")


def _last_of_each(handle: Any) -> pl.Series:
    """Whether a line is the last of those that are the same one; 8 bytes a line are held."""
    import polars as pl

    from synthkit.store.source import frames

    hashes = [frame.hash_rows() for frame in frames(handle, [*IDENTITY, "fingerprint"], _BATCH)]
    return pl.concat([pl.Series(dtype=pl.UInt64), *hashes]).is_last_distinct()


def _of(step: str, fingerprint: Id) -> str:
    return f"step = {quoted(step)} AND fingerprint = {quoted(fingerprint)}"


def _text(detail: Mapping[str, Any]) -> str:
    options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
    try:
        return orjson.dumps(dict(detail), option=options, default=str).decode()
    except TypeError:
        return orjson.dumps(clean(dict(detail)), option=options, default=str).decode()
