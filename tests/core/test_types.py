import json

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthkit.core.errors import ParseError, RequestRefused, SpecError
from synthkit.core.toolset import Tool, Toolset
from synthkit.core.types import (
    Bool,
    Call,
    Choice,
    Date,
    External,
    Float,
    Int,
    Json,
    ListOf,
    MapOf,
    Object,
    Optional,
    Ref,
    Str,
    TypeSyntaxError,
    check_value,
    constraint,
    json_schema,
    parse_type,
    read_reply,
    refs,
)

from . import models
from .strategies import json_values, types, types_with_json, values_of

PARSED = {
    "str": Str(),
    "str(20..400)": Str(20, 400),
    "str(..400)": Str(0, 400),
    "str(20..)": Str(20),
    "int(1..5)": Int(1, 5),
    "int(-3..)": Int(-3),
    "float": Float(),
    "float(0..0.5)": Float(0, 0.5),
    "bool": Bool(),
    "date": Date(),
    "date|none": Optional(Date()),
    "json": Json(),
    "pass|fail": Choice(("pass", "fail")),
    "pass|fail|none": Optional(Choice(("pass", "fail"))),
    'yes|"not sure"': Choice(("yes", "not sure")),
    '"only"': Choice(("only",)),
    '"1"|"2"': Choice(("1", "2")),
    "是|否": Choice(("是", "否")),
    "[str]": ListOf(Str()),
    "[ref(statements)](1..)": ListOf(Ref("statements"), 1),
    "{a: str, b: [int](1..8)}": Object({"a": Str(), "b": ListOf(Int(), 1, 8)}),
    "[{entity: str(1..120), time: date|none}](1..8)": ListOf(
        Object({"entity": Str(1, 120), "time": Optional(Date())}), 1, 8
    ),
    "map(float)": MapOf(Float()),
    "call": Call(),
    "my.module:Model": External("my.module:Model"),
}


@pytest.mark.parametrize("text", PARSED)
def test_parses_and_prints_back(text):
    assert parse_type(text) == PARSED[text]
    assert parse_type(str(PARSED[text])) == PARSED[text]
    assert hash(parse_type(text)) == hash(PARSED[text])


def test_yaml_forms_are_the_same_as_text():
    declared = {"claims": [{"entity": "str(1..120)", "aliases": ["str"], "time": "date|none"}]}
    assert parse_type(declared) == parse_type("{claims: [{entity: str(1..120), aliases: [str], time: date|none}]}")
    assert parse_type([{"a": "str"}, "1..8"]) == parse_type("[{a: str}](1..8)")
    assert parse_type(Str(1)) == Str(1)


def test_objects_keep_their_order():
    assert Object({"a": Str(), "b": Int()}) != Object({"b": Int(), "a": Str()})
    assert str(Object({"b": Int(), "a": Str()})) == "{b: int, a: str}"


@given(types)
def test_printed_types_parse_to_themselves(type):
    assert parse_type(str(type)) == type


BAD = {
    "strr": (0, "unknown type 'strr'"),
    "": (0, "expected a type"),
    "[": (1, "expected a type, found the end"),
    "[str": (4, "expected ']'"),
    "{a str}": (3, "expected ':' after the field name 'a', found 'str'"),
    "{a: str, a: int}": (9, "field 'a' stands here twice"),
    "{_a: str}": (1, "leading underscore"),
    "str(9..1)": (3, "the bounds are turned round"),
    "str(5)": (5, "expected '..'"),
    "str(..)": (3, "bounds without a number"),
    "str(-1..3)": (4, "a length is not negative"),
    "bool(1..2)": (4, "'bool' takes no bounds"),
    "a|str": (2, "a union is of words"),
    "int|str": (4, "a union is of words"),
    "a|a": (2, "choice 'a' stands here twice"),
    "none": (0, "'none' alone"),
    "str|none|none": (9, "'none' stands here twice"),
    "1|2": (0, "a bare number"),
    "ref": (3, "expected '('"),
    "str int": (4, "unexpected 'int'"),
    '"open': (0, "the quote is not closed"),
    "[" * 40: (21, "nested more than"),
}


