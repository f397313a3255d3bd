"""Where a sample came from: from a pack, a place in one, or a row, to the source row, its run, spec and Lance version.

Reads the export's ledger alone, and then the row itself where its run or file is still there. What a trainer names is
the number of a sequence in a .bin/.idx pair (`plans_train:17`), of a row of packed Parquet or of a dataset of packs
(`train:17`), or a token's place within one (`plans_train:17:1234`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthkit.core.errors import SpecError, StoreError
from synthkit.core.names import nearest
from synthkit.train import manifest
from synthkit.train.packs import SPLITS

if TYPE_CHECKING:
    import polars as pl


_SHOWN = 2000
"""Characters of a column that a person is shown."""


@dataclass(frozen=True, slots=True)
class Trace:
    """One document of an export."""

    source: str
    number: int
    """Of the document in its source, from 0."""
    row: str
    piece: int
    tokens: int
    split: str
    aside: str | None
    pack: int | None
    at: int | None
    """Of its first token within the pack."""
    origin: Mapping[str, Any]
    """The manifest's `from`: run, table, tag, Lance version, spec hash; or files."""
    seed: int = 0
    """By which files are in order."""
    copy: tuple[str, str, float] | None = None
    """Of a duplicate: the row that stayed, its source, and how alike the two are."""


def trace(out: Path, document: str) -> list[Trace]:
    """Every document that a name stands for; StoreError where there is none."""
    described = manifest.read(out)
    head, *numbers = document.split(":")
    sources: Mapping[str, Any] = described["sources"]
    source, _, split = head.rpartition("_")
    packed = _packed(described)
    places = packed and all(each.isdecimal() for each in numbers) and 1 <= len(numbers) <= 2
    if places and source in sources and split in SPLITS:
        return _in_pack(out, described, source, split, *map(int, numbers))
    if places and head in SPLITS and {"packed", "datasets"} & set(described["outputs"]):
        return _in_packed(out, described, head, *map(int, numbers))
    if head in sources and len(numbers) == 1 and numbers[0].isdecimal():
        found = _lines(out, described, head, number=int(numbers[0]))
        return _some(found, document, described)
    return _some([each for name in sources for each in _lines(out, described, name, row=document)], document, described)


def _some(found: list[Trace], document: str, described: Mapping[str, Any]) -> list[Trace]:
    if found:
        return found
    like = f"documents are named like {next(iter(described['sources']))}:0"
    if not _packed(described):
        raise StoreError(f"no document is called {document!r}; {like}, or by the id in the line of a chat")
    names = [
        f"{name}_{split}:0" for name, each in described["sources"].items() for split in SPLITS if each["splits"][split]
    ]
    hint = nearest(document, names, "sequences are named like")
    raise StoreError(f"no document is called {document!r}; {hint}, {like}")


def _packed(described: Mapping[str, Any]) -> bool:
    """Whether it is an export of packs, and not of chats."""
    return all("packs" in each for each in described["sources"].values())


def _ledger(out: Path, source: str) -> pl.LazyFrame:
    import polars as pl

    return pl.scan_parquet(out / "ledger" / f"{source}.parquet", glob=False).with_row_index("number")


def _lines(
    out: Path, described: Mapping[str, Any], source: str, *, row: str | None = None, number: int | None = None
) -> list[Trace]:
    import polars as pl

    frame = _ledger(out, source)
    if number is not None:
        frame = frame.filter(pl.col("number") == number)
    elif row is not None:  # an id may be cut to its beginning, a place in a file may not
        whole = pl.col("row") == row
        frame = frame.filter(whole | pl.col("row").str.starts_with(row) if len(row) >= 6 and ":" not in row else whole)
    return list(_traces(frame, described, source))


def _traces(frame: pl.LazyFrame, described: Mapping[str, Any], source: str) -> Iterator[Trace]:
    for line in frame.collect().iter_rows(named=True):
        copied = line.get("dup_of") is not None
        yield Trace(
            source, line["number"], line["row"], line["piece"], line["tokens"], "valid" if line["valid"] else "train",
            line["aside"], line["pack"], line["at"], described["sources"][source]["from"], described["seed"],
            (line["dup_of"], line["dup_source"], line["similarity"]) if copied else None,
        )  # fmt: skip


