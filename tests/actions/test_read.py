from __future__ import annotations

import bz2
import gzip
import json
import random
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthkit.actions.fit import fit
from synthkit.actions.read import Read
from synthkit.actions.seen import Seen
from synthkit.core.action import Cost
from synthkit.core.errors import SpecError
from synthkit.core.ids import digest, mint
from synthkit.core.outcome import Outcome
from synthkit.core.types import parse_type

from .fakes import FakeScope, FakeTable, types

COLUMNS = {"title": "str", "n": "int|none"}
ROWS = [
    {"id": "a", "title": "A", "n": 1, "more": 9},
    {"id": "b", "title": "B", "n": None},
    {"id": "c", "title": "ç–中"},
]
PLAIN = [("A", 1), ("B", None), ("ç–中", None)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines(rows: list[dict[str, Any]]) -> bytes:
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()


def action(path: Any, **more: Any) -> Read:
    return Read.model_validate({"path": path, "key": "id", "columns": COLUMNS, **more})


async def read(path: Any, **more: Any) -> tuple[list[dict[str, Any]], FakeTable]:
    table = FakeTable()
    return await table.run(action(path, **more)), table


def write_csv(path: Path, delimiter: str = ",") -> None:
    rows = [[row.get(name) for name in ("id", "title", "n")] for row in ROWS]
    text = "\n".join(
        delimiter.join("" if cell is None else str(cell) for cell in row) for row in [["id", "title", "n"], *rows]
    )
    path.write_text(text, encoding="utf-8")


def write_zst(path: Path) -> None:
    with pa.output_stream(str(path), compression="zstd") as stream:
        stream.write(lines(ROWS))


def write_lance(path: Path) -> None:
    import lance

    lance.write_dataset(pa.Table.from_pylist(ROWS), str(path))


WRITERS = {
    "x.jsonl": lambda path: path.write_bytes(b"\xef\xbb\xbf" + lines(ROWS) + b"\n\n"),
    "x.json": lambda path: path.write_text(json.dumps(ROWS), encoding="utf-8"),
    "x.csv": write_csv,
    "x.tsv": lambda path: write_csv(path, "\t"),
    "x.parquet": lambda path: pq.write_table(pa.Table.from_pylist(ROWS), path),
    "x.lance": write_lance,
    "x.jsonl.gz": lambda path: path.write_bytes(gzip.compress(lines(ROWS))),
    "x.jsonl.bz2": lambda path: path.write_bytes(bz2.compress(lines(ROWS))),
    "x.jsonl.zst": write_zst,
}


@pytest.mark.parametrize("name", WRITERS)
async def test_every_format_gives_the_same_rows(folder: Path, name: str) -> None:
    WRITERS[name](folder / name)
    made, table = await read(name)
    assert [(row["title"], row["n"]) for row in made] == PLAIN
    assert [row["_id"] for row in made] == [mint("", "step", key) for key in "abc"]
    assert all(row["_parents"] == [] for row in made)
    assert table.rejects == []


async def test_records_by_name_have_it_as_their_id(folder: Path) -> None:
    named = {row["id"]: {name: row[name] for name in row if name != "id"} for row in ROWS}
    (folder / "x.json").write_text(json.dumps(named), encoding="utf-8")
    made, table = await read("x.json")
    assert [(row["title"], row["n"]) for row in made] == PLAIN
    assert [row["_id"] for row in made] == [mint("", "step", key) for key in "abc"]
    assert table.rejects == []


@pytest.mark.parametrize("content", ['{"id": "a", "title": "A", "other": {"x": {}}}', '{"a": {}, "b": 1}', "{}"])
async def test_one_object_is_one_record(folder: Path, content: str) -> None:
    (folder / "x.traj").write_text(content, encoding="utf-8")
    made, table = await read("x.traj")
    assert len(made) + len(table.rejects) == 1


async def test_text_files_are_a_row_each(folder: Path) -> None:
    (folder / "d" / "e").mkdir(parents=True)
    (folder / "d" / "one.txt").write_text("One.", encoding="utf-8")
    (folder / "d" / "e" / "two.md").write_text("# Two", encoding="utf-8")
    (folder / "d" / "bad.txt").write_bytes(b"\xff\xfe\x00")
    table = FakeTable()
    made = await table.run(Read(path=["d/**/*.txt", "d/**/*.md"]))
    assert [(row["path"], row["text"]) for row in made] == [("d/e/two.md", "# Two"), ("d/one.txt", "One.")]
    assert [(reject.reason, reject.detail["at"]) for reject in table.rejects] == [("invalid UTF-8", "d/bad.txt")]


async def test_no_bad_record_is_lost_and_none_costs_another(folder: Path) -> None:
    content = [
        b'{"id": "a", "title": "A", "n": 1}',
        b'{"id": "b", "title": ',
        b'{"id": "c", "title": "\xff"}',
        b'["id"]',
        b"",
        b'{"id": "d"}',
        b'{"id": "e", "title": 5}',
        b'{"id": "f", "title": "F", "n": "x"}',
        b'{"title": "G"}',
        b'{"id": "a", "title": "again"}',
        b'{"id": "h", "title": "H"}',
    ]
    (folder / "x.jsonl").write_bytes(b"\n".join(content))
    made, table = await read("x.jsonl")
    assert [row["title"] for row in made] == ["A", "H"]
    assert [(reject.reason, reject.detail["at"]) for reject in table.rejects] == [
        ("broken JSON", "x.jsonl:2"),
        ("invalid UTF-8", "x.jsonl:3"),
        ("not an object", "x.jsonl:4"),
        ("missing column", "x.jsonl:6"),
        ("wrong type", "x.jsonl:7"),
        ("wrong type", "x.jsonl:8"),
        ("no key", "x.jsonl:9"),
        ("duplicate key", "x.jsonl:10"),
    ]
    assert {reject.outcome for reject in table.rejects[:-1]} == {Outcome.FAILED}
    assert table.rejects[-1].outcome is Outcome.DUPLICATE
    assert table.rejects[-1].detail["dup_of"] == made[0]["_id"]
    assert len({reject.row for reject in table.rejects} | {row["_id"] for row in made}) == 10


@pytest.mark.parametrize("suffix", ["jsonl.gz", "jsonl.zst", "parquet", "json"])
async def test_a_damaged_file_costs_the_rest_of_itself_alone(folder: Path, suffix: str) -> None:
    many = [{"id": f"{n}", "title": f"{random.random()} {n}" * 20} for n in range(3000)]
    path = folder / f"a.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(many), path)
    elif suffix == "json":
        path.write_text(json.dumps(many))
    elif suffix.endswith("gz"):
        path.write_bytes(gzip.compress(lines(many)))
    else:
        with pa.output_stream(str(path), compression="zstd") as stream:
            stream.write(lines(many))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (folder / "b.jsonl").write_bytes(lines([{"id": "z", "title": "Z"}]))
    made, table = await read(["a.*", "b.*"])
    assert made[-1]["title"] == "Z"
    assert {reject.reason for reject in table.rejects} <= {"unreadable file", "broken JSON"}
    assert len(table.rejects) >= 1


async def test_csv_rows_of_another_width_and_bad_bytes_are_rejected(folder: Path) -> None:
    (folder / "x.csv").write_bytes(b'id,title,n\na,"A\nsecond line",1\nb,B\nc,\xff,2\nd,D,two\ne,E,\n')
    made, table = await read("x.csv")
    assert [(row["title"], row["n"]) for row in made] == [("A\nsecond line", 1), ("E", None)]
    assert table.gone() == {"broken row": 1, "invalid UTF-8": 1, "wrong type": 1}


async def test_a_quote_that_is_never_closed_is_said(folder: Path) -> None:
    """It takes the rest of the file: without a word, all rows behind it would be gone."""
    (folder / "x.csv").write_bytes(b'id,title,n\na,"A"x,1\nb,B,2\nc,"C,3\nd,D,4\n')
    made, table = await read("x.csv")
    assert [row["title"] for row in made] == ["B"]
    assert table.gone() == {"broken row": 2}
    assert "in the row that begins in line 4" in str(table.rejects[1].detail)


async def test_without_a_key_the_content_names_the_row(folder: Path) -> None:
    (folder / "x.jsonl").write_bytes(lines([{"title": "A"}, {"title": "A", "other": 1}, {"title": "B"}]))
    made, table = await read("x.jsonl", key=None)
    assert [row["_id"] for row in made] == [mint("", "step", digest({"title": name, "n": None})) for name in "AB"]
    assert table.gone() == {"same content": 1}


async def test_rows_do_not_depend_on_the_file_they_stand_in(folder: Path) -> None:
    (folder / "x.jsonl").write_bytes(lines(ROWS))
    (folder / "y1.jsonl").write_bytes(lines(ROWS[:1]))
    (folder / "y2.jsonl").write_bytes(lines(ROWS[1:]))
    assert (await read("x.jsonl"))[0] == (await read("y*.jsonl"))[0]


async def test_more_rows_than_a_batch(folder: Path) -> None:
    (folder / "x.jsonl").write_bytes(lines([{"id": n % 2500, "title": str(n)} for n in range(3000)]))
    made, table = await read("x.jsonl")
    assert len(made) == 2500
    assert table.gone() == {"duplicate key": 500}


async def test_the_shipped_articles_are_there() -> None:
    made, table = await read("shipped:documents/*.jsonl")
    assert len(made) >= 60
    assert table.rejects == []
    assert action("shipped:documents/*.jsonl").cost() == Cost(total=len(made))


def test_no_file_and_unknown_formats_are_said_at_plan_time(folder: Path) -> None:
    (folder / "x.docx").write_text("")
    assert "no file matches 'data/*.jsonl'" in FakeScope().told(action("data/*.jsonl"))[0]
    assert "no file that ships with synthkit matches" in FakeScope().told(action("shipped:documents/*.xml"))[0]
    assert "no file that ships with synthkit matches" in FakeScope().told(action("shipped:../*.jsonl"))[0]
    assert "the format of 'x.docx' is unknown" in FakeScope().told(action("x.docx"))[0]
    assert f"{str(folder)!r} is a folder; name the files in it" in FakeScope().told(action(str(folder)))[0]
    with pytest.raises(SpecError, match="no file matches"):
        action("data/*.jsonl").files()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "read takes one of path, spec and run, not nothing"),
        ({"path": "x", "run": "y"}, "read takes one of path, spec and run, not path and run"),
        ({"spec": "x.yaml"}, "read: spec needs the table to read"),
        ({"run": "x", "table": "t", "key": "id"}, "key belongs to path; a published table brings its own"),
        ({"run": "x", "table": "t", "with": {"a": 1}}, "with hands variables to spec; there is none"),
    ],
)
def test_exactly_one_source(given: dict[str, Any], said: str) -> None:
    assert said in FakeScope().told(Read.model_validate(given))


