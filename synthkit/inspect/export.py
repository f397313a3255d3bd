"""A published table as JSON Lines or Parquet, with a dataset card.

Rows are streamed, so the size of a table does not matter; `json` columns become real JSON in JSON Lines and stay
JSON text in Parquet. The card is written from the run alone: spec, variables, counts, schema, models, and the licences
that the sources' rows state in a column `license`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from synthkit.core.errors import StoreError
from synthkit.core.registry import open_store
from synthkit.inspect.run import Run

if TYPE_CHECKING:
    import polars as pl

    from synthkit.core.types import Type

Format = Literal["jsonl", "parquet"]


class Exported(NamedTuple):
    """What `export` wrote."""

    path: Path
    """The data file."""
    card: Path
    """The dataset card beside it."""
    rows: int


_BATCH = 4096
_LICENCE = "license"
_REHEARSED = "**These rows are no training data**: nano, a rehearsal model, wrote them to try the machinery."


def export(run: Run, table: str, to: Format, folder: Path, *, tag: str | None = None) -> Exported:
    """Write `<table>.<to>` and the card `<table>.md` into a folder.

    The card is no README.md: a folder may hold several tables, and a README of its own.
    """
    if to not in ("jsonl", "parquet"):
        raise StoreError(f"cannot export to {to!r}; formats: jsonl, parquet")
    if tag is not None and table not in run.store.published_names():
        raise StoreError(f"{table!r} is not a published table, so it has no tag {tag!r}")
    columns = run.columns(table) if tag is None else run.store.published_types(table, tag)
    rows = run[table] if tag is None else run.store.published(table, tag)
    rows = rows.select("_id", *columns)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{table}.{to}"
    unfinished = path.with_name(path.name + ".part")
    count = _jsonl(rows, columns, unfinished) if to == "jsonl" else _parquet(rows, unfinished)
    unfinished.replace(path)
    about = path.with_suffix(".md")
    about.write_text(card(run, table, columns, count, path.name, tag), encoding="utf-8")
    return Exported(path, about, count)


def _jsonl(rows: pl.LazyFrame, columns: Mapping[str, Type], path: Path) -> int:
    import orjson

    from synthkit.core.types.arrow import decode

    count = 0
    with path.open("wb") as file:
        for frame in rows.collect_batches(chunk_size=_BATCH, maintain_order=True):
            values = decode(frame.select(list(columns)).to_arrow(), columns)
            for row_id, row in zip(frame["_id"], values, strict=True):
                file.write(orjson.dumps({"_id": row_id, **row}, option=orjson.OPT_APPEND_NEWLINE))
            count += frame.height
    return count


def _parquet(rows: pl.LazyFrame, path: Path) -> int:
    import polars as pl

    rows.sink_parquet(path, compression="zstd", maintain_order=True)
    return int(pl.scan_parquet(path).select(pl.len()).collect().item())


def card(run: Run, table: str, columns: Mapping[str, Type], count: int, file: str, tag: str | None) -> str:
    """The dataset card."""
    state = run.state
    about = str(state.get("about") or "").strip()
    parts = [
        f"# {run.path.name}: {table}",
        about or "Synthetic data made by synthkit.",
        f"- file: `{file}`, {count:,} rows" + (f", version tagged `{tag}`" if tag else ""),
        _REHEARSED
        if any(str(role).startswith("nano by vllm") for role in dict(state.get("roles") or {}).values())
        else "",
        _section("Columns", [f"- `{name}`: `{declared}`" for name, declared in {"_id": "row id", **columns}.items()]),
        _section("Sources and licences", _sources(run)),
        _section("Models", _models(run)),
        _section("Rows by step", _steps(run)),
        _section("Variables", [f"- `{name}`: `{value}`" for name, value in dict(state.get("vars") or {}).items()]),
    ]
    if state.get("spec_text"):
        parts.append(f"## Spec\n\n```yaml\n{str(state['spec_text']).rstrip()}\n```")
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(title: str, lines: list[str]) -> str:
    return f"## {title}\n\n" + "\n".join(lines) if lines else ""


def _sources(run: Run) -> list[str]:
    import polars as pl

    lines = []
    read_runs: Mapping[str, str] = run.state.get("read_runs") or {}
    for name, layout in run.steps.items():
        if layout.parents:
            continue
        beside = run.path.parent / read_runs.get(name, "")
        if name in read_runs and beside.is_dir():
            lines += [f"{line} (of {beside.name})" for line in _sources(type(run)(open_store()(beside, write=False)))]
            continue
        if _LICENCE not in layout.adds:
            rows = run.store.scan(name, []).select(pl.len()).collect().item()
            lines.append(f"- `{name}`, {rows:,} rows: licence not stated")
            continue
        stated = (
            run.store.scan(name, [_LICENCE]).group_by(_LICENCE).len().sort("len", _LICENCE, descending=[True, False])
        )
        for licence, rows in stated.collect().iter_rows():
            lines.append(f"- `{name}`, {rows:,} rows: {licence or 'licence not stated'}")
    return lines


def _models(run: Run) -> list[str]:
    roles: Mapping[str, Any] = run.state.get("roles") or {}
    lines = []
    for line in run.usage.drop("step").group_by("model").sum().sort("model").iter_rows(named=True):
        name = line["model"]
        which = f" ({roles[name]})" if name in roles else ""
        lines.append(
            f"- `{name}`{which}: {line['requests']:,} requests, {line['prompt_tokens']:,} prompt tokens, "
            f"{line['completion_tokens']:,} completion tokens"
        )
    return lines


def _steps(run: Run) -> list[str]:
    lines = []
    for name, c in run.ledger().items():
        lost = {"filtered": c.filtered, "duplicate": c.duplicate, "failed": c.failed, "unused": c.unused}
        lost["pending"] = c.pending
        rest = "".join(f", {n:,} {what}" for what, n in lost.items() if n)
        lines.append(f"- `{name}`: {c.input:,} in, {c.kept:,} kept{rest}; {c.output:,} out")
    return lines
