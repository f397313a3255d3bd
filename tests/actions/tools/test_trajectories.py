"""The shipped recipe with an agent by rule: in both languages it plans, and it gives trajectories and chats."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from synthkit import api
from synthkit.core.resources import shipped
from synthkit.core.trajectory import Trajectory, problem
from synthkit.testing.scripted import read_log
from tests.actions.tools.test_sandbox import fenced

SPEC = shipped("specs") / "trajectories.yaml"
AGENT = Path(__file__).parents[1] / "agent.py"


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "models.yaml"
    file.write_text(
        f"engines: {{agent: {{scripted: '{AGENT}:reply', log: '{tmp_path / 'log'}'}}}}\n"
        "models: {writer: {engine: agent}, judge: {engine: agent, temperature: 0}}\n"
        "tokenizer: nano\n"
    )
    return file


@pytest.mark.parametrize("language", ["en", "zh"])
def test_it_plans_in_both_languages(models: Path, language: str) -> None:
    graph = api.check(SPEC, models=models, sets={"vars.language": language})
    assert graph.publish.keys() == {"trajectories", "runs", "chats"}


@pytest.mark.slow
@pytest.mark.skipif(bool(fenced()), reason="no fence for programs here")
def test_it_gives_trajectories_and_chats(models: Path, tmp_path: Path) -> None:
    result = api.run(SPEC, models=models, sets={"vars.errors": "20%"})
    assert result.problems == []
    assert result.stopped is None
    run = api.open("runs/trajectories")
    rows = [_decoded(row) for row in run["trajectories"].collect().to_dicts()]
    assert len(rows) >= 100
    for row in rows:
        assert problem(Trajectory(row["question"], None, row["steps"])) is None
        assert row["final"] == row["steps"][-1]["call"]["final"]
    right = [row for row in rows if row["correct"]]
    assert len(right) >= 0.8 * len(rows)
    assert sum(len(row["injected"]) for row in rows) >= 20
    assert any(row["injected"] and row["correct"] for row in rows), "some recover"
    chats = run["chats"].collect()
    assert 50 <= chats.height <= len(right)
    for messages in chats["messages"].to_list():
        assert messages[0]["role"] == "user"
        assert messages[-1]["role"] == "assistant"
        assert [m["loss"] for m in messages] == [m["role"] == "assistant" for m in messages]
    _choices(rows)
    asked = read_log(tmp_path / "log")
    assert set(asked.values()) == {1}
    again = api.run(SPEC, models=models, sets={"vars.errors": "20%"})
    assert again.tables == result.tables
    assert read_log(tmp_path / "log") == asked


def _choices(rows: list[dict[str, object]]) -> None:
    """All of them, the wrong ones too, become choices."""
    Path("any.yaml").write_text("engines: {e: {scripted: auto}}\nmodels: {writer: {engine: e}}\ntokenizer: nano\n")
    sets = {
        "runs": "runs/trajectories/published/runs.lance",
        "key": "null",
        "toolset": "offline_research.yaml",
        "window": "24Ki",
    }
    result = api.run(
        shipped("specs") / "has_expand.yaml",
        models="any.yaml",
        sets={f"vars.{name}": value for name, value in sets.items()},
    )
    assert result.problems == []
    assert result.ledger["trajectories"].kept == len(rows)
    correct = api.open("runs/has_expand")["short"].collect()["correct"]
    assert correct.null_count() == 0
    assert result.ledger["decisions"].output == correct.len() >= 0.9 * len(rows)


def _decoded(row: dict[str, object]) -> dict[str, object]:
    """Arguments are stored as JSON text."""
    steps = row["steps"]
    assert isinstance(steps, list)
    for step in steps:
        if step["call"]["arguments"] is not None:
            step["call"]["arguments"] = json.loads(step["call"]["arguments"])
    return row
