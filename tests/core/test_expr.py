import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthkit.core.expr import FILTERS, TESTS, ExprError, ExprSyntaxError, compile_expression
from synthkit.core.types import parse_type

from .test_types import TOOLS

ROW = {
    "question": "Who wrote the first program?",
    "answer": "Ada Lovelace",
    "style": "multi_hop",
    "used": ["s1", "s3"],
    "statements": [
        {"id": "s1", "statement": "Ada Lovelace published 7 notes in 1843.", "figures": ["1843", "7"]},
        {"id": "s2", "statement": "It was long.", "figures": []},
        {"id": "s3", "statement": "Charles Babbage designed the engine.", "figures": []},
    ],
    "call": {"name": "search", "arguments": {"query": ["first program"]}, "final": None, "text": "first program"},
    "said": {"name": None, "arguments": None, "final": None, "say": "Well?", "text": "Well?"},
    "time": None,
    "n": 3,
    "items": {"keys": "a field named as a method"},
}


def value(text, **extra):
    return compile_expression(text).evaluate(
        ROW, vars={"bar": 0.7, "words": ["Ada"]}, toolset=TOOLS, extra=extra or None
    )


VALUES = {
    "used | length >= (2 if style == 'multi_hop' else 1)": True,
    "not (question | mentions(answer))": True,
    "statements[0].statement | mentions(answer)": True,
    "call.text | overlap(question) < 0.9": False,
    "call.final or not ((question ~ call.text) | mentions(answer))": True,
    "call is valid": True,
    "statements | pick(used) | map(attribute='id') | list": ["s1", "s3"],
    "(statements | pick('s3')).statement": "Charles Babbage designed the engine.",
    "statements | selectattr('statement', 'echoed_in', 'In 1843 Ada Lovelace published 7 notes.') | list | length": 1,
    "statements | selectattr('statement', 'dangling') | map(attribute='id') | join(', ')": "s2",
    "statements | map(attribute='statement') | map('figures') | list": [["1843", "7"], [], []],
    "time is none": True,
    "time or 'unknown'": "unknown",
    "n * 2 + 1": 7,
    "n / 2": 1.5,
    "question[:3]": "Who",
    "question | replace('first', 'last') | upper": "WHO WROTE THE LAST PROGRAM?",
    "items.keys": "a field named as a method",
    "vars.words | first": "Ada",
    "'a' if n > 5": None,
    "{'a': n, 'b': [1, 2]}": {"a": 3, "b": [1, 2]},
    "used | sort(reverse=true) | first": "s3",
    "n in [1, 3] and style is in(['multi_hop'])": True,
    "used | tojson": '["s1", "s3"]',
    "call | tojson": '{"name": "search", "arguments": {"query": ["first program"]}}',
    "said | tojson": '{"say": "Well?"}',
    "said.say": "Well?",
    "question | after('the ')": "first program?",
    "question | after('nowhere')": "Who wrote the first program?",
    "question | before(' the')": "Who wrote",
    "question | before('nowhere')": "Who wrote the first program?",
    "question | share == question | share": True,
    "0 <= (question | share) and (question | share) < 1": True,
    "question | share('a') != question | share('b')": True,
    "2.567 | round(1)": 2.6,
    "statements | map(attribute='figures') | map('length') | sum": 2,
}


@pytest.mark.parametrize("text", VALUES)
def test_values(text):
    assert value(text) == VALUES[text]
    assert type(value(text)) is type(VALUES[text])


def test_what_is_read():
    expression = compile_expression("statements | pick(used) | length > vars.least and p(content) >= vars['bar']")
    assert expression.names == {"statements", "used"}
    assert expression.vars_read == {"least", "bar"}
    assert expression.evaluate(
        ROW, vars={"least": 1, "bar": 0.7}, extra={"p": lambda name: 0.8 if name == "content" else 0}
    )
    assert compile_expression("a") is compile_expression("a")


def test_functions_are_named_by_the_caller():
    twice = compile_expression("twice(n)", frozenset({"twice"}))
    assert twice.names == {"n"}
    assert twice.evaluate(ROW, vars={}, extra={"twice": lambda x: 2 * x}) == 6
    with pytest.raises(ExprError):
        twice.evaluate(ROW, vars={})


