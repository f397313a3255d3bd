"""Whatever stands in a spec, planning it ends in a graph or in a SpecError with places; never in a traceback."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synthkit.core.errors import SpecError
from synthkit.plan import build_graph, estimate, render_plan
from synthkit.spec.load import load_spec

from .conftest import Bench

SPEC: dict[str, Any] = {
    "engines": {"script": {"scripted": "auto"}},
    "models": {"writer": {"engine": "script"}, "judge": {"engine": "script", "temperature": 0}},
    "toolset": "tools.yaml",
    "vars": {"bar": 0.5, "k": 2},
    "steps": {
        "rows": {
            "read": {
                "path": "data/*.jsonl",
                "columns": {"question": "str", "answer": "str", "style": "a|b", "n": "int"},
            }
        },
        "plans": {
            "from": "rows",
            "when": "n > 0",
            "generate": {
                "model": "writer",
                "prompt": "ask.j2",
                "n": "${vars.k}",
                "each": {"tone": ["kind", "terse"]},
                "blind": ["answer"],
                "out": {"plan": "str(..80)", "move": "call", "steps": [{"name": "str", "why": "str|none"}]},
            },
        },
        "sound": {"from": "plans", "filter": {"valid": "move is valid", "long": "plan | length > 3"}},
        "marked": {"from": "sound", "let": {"figures": "plan | figures", "m": {"is": "n + 1", "type": "int"}}},
        "distinct": {"from": "marked", "dedup": {"by": "plan", "within": "style", "words": 3}},
        "judged": {
            "from": "distinct",
            "until": {"rows": 3, "per": "style"},
            "judge": {
                "model": "judge",
                "prompt": "judge.j2",
                "rubric": {"good": "pass|fail"},
                "score": "logprob",
                "keep": {"good": "p(good) > vars.bar"},
            },
        },
        "other": {"from": "distinct", "guess": {"model": "writer"}},
        "both": {"from": ["judged", "other"], "render": {"prompt": "ask.j2"}},
        "grouped": {"from": "both", "group": {"by": "style", "collect": {"all": ["plan", "n"]}, "order": "n"}},
        "joined": {"from": "both", "join": {"with": "grouped", "on": "style"}},
    },
    "publish": {"all": {"from": "joined", "columns": ["plan", "text"]}, "plans": {"from": "plans"}},
    "audit": {"judged.accepted": "10%..90%", "both.tokens": "..99"},
}
COMPOSITE = """
action: guess
params: {model: model}
needs: [question]
steps:
  drafts: {from: input, generate: {model: "${params.model}", prompt: ask.j2, out: {guess: str, why: str}}}
output: {from: drafts, adds: [guess]}
"""


def _paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [at] if at else []
    if isinstance(value, dict):
        return found + [path for key, inner in value.items() for path in _paths(inner, (*at, key))]
    if isinstance(value, list):
        return found + [path for index, inner in enumerate(value) for path in _paths(inner, (*at, index))]
    return found


WORDS = [
    "question",
    "plan",
    "rows",
    "plans",
    "writer",
    "style",
    "n",
    "good",
    "ask.j2",
    "input",
    "tokens",
    "text",
    "move",
]
TYPES = [
    "str",
    "int(1..3)",
    "a|b",
    "call",
    "ref(steps)",
    "ref(plan)",
    "[str]",
    "json",
    "date|none",
    "{x: int}",
    "[ref(n)]",
]
EXPRESSIONS = [
    "n",
    "plan | length",
    "vars.bar",
    "vars.nothing",
    "p(good)",
    "move is valid",
    "steps | pick(['1'])",
    "not (",
    "",
]
values = st.recursive(
    st.sampled_from(
        [*WORDS, *TYPES, *EXPRESSIONS, "${vars.k}", "${vars.none}", 0, 1, -1, 0.5, True, None, "5K", "1..3"]
    ),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=2),
    max_leaves=3,
)
changes = st.lists(
    st.tuples(st.sampled_from(_paths(SPEC)), st.sampled_from(["set", "drop", "rename"]), values), max_size=3
)


def _changed(spec: dict[str, Any], edits: list[tuple[tuple[Any, ...], str, Any]]) -> dict[str, Any]:
    spec = copy.deepcopy(spec)
    for path, how, value in edits:
        holder: Any = spec
        try:
            for part in path[:-1]:
                holder = holder[part]
            if how == "drop":
                del holder[path[-1]]
            elif how == "rename" and isinstance(holder, dict):
                holder[str(value)[:20] or "x"] = holder.pop(path[-1])
            else:
                holder[path[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue
    return spec


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    bench = Bench(tmp_path_factory.mktemp("fuzz"))
    bench.file("actions/guess.yaml", COMPOSITE)
    return bench.folder


def test_the_spec_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    path = folder / "whole.yaml"
    path.write_text(json.dumps(SPEC), encoding="utf-8")
    graph = build_graph(load_spec(path))
    assert "both.union" in graph.nodes and render_plan(graph)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(changes)
def test_a_graph_or_an_error_with_places(
    folder: Path, monkeypatch: pytest.MonkeyPatch, edits: list[tuple[tuple[Any, ...], str, Any]]
) -> None:
    monkeypatch.chdir(folder)
    path = folder / "spec.yaml"
    path.write_text(json.dumps(_changed(SPEC, edits)), encoding="utf-8")
    try:
        graph = build_graph(load_spec(path))
    except SpecError as error:
        assert error.problems and all(problem.mark for problem in error.problems), str(error)
        return
    assert render_plan(graph)
    assert set(estimate(graph).steps) == set(graph.nodes)
    for node in graph.nodes.values():
        assert node.reads <= node.input_columns.keys()
        assert not node.hidden & node.columns.keys()
        assert all(graph.nodes[name].level <= node.level for name in node.parents)
