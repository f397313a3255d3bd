"""Both sides of the table: what is excluded keeps a fingerprint; every other field of actions and roles moves it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from synthkit.core import registry
from synthkit.core.action import Action, RowAction
from synthkit.core.context import Context
from synthkit.core.engine import Role
from synthkit.core.errors import SpecError
from synthkit.core.row import Child, Row
from synthkit.plan import render_plan
from synthkit.plan.fingerprint import EXCLUDED, definition, fingerprint
from synthkit.plan.source import source

from .conftest import MODELS, TOOLS, Bench

WIDE = """
  rows:
    read:
      path: data/*.jsonl
      key: n
      columns:
        question: str
        answer: str
        style: a|b
        n: int
        entity: str
        aliases: "[str]"
        system: str|none
        steps: "[{thought: str|none, call: call, response: str|none}]"
        more: "[{thought: str|none, call: call, response: str|none}]"
        statements: "[{id: str, statement: str, time: date|none, claim: str, source: str, figures: [str]}]"
"""
"""Columns for every verb."""

STEPS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    # verb: (a step as it stands, every field changed)
    "chunk": (
        {"text": "question", "into": "passage"},
        {"text": "answer", "into": "part", "tokens": "..500", "overlap": "5", "sentences": "sentences"},
    ),
    "dedup": (
        {"by": "question", "words": "3"},
        {
            "by": "answer",
            "within": "style",
            "apart": "[n]",
            "threshold": "0.5",
            "words": "4",
            "chars": "9",
            "exact": "true",
            "cluster": "c",
            "against": "[{run: old, table: notes}]",
        },
    ),
    "decontaminate": (
        {"text": "question", "against": "data/bench.jsonl", "fields": "[question]"},
        {
            "text": "answer",
            "against": "data/*.jsonl",
            "fields": "[question, answer]",
            "ngram": "9",
            "threshold": "0.9",
            "words": "2",
            "common": "3",
        },
    ),
    "scrub": (
        {"columns": "[question]", "kinds": "[email]"},
        {
            "columns": "[answer]",
            "kinds": "[card]",
            "mode": "reject",
            "regions": "[DE]",
            "counts": "found",
        },
    ),
    "summarise_state": (
        {"model": "writer", "prompt": "ask.j2", "steps": "steps"},
        {
            "model": "judge",
            "prompt": "other.j2",
            "context": "[question]",
            "steps": "more",
            "length": "500",
            "reject_rate": "0.9",
        },
    ),
    "embed": (
        {"model": "writer", "text": "question"},
        {"model": "judge", "text": "answer", "into": "v", "reject_rate": "0.9"},
    ),
    "unroll": (
        {"over": "statements", "item": "each"},
        {"over": "aliases", "item": "other", "past": "before", "index": "at"},
    ),
    "expand_actions": (
        {"model": "writer", "prompt": "ask.j2", "step": "move", "past": "before"},
        {
            "model": "judge",
            "n": "5",
            "at_least": "2",
            "show": "[call]",
            "prompt": "other.j2",
            "context": "[question]",
            "window": "4Ki",
            "overflow": "reject",
            "reject_rate": "0.9",
        },
    ),
    "rank": ({"by": "n"}, {"by": "n + 1", "order": "ascending", "per": "style", "into": "at"}),
    "fold": (
        {"unrolled": "states", "into": "steps", "add": "[n]"},
        {"into": "moves", "add": "[question]", "missing": "drop", "at_least": "2"},
    ),
    "route": ({"by": "n", "into": "{low: ..3}"}, {"by": "n + 1", "into": "{low: ..4}", "column": "kind"}),
    "filter": ({"low": "n < 3"}, {"where": "low: n < 4"}),
    "let": ({"m": "n"}, {"columns": "m: n + 1"}),
    "generate": (
        {"model": "writer", "prompt": "ask.j2", "out": "{plan: str, items: [{a: str}]}"},
        {
            "model": "judge",
            "prompt": "other.j2",
            "out": "{plan: str(..80), items: [{a: str}]}",
            "n": "2",
            "each": "{tone: [kind, terse]}",
            "explode": "items",
            "blind": "[answer]",
            "replace": "[answer]",
            "reject_rate": "0.9",
        },
    ),
    "judge": (
        {"model": "judge", "prompt": "ask.j2", "rubric": "{good: pass|fail}"},
        {
            "model": "writer",
            "prompt": "other.j2",
            "rubric": "{fine: pass|fail}",
            "score": "logprob",
            "votes": "3",
            "keep": "{good: p(good) > 0.5}",
            "reject_rate": "0.9",
        },
    ),
    "group": (
        {"by": "style", "collect": "{all: [question]}"},
        {"by": "answer", "carry": "[entity]", "collect": "{all: [answer]}", "order": "n", "size": "2.."},
    ),
    "join": ({"with": "rows", "on": "n", "take": "[]"}, {"on": "question", "how": "left"}),
    "render": ({"prompt": "ask.j2"}, {"prompt": "other.j2"}),
    "rollout": (
        {"model": "writer", "prompt": "ask.j2", "tools": "{search: {corpus: {path: data/rows.jsonl}}}"},
        {
            "model": "judge",
            "tools": "{search: {corpus: {path: data/rows.jsonl}, k: 3}}",
            "turns": "3",
            "n": "2",
            "question": "answer",
            "prompt": "other.j2",
            "errors": "5%",
            "window": "4Ki",
            "overflow": "shorten_oldest_responses",
            "reject_rate": "0.9",
        },
    ),
    "as_trajectory": (
        {"messages": "answer", "replace": "[question, system, steps]"},
        {
            "messages": "entity",
            "format": "react",
            "question": "entity",
            "correct": "n == 1",
            "say": "true",
            "replace": "[steps, system, question]",
        },
    ),
    "as_messages": (
        {},
        {
            "form": "chatml",
            "thoughts": "tags",
            "summaries": "statements",
            "question": "answer",
            "system": "none",
            "steps": "more",
            "tools": "false",
            "into": "chat",
        },
    ),
    "difficulty": (
        {"model": "writer", "prompt": "ask.j2"},
        {"model": "judge", "prompt": "other.j2", "n": "3", "correct": "attempt == entity", "reject_rate": "0.9"},
    ),
    "resolve": ({"name": "entity", "aliases": "aliases"}, {"name": "answer", "aliases": "null", "shortest": "2"}),
    "sample_entities": (
        {"count": "4"},
        {
            "by": "{single: 100%}",
            "entities": "1..2",
            "statements": "2..3",
            "contested": "keep",
            "count": "5",
            "seed": "1",
            "entity": "answer",
            "aliases": "null",
            "items": "null",
        },
    ),
}
UNTRIED = {
    ("as_messages", "replace"),
    ("dedup", "against"),
    ("expand_actions", "past"),
    ("expand_actions", "step"),
    ("fold", "unrolled"),
    ("join", "other"),
    ("join", "take"),
    ("sample_entities", "items"),
}
"""Fields whose other values need another input; the parameters they are part of are covered as a whole."""


def _line(params: dict[str, str]) -> str:
    return "{" + ", ".join(f"{name}: {value}" for name, value in params.items()) + "}"


def _print(bench: Bench, verb: str, params: dict[str, str]) -> str:
    bench.file("prompts/other.j2", "Frage: {{ question }}\n")
    bench.file("data/bench.jsonl", '{"question": "Who?", "answer": "They."}\n')
    rolls = verb == "rollout"  # makes `steps` itself
    rows = "".join(line for line in WIDE.lstrip("\n").splitlines(True) if not (rolls and " steps:" in line))
    unrolled = verb in ("expand_actions", "fold")
    if unrolled:
        rows += "  states:\n    from: rows\n    unroll: {over: steps, item: move, past: before, index: k}\n"
    top = "toolset: tools.yaml" if rolls or unrolled else ""
    source = "states" if unrolled else "rows"
    graph = bench.plan(f"{rows}  step:\n    from: {source}\n    {verb}: {_line(params)}\n", top=top)
    return graph.nodes["step"].fingerprint


def _changes() -> list[tuple[str, str]]:
    return [(verb, name) for verb, (_, changed) in STEPS.items() for name in changed if (verb, name) not in UNTRIED]


@pytest.mark.parametrize(("verb", "name"), _changes(), ids=str)
def test_every_field_of_every_action(bench: Bench, verb: str, name: str) -> None:
    params, changed = STEPS[verb]
    if verb in ("filter", "let"):
        key, _, value = changed[name].partition(": ")
        other = {key: value}
    elif verb == "dedup" and name in ("chars", "exact"):
        other = {"by": "question", name: changed[name]}
    else:
        other = params | {name: changed[name]}
    before, after = _print(bench, verb, params), _print(bench, verb, other)
    assert (before == after) == (name in EXCLUDED["action"])


def test_no_field_is_forgotten() -> None:
    for verb in registry.actions():
        action: type[Action] = registry.actions()[verb]
        if verb == "read":
            continue
        tried = set(STEPS[verb][1]) | {name for v, name in UNTRIED if v == verb}
        assert tried == set(action.model_fields), verb


@pytest.mark.parametrize(
    "change",
    ["path: data/rows.jsonl", "path: data/*.jsonl, key: n", "path: data/*.jsonl, columns: {question: str}"],
)
def test_every_field_of_read(bench: Bench, change: str) -> None:
    columns = "" if "columns" in change else ", columns: {question: str, n: int}"
    base = bench.plan("  rows:\n    read: {path: data/*.jsonl, columns: {question: str, n: int}}\n")
    other = bench.plan(f"  rows:\n    read: {{{change}{columns}}}\n")
    assert base.nodes["rows"].fingerprint != other.nodes["rows"].fingerprint


ROLE: dict[str, Any] = {
    "temperature": 0.8,
    "top_p": 0.5,
    "top_k": 3,
    "min_p": 0.1,
    "max_tokens": 77,
    "stop": ["x"],
    "presence_penalty": 0.1,
    "frequency_penalty": 0.1,
    "repetition_penalty": 1.1,
    "thinking": False,
    "lora": "maths",
    "reask": 2,
    "extra": {"best_of": 2},
}
GENERATE = "  plans: {from: rows, generate: {model: writer, prompt: ask.j2, out: {plan: str}}}"


def _with(bench: Bench, **fields: Any) -> str:
    import json

    role = json.dumps({"engine": "script", "temperature": 0.9} | fields)
    models = f"engines: {{script: {{scripted: auto}}, again: {{scripted: auto}}}}\nmodels:\n  writer: {role}\n"
    return bench.plan(GENERATE, models=models).nodes["plans"].fingerprint


@pytest.mark.parametrize("name", sorted(Role.model_fields))
def test_every_field_of_a_role(bench: Bench, name: str) -> None:
    other = {"engine": "again"} if name == "engine" else {name: ROLE[name]}
    assert (_with(bench) == _with(bench, **other)) == (name in EXCLUDED["role"])


def test_an_engine_counts_by_its_identity(bench: Bench) -> None:
    def engine(text: str) -> str:
        models = f"engines: {{script: {text}}}\nmodels: {{writer: {{engine: script}}}}\n"
        return bench.plan(GENERATE, models=models).nodes["plans"].fingerprint

    bench.file("script.py", "def other(request): return ['x']\n")
    assert engine("{scripted: auto}") == engine("{scripted: auto, latency: 2, slots: 3, wanted: 9}")
    assert engine("{scripted: auto}") != engine("{scripted: script.py:other}")


@pytest.mark.parametrize("kind", ["openai", "vllm"])
def test_what_an_engine_leaves_out(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = registry.engines()[kind]
    base = {kind: "org/model"}
    fast = {"openai": {"urls": ["http://a:1/v1", "http://b:2/v1"]}, "vllm": {"gpus": 2, "replicas": 3}}[kind]
    first = {"openai": {"urls": ["http://c:1/v1"]}, "vllm": {}}[kind]
    assert config(**base, **first).identity() == config(**base, **fast).identity()
    assert config(**{kind: "org/other"}, **first).identity() != config(**base, **first).identity()


@pytest.mark.parametrize(
    "other",
    [
        "  plans: {generate: {out: {plan: str}, prompt: ask.j2, model: writer}, from: rows}",
        "  # why\n  plans:\n    from: rows\n\n    generate: {model: writer, prompt:   'ask.j2', out: {plan: 'str'}}",
        "  kept: {from: rows, filter: {low: n < 3}}\n" + GENERATE.replace("rows", "kept"),
        "  plans: {from: rows, generate: {model: writer, prompt: ask.j2, out: {plan: str}, n: 1}}",
    ],
    ids=["key order", "formatting", "a filter before it", "a default written out"],
)
def test_what_does_not_matter(bench: Bench, other: str) -> None:
    assert bench.plan(GENERATE).nodes["plans"].fingerprint == bench.plan(other).nodes["plans"].fingerprint


def test_the_order_of_conditions_matters(bench: Bench) -> None:
    one = bench.plan("  kept: {from: rows, filter: {low: n < 3, known: answer}}")
    two = bench.plan("  kept: {from: rows, filter: {known: answer, low: n < 3}}")
    assert one.nodes["kept"].fingerprint != two.nodes["kept"].fingerprint, "the first false one names the reject"


def test_templates_and_their_includes_count(bench: Bench) -> None:
    bench.file("prompts/ask.j2", '{% include "rules.j2" %} {{ question }}')
    bench.file("prompts/rules.j2", "Be short.")
    before = bench.plan(GENERATE).nodes
    bench.file("prompts/rules.j2", "Be long.")
    after = bench.plan(GENERATE).nodes
    assert before["plans"].fingerprint != after["plans"].fingerprint
    assert before["rows"].fingerprint == after["rows"].fingerprint


def test_only_variables_that_are_read_count(bench: Bench) -> None:
    step = "  kept: {from: rows, filter: {low: n < vars.most}}"

    def kept(top: str) -> str:
        return bench.plan(step, top=top).nodes["kept"].fingerprint

    assert kept("vars: {most: 3, other: 1}") == kept("vars: {most: 3, other: 2}")
    assert kept("vars: {most: 3, other: 1}") != kept("vars: {most: 4, other: 1}")
    bench.file("prompts/ask.j2", "In {{ vars.language }}: {{ question }}")
    english = bench.plan(GENERATE, top="vars: {language: en}").nodes["plans"].fingerprint
    assert english != bench.plan(GENERATE, top="vars: {language: zh}").nodes["plans"].fingerprint


def test_a_reference_counts_by_its_value(bench: Bench) -> None:
    step = '  plans: {from: rows, generate: {model: writer, prompt: ask.j2, n: "${vars.k}", out: {plan: str}}}'
    literal = step.replace('"${vars.k}"', "3")
    with_var = bench.plan(step, top="vars: {k: 3}").nodes["plans"].fingerprint
    assert with_var == bench.plan(literal).nodes["plans"].fingerprint


def test_the_toolset_counts_where_it_is_used(bench: Bench) -> None:
    steps = """
  plans: {from: rows, generate: {model: writer, prompt: ask.j2, out: {move: call}}}
  sound: {from: plans, filter: {valid: move is valid}}
  short: {from: sound, filter: {short: question | length < 90}}
"""
    before = bench.plan(steps, top="toolset: tools.yaml").nodes
    bench.file("tools.yaml", TOOLS.replace("{type: string}", "{type: string, maxLength: 9}"))
    after = bench.plan(steps, top="toolset: tools.yaml").nodes
    changed = {name for name in before if before[name].fingerprint != after[name].fingerprint}
    assert changed == {"plans", "sound"}


def test_the_tokenizer_counts_where_tokens_are_counted(bench: Bench) -> None:
    steps = """
  text: {from: rows, render: {prompt: ask.j2}}
  short: {from: text, filter: {short: tokens < 90}}
"""
    before = bench.plan(steps, top="tokenizer: nano").nodes
    after = bench.plan(steps, top="tokenizer: org/other").nodes
    assert {name for name in before if before[name].fingerprint != after[name].fingerprint} == {"text"}


def test_the_seed_counts_where_something_is_drawn(bench: Bench) -> None:
    steps = """
  plans: {from: rows, generate: {model: writer, prompt: ask.j2, out: {plan: str}}}
  judged: {from: plans, generate: {model: judge, prompt: judge.j2, out: {good: bool}}}
  short: {from: judged, filter: {short: question | length < 90}}
"""
    bench.file("prompts/judge.j2", "Question: {{ question }}\n")
    models = MODELS.replace("temperature: 0.5", "temperature: 0")
    before = bench.plan(steps, models=models)
    after = bench.plan(steps, models=models, top="seed: 1")
    assert (before.seed, after.seed) == (0, 1)
    assert {name for name in before.nodes if before.nodes[name].fingerprint != after.nodes[name].fingerprint} == {
        "plans"
    }, "a reply at temperature 0 does not depend on it"
    zero = bench.plan(steps, models=models, top="seed: 0").nodes
    assert {name: node.fingerprint for name, node in zero.items()} == {
        name: node.fingerprint for name, node in before.nodes.items()
    }
    assert "\nseed       1\n" in render_plan(after) and "seed" not in render_plan(before)


class Shuffled(RowAction):
    verb = "shuffled"

    async def rows(self, row: Row, ctx: Context) -> AsyncIterator[Child]:
        yield row | {"drawn": ctx.rng("a").random()}


def test_an_action_that_draws_is_known_by_its_code() -> None:
    assert source(Shuffled).draws
    assert not source(registry.actions()["filter"]).draws


def test_when_and_until_count(bench: Bench) -> None:
    def kept(extra: str) -> str:
        return bench.plan(f"  kept: {{from: rows, {extra} filter: {{low: n < 3}}}}").nodes["kept"].fingerprint

    prints = [kept(""), kept("when: n > 1,"), kept("until: {rows: 3},"), kept("until: {rows: 4},")]
    prints.append(kept("until: {rows: 3, per: style},"))
    assert len(set(prints)) == len(prints)


def test_names_of_steps_publish_and_prose_do_not_count(bench: Bench) -> None:
    one = bench.plan(GENERATE, top="about: One.\nname: one")
    top = "about: Two.\nname: two\npublish: {moves: {from: moves}}"
    two = bench.plan(GENERATE.replace("plans:", "moves:"), top=top)
    assert one.nodes["plans"].fingerprint == two.nodes["moves"].fingerprint


def test_definitions_are_what_is_digested(bench: Bench) -> None:
    graph = bench.plan(GENERATE, models=MODELS)
    for name, node in graph.nodes.items():
        assert fingerprint(graph.definitions[name]) == node.fingerprint
    assert definition(graph.nodes["rows"], None)["verb"] == "read"


def test_a_table_to_compare_with_is_covered_by_its_version(bench: Bench) -> None:
    import lance
    import pyarrow as pa

    bench.file("runs/old/run.json", '{"publish": {"notes": {"question": "str"}}}')
    step = "  step:\n    from: rows\n    dedup: {by: question, against: [{run: %s, table: notes}]}\n"

    def printed(run: str) -> str:
        return bench.plan(step % run).nodes["step"].fingerprint

    with pytest.raises(SpecError, match="the run 'old' has not published 'notes' yet"):
        printed("old")
    place = str(bench.folder / "runs/old/published/notes.lance")
    table = lance.write_dataset(pa.table({"question": ["a"]}), place)
    table.tags.create("v1", 1)
    first, tagged = printed("old"), printed("old@v1")
    assert printed("old") == first
    lance.write_dataset(pa.table({"question": ["b"]}), table, mode="overwrite")
    assert printed("old") != first
    assert printed("old@v1") == tagged
    with pytest.raises(SpecError, match="'notes' of 'old' has no tag 'v2'"):
        printed("old@v2")