BAD = {
    "": (0, "empty"),
    "question |": (10, "unexpected"),
    "question | lenght": (11, "no filter 'lenght'"),
    "call is vald": (5, "no test 'vald'"),
    "question.lower()": (8, "methods cannot be called"),
    "range(3)": (0, "'range' cannot be called"),
    "question.__class__": (9, "leading underscore"),
    "_secret": (0, "leading underscore"),
    "a b": (2, "unexpected 'b'"),
    "x ; y": (2, "unexpected ';'"),
    "x § y": (2, "unexpected char"),
    "{{ question }}": (0, "bare"),
    "x is defined and": (16, "unexpected"),
    "(" * 60 + "x" + ")" * 60 + " + y": (None, None),
    "(" * 3000: (0, ""),
    "a" + "+a" * 500: (None, "nested too deep"),
    "9" * 4300: (0, ""),
    "x | format(1)": (4, "no filter 'format'"),
    "x | attr('y')": (4, "no filter 'attr'"),
}


@pytest.mark.parametrize("text", BAD, ids=lambda text: text[:20])
def test_syntax_errors_say_where(text):
    offset, message = BAD[text]
    if message is None:
        compile_expression(text)
        return
    with pytest.raises(ExprSyntaxError) as caught:
        compile_expression(text)
    assert message in caught.value.message
    assert offset is None or abs(caught.value.offset - offset) <= 1, caught.value.offset


ERRORS = {
    "absent": "'absent' is not defined",
    "call.nme": "there is no field 'nme'; there is name, arguments, final, text",
    "time.year": "'year' of none",
    "used[7]": "there is no item 7 in 2",
    "question + n": "'+' cannot join a text and a number",
    "question * 3": "'*' is for numbers",
    "n / 0": "division",
    "time | length": "none has no length",
    "call | mentions('x')": "expected text or a list of texts",
    "'%9999999d' % n": "'%' is for numbers",
    "10 ** 400": "too large",
    "p(content)": "not defined",
    "absent | mentions('x')": "'absent' is not defined",
    "[absent] | tojson": "'absent' is not defined",
    "statements | pick('s9')": "no item has the id 's9'",
}


@pytest.mark.parametrize("text", ERRORS)
def test_errors_of_a_row_say_why(text):
    with pytest.raises(ExprError) as caught:
        value(text)
    assert ERRORS[text] in str(caught.value)
    assert text in str(caught.value)


COLUMNS = {
    "question": parse_type("str(20..400)"),
    "style": parse_type("a|b"),
    "used": parse_type("[ref(statements)]"),
    "statements": parse_type("[{id: str, statement: str, time: date|none, n: int}]"),
    "call": parse_type("call"),
    "time": parse_type("date|none"),
    "n": parse_type("int(1..5)"),
    "x": parse_type("float|none"),
    "meta": parse_type("json"),
    "judge": parse_type("{content: {label: pass|fail, p: float}}"),
}
TYPES = {
    "question": "str(20..400)",
    "style": "a|b",
    "judge.content.p": "float",
    "statements[0].time": "date|none",
    "statements | first": "{id: str, statement: str, time: date|none, n: int}",
    "statements | map(attribute='n') | sum": "int",
    "statements | map(attribute='n') | list": "[int]",
    "statements | pick(used)": "[{id: str, statement: str, time: date|none, n: int}]",
    "(statements | pick('1')).statement": "str",
    "statements | map(attribute='statement') | map('figures') | list": "[[str]]",
    "question | figures": "[str]",
    "question | mentions('x')": "bool",
    "question | length > 3": "bool",
    "not n": "bool",
    "n > 1 and n < 3": "bool",
    "time or 'unknown'": "str",
    "time | default('x')": "str|none",
    "n + 1": "int",
    "n / 2": "float",
    "n * 1.5": "float",
    "question ~ n": "str",
    "question if n > 1 else 'x'": "str",
    "n if n > 1 else none": "int(1..5)|none",
    "n if n > 1": "int(1..5)|none",
    "call.text": "str",
    "call.name": "str|none",
    "meta.a.b": "json",
    "'a'": "str",
    "[1, 2]": "[int]",
    "{'a': n, 'b': [question]}": "{a: int(1..5), b: [str(20..400)]}",
    "vars.words": "[str]",
    "used | length": "int",
    "question[:10]": "str",
    "question | lower | trim": "str",
    "call.final or n": None,
    "n or question": None,
    "vars.none": None,
    "absent": None,
    "[n, 'x']": None,
}  # fmt: skip