@pytest.mark.parametrize("text", BAD)
def test_syntax_errors_say_where(text):
    offset, message = BAD[text]
    with pytest.raises(TypeSyntaxError) as caught:
        parse_type({"claims": [{"x": text}]})
    assert caught.value.offset == offset
    assert message in caught.value.message
    assert caught.value.at == ("claims", 0, "x")


@pytest.mark.parametrize(
    ("declared", "at"),
    [({"a": None}, ("a",)), ({"a": 5}, ("a",)), ([], ()), (["str", "int"], ()), ({1: "str"}, (1,)), ({}, ()),
     (["str", "5..1"], (1,)), ({"a b": "str"}, ("a b",))],
)  # fmt: skip
def test_yaml_errors_say_where(declared, at):
    with pytest.raises(TypeSyntaxError) as caught:
        parse_type(declared)
    assert caught.value.at == at


SCRAPS = st.text(max_size=40) | st.text("str[]{}|:(),.0 none", max_size=12)


@given(st.recursive(SCRAPS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SCRAPS, inner, max_size=3)))
def test_any_declaration_parses_or_is_a_syntax_error(declared):
    try:
        kind = parse_type(declared)
    except TypeSyntaxError:
        return
    assert parse_type(str(kind)) == kind


def test_unknown_type_suggests_the_nearest():
    with pytest.raises(TypeSyntaxError) as caught:
        parse_type("boool")
    assert "did you mean 'bool'?" in caught.value.help


def test_schema_is_closed_and_bounded():
    kind = parse_type("{analysis: str(80..4000), time: date|none, tags: [a|b](1..3), n: int(1..5)}")
    schema = json_schema(kind)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["required"] == ["analysis", "time", "tags", "n"] == list(schema["properties"])
    assert schema["additionalProperties"] is False
    assert schema["properties"]["analysis"] == {"type": "string", "minLength": 80, "maxLength": 4000}
    assert schema["properties"]["tags"]["maxItems"] == 3
    assert "\\d" not in json.dumps(schema)


def test_default_bounds_hold_for_replies_only():
    long = "x" * 5000
    assert json_schema(Str())["maxLength"] == 2000
    assert check_value(Str(), long) is None
    with pytest.raises(ParseError, match="5000 characters are more than the 2000 allowed"):
        read_reply(Object({"a": Str()}), json.dumps({"a": long}))


@given(st.data())
def test_schema_and_reader_accept_the_same(data):
    """A value made for the kind passes both; any other JSON value passes both or neither."""
    kind = data.draw(types)
    validator = jsonschema.Draft202012Validator(json_schema(kind))
    boxed = Object({"x": kind})
    value = data.draw(values_of(kind))
    assert validator.is_valid(value)
    assert read_reply(boxed, json.dumps({"x": value})) == {"x": value}
    other = data.draw(json_values | values_of(data.draw(types)))
    try:
        read_reply(boxed, json.dumps({"x": other}))
        accepted = True
    except ParseError:
        accepted = False
    if accepted != validator.is_valid(other):
        # the one leniency: a key that may be none may be left out
        assert accepted
        assert validator.is_valid(read_reply(boxed, json.dumps({"x": other}))["x"])


@given(st.data())
def test_what_is_read_fits_its_type(data):
    kind = data.draw(types_with_json)
    value = data.draw(values_of(kind))
    assert check_value(kind, read_reply(Object({"x": kind}), json.dumps({"x": value}, ensure_ascii=False))["x"]) is None


