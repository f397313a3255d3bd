"""Composites, unions, stages, hidden columns: the shape that executors and stores rely on."""

from __future__ import annotations

import pytest

from synthkit.core.errors import PlanError, SpecError
from synthkit.core.types import Choice, Int, Optional, Str
from synthkit.plan.graph import Union, Until

from .conftest import MODELS, Bench

GUESS = """
action: guess
about: A guess, and whether it is short.
params: {model: model, prompt: prompt = ask.j2, n: int(1..8) = 1}
needs: [question]
steps:
  drafts:
    from: input
    generate:
      model: "${params.model}"
      prompt: "${params.prompt}"
      n: "${params.n}"
      out: {guess: str(..80), why: str}
  short:
    from: drafts
    filter: {short: "guess | length < 40"}
output: {from: short, adds: [guess]}
"""


def test_composite_becomes_inner_nodes(bench: Bench) -> None:
    bench.file("actions/guess.yaml", GUESS)
    graph = bench.plan(
        """
  guesses:
    from: rows
    until: {rows: 3, per: style}
    guess: {model: writer, n: 2}
  text:
    from: guesses
    let: {m: "guess ~ question"}
"""
    )
    assert list(graph.nodes) == ["rows", "guesses.drafts", "guesses.short", "text"]
    assert graph.aliases == {"guesses": "guesses.short"}
    drafts, short = graph.nodes["guesses.drafts"], graph.resolve("guesses")
    assert not drafts.keeps_id and short.keeps_id
    assert drafts.step == short.step == "guesses"
    assert short.hidden == {"why"}
    assert "why" in drafts.columns and "why" not in short.columns
    assert short.until == Until(rows=3, per="style") and drafts.until is None
    assert "style" in short.reads, "the quota's column decides which rows pass"
    assert graph.nodes["text"].inputs == ("guesses.short",)
    assert "why" not in graph.nodes["text"].columns


def test_layouts_are_tables(bench: Bench) -> None:
    bench.file("actions/guess.yaml", GUESS)
    graph = bench.plan("  guesses: {from: rows, guess: {model: writer}}")
    layouts = {layout.name: layout for layout in graph.layouts()}
    assert list(layouts) == ["rows", "guesses.drafts", "guesses.short"]
    assert layouts["guesses.short"].parents == ("guesses.drafts",) and layouts["guesses.short"].keeps_id
    assert layouts["guesses.drafts"].adds.keys() == {"guess", "why"}
    assert layouts["guesses.short"].hidden == {"why"}
    assert layouts["rows"].parents == ()


def test_composite_twice_reuses_its_hidden_names(bench: Bench) -> None:
    bench.file("actions/guess.yaml", GUESS.replace("adds: [guess]", "adds: []"))
    graph = bench.plan(
        """
  once: {from: rows, guess: {model: writer}}
  twice: {from: once, guess: {model: writer}}
"""
    )
    assert graph.resolve("twice").columns.keys() == graph.nodes["rows"].columns.keys()


def test_composite_within_a_composite(bench: Bench) -> None:
    bench.file("actions/guess.yaml", GUESS)
    bench.file(
        "actions/double.yaml",
        """
action: double
params: {model: model}
steps:
  inner: {from: input, guess: {model: "${params.model}"}}
  sure: {from: inner, filter: {sure: "guess != answer"}}
output: {from: sure, adds: [guess]}
""",
    )
    graph = bench.plan("  outer: {from: rows, double: {model: writer}}")
    assert list(graph.nodes) == ["rows", "outer.inner.drafts", "outer.inner.short", "outer.sure"]
    assert graph.aliases == {"outer.inner": "outer.inner.short", "outer": "outer.sure"}
    assert {node.step for name, node in graph.nodes.items() if name != "rows"} == {"outer"}


def test_when_of_a_composite_reaches_its_steps(bench: Bench) -> None:
    bench.file("actions/guess.yaml", GUESS)
    graph = bench.plan("  guesses: {from: rows, when: n > 1, guess: {model: writer}}")
    drafts, short = graph.nodes["guesses.drafts"], graph.nodes["guesses.short"]
    assert drafts.when == short.when == "n > 1"
    assert {"n"} <= drafts.reads and {"n"} <= short.reads
    assert drafts.columns["guess"] == Optional(Str(0, 80))


def test_when_keeps_the_type_of_a_replaced_column(bench: Bench) -> None:
    graph = bench.plan(
        """
  better:
    from: rows
    when: n > 1
    generate: {model: writer, prompt: ask.j2, out: {answer: str(..80), sure: a|b}, replace: [answer]}
"""
    )
    node = graph.nodes["better"]
    assert node.columns["answer"] == Str(), "rows outside of `when` keep theirs, which is not bounded"
    assert node.columns["sure"] == Optional(Choice(("a", "b")))
    assert node.replaced == {"answer"}


def test_union_is_a_node(bench: Bench) -> None:
    graph = bench.plan(
        """
  marked: {from: rows, let: {score: n, note: question}}
  plain: {from: rows, let: {score: "n + 1"}}
  both: {from: [marked, plain], filter: {high: "score > 1"}}
"""
    )
    union = graph.nodes["both.union"]
    assert isinstance(union.action, Union) and union.kind == "union"
    assert union.inputs == ("marked", "plain") and not union.keeps_id and union.carries
    assert isinstance(union.columns["score"], Int)
    assert isinstance(union.columns["note"], Optional), "one branch lacks it"
    assert graph.nodes["both"].inputs == ("both.union",)
    assert next(each for each in graph.layouts() if each.name == "both.union").union
    assert union.step == "both"