def _in_pack(
    out: Path, described: Mapping[str, Any], source: str, split: str, pack: int, at: int | None = None
) -> list[Trace]:
    """The documents of a pack, by place; with `at`, the one that token is of."""
    import polars as pl

    counts = described["sources"][source]["splits"][split] or {"packs": 0}
    name = f"{source}_{split}:{pack}"
    if pack >= counts["packs"]:
        raise StoreError(f"there is no {name}: {source}_{split} has {counts['packs']:,} sequences, from 0")
    frame = _ledger(out, source).filter(pl.col("pack") == pack, pl.col("valid") == (split == "valid")).sort("at")
    found = list(_traces(frame, described, source))
    if at is None:
        return found
    within = [each for each in found if each.at is not None and each.at <= at < each.at + each.tokens]
    if not within:
        used = sum(each.tokens for each in found)
        raise StoreError(f"token {at:,} of {name} is padding: its documents take {used:,} tokens")
    return within


def _in_packed(out: Path, described: Mapping[str, Any], split: str, row: int, at: int | None = None) -> list[Trace]:
    """The documents of a row of packed Parquet."""
    import polars as pl

    order = pl.scan_parquet(out / "ledger" / f"packed.{split}.parquet", glob=False).slice(row, 1).collect()
    if not order.height:
        raise StoreError(f"there is no {split}:{row}: packed Parquet of {split} has fewer rows")
    return _in_pack(out, described, order["source"][0], split, order["pack"][0], at)


def row_of(found: Trace) -> dict[str, Any] | None:
    """The source's own row, as the export read it; None where it is there no more.

    Of files this is their row of today, where all have the names and sizes that they had.
    """
    from synthkit.core.registry import open_store

    origin = found.origin
    try:
        if "run" in origin:
            import polars as pl

            store = open_store()(Path(origin["run"]), write=False)
            if store.published_version(origin["table"], origin["tag"]) != origin["lance_version"]:
                return None
            rows = store.published(origin["table"], origin["tag"]).filter(pl.col("_id") == found.row).collect()
            return rows.to_dicts()[0] if rows.height else None
        return _record(found)
    except (StoreError, SpecError):
        return None


def _record(found: Trace) -> dict[str, Any] | None:
    """A record of files that have the names and sizes they had."""
    from synthkit.actions.read import Read
    from synthkit.actions.records import Unreadable, records
    from synthkit.train.file_source import listed

    origin = found.origin
    files = Read(path=list(origin["path"])).files()
    if listed(files, found.seed) != origin["hash"]:
        return None
    for place, file in files.items():
        if found.row.startswith(place):
            for record in records(file, place, frozenset({origin["column"], "spans"})):
                if record.place == found.row:
                    return None if isinstance(record.fields, Unreadable) else dict(record.fields)
    return None


def text(found: Trace, row: Mapping[str, Any] | None, *, shown: bool = True) -> str:
    """What a person reads; the row, too, where it is `shown`."""
    origin = found.origin
    place = found.split
    if found.aside:
        place = f"aside: {found.aside}"
        if found.copy is not None:
            place += f" of {found.copy[0]} in {found.copy[1]}, {found.copy[2]:.1%} alike"
    elif found.pack is not None:
        place = f"{found.split}, pack {found.pack}, tokens from {found.at:,}"
    lines = [
        f"document   {found.source}:{found.number}" + (f", piece {found.piece}" if found.piece else ""),
        f"tokens     {found.tokens:,}",
        f"place      {place}",
        f"row        {found.row}",
    ]
    if "run" in origin:
        tag = f"@{origin['tag']}" if origin["tag"] else ""
        lines += [
            f"from       {origin['run']}{tag}, table {origin['table']}, Lance version {origin['lance_version']}",
            f"spec       {origin['spec']}, hash {origin['spec_hash']}, step {origin['fingerprint']}",
        ]
    else:
        lines.append(f"from       {', '.join(origin['path'])}")
    if not shown:
        return "\n".join(lines)
    if row is None:
        return "\n".join([*lines, "the row is there no more as the export read it"])
    if "path" in origin:
        lines.append("           as they are now, with the names and sizes that the export read")
    return "\n".join([*lines, "", *(f"{name}: {_short(str(value))}" for name, value in row.items())])


def _short(value: str) -> str:
    """The beginning of a long value, and how much more there is."""
    return value if len(value) <= _SHOWN else f"{value[:_SHOWN]} ... and {len(value) - _SHOWN:,} characters more"