def test_ref_is_bounded_by_the_row():
    row = {"statements": [{"id": "s1"}, {"id": "s2"}, {"id": "s3"}], "sentences": ["a", "b"], "none": None, "empty": []}
    used = Object({"used": ListOf(Ref("statements"), 1)})
    schema = json_schema(used, row=row)["properties"]["used"]
    assert schema == {
        "type": "array",
        "items": {"type": "integer", "minimum": 1, "maximum": 3},
        "minItems": 1,
        "maxItems": 3,
    }
    assert read_reply(used, '{"used": [3, 1, 3]}', row=row) == {"used": ["s3", "s1"]}
    assert read_reply(Object({"s": Ref("sentences")}), '{"s": 2}', row=row) == {"s": "2"}
    with pytest.raises(ParseError, match=r"used\[0\]: 4 is not the number of an item of 'statements' \(1..3\)"):
        read_reply(used, '{"used": [4]}', row=row)
    for column in ("none", "empty", "absent"):
        with pytest.raises(RequestRefused, match=f"column '{column}'"):
            json_schema(Object({"x": Ref(column)}), row=row)
    assert refs(used) == {"statements"}


def test_naming_one_item_twice_does_not_count_twice():
    row = {"s": [{"id": "a"}, {"id": "b"}]}
    with pytest.raises(ParseError, match="1 items are fewer than the 2 asked for"):
        read_reply(Object({"used": ListOf(Ref("s"), 2)}), '{"used": [1, 1]}', row=row)


TOOLS = Toolset(
    toolset="t",
    tools={
        "search": Tool(
            about="Search.",
            parameters={
                "type": "object",
                "properties": {
                    "query": {"type": "array", "items": {"type": "string", "format": "x"}, "uniqueItems": True}
                },
                "required": ["query"],
            },
        )
    },
)


def test_call_schema_is_fit_for_decoding():
    schema = json_schema(Object({"call": Call()}), toolset=TOOLS)["properties"]["call"]
    search, final = schema["anyOf"]
    arguments = search["properties"]["arguments"]
    assert arguments["additionalProperties"] is False
    assert arguments["properties"]["query"] == {
        "type": "array",
        "items": {"type": "string", "maxLength": 2000},
        "maxItems": 32,
    }
    assert final["properties"]["final"] == {"type": "string", "minLength": 1, "maxLength": 2000}
    with pytest.raises(SpecError, match="needs a toolset"):
        json_schema(Call())


def test_schemas_of_tools_are_self_contained_and_bounded():
    tool = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/Item"}, "n": {"type": "integer", "multipleOf": 3}},
        "$defs": {"Item": {"type": "string", "pattern": "^a", "maxLength": 3}},
    }
    schema = Toolset(toolset="t", tools={"x": Tool(about="x", parameters=tool)}).call_schema()
    arguments = schema["anyOf"][0]["properties"]["arguments"]
    assert arguments["properties"]["a"] == {"type": "string", "pattern": "^a"}
    assert arguments["properties"]["n"] == {"type": "integer", "minimum": -(10**15 - 1), "maximum": 10**15 - 1}
    assert "$defs" not in arguments


def test_calls_are_stored_with_their_text():
    kind = Object({"call": Call()})
    reply = '{"call": {"name": "search", "arguments": {"query": ["first", "second"]}}}'
    assert read_reply(kind, reply, toolset=TOOLS)["call"] == {
        "name": "search", "arguments": {"query": ["first", "second"]},
        "final": None, "say": None, "text": "first second",
    }  # fmt: skip
    assert read_reply(kind, '{"call": {"final": "42"}}', toolset=TOOLS)["call"] == {
        "name": None, "arguments": None, "final": "42", "say": None, "text": "42",
    }  # fmt: skip
    as_text = '{"call": {"name": "search", "arguments": "{\\"query\\": []}"}}'
    assert read_reply(kind, as_text, toolset=TOOLS)["call"]["arguments"] == {"query": []}
    for bad in ('{"call": {"name": "search"}}', '{"call": {"final": ""}}', '{"call": 3}'):
        with pytest.raises(ParseError, match="call"):
            read_reply(kind, bad, toolset=TOOLS)
    with pytest.raises(ParseError, match="there is no tool 'serch'; did you mean 'search'"):
        read_reply(kind, '{"call": {"name": "serch", "arguments": {}}}', toolset=TOOLS)


