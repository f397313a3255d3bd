"""One Lance dataset and the handle that writes it.

The handle is kept and replaced by what each commit returns: re-opening by path costs 5 ms more by the thousandth
version. Appends of a second's rows leave small fragments, and reading costs 1.4 ms each, so they are merged in two
tiers (64 small ones into one of 16 k rows, 64 of those into one of 1 M): each row is rewritten twice at most.
Versions older than an hour go when fragments are merged; tagged ones never do.
"""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lance
import pyarrow as pa
from lance import LanceOperation
from lance.fragment import write_fragments

from synthkit.core.errors import StoreError

if TYPE_CHECKING:
    import polars as pl

_FEW_FRAGMENTS = 64
_TIERS = (16_384, 1_048_576)
_KEEP = timedelta(hours=1)
_LITERALS = 10_000
"""Ids of one delete: 10,000 take 0.3 s, 500 already 0.1."""
_CACHE = 4 << 20
"""Bytes of files and versions that Lance may keep of one dataset. It would keep 1 GiB, and an append leaves 70 KB
there: most of what a run's memory grew by. One for all datasets would know files that were removed since."""
_SYSTEM = re.compile(r"\(os error (\d+)\)")
"""How Lance writes what the operating system said: too many open files, no permission, a disk that does not answer."""


