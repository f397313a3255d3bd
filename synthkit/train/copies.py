"""Which rows say what another row says, across all sources of a recipe, decided before any is encoded.

By the kernels of the verb `dedup`: MinHash finds candidates, their exact Jaccard decides; or, with `exact`, by 128
bits of the bytes. Whole sources are compared, whatever the budget takes of them, so a row stays in or out as budgets
and shares change; the price is that all of them are read. The decision lies in `dedup/`, one Parquet file a source,
and is taken anew only where a source or a setting has changed. Sketches are kept beside it, so a text is sketched once.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from synthkit.core.errors import StoreError
from synthkit.core.ids import digest
from synthkit.train.batch import Source
from synthkit.train.numbered import Numbered
from synthkit.train.recipe import DedupKeys

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

FOLDER = "dedup"
SKETCHES = "sketches"
REASON = "duplicate"
STATE = "found.json"
_FORMAT = 1
"""Raised where the same sources would come to another decision."""
_WORDS = 5
_PART = 1 << 16
_MOST = 1 << 31
"""Rows that the kernels can number."""


class Copies:
    """The decision on disk: for each source the rows that are left out, each with the row that stays."""

    def __init__(self, folder: Path, keys: DedupKeys, sources: Mapping[str, Source]) -> None:
        """`folder` is the export's `dedup`."""
        self.folder = folder
        self.keys = keys
        self.sources = sources
        said = [[name, source.stamp] for name, source in sources.items()]
        self.key = digest([_FORMAT, said, keys.model_dump(mode="json")])

    @property
    def known(self) -> bool:
        """Whether it was taken for these sources as they are."""
        return self._state().get("key") == self.key and all(self.path(name).is_file() for name in self.sources)

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """By source, how many of its rows repeat a row of which source."""
        return dict(self._state()["copies"])

    @property
    def rows(self) -> dict[str, int]:
        """By source, the rows that were compared."""
        return dict(self._state()["rows"])

    def path(self, name: str) -> Path:
        """A source's rows that are left out, in the order in which it is read."""
        return self.folder / f"{name}.parquet"

    def places(self, name: str) -> NDArray[np.int64]:
        """Where a source's copies stand among its rows, ascending."""
        import pyarrow.parquet as pq

        found: NDArray[np.int64] = pq.read_table(self.path(name), columns=["at"]).column("at").to_numpy()
        return found

    def _state(self) -> dict[str, Any]:
        try:
            return dict(orjson.loads((self.folder / STATE).read_bytes()))
        except (OSError, ValueError):
            return {}

    def find(self, say: Callable[[str], None]) -> None:
        """Compare all rows, and write which are left out."""
        import numpy as np

        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / STATE).unlink(missing_ok=True)
        rows, same, similarities = self._exact(say) if self.keys.exact else self._near(say)
        gone = np.flatnonzero(same != np.arange(len(same)))
        likeness = similarities(gone, same[gone])
        gone, kept = rows.order[gone], rows.order[same[gone]]
        order = np.argsort(gone)
        counts = {name: Counter[str]() for name in self.sources}
        for at, name in enumerate(self.sources):
            low, high = np.searchsorted(gone[order], rows.begins[at : at + 2]).tolist()
            mine = order[low:high]
            self._write(name, at, rows, gone[mine], kept[mine], likeness[mine], counts[name])
        rows.close()
        sizes = np.diff(rows.begins).tolist()
        state = {
            "key": self.key,
            "rows": dict(zip(self.sources, sizes, strict=True)),
            "copies": {name: dict(sorted(each.items())) for name, each in counts.items()},
        }
        unfinished = self.folder / f"{STATE}.part"
        unfinished.write_bytes(orjson.dumps(state, option=orjson.OPT_INDENT_2) + b"\n")
        unfinished.replace(self.folder / STATE)

    def _near(self, say: Callable[[str], None]) -> Any:
        """Rows, the first of those each is alike to, and what tells how alike."""
        import numpy as np
        import pyarrow as pa

        from synthkit.actions.near.bands import bands
        from synthkit.actions.near.duplicates import Duplicates
        from synthkit.actions.near.rows import Rows
        from synthkit.actions.near.sketched import Sketched
        from synthkit.actions.near.sketcher import Shingling, Sketcher

        size = self.keys.chars or self.keys.words or _WORDS
        shingling = Shingling(size, characters=self.keys.chars is not None)
        threshold = float(self.keys.threshold)
        sketches = self.folder / SKETCHES
        for other in sketches.glob("*.lance"):  # of another threshold or shingling: as large as this one
            if not other.name.startswith(f"{shingling.name}-{'x'.join(map(str, bands(threshold)))}."):
                shutil.rmtree(other)
        sketches.mkdir(exist_ok=True)
        with Sketched(sketches, shingling, bands(threshold)) as sketched:
            rows = self._numbered(sketched.add, say)
            sketched.finish()
            say(f"comparing {len(rows):,} rows")
            wordless = Sketcher(shingling).sketch(pa.array([""], pa.large_string())).content[0]
            none = (sketched.content()[rows.found] == wordless).all(axis=1)
            numbers = np.arange(1, len(rows) + 1, dtype=np.uint64)
            groups = np.where(none, numbers, np.uint64(0))  # texts without a word are not alike
            ids = np.empty((len(rows), 2), dtype=np.uint64)
            compared = Rows(ids, groups, np.zeros(len(rows), dtype=np.uint64), (rows.found,))
            found = Duplicates(compared, 0, sketched, sketched, threshold)
            found.find(bands(threshold)[0])
            return rows, found.firsts()[0], found.similarities

    def _exact(self, say: Callable[[str], None]) -> Any:
        """The same, by the bytes."""
        import numpy as np
        import polars as pl
        import pyarrow as pa

        from synthkit.actions.near.sketcher import text_hashes

        shutil.rmtree(self.folder / SKETCHES, ignore_errors=True)
        rows = self._numbered(text_hashes, say)
        numbers = np.arange(len(rows), dtype=np.int64)
        if not len(rows):
            return rows, numbers, lambda ones, others: np.ones(len(ones))
        frame = pl.DataFrame({"high": rows.found[:, 0], "low": rows.found[:, 1], "row": numbers})
        same = frame.select(pl.col("row").min().over("high", "low")).to_series().to_numpy().copy()
        empty = (rows.found == text_hashes(pa.array([""], pa.large_string()))[0]).all(axis=1)
        same[empty] = numbers[empty]
        return rows, same, lambda ones, others: np.ones(len(ones))

    def _numbered(self, looked_up: Callable[[pa.Array], NDArray[Any]], say: Callable[[str], None]) -> Numbered:
        rows = Numbered(self.sources, self.folder, looked_up, say)
        if len(rows) >= _MOST:
            raise StoreError(f"dedup compares fewer than {_MOST:,} rows, and the sources have {len(rows):,}")
        return rows

    def _write(
        self,
        name: str,
        at: int,
        rows: Numbered,
        gone: NDArray[np.int64],
        kept: NDArray[np.int64],
        likeness: NDArray[np.float64],
        counts: Counter[str],
    ) -> None:
        """A source's file, in the order of reading."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.parquet as pq

        unfinished = self.path(name).with_suffix(".part")
        with pq.ParquetWriter(unfinished, _schema(), compression="zstd") as writer:
            for begin in range(0, len(gone), _PART):
                part = slice(begin, begin + _PART)
                names, of = rows.names(kept[part])
                sources = [rows.sources[each] for each in of.tolist()]
                counts.update(sources)
                columns = [
                    pa.array(gone[part] - rows.begins[at]),
                    rows.names(gone[part])[0],
                    names,
                    pa.array(sources, pa.string()),
                    pa.array(np.round(likeness[part], 4).astype(np.float32)),
                ]
                writer.write_table(pa.table(columns, schema=_schema()))
        unfinished.replace(self.path(name))

    def lines(self, name: str) -> Iterator[pa.RecordBatch]:
        """A source's copies: row, dup_of, dup_source, similarity; in the order of reading."""
        from pyarrow.parquet import ParquetFile

        with ParquetFile(self.path(name)) as file:
            yield from file.iter_batches(_PART, columns=["row", *columns().names])


def columns() -> pa.Schema:
    """What is known of a copy beside its row."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("dup_of", pa.string()),  # the row that stays
            pa.field("dup_source", pa.string()),  # and its source
            pa.field("similarity", pa.float32()),  # the Jaccard of the two
        ]
    )


def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema([pa.field("at", pa.int64()), pa.field("row", pa.string()), *columns()])
