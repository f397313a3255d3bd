"""The shipped weights at work, on the real engine: nano acts, and what it did is expanded, rewritten and summed up."""

from pathlib import Path

import pytest

from synthkit import api
from synthkit.api import RunResult
from synthkit.core.resources import shipped

pytestmark = [pytest.mark.vllm, pytest.mark.slow]
SPECS = shipped("specs")


def accepted(result: RunResult, step: str) -> float:
    """The share of a step's replies that could be used."""
    counts = result.ledger[step]
    assert counts.asked
    return counts.accepted / counts.asked


def whole(result: RunResult) -> RunResult:
    """A run that ended, and whose ledger balances."""
    assert result.stopped is None and result.problems == []
    assert all(counts.balanced() for counts in result.ledger.values())
    return result


def test_nano_acts_and_its_runs_are_read_by_the_other_specs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    documents = {"vars.documents": "shipped:documents/transport.jsonl"}
    acted = whole(api.run(SPECS / "trajectories.yaml", sets=documents))
    assert accepted(acted, "runs") >= 0.8
    rows = api.open("runs/trajectories")["trajectories"].collect()
    assert rows["turns"].mean() > 2  # type: ignore[operator]
    assert rows["correct"].mean() >= 0.25  # type: ignore[operator]

    own = {"vars.runs": "runs/trajectories/published/runs.lance", "vars.toolset": "offline_research.yaml"}
    chosen = whole(api.run(SPECS / "has_expand.yaml", sets={**own, "vars.key": "null"}))
    assert accepted(chosen, "choices") >= 0.8
    assert chosen.ledger["text"].output >= 0.9 * rows.height
    anew = whole(api.run(SPECS / "step_samples.yaml", sets=own))
    assert accepted(anew, "rewritten.drafts") >= 0.8


def test_nano_takes_the_shipped_runs_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    chosen = whole(api.run(SPECS / "has_expand.yaml"))
    assert accepted(chosen, "choices") >= 0.8
    anew = whole(api.run(SPECS / "step_samples.yaml"))
    assert accepted(anew, "rewritten.drafts") >= 0.8 and accepted(anew, "turns") >= 0.8
    for name in ("sft_a", "sft_b", "sft_c"):
        whole(api.run(SPECS / f"{name}.yaml"))
