"""Templates are untrusted: they reach no Python, no file and no memory without bound."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthkit.core.expr.sandbox import TEXT_LIMIT
from synthkit.core.prompt import PromptError, PromptLibrary, PromptSyntaxError


@pytest.fixture
def library(tmp_path):
    def make(x):
        (tmp_path / "x.j2").write_text(x, "utf-8")
        return PromptLibrary([tmp_path])

    return make


ESCAPES = [
    "{{ ''.__class__ }}",
    "{{ ''['__class__'] }}",
    "{{ x | map(attribute='__class__') | list }}",
    "{{ x.append(1) }}",
    "{{ x.copy }}",
    "{{ d.update({'a': 1}) }}",
    "{{ d.pop('a') }}",
    "{{ 'a{}'.format(1) }}",
    "{{ namespace.__init__ }}",
    "{{ range.__self__ }}",
    "{% set ns = namespace() %}{{ ns._Namespace__attrs }}",
    "{{ loop }}",
    "{% for i in x %}{{ loop._iterable }}{% endfor %}",
    "{% for i in x %}{{ loop.__init__.__globals__ }}{% endfor %}",
    "{% macro m() %}{{ caller }}{% endmacro %}{{ m.__call__ }}{{ m._environment }}",
    "{% macro m() %}{% endmacro %}{{ m.name.__class__ }}",
    "{{ cycler }}",
    "{{ lipsum() }}",
    "{{ config }}",
    "{{ get_flashed_messages.__globals__ }}",
    "{{ x | attr('__class__') }}",
    "{{ _budget }}",
    "{{ environment }}",
    "{{ context }}",
    "{{ x.sort }}",
    "{{ x.index.__self__ }}",
    "{{ d.items.__self__.__class__ }}",
    "{{ d['items']['__self__'] }}",
    "{{ d | xmlattr }}",
    "{{ x | safe }}",
]


@pytest.mark.parametrize("text", ESCAPES)
def test_internals_are_out_of_reach(library, text):
    with pytest.raises((PromptSyntaxError, PromptError)):
        library(x=text).get("x.j2").messages({"x": [1], "d": {"a": 1}})


BOMBS = [
    "{% for i in range(10 ** 9) %}{% endfor %}",
    "{% for i in range(9999) %}{% for j in range(9999) %}{{ i }}{% endfor %}{% endfor %}",
    "{% for i in range(9999) %}{% for j in [1,1,1,1,1,1,1,1,1,1,1,1] %}x{% endfor %}{% endfor %}",
    "{% set ns = namespace(s='a') %}{% for i in range(64) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
    "{% set ns = namespace(s='a') %}{% for i in range(64) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
    "{% set ns = namespace(s=[1]) %}{% for i in range(64) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
    "{% set ns = namespace(s='a') %}{% for i in range(64) %}{% set ns.s %}{{ ns.s }}{{ ns.s }}{% endset %}{% endfor %}",
    "{% set ns = namespace(s='a') %}{% for i in range(64) %}{% set ns.s = [ns.s, ns.s] | join %}{% endfor %}",
    "{% set ns = namespace(s='a') %}{% for i in range(64) %}{% set ns.s = ns.s | replace('a', 'aa') %}{% endfor %}",
    "{% set ns = namespace(n=9) %}{% for i in range(64) %}{% set ns.n = ns.n * ns.n %}{% endfor %}",
    "{% macro m(n) %}{{ m(n - 1) }}{{ m(n - 1) }}{% endmacro %}{{ m(40) }}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(40) }}",
    "{% for i in [[1]] recursive %}{{ loop([[1]]) }}{% endfor %}",
    "{% for i in range(9000) %}" + "x" * 5000 + "{% endfor %}",
    "{% set s %}{% for i in range(9000) %}" + "x" * 5000 + "{% endfor %}{% endset %}",
    "{{ 'x' * 10 ** 9 }}",
    "{{ '%999999999d' % 1 }}",
    "{{ big }}{{ big }}",
]


@pytest.mark.parametrize("text", BOMBS, ids=lambda text: text[:50])
def test_bombs_are_defused(library, text):
    with pytest.raises(PromptError):
        library(x=text).get("x.j2").messages({"big": "x" * (TEXT_LIMIT - 1)})


FRAGMENTS = [
    "{{ ", " }}", "{% ", " %}", "for x in a", "endfor", "if a", "endif", "set x = ", "set x", "endset", "macro m(x)",
    "endmacro",
    "m(", ")", "include 'x.j2'", "role 'user'", "endrole", "a", "x", "loop", "self", ".__class__", "['__class__']",
    "|tojson",
    "|map(attribute='__class__')", "|list", "|join(a)", "namespace(", "range(99999999)", "*", "~", "'a'", "**",
    "9999", "call m()",
    "endcall", "caller()", "recursive", "{#", "#}", "raw", "endraw", "filter upper", "endfilter", "with", "endwith",
    "-", "\n",
]  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join) | st.text(max_size=40))
def test_no_template_escapes(tmp_path_factory, text):
    root = tmp_path_factory.getbasetemp() / "fuzz"
    root.mkdir(exist_ok=True)
    try:
        (root / "x.j2").write_text(text, "utf-8")
    except UnicodeEncodeError:
        return
    try:
        rendered, _ = PromptLibrary([root]).get("x.j2").document({"a": [1, "<think>"]})
    except (PromptSyntaxError, PromptError):
        return
    assert len(rendered) <= TEXT_LIMIT
    if "<class" not in text:
        assert "<class" not in rendered
    assert " object at 0x" not in rendered