class Dataset:
    """A Lance dataset on disk; `handle` is at its newest version."""

    def __init__(self, path: Path, handle: Any) -> None:
        self.path = path
        self.handle = handle
        self._appends = 0

    @classmethod
    def open(cls, path: Path) -> Dataset | None:
        """The dataset, or None where nothing was ever committed there."""
        if not (path / "_versions").is_dir() or not any((path / "_versions").iterdir()):
            return None
        try:
            return cls(path, lance.dataset(str(path), session=_session()))
        except (ValueError, OSError) as error:
            raise damaged(path, error) from error

    @classmethod
    def create(cls, path: Path, schema: Any) -> Dataset:
        """A new, empty dataset."""
        path.parent.mkdir(parents=True, exist_ok=True)
        empty = schema.empty_table()
        return cls(path, lance.write_dataset(empty, str(path), schema=schema, mode="create", session=_session()))

    @classmethod
    def create_whole(cls, path: Path, schema: Any, data: Any, metadata: Callable[[], Mapping[str, str]]) -> Dataset:
        """A new dataset with all of `data` in one commit; `metadata` of its schema is asked for after the last row."""
        shutil.rmtree(path, ignore_errors=True)  # what a killed first writing left has no version
        path.mkdir(parents=True, exist_ok=True)
        fragments = write_fragments(data, str(path), schema=schema, mode="create")
        whole = LanceOperation.Overwrite(schema.with_metadata(dict(metadata())), fragments)
        lance.LanceDataset.commit(str(path), whole)
        return cls(path, lance.dataset(str(path), session=_session()))

    @property
    def version(self) -> int:
        """The newest version."""
        return int(self.handle.version)

    @property
    def schema(self) -> Any:
        """The Arrow schema, with its metadata."""
        return self.handle.schema

    def count(self) -> int:
        """Rows of the newest version."""
        return int(self.handle.count_rows())

    def scan(self, version: int | str | None = None) -> pl.LazyFrame:
        """The rows as they stand now (or at a version or tag), whatever is written later."""
        from synthkit.store.source import stored

        return stored(self.at(version))

    def at(self, version: int | str | None = None) -> Any:
        """A handle that stays at a version or tag, or at the newest one as it is now."""
        return self.handle.checkout_version(self.version if version is None else version)

    def append(self, data: Any) -> None:
        """Add rows in one commit, then merge fragments if there are many small ones."""
        self.handle = lance.write_dataset(data, self.handle, mode="append")
        self._appends += 1
        if self._appends % (_FEW_FRAGMENTS // 2) == 0:
            self.merge_fragments()

    def overwrite(self, data: Any, schema: Any) -> None:
        """Replace schema and rows in one commit; older versions stay until they are cleaned."""
        self.handle = lance.write_dataset(data, self.handle, schema=schema, mode="overwrite")

    def delete(self, column: str, values: Sequence[str], where: str = "") -> None:
        """Delete the rows whose `column` is one of `values` and that fulfil `where`."""
        for at in range(0, len(values), _LITERALS):
            listed = ", ".join(quoted(value) for value in values[at : at + _LITERALS])
            self.handle.delete(f"{where}{' AND ' if where else ''}{column} IN ({listed})")

    def merge_fragments(self) -> None:
        """Merge small fragments where there are many; the order of rows stays."""
        rows = [fragment.count_rows() for fragment in self.handle.get_fragments()]
        for target in _TIERS:
            if sum(count < target for count in rows) >= _FEW_FRAGMENTS:
                self.handle.optimize.compact_files(target_rows_per_fragment=target)
                self.clean(_KEEP)
                return

    def clean(self, older_than: timedelta, *, orphans: bool = False) -> int:
        """Remove untagged versions (with `orphans`, files of writes that died too); returns the bytes freed."""
        done = self.handle.cleanup_old_versions(
            older_than=older_than, delete_unverified=orphans, error_if_tagged_old_versions=False
        )
        return int(done.bytes_removed)

    def garbage(self) -> int:
        """Bytes that `clean` would free now: data and manifests that neither the newest version nor a tag refers to."""
        used: set[str] = set()
        kept = {self.version, *self.tags().values()}
        for version in kept:
            for fragment in self.handle.checkout_version(version).get_fragments():
                used |= {Path(file.path).name for file in fragment.data_files()}
                if fragment.deletion_file():
                    used.add(Path(fragment.deletion_file()).name)
        files = [*(self.path / "data").rglob("*"), *(self.path / "_deletions").glob("*")]
        unused = sum(file.stat().st_size for file in files if file.is_file() and file.name not in used)
        manifests = sorted((self.path / "_versions").glob("*.manifest"), key=lambda file: -file.stat().st_size)
        return unused + sum(file.stat().st_size for file in manifests[len(kept) :])

    def tags(self) -> dict[str, int]:
        """Tags and the versions they name."""
        return {name: int(tag["version"]) for name, tag in self.handle.tags.list().items()}

    def tag(self, name: str) -> None:
        """Let a tag name the newest version."""
        found = self.tags().get(name)
        if found is None:
            self.handle.tags.create(name, self.handle.version)
        elif found != self.handle.version:
            self.handle.tags.update(name, self.handle.version)

    def untag(self, name: str) -> None:
        """Forget a tag; nothing happens where it is not there."""
        if name in self.tags():
            self.handle.tags.delete(name)

    def restore(self, version: int) -> None:
        """Make an older version the newest one."""
        older = self.handle.checkout_version(version)
        older.restore()
        self.handle = older


def _session() -> Any:
    return lance.Session(metadata_cache_size_bytes=_CACHE, index_cache_size_bytes=_CACHE)


def damaged(path: Path, error: Exception) -> StoreError:
    """A table that cannot be read, and how to go on: by removing it only where a file of it is gone or cut."""
    code = _SYSTEM.search(str(error))
    if code is not None and int(code[1]) != errno.ENOENT:
        return StoreError(f"{path} cannot be read: {error}. Nothing in it is lost: mend that, and run again")
    anew = "its rows are computed anew from the completions kept beside it"
    if path.parent.name == "published":
        anew = "it is written anew from the tables of the steps, as they are now and without its tags"
    elif path.parent.parent.name == "artifacts":
        anew = "what it holds is computed anew"
    elif path.name == "completions.lance":
        anew = "finished rows stay; only what is computed anew is asked again"
    return StoreError(f"{path} cannot be read: {error}. Remove that folder and run again: {anew}")


def quoted(text: str) -> str:
    """A string literal of a Lance predicate."""
    return "'" + text.replace("'", "''") + "'"


def metadata(schema: Any, key: str) -> str:
    """A text kept with an Arrow schema; empty where there is none."""
    return str((schema.metadata or {}).get(key.encode(), b"").decode())


def same_columns(one: Any, other: Any) -> bool:
    """Whether two Arrow schemas have the same names and types in the same order."""
    return one.names == other.names and all(a == b for a, b in zip(one.types, other.types, strict=True))


def reader(schema: Any, batches: Iterable[Any]) -> Any:
    """Batches as one stream, so that a table of any size is written in one commit."""
    return pa.RecordBatchReader.from_batches(schema, batches)