def test_levels_and_depths(bench: Bench) -> None:
    graph = bench.plan(
        """
  marked: {from: rows, let: {m: "n + 1"}}
  distinct: {from: marked, dedup: {by: question, threshold: 0.7, words: 3}}
  kept: {from: distinct, filter: {high: "m > 1"}}
  beside: {from: rows, filter: {low: "n < 3"}}
  both: {from: [kept, beside], let: {k: n}}
"""
    )
    levels = {name: node.level for name, node in graph.nodes.items()}
    assert levels == {"rows": 0, "marked": 0, "distinct": 1, "kept": 1, "beside": 0, "both.union": 2, "both": 2}
    depths = {name: node.depth for name, node in graph.nodes.items()}
    assert depths == {"rows": 0, "marked": 1, "distinct": 2, "kept": 3, "beside": 1, "both.union": 4, "both": 5}
    assert [[node.name for node in stage] for stage in graph.levels()] == [
        ["rows", "marked", "beside"],
        ["distinct", "kept"],
        ["both.union", "both"],
    ]
    assert graph.ancestors("kept") == {"kept", "distinct", "marked", "rows"}
    assert graph.consumers["rows"] == ("marked", "beside")


def test_resolve_says_what_exists(bench: Bench) -> None:
    graph = bench.plan("  marked: {from: rows, let: {m: n}}")
    with pytest.raises(PlanError, match="did you mean 'marked'"):
        graph.resolve("market")


def test_reads_are_what_decides_the_result(bench: Bench) -> None:
    graph = bench.plan(
        """
  judged:
    from: rows
    when: style == 'a'
    judge:
      model: judge
      prompt: judge.j2
      rubric: {good: pass|fail}
      score: logprob
      keep: {good: "p(good) > vars.bar"}
""",
        top="vars: {bar: 0.5}",
    )
    node = graph.nodes["judged"]
    assert node.reads == {"question", "style"}
    assert node.roles == ("judge",) and node.prompts == ("judge.j2",)


def test_publish_of_everything(bench: Bench) -> None:
    graph = bench.plan("  kept: {from: rows, filter: {low: n < 3}}", top="publish: {all: {from: kept}}")
    assert list(graph.publish["all"].columns) == ["question", "answer", "style", "n"]
    assert graph.publish["all"].node == "kept"


def test_reads_another_spec(bench: Bench) -> None:
    top = "vars: {most: 3}\npublish: {rows: {from: kept}}"
    bench.plan("  kept: {from: rows, filter: {low: n < vars.most}}", top=top)
    graph = bench.plan(
        """
  rows:
    read: {spec: spec.yaml, table: rows, with: {most: 5}}
""",
        name="reader.yaml",
    )
    below = graph.subspecs["rows"]
    assert below.vars == {"most": 5} and below.name == "spec"
    assert graph.nodes["rows"].columns == below.publish["rows"].columns
    assert graph.nodes["rows"].kind == "source"


def test_models_of_the_command_line_reach_specs_that_are_read(bench: Bench) -> None:
    from synthkit.plan import build_graph
    from synthkit.spec.load import load_spec

    bench.plan(
        "  plans: {from: rows, generate: {model: writer, prompt: ask.j2, out: {plan: str}}}",
        top="publish: {plans: {from: plans}}",
    )
    reader = bench.file("reader.yaml", f"{MODELS}\nsteps:\n  plans: {{read: {{spec: spec.yaml, table: plans}}}}\n")
    models = bench.file("real.yaml", MODELS.replace("temperature: 0.9", "temperature: 0.1"))
    graph = build_graph(load_spec(reader, models=models))
    assert graph.subspecs["plans"].roles["writer"].temperature == 0.1


def test_reads_a_finished_run(bench: Bench) -> None:
    bench.file("runs/done/run.json", '{"format": 1, "publish": {"plans": {"plan": "str(..80)", "n": "int"}}}')
    graph = bench.plan("  rows:\n    read: {run: done@v1, table: plans}\n")
    assert graph.nodes["rows"].columns == {"plan": Str(0, 80), "n": Int()}
    with pytest.raises(SpecError, match="publishes no table 'plan'"):
        bench.plan("  rows:\n    read: {run: done@v1, table: plan}\n")


def test_a_union_of_tables_needs_no_stage_of_its_own(bench: Bench) -> None:
    bench.file("data/more.jsonl", '{"question": "When?", "answer": "", "style": "b", "n": 2}\n')
    graph = bench.plan(
        """
  more:
    read: {path: data/more.jsonl, columns: {question: str, answer: str, style: a|b, n: int}}
  both: {from: [rows, more], let: {m: n}}
"""
    )
    assert {name: node.level for name, node in graph.nodes.items()} == {
        "rows": 0,
        "more": 0,
        "both.union": 0,
        "both": 0,
    }


def test_a_table_that_is_joined_is_named(bench: Bench) -> None:
    bench.file(
        "actions/styled.yaml",
        """
action: styled
params: {}
steps:
  styles: {from: input, group: {by: style, collect: {all: [n]}}}
  joined: {from: input, join: {with: styles, on: style}}
output: {from: joined, adds: [all]}
""",
    )
    graph = bench.plan("  both: {from: rows, styled: {}}")
    joined = graph.nodes["both.joined"]
    assert joined.extra == ("both.styles",) and joined.tables == {"styles": "both.styles"}
    assert joined.parents == ("rows", "both.styles")
    assert joined.level > graph.nodes["both.styles"].level
