"""Coding and customer service, of YAML and templates alone: moves, runs and choices by agents that follow rules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from synthkit import api
from synthkit.core.resources import shipped
from tests.actions.test_has_expand import covered, parsed
from tests.actions.tools.test_sandbox import fenced

EXAMPLES = Path(__file__).parents[2] / "examples"
AGENT = Path(__file__).with_name("domains.py")


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "models.yaml"
    file.write_text(
        f"engines: {{agent: {{scripted: '{AGENT}:reply'}}, any: {{scripted: auto}}}}\n"
        "models: {writer: {engine: agent, max_tokens: 4096}, judge: {engine: agent, temperature: 0}}\ntokenizer: nano\n"
    )
    return file


def run(name: str, models: Path, **sets: str) -> api.RunResult:
    given = {"vars.folder": str(EXAMPLES / name)} | {f"vars.{key}": value for key, value in sets.items()}
    result = api.run(EXAMPLES / name / "spec.yaml", models=models, sets=given)
    assert (result.stopped, result.problems) == (None, [])
    assert all(counts.balanced() for counts in result.ledger.values())
    return result


def table(name: str, of: str) -> list[dict[str, Any]]:
    return api.open(f"runs/{name}")[of].collect().sort("_id").to_dicts()


def decisions_of(rows: list[dict[str, Any]]) -> int:
    """How many decisions the documents hold; each document is whole."""
    found = 0
    for row in rows:
        covered(row["text"], row["spans"])
        said = parsed(row["text"], row["spans"])
        found += len(said)
        assert all(len(options) == 4 for options, _ in said)
        if row["correct"] is not None:
            assert row["text"].endswith(f"My decision is {'Correct' if row['correct'] else 'Incorrect'}")
    return found


@pytest.mark.skipif(bool(fenced()), reason="no fence for programs here")
def test_issues_become_moves_runs_and_choices(models: Path) -> None:
    result = run("coding", models, errors="0%")
    moves, runs = table("coding", "moves"), table("coding", "runs")
    assert len(moves) == 10 and {row["call"]["name"] for row in moves} == {"search_code"}
    for row in moves:
        covered(row["text"], row["spans"])
    assert len(runs) == 5 and all(row["correct"] for row in runs), [row["final"] for row in runs]
    for row in runs:
        names = [step["call"]["name"] for step in row["steps"]]
        assert names == ["search_code", "open_file", None]
        assert "    return" in row["steps"][1]["response"], "the code as it stands in the file"
    assert decisions_of(table("coding", "decisions")) == result.ledger["choices"].kept == 15


def test_requests_become_moves_that_keep_to_the_policy_and_talks_choices(models: Path) -> None:
    result = run("service", models)
    assert result.ledger["sound"].reasons == {}
    moves = table("service", "moves")
    assert len(moves) == 10
    assert {row["call"]["name"] or "say" for row in moves} == {"get_reservation_details", "say"}
    for row in moves:
        covered(row["text"], row["spans"])
        assert ("<say>" in row["text"]) == (row["call"]["name"] is None)
    decided = table("service", "decisions")
    assert sorted(row["correct"] for row in decided) == [False, True, True]
    assert decisions_of(decided) == result.ledger["choices"].kept
    assert all(option[0] is None for row in decided for options, _ in parsed(row["text"], row["spans"])
               for option in options), "no thought is invented"  # fmt: skip


@pytest.mark.parametrize("name", ["coding", "service"])
def test_chinese_prompts_go_through_with_replies_of_any_kind(name: str, models: Path) -> None:
    models.write_text(models.read_text().replace("engine: agent", "engine: any"))
    if name == "coding" and fenced():
        pytest.skip("no fence for programs here")
    result = run(name, models, language="zh")
    assert result.tables["decisions"] > 0
    assert "我选择" in table(name, "decisions")[0]["text"]


DOMAINS = {
    "coding/alternatives.j2": {
        "runs": str(EXAMPLES / "coding/runs/*.traj"), "key": "null", "messages": "history", "correct": "resolved",
        "columns": "{history: json, resolved: bool|none}", "toolset": "swe_agent.yaml", "window": "24Ki",
    },
    "service/alternatives.j2": {
        "runs": str(EXAMPLES / "service/runs.jsonl"), "columns": "{id: str, messages: json, reward: float}",
        "toolset": "tau_airline.yaml", "window": "24Ki",
    },
}  # fmt: skip


@pytest.mark.parametrize("prompt", DOMAINS)
def test_the_shipped_recipe_expands_runs_of_other_domains(prompt: str, models: Path) -> None:
    """The commands of the examples' READMEs."""
    models.write_text(models.read_text().replace("engine: agent", "engine: any"))
    sets = {f"vars.{name}": value for name, value in {**DOMAINS[prompt], "alternatives": prompt}.items()}
    result = api.run(shipped("specs") / "has_expand.yaml", models=models, sets=sets)
    assert (result.stopped, result.problems) == (None, [])
    folder = EXAMPLES / prompt.split("/")[0]
    written = len(list(folder.glob("runs/*.traj"))) or len((folder / "runs.jsonl").read_text().splitlines())
    assert result.ledger["trajectories"].kept == written
    assert result.tables["short"] == written


def test_the_readmes_give_these_commands() -> None:
    for prompt, sets in DOMAINS.items():
        text = (EXAMPLES / prompt.split("/")[0] / "README.md").read_text()
        assert f"vars.alternatives={prompt}" in text
        assert f"vars.toolset={sets['toolset']}" in text


def test_the_data_are_what_the_toolsets_say() -> None:
    from synthkit.core.toolset import load_toolset
    from synthkit.core.trajectory import parse

    for path in (*EXAMPLES.glob("coding/runs/*.traj"), EXAMPLES / "service/runs.jsonl"):
        name = "swe_agent" if path.suffix == ".traj" else "tau_airline"
        toolset = load_toolset(shipped("toolsets") / f"{name}.yaml")
        text = path.read_text(encoding="utf-8")
        for value in [json.loads(text)] if path.suffix == ".traj" else map(json.loads, text.splitlines()):
            read = parse("auto", value.get("messages", value), say=toolset.say, toolset=toolset)
            assert [toolset.problem(step["call"]) for step in read.steps] == [None] * len(read.steps)
