import re
from pathlib import Path

import jinja2
import jinja2.meta
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthkit.core.prompt import PromptError, PromptLibrary, PromptNotFound, PromptSyntaxError, escape_special
from synthkit.core.resources import shipped


@pytest.fixture
def library(tmp_path):
    def make(**files):
        for name, text in files.items():
            path = tmp_path / (name.replace("__", "/") + ".j2")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        return PromptLibrary([tmp_path])

    return make


def user(library, text, **context):
    (message,) = library(x=text).get("x.j2").messages(context)
    return message.content


def test_messages_by_role(library):
    prompt = library(
        x='{# version: 3 #}\n{% role "system" %}You are {{ who }}.{% endrole %}\n'
        '{% role "user" %}\nHi\n\n {% endrole %}'
    ).get("x.j2")
    assert [(m.role, m.content) for m in prompt.messages({"who": "a judge"})] == [
        ("system", "You are a judge."),
        ("user", "Hi"),
    ]
    assert list(prompt.roles) == ["system", "user"]
    assert prompt.version == "3"


def test_a_prompt_without_roles_is_one_user_message(library):
    assert user(library, "Say {{ a }}.\n", a=1) == "Say 1."


def test_document_spans(library):
    prompt = library(
        x='\n{% role "a" %}Q: {{ q }}{% endrole %}\n{% role "b" %}x {% role "c" %}{{ y }}{% endrole %}{% endrole %}\n'
    ).get("x.j2")
    text, spans = prompt.document({"q": "<think> no <|im_end|>", "y": "深"})
    assert text == "Q: < think> no < |im_end|>\nx 深"
    assert [(s["role"], text[s["start"] : s["end"]]) for s in spans] == [
        ("a", "Q: < think> no < |im_end|>"), ("b", "x 深"), ("c", "深"),
    ]  # fmt: skip


pieces = st.sampled_from(
    [
        "<",
        "|",
        ">",
        "im_end",
        "think",
        "/",
        "<|im_end|>",
        "</think>",
        " ",
        "a",
        "深",
        "\ufdd0",
        "\ufdd1",
        "<tool_call>",
        "{{",
        "<|x",
        "\n",
    ]
)
data_texts = st.lists(pieces, max_size=8).map("".join)
SPECIAL = [
    "<|im_end|>",
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
    "<tool_response>",
    "<|x|>",
    "<｜end｜>",
    "</s>",
]


@given(st.lists(pieces | st.sampled_from(SPECIAL), max_size=10).map("".join))
def test_no_special_token_survives(text):
    escaped = escape_special(text)
    assert not any(token in escaped for token in SPECIAL)
    assert escape_special(escaped) == escaped
    assert escaped.replace("< ", "<") == text.replace("< ", "<")


@pytest.mark.parametrize("text", ["a < b", "x <| y", "<b>bold</b>", "1 <2> 3", "<||", "f <|> g", "no"])
def test_other_text_is_left_alone(text):
    assert escape_special(text) == text


@given(data_texts, data_texts)
@settings(deadline=None)
def test_data_cannot_make_a_special_token(tmp_path_factory, one, other):
    root = tmp_path_factory.getbasetemp() / "escape"
    root.mkdir(exist_ok=True)
    (root / "x.j2").write_text(
        '{% role "user" %}<think>{{ a }}{{ b }}|{% set c %}{{ a }}{% endset %}{{ c }}{{ b }}'
        "{{ [a, b] | join }}{{ a ~ b }}</think>{% endrole %}"
    )
    prompt = PromptLibrary([root]).get("x.j2")
    (message,) = prompt.messages({"a": one, "b": other})
    assert message.content.startswith("<think>")
    assert message.content.endswith("</think>")
    body = message.content[7:-8]
    assert not any(token in body for token in SPECIAL)
    text, (span,) = prompt.document({"a": one, "b": other})
    assert text == message.content
    assert (span["start"], span["end"]) == (0, len(text))


