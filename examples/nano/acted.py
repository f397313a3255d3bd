"""Figures of finished runs of the specs in which nano acts: what parses and is right, and what audits say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chain import parsed, share

from synthkit import api
from synthkit.inspect.bounds import measured_bounds
from synthkit.inspect.run import Run


def evident(row: dict[str, Any]) -> bool:
    """Whether every part of the answer stands in the statements that the question was made of."""
    said = [s["statement"] for s in row["statements"] if s["id"] in row["used"]]
    return all(any(part in statement for statement in said) for part in row["answer"].split("; "))


def books(run: Run) -> dict[str, str]:
    """Whether the ledger balances, and the figures of the spec's `audit:`."""
    account = run.account()
    found = {"ledger": "; ".join(account.problems) or "balanced"}
    for each in measured_bounds(run, account.counts):
        value = "nothing to measure" if each.value is None else f"{each.value:.3g}"
        found[f"audit.{each.figure}"] = f"{value} ({each.range}{'' if each.problem is None else ', does not hold'})"
    return found


def rollouts(out: Path) -> dict[str, str]:
    """Figures of a run of `trajectories`."""
    run = api.open(out / "trajectories")
    rows = run["judged"].collect().to_dicts()
    meant = [row for row in rows if evident(row)]
    failed = [row for row in rows if row["injected"]]
    turns = sum(row["turns"] for row in rows)
    found = {
        "turns.parsed": parsed(run, "runs"),
        "runs.finished": share(len(rows), run.ledger()["runs"].input),
        "runs.turns each": f"{turns / max(1, len(rows)):.1f}",
        "runs.right answer": share(sum(row["correct"] for row in rows), len(rows)),
        "runs.right answer where the statements hold it": share(sum(row["correct"] for row in meant), len(meant)),
        "runs.right answer after an error put in": share(sum(row["correct"] for row in failed), len(failed)),
    }
    for style in sorted({row["style"] for row in rows}):
        of = [row["correct"] for row in meant if row["style"] == style]
        found[f"runs.right answer of {style}"] = share(sum(of), len(of))
    return {f"trajectories.{key}": value for key, value in (found | books(run)).items()}


def choices(out: Path, name: str = "has_expand") -> dict[str, str]:
    """Figures of a run of `has_expand`."""
    run = api.open(out / name)
    rows = run["choices"].collect().to_dicts()
    sizes = [len(row["options"]) - 1 for row in rows]
    found = {
        "choices.parsed": parsed(run, "choices"),
        "choices.steps with choices": share(len(rows), run.ledger()["choices"].input),
        "choices.alternatives a step": f"{sum(sizes) / max(1, len(sizes)):.2f}",
        "choices.runs expanded": share(run.ledger()["text"].output, run.ledger()["trajectories"].output),
    }
    return {f"{name}.{key}": value for key, value in (found | books(run)).items()}


def samples(out: Path, name: str = "step_samples") -> dict[str, str]:
    """Figures of a run of `step_samples`."""
    run = api.open(out / name)
    ledger = run.ledger()
    found = {
        "rewritten.parsed": parsed(run, "rewritten.drafts"),
        "rewritten.all filters": share(ledger["rewritten.sound"].output, ledger["rewritten.sound"].input),
        "reports.parsed": parsed(run, "turns"),
        "reports.no figure from nowhere": share(ledger["grounded"].output, ledger["grounded"].input),
    }
    return {f"{name}.{key}": value for key, value in (found | books(run)).items()}


def summaries(out: Path) -> dict[str, str]:
    """Figures of a run of `sft_c`."""
    run = api.open(out / "sft_c")
    ledger = run.ledger()
    fit = share(ledger["run_messages"].output, ledger["run_messages"].input)
    return {"sft_c.summaries.parsed": parsed(run, "short"), "sft_c.summaries.one a step": fit}
