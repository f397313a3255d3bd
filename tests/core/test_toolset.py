import pytest

from synthkit.core.errors import SpecError
from synthkit.core.ids import digest
from synthkit.core.resources import shipped
from synthkit.core.tokens import load_tokenizer
from synthkit.core.toolset import Toolset, load_toolset

DEEP = load_toolset(shipped("toolsets") / "deep_research.yaml")


def test_the_shipped_toolset():
    assert next(iter(DEEP.tools)) == "search"
    assert DEEP.prompt_view()[0].keys() == {"name", "description", "parameters"}
    assert DEEP.digest == load_toolset(shipped("toolsets") / "deep_research.yaml").digest
    assert hash(DEEP) == hash(DEEP.model_copy())
    schema = DEEP.call_schema()
    assert [each["properties"]["name"]["enum"][0] for each in schema["anyOf"][:-1]] == list(DEEP.tools)


VALID = [
    {"name": "search", "arguments": {"query": ["a"]}},
    {"name": "search", "arguments": {"query": ["a"]}, "final": None, "text": "a"},
    {"final": "42"},
    {"name": None, "arguments": None, "final": "42", "text": "42"},
]


@pytest.mark.parametrize("call", VALID)
def test_valid_calls(call):
    assert DEEP.problem(call) is None


PROBLEMS = [
    (
        {"name": "serch", "arguments": {}},
        "there is no tool 'serch'; did you mean 'search'? the tools are search, visit",
    ),
    ({"name": None, "arguments": {}, "final": None}, "there is no tool 'None'"),
    ({"name": "search", "arguments": None}, "arguments of 'search': not an object"),
    ({"name": "search", "arguments": {}}, "arguments of 'search': 'query' is a required property"),
    ({"name": "search", "arguments": {"query": "a"}}, "argument query of 'search': 'a' is not of type 'array'"),
    ({"name": "search", "arguments": {"query": ["a", ""]}}, "argument query[1] of 'search': '' should be non-empty"),
    ({"name": "search", "arguments": {"query": ["a"], "n": 1}}, "arguments of 'search': Additional properties"),
    (None, "there is no call"),
]


@pytest.mark.parametrize(("call", "message"), PROBLEMS)
def test_problems_are_explained(call, message):
    assert message in DEEP.problem(call)


ONE_TOOL = "toolset: x\ntools: {a: {about: b, parameters: {type: object, properties: {t: "
BAD = {
    "toolset: x\n  tools: {": ":2:8: not YAML",
    "- a": "toolset: Input should be",
    "toolset: x\ntools: {}": "tools: Dictionary should have at least 1 item",
    "toolset: x\ntools: {a: {}}": "tools.a.about: Field required",
    "toolset: x\ntools: {a: {about: b, parameters: {type: nothing}}}": "tools.a.parameters: not a JSON Schema",
    "toolset: x\ntools: {a: {about: b, parameters: {type: string}}}": "tools.a.parameters: must be of type: object",
    "toolset: x\ntools: {a: {about: b, more: 1}}": "tools.a.more: Extra inputs",
    ONE_TOOL
    + "{$ref: '#/$defs/t'}}, $defs: {t: {items: {$ref: '#/$defs/t'}}}}}}": "tools.a.parameters refers to itself",
    ONE_TOOL + "{$ref: 'http://x/y'}}}}}": "is not one of its own $defs",
    "a: &x 1\nb: *x": ":2:4: not YAML: aliases are not used",
    "!!python/object/apply:os.system [ls]": "not YAML",
    "x: " + "[" * 5000: "not YAML",
}


@pytest.mark.parametrize("text", BAD, ids=lambda text: text[:30])
def test_bad_files_say_what_is_wrong(tmp_path, text):
    (tmp_path / "t.yaml").write_text(text)
    with pytest.raises(SpecError) as caught:
        load_toolset(tmp_path / "t.yaml")
    assert BAD[text] in str(caught.value)
    assert "t.yaml" in str(caught.value)


def test_words_to_the_user_are_a_call_where_the_toolset_says_so():
    talking = Toolset.model_validate(DEEP.model_dump() | {"say": True})
    assert DEEP.problem({"say": "Well?"}) == "say: the agent of 'deep_research' talks with no user"
    assert talking.problem({"say": "Well?"}) is None
    assert talking.problem({"name": None, "arguments": None, "final": None, "say": "Well?", "text": "Well?"}) is None
    *quiet, final = DEEP.call_schema()["anyOf"]
    assert final["required"] == ["final"]
    assert talking.call_schema()["anyOf"][:-1] == [*quiet, final]
    say = {"type": "string", "minLength": 1, "maxLength": 2000}
    assert talking.call_schema()["anyOf"][-1]["properties"] == {"say": say}
    assert talking.digest != DEEP.digest


def test_where_schemas_come_from_is_no_part_of_the_digest():
    assert Toolset.model_validate(DEEP.model_dump() | {"derived": True}) == DEEP
    assert DEEP.digest == digest({"toolset": DEEP.toolset, "about": DEEP.about, "tools": DEEP.model_dump()["tools"]})


@pytest.mark.parametrize("path", sorted(shipped("toolsets").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_toolset_is_sound(path):
    toolset = load_toolset(path)
    assert toolset.toolset == path.stem
    assert toolset.about
    assert all(tool.about for tool in toolset.tools.values())
    for tool in toolset.tools.values():
        assert tool.parameters["additionalProperties"] is False
    assert len(toolset.call_schema()["anyOf"]) == len(toolset.tools) + 1 + toolset.say


def test_words_of_yaml_1_1_are_text(tmp_path):
    (tmp_path / "t.yaml").write_text(
        "toolset: x\ntools: {on: {about: yes, parameters: "
        "{type: object, properties: {no: {enum: [off, 2021-03-05, true]}}}}}"
    )
    tools = load_toolset(tmp_path / "t.yaml").tools
    assert tools["on"].about == "yes"
    assert tools["on"].parameters["properties"] == {"no": {"enum": ["off", "2021-03-05", True]}}


def test_a_missing_file(tmp_path):
    with pytest.raises(SpecError, match="cannot be read"):
        load_toolset(tmp_path / "none.yaml")


def test_resources_are_there():
    for kind in ("specs", "prompts", "toolsets", "documents"):
        assert shipped(kind).is_dir(), kind


def test_tokenizer_from_a_file(tmp_path):
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    tokenizer = Tokenizer(WordLevel({"a": 0, "?": 1}, unk_token="?"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert load_tokenizer(str(tmp_path))("a b a") == 3
    assert load_tokenizer(str(tmp_path / "tokenizer.json"))("") == 0


def test_an_unusable_tokenizer_says_what_to_give(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    for name in (str(tmp_path), str(tmp_path / "none"), "./none"):
        with pytest.raises(SpecError, match=r"give 'nano', the path of a tokenizer\.json, or a hub name"):
            load_tokenizer(name)
