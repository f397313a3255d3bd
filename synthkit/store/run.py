"""A run directory: the lock, `run.json`, and the tables and journal in it, put together.

Opening for writing takes the lock and moves what a killed run left in its journal into Lance; opening for reading takes
nothing and never waits. Readers open tables anew for every scan and read one version, however long they take.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthkit.core.errors import StoreError
from synthkit.core.ids import Id
from synthkit.core.store import Journal, RunStore, StepLayout, StepTable
from synthkit.store import layouts as layout_codec
from synthkit.store import manifest
from synthkit.store.attempts import Attempts
from synthkit.store.clean import clean
from synthkit.store.completions import SCHEMA as COMPLETIONS
from synthkit.store.journal import LanceJournal
from synthkit.store.lock import RunLock
from synthkit.store.published import Published, selected
from synthkit.store.rejects import Rejects
from synthkit.store.scan import scan
from synthkit.store.steps import LanceStep, version_of
from synthkit.store.writer import Writer

if TYPE_CHECKING:
    import polars as pl

    from synthkit.core.types import Type

MANIFEST = "run.json"
_RESERVED = frozenset({"rejects", "completions", "attempts"})


def open_run(path: Path, *, write: bool, create: bool = True) -> RunStore:
    """Open a run directory; for writing it is made where it is not there, unless `create` forbids it."""
    path = path.absolute()
    if not (path / MANIFEST).exists() and not (write and create):
        there = sorted(each.parent.name for each in path.parent.glob(f"*/{MANIFEST}"))
        raise StoreError(f"{path} is not a run (it has no {MANIFEST}); runs beside it: {', '.join(there) or 'none'}")
    return LanceRun(path, write=write)


class LanceRun:
    """A run on disk, see `synthkit.core.store.RunStore`."""

    def __init__(self, path: Path, *, write: bool) -> None:
        self.path = path
        self._writer: Writer | None = None
        self._lock: RunLock | None = None
        self.layouts: Mapping[str, StepLayout] = {}
        self._tables: dict[str, LanceStep] = {}
        if write:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = RunLock(path)
        try:
            known = (path / MANIFEST).exists()
            self.state: dict[str, Any] = manifest.load(path / MANIFEST) if known else manifest.fresh()
            self.layouts = layout_codec.load_all(path / MANIFEST, self.state)
            if write:
                self._writer = Writer()
                if not known:
                    self.save()
            self.journal: Journal = LanceJournal(path, self._writer)
            self._rejects = Rejects(path / "rejects.lance")
            self._attempts = Attempts(path / "attempts.lance")
        except BaseException:
            self._release()
            raise
        self._published = Published(path / "published")

    def scan(self, step: str, columns: Sequence[str] | None = None, *, ordered: bool = False) -> pl.LazyFrame:
        """A step's visible columns (or some of them), joined along its ancestors, with `_id` and `_parents`."""
        return scan(self.layouts, self._stored, step, columns, ordered=ordered)

    def columns(self, step: str) -> dict[str, Type]:
        """The visible columns of a step and their types."""
        return layout_codec.visible(self.layouts, step)

    def published(self, table: str, tag: str | None = None) -> pl.LazyFrame:
        """A published table, newest or as tagged."""
        return self._published.scan(table, tag)

    def published_version(self, table: str, tag: str | None = None) -> int:
        """The version that `published` would read now."""
        return self._published.version(table, tag)

    def published_types(self, table: str, tag: str | None = None) -> dict[str, Type]:
        """The columns of a published table and their types, `_id` left out."""
        return self._published.types(table, tag)

    def published_names(self) -> list[str]:
        """Tables that were published."""
        return self._published.names()

    def rejects(self) -> pl.LazyFrame:
        """Everything not kept under the fingerprints in force, one line per (step, row, sample, key, attempt)."""
        rejects = self._rejects if self._writer else Rejects(self._rejects.path)
        return rejects.scan({name: layout.fingerprint for name, layout in self.layouts.items()})

    def completions(self) -> pl.LazyFrame:
        """The journal, without records still in an open segment."""
        import polars as pl

        from synthkit.store.dataset import Dataset

        dataset = Dataset.open(self.path / "completions.lance")
        if dataset is None:
            return pl.DataFrame(pl.from_arrow(COMPLETIONS.empty_table())).lazy().drop("_key_hi", "_key_lo")
        return dataset.scan().drop("_key_hi", "_key_lo")

    def artifact(self, name: str) -> Path:
        """A folder for what an action keeps beside the tables."""
        folder = self.path / "artifacts" / name
        if not folder.resolve().is_relative_to((self.path / "artifacts").resolve()):
            raise StoreError(f"an artifact must stay inside the run: {name!r}")
        if self._writer is not None:
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def save(self) -> None:
        """Write `run.json` atomically."""
        self._writing()
        manifest.save(self.path / MANIFEST, self.state)

    def describe(self, layouts: Sequence[StepLayout]) -> None:
        """Tell the store the steps of the plan, in order; when writing, `run.json` keeps them."""
        for layout in layouts:
            if layout.name in _RESERVED:
                raise StoreError(f"a step cannot be named {layout.name!r}: the run keeps its own table of that name")
        self.layouts = {layout.name: layout for layout in layouts}
        self._tables = {name: table for name, table in self._tables.items() if self.layouts.get(name) == table.layout}
        if self._writer is not None:
            self.state["layouts"] = [layout_codec.dump(layout) for layout in layouts]
            self.save()

    def table(self, step: str) -> StepTable:
        """Open a described step's table for its fingerprint: as it is, from an older tagged version, or empty."""
        if step not in self._tables:
            layout = layout_codec.find(self.layouts, step)
            rejects = self._rejects if self._writer else Rejects(self._rejects.path)
            self._tables[step] = LanceStep(self._path(step), layout, rejects, self._writer)
        return self._tables[step]

    def attempts(self, step: str) -> Mapping[Id, tuple[int, Mapping[str, Any]]]:
        """Rows of a step that `retry` raised: row -> (attempt, role fields set for it)."""
        return self._attempts.of(step)

    def retry(self, step: str, rows: Mapping[Id, Mapping[str, Any]]) -> None:
        """Raise the attempt of rejected rows and take their rejects out, so that the next run asks again."""
        layout = layout_codec.find(self.layouts, step)
        if rows:
            writer = self._writing()
            writer.call(self._attempts.raise_by_one, step, rows)
            writer.call(self._rejects.delete, step, layout.fingerprint, list(rows))

    def publish(self, table: str, step: str, columns: Sequence[str], types: Mapping[str, Type]) -> int:
        """Write a published table whole, if its rows changed; returns its row count."""
        wanted = selected({**self.columns(step), **types}, columns)
        return self._writing().call(self._published.write, table, step, self.scan(step, list(wanted)), wanted)

    def tag(self, name: str) -> dict[str, int]:
        """Let a tag name the newest version of every published table; a tag never moves."""
        return self._writing().call(self._published.tag, name)

    def clean(self, *, dry_run: bool = False) -> int:
        """Remove old untagged versions and files of writes that died (or only count); returns the bytes freed."""
        return self._writing().call(clean, self.path, dry_run)

    async def close(self) -> None:
        """Flush the journal, save the state, release the lock; safe to call twice."""
        writer = self._writer
        if writer is None:
            return
        try:
            await self.journal.close()
            for table in list(self._tables.values()):  # a thread left behind by a stop may open another
                await writer.run(table.finish)
            self.save()
        finally:
            self._release()

    def _release(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _stored(self, layout: StepLayout) -> Any:
        opened = self._tables.get(layout.name)
        if opened is not None and opened.dataset is not None:
            return opened.dataset.at()
        found = version_of(self._path(layout.name), layout)
        return found[0].at(found[1]) if found else None

    def _path(self, step: str) -> Path:
        return self.path / f"{step}.lance"

    def _writing(self) -> Writer:
        if self._writer is None:
            raise StoreError(f"{self.path} was opened for reading")
        return self._writer
