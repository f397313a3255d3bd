"""Every shipped spec is planned, and the printed plan is a golden file: its difference is what a review reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from synthkit.core.store import StepCounts
from synthkit.plan import PlanState, StepState, build_graph, estimate, render_plan
from synthkit.plan.text import WIDTH
from synthkit.spec.load import load_spec

from .conftest import MODELS, TOOLS, Bench

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
SPECS = sorted(
    path
    for folder in ("specs", "examples")
    for path in (ROOT / folder).rglob("*.yaml")
    if "steps:" in path.read_text(encoding="utf-8") and "\naction:" not in "\n" + path.read_text(encoding="utf-8")
)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Scripted roles, so that no plan depends on the weights that are shipped at the moment."""
    path = tmp_path / "models.yaml"
    path.write_text(MODELS + "tokenizer: nano\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("path", SPECS, ids=lambda path: "_".join(path.relative_to(ROOT).with_suffix("").parts))
def test_plan_of_a_shipped_spec(
    path: Path, models: Path, golden: Callable[[str, Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    graph = build_graph(load_spec(path.relative_to(ROOT), models=models))
    text = render_plan(graph)
    assert all(len(line) <= WIDTH for line in text.splitlines())
    golden(text, HERE / "golden" / ("_".join(path.relative_to(ROOT).with_suffix("").parts) + ".txt"))


def test_the_shipped_specs_are_found() -> None:
    assert {path.stem for path in SPECS} >= {"entity_memory", "fas_planning"}


PILOT = PlanState(
    steps={
        "rows": StepState(input=200, output=200, complete=True),
        "plans": StepState(
            input=20, output=60, samples=80, requests=20, replies=80, prompt_tokens=8000, completion_tokens=4000
        ),
        "sound": StepState(input=60, output=30),
        "text": StepState(input=30, output=30),
    },
    tokens_per_second=500.0,
)
STEPS = """
  plans: {from: rows, generate: {model: writer, prompt: ask.j2, n: 4, out: {plan: str}}}
  sound: {from: plans, until: {rows: 200, per: style}, filter: {long: plan | length > 20}}
  text: {from: sound, render: {prompt: ask.j2}}
"""


def test_estimate_from_a_pilot(bench: Bench) -> None:
    graph = bench.plan(STEPS, top="publish: {plans: {from: text}}")
    cost = estimate(graph, PILOT)
    plans, sound = cost.steps["plans"], cost.steps["sound"]
    assert cost.steps["rows"].output == 1, "a source that can count itself goes before an old pilot"
    assert plans.rows == 1 and plans.output == 3 and plans.requests == 1 and plans.samples == 4
    assert plans.prompt_tokens == 400 and plans.completion_tokens == 200
    assert cost.seconds == pytest.approx(0.4)
    assert sound.available == 1.5 and sound.quota == 400 and sound.short
    assert cost.tables == {"plans": 1.5} and cost.piloted


def test_estimate_without_a_pilot(bench: Bench) -> None:
    cost = estimate(bench.plan(STEPS, top="publish: {plans: {from: text}}"))
    assert cost.requests == 1 and cost.samples == 4
    assert cost.completion_tokens is None and cost.seconds is None and not cost.piloted


def test_done_rows_are_reused_while_the_fingerprint_holds(bench: Bench) -> None:
    bench.file(
        "data/rows.jsonl", "".join(f'{{"question": "{n}?", "answer": "", "style": "a", "n": {n}}}\n' for n in range(50))
    )
    graph = bench.plan(STEPS)
    ledger = {"plans": StepCounts(input=23, kept=20, pending=3, output=80)}
    state = PlanState.of(ledger, fingerprints={"plans": graph.nodes["plans"].fingerprint})
    each = estimate(graph, state).steps["plans"]
    assert (each.rows, each.reuse, each.compute, each.output) == (50, 20, 30, 200)
    stale = PlanState.of(ledger, fingerprints={"plans": "0"})
    again = estimate(graph, stale).steps["plans"]
    assert (again.reuse, again.compute, again.output) == (0, 50, 200)


def test_records_that_were_set_aside_are_no_rows_to_compute(bench: Bench) -> None:
    good = "".join(f'{{"question": "{n}?", "answer": "", "style": "a", "n": {n}}}\n' for n in range(50))
    bench.file("data/rows.jsonl", good + "no json\n" * 3)
    graph = bench.plan(STEPS)
    prints = {name: node.fingerprint for name, node in graph.nodes.items()}
    ledger = {
        "rows": StepCounts(input=53, kept=50, failed=3, output=50),
        "plans": StepCounts(input=50, kept=50, output=200),
    }
    steps = estimate(graph, PlanState.of(ledger, fingerprints=prints, complete=True)).steps
    assert (steps["rows"].output, steps["plans"].reuse, steps["plans"].compute) == (50, 50, 0)
    bench.file("data/rows.jsonl", good + "no json\n" * 3 + good)
    grown = estimate(graph, PlanState.of(ledger, fingerprints=prints, complete=True)).steps
    assert (grown["rows"].output, grown["plans"].compute) == (100, 50)
    assert estimate(graph, PlanState.of(ledger, fingerprints={})).steps["rows"].output == 103, "another reader"


def test_unknown_rows_stay_unknown(bench: Bench) -> None:
    bench.file("runs/done/run.json", '{"publish": {"rows": {"question": "str"}}}')
    graph = bench.plan(
        "  rows: {read: {run: done, table: rows}}\n"
        "  plans: {from: rows, generate: {model: writer, prompt: ask.j2, out: {plan: str}}}\n"
        "  text: {from: plans, render: {prompt: ask.j2}}\n"
    )
    cost = estimate(graph)
    assert cost.requests is None and cost.steps["text"].output is None and cost.steps["text"].requests == 0
    assert "as many requests as rows come" in render_plan(graph)


def test_the_cost_of_a_spec_that_is_read_is_in_the_total(bench: Bench) -> None:
    bench.plan(STEPS, top="publish: {plans: {from: text}}")
    graph = bench.plan(
        "  rows: {read: {spec: spec.yaml, table: plans}}\n"
        "  again: {from: rows, generate: {model: writer, prompt: ask.j2, out: {second: str}}}\n",
        name="reader.yaml",
    )
    cost = estimate(graph, PlanState(subspecs={"rows": PILOT}))
    assert cost.steps["rows"].output == 1.5
    assert cost.requests == 1 + 1.5
    assert not cost.piloted, "`again` never ran"


def test_plan_of_a_run_with_a_pilot(bench: Bench, golden: Callable[[str, Path], None]) -> None:
    bench.file(
        "data/rows.jsonl",
        "".join(f'{{"question": "{n}?", "answer": "", "style": "a", "n": {n}}}\n' for n in range(500)),
    )
    bench.file("ask.j2", "Question: {{ question }}\n")
    bench.file("toolsets/tools.yaml", TOOLS)
    graph = bench.plan(STEPS.replace("200", "900"), top="toolset: tools.yaml\npublish: {plans: {from: text}}")
    assert [path.name for path in graph.shadowed] == ["ask.j2", "tools.yaml"]
    prints = {name: node.fingerprint for name, node in graph.nodes.items()}
    steps = {
        "rows": StepState(prints["rows"], 500, 500, complete=True),
        "plans": StepState(prints["plans"], 20, 60, 0, 80, 20, 80, 8000, 4000),
        "sound": StepState("changed", 60, 30),
        "text": StepState(prints["text"], 30, 30),
    }
    golden(render_plan(graph, PlanState(steps, tokens_per_second=50.0)), HERE / "golden" / "pilot.txt")


@pytest.fixture
def three(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """A project, a package and the shipped files, with the same names in all three; gives what a plan passes over."""
    monkeypatch.setattr("synthkit.spec.search.shipped", lambda kind: tmp_path / "shipped" / kind)
    monkeypatch.setattr("synthkit.spec.search._installed", lambda: (tmp_path / "package",))
    for folder in ("shipped", "package", "project"):
        bench.file(f"{folder}/prompts/ask.j2", "Question: {{ question }}\n")
        bench.file(f"{folder}/toolsets/tools.yaml", TOOLS)
        bench.file(f"{folder}/specs/models.yaml", MODELS)
    bench.file("project/data/rows.jsonl", "")
    monkeypatch.chdir(tmp_path / "project")

    def told() -> list[str]:
        top = "models: models.yaml\ntoolset: toolsets/tools.yaml"
        graph = bench.plan(STEPS, top=top, models="", name="project/specs/spec.yaml")
        return [path.absolute().relative_to(tmp_path).as_posix() for path in graph.shadowed]

    return told


def test_ones_own_file_before_a_shipped_one_is_no_news(three: Callable[[], list[str]]) -> None:
    assert three() == []


def test_two_files_of_ones_own_are_told(bench: Bench, three: Callable[[], list[str]]) -> None:
    bench.file("project/specs/ask.j2", "Question: {{ question }}\n")
    bench.file("project/specs/tools.yaml", TOOLS)
    assert three() == ["project/prompts/ask.j2", "project/toolsets/tools.yaml"]


def test_a_package_before_a_shipped_file_is_told(tmp_path: Path, three: Callable[[], list[str]]) -> None:
    for name in ("prompts/ask.j2", "toolsets/tools.yaml", "specs/models.yaml"):
        (tmp_path / "project" / name).unlink()
    assert three() == ["shipped/prompts/ask.j2", "shipped/toolsets/tools.yaml", "shipped/specs/models.yaml"]


def test_what_came_over_the_quota_was_available(bench: Bench) -> None:
    graph = bench.plan("  kept: {from: rows, until: {rows: 1}, filter: {low: n < 3}}")
    ledger = {
        "kept": StepCounts(input=10, kept=1, unused=4, filtered=5, output=1, reasons={"over quota": 4, "not low": 5})
    }
    each = estimate(graph, PlanState.of(ledger, fingerprints={})).steps["kept"]
    assert each.available == 0.5 and each.output == 0.5 and each.short


def test_what_came_over_the_quota_of_a_whole_run_is_not_asked_again(bench: Bench) -> None:
    bench.file(
        "data/rows.jsonl", "".join(f'{{"question": "{n}?", "answer": "", "style": "a", "n": {n}}}\n' for n in range(10))
    )
    graph = bench.plan(STEPS)
    ledger = {
        "rows": StepCounts(input=10, kept=10, output=10),
        "plans": StepCounts(input=10, kept=4, unused=6, output=16, reasons={"over quota": 6}),
        "sound": StepCounts(input=16, kept=8, filtered=8, output=8, reasons={"not long": 8}),
        "text": StepCounts(input=8, kept=8, output=8),
    }
    prints = {name: node.fingerprint for name, node in graph.nodes.items()}
    whole = estimate(graph, PlanState.of(ledger, fingerprints=prints, complete=True))
    assert [whole.steps[name].compute for name in ledger] == [0, 0, 0, 0]
    changed = estimate(graph, PlanState.of(ledger, fingerprints=prints | {"text": "0"}, complete=True))
    assert changed.steps["sound"].compute > 0, "the quota may want more"


def test_usage_gives_averages_whatever_it_was_spent_on(bench: Bench) -> None:
    graph = bench.plan(STEPS)
    ledger = {"plans": StepCounts(input=10, kept=10, output=40, asked=40)}
    usage = [
        {"step": "plans", "requests": 30, "samples": 60, "prompt_tokens": 3000, "completion_tokens": 600},
        {"step": "plans", "requests": 10, "samples": 20, "prompt_tokens": 1000, "completion_tokens": 200},
    ]
    each = estimate(graph, PlanState.of(ledger, fingerprints={}, usage=usage)).steps["plans"]
    assert (each.samples, each.requests) == (4, 2)
    assert (each.prompt_tokens, each.completion_tokens) == (200, 40)
