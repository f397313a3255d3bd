import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthkit.core.types import Bool, Call, Choice, Date, Float, Int, Json, ListOf, MapOf, Object, Optional, Ref, Str
from synthkit.core.types.arrow import arrow_schema, arrow_type, decode, decode_record, encode

from .strategies import names, types_with_json, values_of

CALL = {"name": "search", "arguments": {"query": ["a"]}, "final": None, "say": None, "text": "a"}
COLUMNS = {
    "id": Str(),
    "n": Int(),
    "x": Float(),
    "b": Bool(),
    "d": Optional(Date()),
    "c": Choice(("a", "b")),
    "r": ListOf(Ref("s")),
    "call": Call(),
    "s": ListOf(Object({"id": Str(), "n": Optional(Int()), "j": Json()})),
    "m": MapOf(Json()),
    "j": Json(),
}
ROWS = [
    {"id": "1", "n": 1, "x": 0.5, "b": True, "d": "2021-03", "c": "a", "r": ["x"], "call": CALL,
     "s": [{"id": "p", "n": None, "j": [1, {"k": None}]}], "m": {"k": [1]}, "j": {"deep": [1, 2.5, "x", None]}},
    dict.fromkeys(COLUMNS),
    {"id": "3", "n": 2**62, "x": -1.0, "b": False, "d": None, "c": "b", "r": [], "call": {**CALL, "arguments": None},
     "s": [], "m": {}, "j": []},
]  # fmt: skip


def test_types_are_plain_arrow():
    assert arrow_type(Optional(ListOf(Int()))) == pa.list_(pa.int64())
    assert arrow_type(MapOf(Float())) == pa.list_(pa.struct([("key", pa.string()), ("value", pa.float64())]))
    assert arrow_type(Call()) == pa.struct([(n, pa.string()) for n in ("name", "arguments", "final", "say", "text")])
    assert arrow_schema({"a": Json()}) == pa.schema([("a", pa.string())])


def test_round_trip_with_nulls_and_slices():
    batch = encode(COLUMNS, ROWS)
    assert batch.schema == arrow_schema(COLUMNS)
    assert decode(batch, COLUMNS) == ROWS
    assert decode(batch.slice(2, 1), COLUMNS) == ROWS[2:]
    assert decode(pa.Table.from_batches([batch, batch]), COLUMNS) == ROWS * 2
    assert decode(batch, {"n": Int(), "absent": Str()}) == [{"n": 1}, {"n": None}, {"n": 2**62}]
    assert decode(batch, {}) == [{}, {}, {}]


def test_round_trip_through_polars():
    pl = pytest.importorskip("polars")
    frame = pl.from_arrow(encode(COLUMNS, ROWS))
    assert decode(frame.to_arrow(), COLUMNS) == ROWS
    assert [decode_record(record, COLUMNS) for record in frame.iter_rows(named=True)] == ROWS


@given(st.data())
def test_every_type_round_trips(data):
    columns = data.draw(st.dictionaries(names, types_with_json, min_size=1, max_size=3))
    row = st.fixed_dictionaries({name: st.none() | values_of(of) for name, of in columns.items()})
    rows = data.draw(st.lists(row, max_size=4))
    assert decode(encode(columns, rows), columns) == rows


def test_text_that_utf8_cannot_hold_is_cleaned():
    columns = {"a": Str(), "l": ListOf(Str()), "j": Json()}
    batch = encode(columns, [{"a": "x\ud800y", "l": ["\udfff", "z"], "j": {"\ud800k": "v\ud800"}}, {"a": "fine"}])
    assert decode(batch, columns)[0] == {"a": "xy", "l": ["", "z"], "j": {"k": "v"}}
    assert decode(encode(columns, [{"a": "a\0b", "l": [], "j": 10**30}]), columns)[0]["a"] == "a\0b"


def test_a_wrong_value_names_its_column_and_row():
    with pytest.raises(TypeError, match=r"column 'n', row 1: 'x' is not a int"):
        encode({"n": Int()}, [{"n": 1}, {"n": "x"}])
