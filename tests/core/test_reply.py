import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthkit.core.errors import ParseError
from synthkit.core.types import Choice, ListOf, Object, Optional, Str, parse_type, read_reply

CLAIMS = parse_type("{claims: [{entity: str(1..40), time: date|none}](1..3)}")
GOOD = '{"claims": [{"entity": "Ada", "time": "1843-07"}]}'
VALUE = {"claims": [{"entity": "Ada", "time": "1843-07"}]}


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"  {GOOD}\n",
        f"```json\n{GOOD}\n```",
        f"```\n{GOOD}\n```\nDone.",
        f"Here you are:\n{GOOD}\nI hope this helps {{really}}.",
        f'<think>maybe {{"claims": []}}?</think>\n\n{GOOD}',
        f"no open tag</think>{GOOD}",
        f'First try: {{"claims": []}}. Better: {GOOD}',
        f"The keys {{claims}} are filled as asked: {GOOD}",
    ],
)
def test_finds_the_json(text):
    assert read_reply(CLAIMS, text) == VALUE


MESSAGES = {
    '{"claims": [{"entity": "Ada", "time": "21 May"}]}': (
        "claims[0].time: '21 May' is not a date like 2021, 2021-03 or 2021-03-05"
    ),
    '{"claims": []}': "claims: 0 items are fewer than the 1 asked for",
    '{"claims": [{"entity": "", "time": null}]}': "claims[0].entity: 0 characters are fewer than the 1 asked for",
    '{"claims": [{"entity": 4, "time": null}]}': "claims[0].entity: 4 is not text",
    '{"claims": [{"entity": "A", "tme": null}]}': "claims[0]: unknown key 'tme'; did you mean 'time'?",
    '{"claim": []}': "key 'claims' is missing",
    '{"claims": "x"}': "claims: 'x' is not a list",
    "[1]": "a list of 1 is not an object with the keys claims",
    "": "the reply is empty",
    "I cannot do that.": "the reply holds no JSON object; reply with the JSON object alone",
    '{"claims": [}': "the reply is not valid JSON: Expecting value at character 12, near '}'",
    '{"claims": [{"entity": "Ada", "ti': "the reply is truncated: it ends after 33 characters",
    '```json\n{"claims": [{"entity": "Ada"': "the reply is truncated",
    "<think>so long": "the reply is truncated: it ended before </think>",
}


@pytest.mark.parametrize("text", MESSAGES)
def test_messages_name_the_place(text):
    with pytest.raises(ParseError) as caught:
        read_reply(CLAIMS, text)
    assert MESSAGES[text] in str(caught.value)


def test_truncated_and_empty_have_their_own_reason():
    reasons = {}
    for text in ('{"claims": [{"en', "<think>x", "", "no", '{"claims": 1}'):
        with pytest.raises(ParseError) as caught:
            read_reply(CLAIMS, text)
        reasons[text] = caught.value.reason
    assert list(reasons.values()) == ["truncated", "truncated", "empty", "not parsed", "not parsed"]


def test_several_problems_at_once_but_not_too_many():
    with pytest.raises(ParseError) as caught:
        read_reply(parse_type("{a: int, b: bool, c: str}"), '{"a": "x", "b": 2, "c": 3}')
    assert len(str(caught.value).splitlines()) == 3
    with pytest.raises(ParseError) as caught:
        read_reply(ListOf(parse_type("int")), json.dumps(["x"] * 20))
    assert len(str(caught.value).splitlines()) == 5


def test_raw_control_characters_are_removed():
    assert read_reply(Object({"a": Str()}), '{"a": "x\x00y\x1b[0m\tz\n"}') == {"a": "xy[0m\tz\n"}
    assert read_reply(Object({"a": Str()}), '{"a": "\\u0000b\\r\\nc\\ud800"}') == {"a": "b\nc"}
    assert read_reply(Object({"a": Str()}), '{"a": "\\ud83d\\ude00"}') == {"a": "\N{GRINNING FACE}"}


def test_text_replies():
    assert read_reply(Str(), " plain text ") == "plain text"
    assert read_reply(Str(), "<think>x</think> plain") == "plain"
    assert read_reply(Str(), '"quoted \\"text\\""') == 'quoted "text"'
    assert read_reply(Str(), '"A" and "B"') == '"A" and "B"'
    assert read_reply(Object({"summary": Str(3)}), "All is well.") == {"summary": "All is well."}
    assert read_reply(Optional(Str()), "x") == "x"
    with pytest.raises(ParseError, match="fewer than the 5"):
        read_reply(Str(5), "abc")
    with pytest.raises(ParseError, match="no JSON"):
        read_reply(Object({"a": Str(), "b": Str()}), "plain")


@pytest.mark.parametrize("text", ["pass", " Pass.", '"pass"', "**PASS**", "<think>hm</think>\n\npass"])
def test_bare_choices(text):
    assert read_reply(Choice(("pass", "fail")), text) == "pass"


def test_a_bare_choice_must_be_one_of_them():
    with pytest.raises(ParseError, match="'maybe' is not one of pass, fail"):
        read_reply(Choice(("pass", "fail")), "maybe")


def test_nullable_keys_may_be_left_out():
    assert read_reply(parse_type("{a: str, b: date|none}"), '{"a": "x"}') == {"a": "x", "b": None}


def test_whole_floats_are_integers():
    assert read_reply(parse_type("{n: int(1..5)}"), '{"n": 5.0}') == {"n": 5}


@pytest.mark.parametrize(
    "text", ["[" * 5000, '{"a":' * 3000, "NaN", '{"claims": NaN}', "{" * 200, '{"claims": [1e999]}']
)
def test_hostile_replies_are_parse_errors(text):
    with pytest.raises(ParseError):
        read_reply(CLAIMS, text)


@given(st.text(max_size=80) | st.text('{}[]":,\\ enclaim01', max_size=60))
def test_any_text_is_read_or_a_parse_error(text):
    try:
        value = read_reply(CLAIMS, text)
    except ParseError as error:
        assert str(error)
    else:
        assert set(value) == {"claims"}


@given(st.integers(1, len(GOOD) - 1))
def test_every_prefix_is_truncated(cut):
    with pytest.raises(ParseError) as caught:
        read_reply(CLAIMS, GOOD[:cut])
    assert caught.value.reason == "truncated"