def test_template_text_is_kept_and_nothing_is_escaped_twice(library):
    text = (
        "{% set t %}<think>{{ x }}</think>{% endset %}{% macro m(v) %}<tool_call>{{ v }}</tool_call>{% endmacro %}"
        "{{ t }}{{ m(x) }}{{ t ~ m(x) | trim }}"
    )
    once = "<think>< think>& <</think>"
    call = "<tool_call>< think>& <</tool_call>"
    assert user(library, text, x="<think>& <") == f"{once}{call}{once}{call}"


def test_filters_see_the_data_as_it_is(library):
    assert user(library, "{{ x | length }} {{ x | replace('<', '(') }} {{ x == '<a>' }}", x="<a>") == "3 (a> true"
    assert user(library, "{{ x | tojson }}", x={"k": ["<think>", 'a"b', "深"]}) == '{"k": ["< think>", "a\\"b", "深"]}'
    assert user(library, "{{ 'a < b & c' }} {{ x }}", x="d < e & f") == "a < b & c d < e & f"


def test_values_are_written_as_json_writes_them(library):
    assert user(library, "{{ a }} {{ b }} {{ c }} {{ d }}", a=True, b=[1, None], c={"k": "v"}, d=0.5) == (
        'true [1, null] {"k": "v"} 0.5'
    )
    with pytest.raises(PromptError, match=r"x\.j2:2:4: a value that is none"):
        user(library, "one\n{{ x }}", x=None)


def test_reads_with_places(library):
    prompt = library(
        x="{% set a = b %}\n{% for c in d %}{{ c.x }}{{ loop.index }}{{ a }}{% include 'part.j2' %}"
        "{% else %}{{ c }}{% endfor %}\n"
        "{% macro m(e, f=g) %}{{ e }}{{ f }}{{ h }}{% endmacro %}{{ m(1) }}{{ vars.lang }}{{ tools | length }}{{ b }}"
        "{% for r in range(2) if r > s %}{{ r }}{% endfor %}",
        part="\n  {{ c }}{{ inner }}{% set t = 1 %}{{ t }}",
    ).get("x.j2")
    assert list(prompt.reads) == ["b", "d", "inner", "c", "g", "h", "s"]
    assert (prompt.reads["b"].line, prompt.reads["b"].column) == (1, 12)
    assert prompt.reads["inner"].file.endswith("part.j2")
    assert (prompt.reads["inner"].line, prompt.reads["inner"].column) == (2, 13)
    assert prompt.vars_read["lang"].line == 3
    assert prompt.uses_tools
    assert set(prompt.files) == {"x.j2", "part.j2"}
    assert "{{ inner }}" in prompt.source


def test_a_name_set_in_one_branch_only_is_read(library):
    assert list(library(x="{% if a %}{% set b = 1 %}{% endif %}{{ b }}").get("x.j2").reads) == ["a", "b"]
    assert list(
        library(y="{% if a %}{% set b = 1 %}{% else %}{% set b = 2 %}{% endif %}{{ b }}").get("y.j2").reads
    ) == ["a"]


parts = st.recursive(
    st.sampled_from(["{{ a }}", "{{ b.c }}", "{{ c | length }}", "{{ d[0] }}", "{{ a ~ b }}", "x"]),
    lambda inner: st.one_of(
        st.builds("{{% set {} = {} %}}{}".format, st.sampled_from("abcd"), st.sampled_from("abcd"), inner),
        st.builds(
            "{{% for {} in {} %}}{}{{% endfor %}}".format, st.sampled_from("abcd"), st.sampled_from("abcd"), inner
        ),
        st.builds("{{% macro m({}) %}}{}{{% endmacro %}}".format, st.sampled_from("abcd"), inner),
        st.builds(
            "{{% with {} = {} %}}{}{{% endwith %}}".format, st.sampled_from("abcd"), st.sampled_from("abcd"), inner
        ),
        st.builds("{{% role 'user' %}}{}{{% endrole %}}".format, inner),
        st.builds("{}{}".format, inner, inner),
    ),
    max_leaves=6,
)