def test_columns_must_be_named_for_data_files(folder: Path) -> None:
    (folder / "x.jsonl").write_bytes(lines(ROWS))
    assert FakeScope().told(Read(path="x.jsonl")) == ["columns are missing: name those to read, with their types"]


@pytest.mark.parametrize("source", [{"spec": "m.yaml", "with": {"k": 1}}, {"run": "m@v1"}])
async def test_published_tables_come_under_their_own_ids(source: dict[str, Any]) -> None:
    columns = types({"title": "str", "extra": "json|none", "items": [{"n": "int"}]})
    rows = [{"_id": f"{n:032x}", "title": f"T{n}", "extra": {"k": [n]}, "items": [{"n": n}]} for n in range(1500)]
    table = FakeTable(others={"memory": (columns, rows)})
    made = await table.run(Read.model_validate({**source, "table": "memory"}))
    assert made == [{**row, "_parents": []} for row in rows]
    assert table.read == [("m.yaml", "memory", {"k": 1})] if "spec" in source else [("m@v1", "memory")]


@pytest.mark.parametrize(
    ("declared", "value", "text", "expected"),
    [
        ("date", datetime(2021, 3, 5, 7), False, "2021-03-05"),
        ("date", date(2021, 3, 5), False, "2021-03-05"),
        ("date", "2021-03", True, "2021-03"),
        ("float", 3, False, 3.0),
        ("float", "3.5", True, 3.5),
        ("int", Decimal("3"), False, 3),
        ("float", Decimal("3.25"), False, 3.25),
        ("bool", "Yes", True, True),
        ("bool", "0", True, False),
        ("int|none", "", True, None),
        ("str|none", "", True, None),
        ("str", "", True, ""),
        ("json", '{"a": [1]}', True, {"a": [1]}),
        ("[int]", "[1, 2]", True, [1, 2]),
        ("[date]", [date(2020, 1, 1)], False, ["2020-01-01"]),
        ("str", "x" * 5000, False, "x" * 5000),
    ],
)
def test_values_become_what_the_type_says(declared: str, value: Any, text: bool, expected: Any) -> None:
    assert fit(parse_type(declared), value, text=text) == (expected, None)


@pytest.mark.parametrize(
    ("declared", "value", "text"),
    [
        ("int", "x", True),
        ("int", 1.5, False),
        ("date", "May", True),
        ("str", None, False),
        ("bool", "maybe", True),
        ("str", b"x", False),
    ],
)
def test_values_that_do_not_fit_say_why(declared: str, value: Any, text: bool) -> None:
    assert fit(parse_type(declared), value, text=text)[1]


@given(st.lists(st.lists(st.integers(0, 40), max_size=8), max_size=12))
def test_seen_is_a_set(batches: list[list[int]]) -> None:
    seen, known = Seen(), set[int]()
    for batch in batches:
        expected = []
        for number in batch:
            expected.append(number in known)
            known.add(number)
        assert seen.add([digest(number) for number in batch]) == expected
