"""The decoding backends of vLLM compile every schema; one character at a time, they accept what the types say."""

import json

import pytest

from synthkit.core.resources import shipped
from synthkit.core.toolset import load_toolset
from synthkit.core.types import json_schema, parse_type

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("ignore")]

TYPES = [
    "{claims: [{entity: str(1..120), aliases: [str], statement: str(20..400), n: int(1..60), time: date|none}](..8)}",
    "{question: str(20..400), answer: str(1..400), used: [ref(statements)]}",
    "{analysis: str(80..4000), call: call}",
    "{reason: str(..600), content: pass|fail, p: float(0..1), n: int, ok: bool, any: json, m: map(int)}",
    "[date](1..3)",
]
ROW = {"statements": [{"id": "a"}, {"id": "b"}, {"id": "c"}]}


@pytest.mark.parametrize("text", TYPES)
def test_backends_compile(text):
    xgrammar = pytest.importorskip("xgrammar")
    llguidance = pytest.importorskip("llguidance")
    from vllm.v1.structured_output.backend_xgrammar import has_xgrammar_unsupported_json_features

    toolset = load_toolset(shipped("toolsets") / "deep_research.yaml")
    schema = json_schema(parse_type(text), row=ROW, toolset=toolset)
    assert not has_xgrammar_unsupported_json_features(schema)
    assert xgrammar.Grammar.from_json_schema(json.dumps(schema))
    grammar = llguidance.LLMatcher.grammar_from_json_schema(json.dumps(schema))
    assert not llguidance.LLMatcher.validate_grammar(grammar)
