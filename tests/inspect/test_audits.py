"""The audits of a run's rows: plans that make things up, answers that leak, rows that are too long."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from synthkit import api
from synthkit.core.errors import SpecError
from synthkit.core.types.reply import stored_call
from synthkit.inspect.audits.calls import entities_of
from synthkit.inspect.audits.report import report
from synthkit.inspect.bounds import measure
from tests.cli.conftest import call as command

TOOLS = """
toolset: tools
tools:
  search:
    about: Search.
    parameters: {type: object, properties: {query: {type: string}}, required: [query], additionalProperties: false}
"""
SPEC = """
name: planned
tokenizer: nano
toolset: tools.yaml
steps:
  plans:
    read:
      path: rows.jsonl
      key: n
      columns:
        n: int
        question: str
        answer: str
        entities: "[str]"
        statements: "[{id: str, entity: str, statement: str}]"
        analysis: str
        call: call
  kept:
    from: plans
    filter: {valid: "call is valid", short: "n < 9"}
  text:
    from: kept
    render: {prompt: text.j2}
publish: {plans: {from: text, columns: [text, tokens]}}
audit: {AUDIT}
"""
EVIDENCE = [{"id": "s", "entity": "Port Velmar", "statement": "Port Velmar handled 1,436 containers in 2023."}]


def search(query: str) -> dict[str, Any]:
    return {"name": "search", "arguments": {"query": query}}


PLANS: list[tuple[str, dict[str, Any]]] = [
    ("Look for the port.", search("Port Velmar containers 2023")),
    ("Look for the port.", search("port velmar yearly figures")),
    ("It must be 1,436.", search("Port Velmar 1,436 containers")),
    ("A year from nowhere.", search("harbour statistics 1987")),
    ("A tool that is not there.", {"name": "browse", "arguments": {"query": "Port Velmar"}}),
    ("No need to search.", {"final": "It is known."}),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rows = [
        {
            "n": n,
            "question": "How many containers did the port that faces the lighthouse handle in 2023?",
            "answer": "1,436",
            "entities": ["Port Velmar"],
            "statements": EVIDENCE,
            "analysis": analysis,
            "call": stored_call(call),
        }
        for n, (analysis, call) in enumerate(PLANS)
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "tools.yaml").write_text(TOOLS)
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts/text.j2").write_text(
        "{{ question }} Based on the given statements, {{ analysis }} {{ answer }}"
    )
    return tmp_path


def run(folder: Path, **audit: str) -> Path:
    bounds = ", ".join(f"{name}: {value}" for name, value in audit.items())
    (folder / "spec.yaml").write_text(SPEC.replace("AUDIT", bounds))
    result = api.run("spec.yaml")
    assert result.problems == [] and result.tables == {"plans": 5}
    return folder / "runs/planned"


def test_calls_are_held_against_tools_question_and_memory(folder: Path) -> None:
    found = report(api.open(run(folder)))
    made, kept = found.calls
    assert (made.step, made.calls, made.final) == ("plans", 6, 1)
    assert made.valid == pytest.approx(5 / 6)
    assert made.names_entity == pytest.approx(4 / 5), "of the five that call a tool"
    assert made.foreign_figures == pytest.approx(1 / 5)
    assert made.answer_leak == pytest.approx(1 / 5)
    assert made.grounded is not None and 0.5 < made.grounded < 1
    assert (kept.step, kept.calls, kept.valid) == ("text", 5, 1.0)


def test_answers_and_betrayals_are_found_by_column(folder: Path) -> None:
    found = {leak.column: leak for leak in report(api.open(run(folder))).leakage}
    assert found["question"].with_answer == 0
    assert found["analysis"].with_answer == pytest.approx(1 / 5)
    assert found["call"].with_answer == pytest.approx(1 / 5)
    assert (found["text"].with_answer, found["text"].betrays, found["analysis"].betrays) == (1, 1, 0)
    assert "answer" not in found


def test_lengths_are_in_tokens_and_say_what_does_not_fit(folder: Path) -> None:
    opened = api.open(run(folder))
    [found] = report(opened, window=40).lengths
    tokens = opened["plans"].collect()["tokens"]
    assert (found.table, found.unit, found.rows, found.total) == ("plans", "tokens", 5, tokens.sum())
    assert (found.least, found.most, found.outside) == (tokens.min(), tokens.max(), (tokens > 40).sum())
    assert list(found.quantiles) == ["5%", "25%", "50%", "75%", "95%"]
    assert report(opened).lengths[0].outside is None


def test_figures_can_be_bounded(folder: Path) -> None:
    opened = api.open(run(folder))
    ledger = opened.ledger()
    figures = {
        "plans.valid_calls": 5 / 6,
        "kept.valid_calls": 1.0,
        "plans.names_entity": 4 / 5,
        "plans.answer_leak": 1 / 6,
        "text.longest": float(opened["text"].collect()["tokens"].max()),
    }
    for name, value in figures.items():
        assert measure(opened, ledger, name) == pytest.approx(value), name


def test_the_command_prints_tables_or_json_and_fails_on_a_broken_bound(folder: Path) -> None:
    run(folder, **{"plans.valid_calls": "90%..", "kept.answer_leak": "..30%"})
    done = command("audit", "runs/planned", "--window", "40")
    assert done.code == 1
    assert "audit: plans.valid_calls is 0.8333, outside of 0.9.." in done.err
    assert "BROKEN" in done.out and "holds" in done.out and "over 40" in done.out
    done = command("audit", "runs/planned", "--json")
    assert done.code == 1
    found = json.loads(done.out)
    assert not found["holds"]
    assert [bound["holds"] for bound in found["bounds"]] == [False, True]
    assert found["ledger"]["kept"]["kept"] == 5
    assert {"calls", "leakage", "lengths", "biases", "problems", "run"} <= found.keys()
    assert command("audit", "runs/planned", "--window", "32K").code == 2
    run(folder, **{"plans.valid_calls": "80%.."})
    done = command("audit", "runs/planned")
    assert done.code == 0 and done.out.endswith("audit: every row is in one place, and every bound holds\n")


@pytest.mark.parametrize(
    ("step", "figure"),
    [("plans", "longest"), ("plans", "length_bias"), ("kept", "position_bias"), ("kept", "collapsed")],
)
def test_figures_that_a_step_cannot_have_are_told_before_the_run(folder: Path, step: str, figure: str) -> None:
    (folder / "spec.yaml").write_text(SPEC.replace("AUDIT", f"{step}.{figure}: 0..1"))
    done = command("check", "spec.yaml")
    assert done.code == 2 and f"'{step}' has no figure '{figure}'" in done.err


def test_names_are_gathered_from_wherever_they_stand() -> None:
    row = {
        "entities": [{"entity": "A", "aliases": ["B"]}, "C"],
        "entity": "D",
        "aliases": ["E", "A"],
        "statements": [{"entity": "F", "statement": "x"}, {"statement": "y"}],
    }
    assert entities_of(row) == ["A", "B", "C", "D", "E", "F"]
    assert entities_of({"question": "?"}) == []


def test_calls_of_trajectories_count_too(folder: Path) -> None:
    steps = [
        {"thought": None, "call": stored_call(search("x")), "response": "r"},
        {"thought": None, "call": stored_call({"name": "fly", "arguments": {}}), "response": "r"},
    ]
    (folder / "runs.jsonl").write_text(json.dumps({"question": "q", "steps": steps}))
    (folder / "spec.yaml").write_text(
        "name: t\ntoolset: tools.yaml\nsteps:\n  runs:\n    read: {path: runs.jsonl, columns: {question: str, "
        'steps: "[{thought: str|none, call: call, response: str|none}]"}}\n'
        "publish: {runs: {from: runs}}\naudit: {runs.valid_calls: 90%..}\n"
    )
    api.run("spec.yaml")
    opened = api.open("runs/t")
    [found] = report(opened).calls
    assert (found.calls, found.valid, found.names_entity) == (2, 0.5, None)
    assert command("audit", "runs/t").code == 1


@pytest.mark.parametrize(("chosen", "value"), [("str", "B"), ("int", 2)])
def test_columns_of_other_kinds_with_the_names_of_decisions_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: str, value: object
) -> None:
    """Multiple-choice questions have `options` and what is `chosen`, too."""
    monkeypatch.chdir(tmp_path)
    Path("rows.jsonl").write_text(json.dumps({"n": 1, "options": ["a", "b"], "chosen": value}))
    columns = f'{{n: int, options: "[str]", chosen: {chosen}}}'
    steps = f"steps:\n  rows:\n    read: {{path: rows.jsonl, key: n, columns: {columns}}}\n"
    Path("spec.yaml").write_text(f"name: quiz\n{steps}publish: {{quiz: {{from: rows, columns: [options, chosen]}}}}\n")
    api.run("spec.yaml")
    assert report(api.open("runs/quiz")).decisions == []
    Path("bound.yaml").write_text(f"{Path('spec.yaml').read_text()}audit: {{rows.length_auc: 0.4..}}\n")
    with pytest.raises(SpecError, match="length_auc"):
        api.check("bound.yaml")
