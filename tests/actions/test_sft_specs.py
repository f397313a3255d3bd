"""The three mixes for fine-tuning: each gives two stages of messages with a loss mask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from synthkit import api
from synthkit.core.resources import shipped
from synthkit.core.trajectory import parse

SPECS = shipped("specs")
RUNS = {"en": 6, "zh": 1}
"""Right runs that are shipped."""


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "models.yaml"
    teacher = Path(__file__).parent / "summariser.py"
    file.write_text(f"engines: {{teacher: {{scripted: '{teacher}:reply'}}}}\nmodels: {{writer: {{engine: teacher}}}}\n")
    return file


def stages(spec: str, models: Path, **sets: str) -> list[list[list[dict[str, Any]]]]:
    """The messages of each stage."""
    result = api.run(SPECS / f"{spec}.yaml", models=models, sets=sets)
    assert (result.stopped, result.problems) == (None, [])
    run = api.open(f"runs/{spec}")
    found = []
    for stage in ("stage_1", "stage_2"):
        table = run[stage].select("messages", "functions").collect()
        assert all((row["functions"] is None) == (not _calls(row["messages"])) for row in table.to_dicts())
        found.append(table["messages"].to_list())
    return found


def _calls(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [call for message in messages for call in message["tool_calls"] or []]


def thoughts(rows: list[list[dict[str, Any]]]) -> set[str]:
    return {each["reasoning_content"] for row in rows for each in row if each["reasoning_content"]}


def test_mix_a_is_chats_and_then_runs(models: Path) -> None:
    first, second = stages("sft_a", models)
    assert (len(first), len(second)) == (6, RUNS["en"])
    assert not any(_calls(row) for row in first)
    assert all(_calls(row) for row in second)
    for row in (*first, *second):
        assert all(message["loss"] is (message["role"] == "assistant") for message in row)
        assert parse("openai", row, say=True).final
    assert thoughts(second)


def test_mix_b_has_both_in_each_stage_and_loses_none(models: Path) -> None:
    first, second = stages("sft_b", models)
    assert len(first) + len(second) == 6 + RUNS["en"]
    for rows in (first, second):
        assert any(_calls(row) for row in rows)
        assert not all(_calls(row) for row in rows)
    again = stages("sft_b", models, **{"vars.first": "1.0"})
    assert (len(again[0]), len(again[1])) == (6 + RUNS["en"], 0)


def test_mix_c_has_shortened_thoughts(models: Path) -> None:
    first, second = stages("sft_c", models)
    assert len(first) + len(second) == 6 + RUNS["en"]
    assert thoughts([*first, *second]) <= {f"Short {number}." for number in range(1, 9)}
    assert thoughts([*first, *second])


def test_mix_c_in_chinese(models: Path) -> None:
    sets = {"vars.language": "zh", "vars.runs": "shipped:trajectories/chinese.jsonl"}
    first, second = stages("sft_c", models, **sets)
    assert sum(bool(_calls(row)) for row in (*first, *second)) == RUNS["zh"]
