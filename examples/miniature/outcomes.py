"""What a trained network does in the held-out world, by real rollouts, and how it compares with the teacher there."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import corpora
import torch
import training
import yaml
from student import Student

from synthkit import api
from synthkit.core.resources import shipped

MODELS = {
    "engines": {"student": {"scripted": "student_now:reply", "record": False}},
    "models": {"writer": {"engine": "student", "temperature": 0, "max_tokens": 1024, "reask": 0}},
    "tokenizer": "nano",
}
TURNS = 6
"""Of a rollout; the teacher needs three, more where a search finds nothing."""

Call = tuple[str | None, Any, str | None]
"""A call as it is compared: tool, arguments, and the answer in their place."""


def roll(arm: Path, world: Path, device: str) -> None:
    """Rollouts of an arm's checkpoint over all held-out questions, unless they are there.

    First of one turn, so that a first call is known although a later turn fails; its replies are not decoded twice.
    """
    if (arm / "outcome.json").exists():
        return
    net = training.fresh(0, device)
    net.load_state_dict(torch.load(arm / "weights.pt", map_location=device))
    (arm / "models.yaml").write_text(yaml.safe_dump(MODELS), encoding="utf-8")
    questions = world / "runs" / "fas_planning" / "published" / "questions.lance"
    columns = "{question: str, answer: str, style: str}"
    sets = corpora.SETS["trajectories"] | {
        "vars.documents": str(world / "documents.jsonl"),
        "steps.questions.read": f"{{path: {questions}, key: question, columns: {columns}}}",
        "steps.runs.rollout.reject_rate": "1",
    }
    made = []
    with corpora.scripted("student_now", Student(net).reply):
        for turns in (1, TURNS):
            out, given = arm / "runs" / f"turns_{turns}", sets | {"vars.turns": str(turns)}
            result = api.run(shipped("specs") / "trajectories.yaml", models=arm / "models.yaml", sets=given, out=out)
            if result.stopped or result.problems:
                raise SystemExit(f"rollouts of {arm}: {result.stopped} {result.problems}")
            made.append(rows(out))
    found = compared(made[0], made[1], rows(world / "runs" / "trajectories"))
    (arm / "outcome.json").write_text(json.dumps(found, indent=1), encoding="utf-8")


def rows(run: Path) -> list[dict[str, Any]]:
    """The trajectories of a run."""
    return api.open(run)["trajectories"].collect().to_dicts()


def compared(
    first: list[dict[str, Any]], made: list[dict[str, Any]], taught: list[dict[str, Any]]
) -> Mapping[str, float]:
    """Shares of all held-out questions; what could not be read is in none of them."""
    gold = {row["question"]: row for row in taught}
    pairs = [(_call(row["steps"][0]), _call(gold[row["question"]]["steps"][0])) for row in first]
    found = {
        "questions": len(gold),
        "first_step": sum(ours == theirs for ours, theirs in pairs) / len(gold),
        "first_words": sum(agreed(ours, theirs) for ours, theirs in pairs) / len(gold),
        "readable": len(made) / len(gold),
        "success": sum(row["correct"] for row in made) / len(gold),
        "teacher": sum(row["correct"] for row in taught) / len(gold),
        "turns": sum(row["turns"] for row in made) / max(1, len(made)),
    }
    for style in sorted({row["style"] for row in taught}):
        of = [row["question"] for row in taught if row["style"] == style]
        found[f"success.{style}"] = sum(row["correct"] for row in made if row["style"] == style) / len(of)
    return found


def agreed(ours: Call, theirs: Call) -> float:
    """How far two calls agree: 0 where the tools differ, else F1 of the words of their arguments."""
    if ours[0] != theirs[0]:
        return 0.0
    a, b = (Counter(re.findall(r"\w+", str(call[1:]).lower())) for call in (ours, theirs))
    return 2 * (a & b).total() / (a.total() + b.total())


def _call(step: Mapping[str, Any]) -> Call:
    call = step["call"]
    return call["name"], json.loads(call["arguments"] or "null"), call["final"]