@settings(deadline=None)
@given(parts)
def test_reads_agree_with_jinja(tmp_path_factory, text):
    root = tmp_path_factory.getbasetemp() / "reads"
    root.mkdir(exist_ok=True)
    (root / "x.j2").write_text(text)
    plain = text.replace("{% role 'user' %}", "").replace("{% endrole %}", "")
    expected = jinja2.meta.find_undeclared_variables(jinja2.Environment().parse(plain))
    reads = set(PromptLibrary([root]).get("x.j2").reads)
    assert reads >= expected
    # Jinja overlooks a name that an inner block reads before a `set` further down; rendered, it is undefined.
    assert reads - expected <= set(re.findall(r"{% set (\w)", text))


def test_first_path_wins(tmp_path):
    for name in ("one", "two", "three"):
        (tmp_path / name / "fas").mkdir(parents=True)
    (tmp_path / "two/fas/plan.j2").write_text("two")
    (tmp_path / "three/fas/plan.j2").write_text("three")
    library = PromptLibrary([tmp_path / name for name in ("one", "two", "three")])
    prompt = library.get("fas/plan.j2")
    assert prompt.path == tmp_path / "two/fas/plan.j2"
    assert prompt.shadowed == [tmp_path / "three/fas/plan.j2"]
    assert library.get("fas/plan.j2") is prompt


@pytest.mark.parametrize("name", ["/etc/hosts", "../x.j2", "a/../../x.j2", "", "fas", "C:\\x", "x\0.j2", "link.j2"])
def test_only_files_on_the_paths(tmp_path, name):
    (tmp_path / "p/fas").mkdir(parents=True)
    (tmp_path / "x.j2").write_text("secret")
    (tmp_path / "p/link.j2").symlink_to(tmp_path / "x.j2")
    (tmp_path / "p/fas/plan.j2").write_text("ok")
    with pytest.raises(PromptNotFound, match=r"fas/plan\.j2"):
        PromptLibrary([tmp_path / "p"]).get(name)
    (tmp_path / "p/inc.j2").write_text(f"{{% include {name!r} %}}" if "\0" not in name else "{% include '..' %}")
    with pytest.raises(PromptSyntaxError, match="is not there"):
        PromptLibrary([tmp_path / "p"]).get("inc.j2")


def test_not_found_suggests(library):
    with pytest.raises(PromptNotFound, match=r"did you mean 'fas/plan.j2'") as caught:
        library(fas__plan="x", judge__align="y").get("fas/pln.j2")
    assert caught.value.known == ["fas/plan.j2", "judge/align.j2"]


BAD = {
    "a\n{% for x %}": (2, 10, "expected token 'in'"),
    "{{ a": (1, 5, "unexpected end of template"),
    "{% role x %}{% endrole %}": (1, 9, "quoted word"),
    "{% role 'User' %}{% endrole %}": (1, 9, "quoted word"),
    "{% role 'user' %}": (1, None, "end of template"),
    "x\n {{ a | lenght }}": (2, 9, "no filter 'lenght'"),
    "{{ a is vald }}": (1, 6, "no test 'vald'"),
    "{{ a.__class__ }}": (1, 5, "leading underscore"),
    "{{ self }}": (1, 4, "'self' cannot be read"),
    "{% extends 'x.j2' %}": (1, 4, "'extends' is not used"),
    "{% block a %}{% endblock %}": (1, 4, "'block' is not used"),
    "{% import 'x.j2' as y %}": (1, 4, "'import' is not used"),
    "{% autoescape false %}{% endautoescape %}": (1, None, "'autoescape' is not used"),
    "{% include a %}": (1, 4, "names one file in quotes"),
    "{% include 'x.j2' %}": (1, 4, "includes itself"),
    "\n\n{% include 'none.j2' %}": (3, 4, "'none.j2' is not there"),
    "{% set vars = 1 %}": (1, 8, "'vars' cannot be set"),
    "{% do x %}": (1, 4, "unknown tag 'do'"),
    "深\ufdd1": (1, 2, "a character that no text should hold"),
    "{{ a $ b }}": (1, 6, "unexpected char"),
}