@pytest.mark.parametrize("text", TYPES)
def test_inferred_types(text):
    found = compile_expression(text).infer(COLUMNS, {"words": ["a"]})
    assert (str(found) if found is not None else None) == TYPES[text]


def test_every_word_is_documented():
    for word in (*FILTERS.values(), *TESTS.values()):
        assert word.about
        assert word.gives in {"same", "item", "items", "picked", "mapped", "default"} or parse_type(word.gives)


PIECES = [
    "question", "n", "used", "call", "statements", "vars", "self", "cycler", "''", "[]", "{}", "()", "1", "9999999",
    "'%s'",
    ".__class__", ".__mro__", "['__class__']", ".__init__.__globals__", ".format", ".join", "()", "|attr('__class__')",
    "|map(attribute='__class__')", "|map('attr', '__class__')", "|list", "|join('x')", "|replace('', 'xxxxxxxx')",
    "|tojson",
    "|sort(attribute='__len__')", "|groupby('__class__')", "|string", "|upper", "*", "**", "~", "+", "%", "-",
    " if ", " else ",
    " and ", " in ", " is ", "defined", "[", "]", "(", ")", ",", ":", "|", ".", "lipsum", "range", "namespace",
    "open", "import",
]  # fmt: skip


def harmless(result, depth=0):
    """Only JSON-like values of a bounded size come out."""
    assert result is None or type(result) in (str, int, float, bool, list, dict), type(result)
    if isinstance(result, str):
        assert len(result) <= 1_000_000
        assert "<class" not in result
        assert " object at 0x" not in result
    if isinstance(result, list | dict) and depth < 3:
        for item in result.values() if isinstance(result, dict) else result[:20]:
            harmless(item, depth + 1)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=10).map("".join))
def test_no_expression_escapes(text):
    try:
        harmless(value(text))
    except (ExprSyntaxError, ExprError) as error:
        assert "Traceback" not in str(error)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60))
def test_any_text_compiles_or_is_a_syntax_error(text):
    try:
        compile_expression(text)
    except ExprSyntaxError as error:
        assert 0 <= error.offset <= len(text)


ESCAPES = [
    "''.__class__.__mro__[1].__subclasses__()",
    "question['__class__']",
    "question | map(attribute='__class__') | list",
    "[question] | map(attribute='__class__') | list",
    "[question] | groupby('__class__') | list",
    "statements | sort(attribute='__class__')",
    "statements | map(attribute='items') | list",
    "statements | map(attribute='__getitem__') | list",
    "[call] | selectattr('__class__') | list",
    "used | join(',', attribute='__class__')",
    "call.items",
    "call.update",
    "question.format",
    "used.append",
    "(used, call).count",
    "p.__globals__",
    "p.func_globals",
    "[p] | map(attribute='__globals__') | list",
    "'{0.__class__}'.format",
    "self._TemplateReference__context",
    "vars.__class__",
    "statements | sum(start=p)",
]


@pytest.mark.parametrize("text", ESCAPES)
def test_internals_are_out_of_reach(text):
    try:
        harmless(value(text, p=lambda name: 0.5))
    except (ExprSyntaxError, ExprError):
        pass
    else:
        pytest.fail("this should not have a value")


BOMBS = [
    "'a' * 10 ** 9",
    "[1] * 10 ** 9",
    "2 ** (2 ** (2 ** (2 ** (2 ** 2))))",
    "10 ** (9 ** 9)",
    "((10 ** 99) * (10 ** 99)) * 10 ** 99",
    "'%1000000000d' % 1",
    "question | replace('', 'x' ~ question) " + "| replace('', question ~ question)" * 12,
    "question | indent(10 ** 9) | indent(10 ** 9) " + "| replace('W', 'W                ')" * 60,
    "1.5 | round(10 ** 8, 'ceil')",
    "used | tojson(indent=10 ** 9) " + "| replace('s', 'ssssssssssssssss')" * 9,
    "question | center(10 ** 9)",
    "'1' ~ '0' * 10 ** 8",
    "(used | join(question * 3)) | length",
]


@pytest.mark.parametrize("text", BOMBS, ids=lambda text: text[:30])
def test_bombs_are_defused(text):
    with pytest.raises((ExprSyntaxError, ExprError)):
        value(text)
