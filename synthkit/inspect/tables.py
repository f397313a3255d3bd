"""Text tables for `synthkit show` and for the end of a run; each function reads only the columns it shows.

Rows are shown whole, one field a line, or cut to a line a field; "first" always means by id, so that nobody chose them.
"""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from synthkit.core.errors import StoreError
from synthkit.core.types import Call, Choice, Date, ListOf, MapOf, Optional, Ref, Str, Type, Vector
from synthkit.core.types.model import bare
from synthkit.inspect.run import Run
from synthkit.inspect.text import cut, folded, ledger_table, printable, width

if TYPE_CHECKING:
    import polars as pl

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Quantiles of length that `lengths` shows."""
_WIDTH = 120
_SHORT = 76
_TYPE_WIDTH, _TYPE_LEAST, _BESIDE_TYPE = 60, 24, 20
_ID_SHOWN = 12
_GLIMPSED = 5


def counts(run: Run) -> str:
    """The ledger of every step, and the published tables."""
    import polars as pl

    ledger = run.ledger()
    text = ledger_table(ledger) if ledger else "the run has no steps yet"
    published = [
        {"published": name, "rows": _height(run.store.published(name))} for name in run.store.published_names()
    ]
    return text + ("\n\n" + as_text(pl.DataFrame(published)) if published else "")


def rates(run: Run) -> str:
    """Accept rates by step: of rows and of samples; steps that decided nothing are left out."""
    import polars as pl

    ledger = run.ledger()
    rows = [
        {
            "step": name,
            "rows kept": _share(c.kept, c.input - c.pending),
            "of": c.input - c.pending,
            "samples accepted": _share(c.accepted, c.asked),
            "of asked": c.asked or None,
        }
        for name, c in ledger.items()
        if c.input - c.pending or c.asked
    ]
    if rows:
        return as_text(pl.DataFrame(rows, schema_overrides={"of asked": pl.Int64}))
    return "no step has decided a row yet" if ledger else "the run has no steps yet"


def usage(run: Run) -> str:
    """What each step asked of each role; empty where no model was asked."""
    import polars as pl

    frame = run.usage
    if not len(frame):
        return ""
    tokens = {"prompt_tokens": "prompt", "cached_tokens": "cached", "completion_tokens": "generated"}
    seconds = (pl.col("seconds") / pl.col("requests")).round(2).alias("s/request")
    return as_text(frame.with_columns(seconds).drop("seconds").rename({**tokens, "model": "role"}))


def schema(run: Run, table: str) -> str:
    """The columns of a table: declared type, and how many rows have a value."""
    import polars as pl

    columns = run.columns(table)
    frame = run[table].select(pl.len().alias("_rows"), *[pl.col(name).count() for name in columns]).collect()
    filled = frame.row(0, named=True)
    rows = []
    room = min(_TYPE_WIDTH, max(_TYPE_LEAST, width() - max(map(len, columns), default=0) - _BESIDE_TYPE))
    for name, declared in columns.items():
        first, *more = wrap(str(declared), room) or [""]
        rows.append({"column": name, "type": first, "values": filled[name]})
        rows += [{"column": "", "type": f"  {line}", "values": None} for line in more]
    shown = pl.DataFrame(rows, schema={"column": pl.String, "type": pl.String, "values": pl.Int64})
    return f"{table}: {filled['_rows']} rows\n" + as_text(shown)


def lengths(run: Run, table: str) -> str:
    """Quantiles of length: characters of texts, items of lists."""
    import polars as pl

    measured = {name: unit for name, declared in run.columns(table).items() if (unit := _unit(declared))}
    if not measured:
        return f"{table} has no column of text or lists"
    sizes = [
        (pl.col(name).list.len() if unit == "items" else pl.col(name).str.len_chars()).alias(name)
        for name, unit in measured.items()
    ]
    frame = run[table].select(sizes).collect()
    if not len(frame):
        return ""
    rows: list[dict[str, Any]] = []
    for name, unit in measured.items():
        series = frame[name].drop_nulls()
        figures: dict[str, Any] = {f"{q:.0%}": _number(series.quantile(q)) for q in QUANTILES}
        rows.append({"column": name, "length in": unit, "min": series.min(), **figures, "max": series.max()})
    return as_text(pl.DataFrame(rows, infer_schema_length=None))


def samples(run: Run, table: str, count: int = 3, rows: Sequence[str] = ()) -> str:
    """Whole rows, one field a line: those with the ids given (or beginnings of ids), else the first by id."""
    import polars as pl

    frame = run[table]
    if rows:
        chosen = frame.filter(pl.any_horizontal([pl.col("_id").str.starts_with(begin) for begin in rows]))
        shown = chosen.sort("_id").collect()
        if not len(shown):
            raise StoreError(f"{run.path}: {table!r} has no row with id {', '.join(rows)}")
    else:
        shown = _first(frame, count)
    return "\n\n".join(_row(values, run.columns(table)) for values in _plain(shown, run.columns(table)))


def glimpse(run: Run, table: str, count: int = 3) -> str:
    """The first rows by id, a line for each of the first columns of text, cut to the terminal; empty without any."""
    texts = dict([each for each in run.columns(table).items() if _is_text(each[1])][:_GLIMPSED])
    if not texts:
        return ""
    lines = []
    name_width = max(map(len, texts))
    for values in _plain(_first(run[table].select("_id", *texts), count), texts):
        row_id = values["_id"][:_ID_SHOWN]
        for name in texts:
            head = f"{row_id:<{_ID_SHOWN}}  {name:<{name_width}}  "
            lines.append((head + cut(_in_short(values[name]), width() - len(head))).rstrip())
            row_id = ""
    return "\n".join(lines)


def _is_text(declared: Type) -> bool:
    return _is_text(declared.of) if isinstance(declared, Optional) else isinstance(declared, Str | Date | Choice | Call)


def _in_short(value: Any) -> str:
    """A value on one line; a call as its name and what it asks for."""
    if isinstance(value, dict):
        return f"{value['name']}: {value['text']}" if value.get("name") else str(value.get("text") or "")
    return "-" if value is None else str(value)


def _first(frame: pl.LazyFrame, count: int) -> pl.DataFrame:
    import polars as pl

    ids = frame.select(pl.col("_id").bottom_k(count)).collect()["_id"]
    return frame.filter(pl.col("_id").is_in(ids.implode())).sort("_id").collect()


def described(frame: pl.DataFrame, columns: Any) -> dict[str, str]:
    """Rows as `samples` shows them, without their id, by id."""
    return {values.pop("_id"): "\n".join(_fields(values, columns)) for values in _plain(frame, columns)}


def _plain(frame: pl.DataFrame, columns: Any) -> list[dict[str, Any]]:
    from synthkit.core.types.arrow import decode

    decoded = decode(frame.select(list(columns)).to_arrow(), columns) if columns else [{} for _ in range(len(frame))]
    return [{"_id": row_id, **values} for row_id, values in zip(frame["_id"], decoded, strict=True)]


def _row(values: dict[str, Any], columns: Any) -> str:
    return "\n".join([f"_id: {values['_id']}", *_fields(values, columns)])


def _fields(values: dict[str, Any], columns: Any) -> list[str]:
    lines = []
    for name in columns:
        value = numbers_told(values[name]) if isinstance(bare(columns[name]), Vector) else values[name]
        text = printable(value) if isinstance(value, str) else _json(value)
        short = f"{name}: {text}"
        if "\n" not in text and len(folded(short)) == 1:
            lines.append(short)
            continue
        lines += [f"{name}:", *folded(text, "    ", "" if isinstance(value, str) else "  ")]
    return lines


def numbers_told(vector: list[float] | None) -> str:
    """A vector in a line: how long it is and how it begins."""
    if vector is None:
        return "null"
    return f"{len(vector)} numbers: {', '.join(f'{each:.4f}' for each in vector[:4])}, ..."


def _json(value: Any) -> str:
    """On one line where it is short; a list with an item a line; else a key a line."""
    short = dumps(value)
    if len(short) <= _SHORT:
        return short
    if isinstance(value, list):
        return "\n".join(f"- {dumps(item)}" for item in value)
    if isinstance(value, dict):
        return "\n".join(f"{key}: {dumps(item)}" for key, item in value.items())
    return short


def dumps(value: Any) -> str:
    """JSON with spaces, which is where its lines are folded."""
    import json

    return json.dumps(value, ensure_ascii=False)


def as_text(frame: pl.DataFrame) -> str:
    """A frame as plain text: all rows, nothing cut but long texts; numbers to the right, empty where there is none."""
    import polars as pl

    cells = {}
    for name, kind in frame.schema.items():
        values = ["" if v is None else f"{v:.2f}" if kind.is_float() else str(v) for v in frame[name]]
        width = max(map(len, [name, *values]))
        numeric = kind.is_numeric()
        cells[name.rjust(width) if numeric else name] = [v.rjust(width) if numeric else v for v in values]
    with pl.Config(
        tbl_rows=-1,
        tbl_cols=-1,
        tbl_width_chars=10_000,
        fmt_str_lengths=_WIDTH,
        tbl_hide_dataframe_shape=True,
        tbl_hide_column_data_types=True,
        tbl_formatting="ASCII_BORDERS_ONLY_CONDENSED",
    ):
        lines = str(pl.DataFrame(cells)).splitlines()
    return "\n".join(line.rstrip() for line in lines)


def _unit(type: Type) -> str:
    if isinstance(type, Optional):
        return _unit(type.of)
    if isinstance(type, ListOf | MapOf):
        return "items"
    return "characters" if isinstance(type, Str | Date | Ref | Choice) and not isinstance(type, Call) else ""


def _height(frame: pl.LazyFrame) -> int:
    import polars as pl

    return int(frame.select(pl.len()).collect().item())


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def _number(value: float | None) -> int | None:
    return None if value is None else round(value)