def test_words_to_the_user_are_stored_too():
    kind = Object({"call": Call()})
    reply = '{"call": {"say": "Well?"}}'
    talking = Toolset.model_validate(TOOLS.model_dump() | {"say": True})
    assert read_reply(kind, reply, toolset=talking)["call"] == {
        "name": None, "arguments": None, "final": None, "say": "Well?", "text": "Well?",
    }  # fmt: skip
    with pytest.raises(ParseError) as quiet:
        read_reply(kind, reply, toolset=TOOLS)
    assert str(quiet.value).endswith(
        'a call is {"name": ..., "arguments": {...}} or {"final": "..."}, and nothing else'
    )
    with pytest.raises(ParseError, match=r'call: a call is .*, \{"say": "\.\.\."\} or'):
        read_reply(kind, '{"call": {"says": "Well?"}}', toolset=talking)
    with pytest.raises(ParseError, match="say: 0 characters are fewer than the 1 asked for"):
        read_reply(kind, '{"call": {"say": ""}}', toolset=talking)


def test_constraints():
    assert constraint(Str()) is None
    assert constraint(Choice(("pass", "fail"))).value == ("pass", "fail")
    assert constraint(Object({"a": Str()})).kind == "json"


CHECKS = [
    (Str(2), "x", "1 characters are fewer than the 2 asked for"),
    (Int(1, 5), 9, "9 is not in 1..5"),
    (Int(), True, "true is not a whole number"),
    (Int(), 2**63, "is not in"),
    (Float(), float("nan"), "nan is not a number"),
    (Bool(), 1, "1 is not true or false"),
    (Date(), "2021-02-29", "'2021-02-29' is not a date like"),
    (Date(), "21 May", "'21 May' is not a date like 2021, 2021-03 or 2021-03-05"),
    (Choice(("a", "b")), "c", "'c' is not one of a, b"),
    (ListOf(Int(), 1), [], "0 items are fewer"),
    (ListOf(Int()), [1, "x"], "[1]: 'x' is not a whole number"),
    (Object({"a": Object({"b": Int()})}), {"a": {"b": None}}, "a.b: null is not a whole number"),
    (Object({"a": Int()}), {"a": 1, "z": 2}, "unknown key 'z'"),
    (MapOf(Int()), {"k": "v"}, "k: 'v' is not a whole number"),
    (Json(), {"a": object}, "is not a JSON value"),
    (Call(), {"name": None, "arguments": None, "final": None, "text": ""}, "either a name or a final answer"),
    (Call(), {"name": "a", "arguments": {}, "final": None, "say": "b", "text": ""}, "or says something"),
    (Ref("x"), 1, "1 is not the id of an item"),
]


@pytest.mark.parametrize(("type", "value", "message"), CHECKS, ids=lambda x: str(x)[:30])
def test_check_value_says_what_is_wrong(type, value, message):
    assert message in check_value(type, value)


def test_external_pydantic_model():
    kind = External(f"{models.__name__}:Outer")
    schema = json_schema(Object({"x": kind}))["properties"]["x"]
    assert "$ref" not in json.dumps(schema)
    assert schema["properties"]["inner"]["additionalProperties"] is False
    assert schema["properties"]["name"]["maxLength"] == 2000
    reply = read_reply(Object({"x": kind}), '{"x": {"name": "a", "inner": {"n": 3}}}')
    assert reply == {"x": {"name": "a", "inner": {"n": 3}}}
    with pytest.raises(ParseError, match=r"x: inner\.n"):
        read_reply(Object({"x": kind}), '{"x": {"name": "a", "inner": {"n": "no"}}}')
    with pytest.raises(SpecError, match="cannot be imported"):
        json_schema(External("no.such.module:X"))
    with pytest.raises(SpecError, match="neither a pydantic model"):
        json_schema(External("json:dumps"))


def test_external_outlines_term():
    pytest.importorskip("outlines")
    kind = External("outlines.types:ipv4")
    schema = json_schema(kind)
    assert schema["type"] == "string"
    assert read_reply(Object({"x": kind}), '{"x": "10.0.0.1"}') == {"x": "10.0.0.1"}
    with pytest.raises(ParseError, match="does not match"):
        read_reply(Object({"x": kind}), '{"x": "ten"}')