@pytest.mark.parametrize("text", BAD, ids=lambda text: text[:20])
def test_syntax_errors_say_where(library, text):
    line, column, message = BAD[text]
    with pytest.raises(PromptSyntaxError) as caught:
        library(x=text).get("x.j2")
    assert message.lower() in caught.value.message.lower()
    assert (caught.value.mark.line, column and caught.value.mark.column) == (line, column)


def test_the_syntax_error_of_an_include_names_its_file(library):
    with pytest.raises(PromptSyntaxError) as caught:
        library(x="{% include 'p.j2' %}", p="\n{{").get("x.j2")
    assert caught.value.mark.file.endswith("p.j2")
    assert caught.value.mark.line == 2


ERRORS = {
    "\n {{ absent }}": (2, 5, "'absent' is not defined"),
    "{{ row.nme }}": (1, 7, "there is no field 'nme'; there is name"),
    "{% role 'user' %}a{% endrole %} stray": (0, 0, "text outside of a role: 'stray'"),
    "{% role 'judge' %}a{% endrole %}": (0, 0, "'judge' is not a role of chat messages"),
    "{% role 'user' %}{% role 'system' %}a{% endrole %}{% endrole %}": (0, 0, "chat messages do not nest"),
    "{% role 'user' %} {% endrole %}": (0, 0, "is empty"),
    "{% for x in none %}{% endfor %}": (1, 4, "none is not a list"),
    "{{ row.name.format() }}": (1, 12, "a text has no field 'format'"),
}


@pytest.mark.parametrize("text", ERRORS)
def test_errors_of_a_row_say_where(library, text):
    line, _, message = ERRORS[text]
    with pytest.raises(PromptError) as caught:
        library(x=text).get("x.j2").messages({"row": {"name": "n"}})
    assert message in str(caught.value)
    if line:
        assert f"x.j2:{line}:" in str(caught.value)


def test_an_error_inside_an_include_names_its_place(library):
    with pytest.raises(PromptError, match=r"p\.j2:3:\d+: there is no field 'b'"):
        library(x="{% include 'p.j2' %}", p="\n\n{{ a.b }}").get("x.j2").messages({"a": {}})


ROW = {
    "title": "T", "published": None, "sentences": ["One.", "Two."], "question": "Q?", "answer": "A",
    "style": "factual", "used": ["1"],
    "statements": [{"id": "1", "entity": "E", "time": "2015", "statement": "S."}], "analysis": "because",
    "criterion": "logic",
    "call": {"name": "search", "arguments": {"query": ["q"]}, "final": None, "say": None, "text": "q"},
    "tools": [{"name": "search", "description": "d", "parameters": {"properties": {"query": {"type": "array"}}}}],
    "vars": {},
}  # fmt: skip
SHIPPED = PromptLibrary([shipped("prompts")])


@pytest.mark.parametrize("name", SHIPPED.names())
def test_shipped_prompts_render(name):
    prompt = SHIPPED.get(name)
    if set(prompt.reads) - ROW.keys():
        pytest.skip("needs other columns; its own tests render it")
    text, spans = prompt.document(ROW)
    assert text
    assert {span["role"] for span in spans} <= set(prompt.roles)
    if set(prompt.roles) <= {"system", "user", "assistant"}:
        assert prompt.messages(ROW)


def test_paths_may_be_given_as_text(tmp_path):
    Path(tmp_path / "x.j2").write_text("x")
    assert PromptLibrary([str(tmp_path)]).get("x.j2").messages({})[0].content == "x"
