"""Rows drawn by seed for the card, the bad ones with the good."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from synthkit import api
from synthkit.inspect.run import Run


def fates(run: Run) -> dict[str, str]:
    """Return row id -> why it was set aside; `unused` rows met a full quota."""
    return {r["row"]: r["reason"] for r in run.rejects.collect().to_dicts()}


def table(head: tuple[str, ...], lines: list[tuple[str, ...]]) -> str:
    """Write a Markdown table."""
    cells = [head, tuple("---" for _ in head), *lines]
    return "\n".join("| " + " | ".join(c.replace("|", "\\|").replace("\n", " ") for c in row) + " |" for row in cells)


def drawn(rng: Random, rows: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Draw rows by seed, whatever order the store keeps them in."""
    rows = sorted(rows, key=lambda row: str(row["_id"]))
    return rng.sample(rows, min(count, len(rows)))


def draw(out: Path, count: int, seed: int) -> str:
    """Return `count` rows of the runs below `out`: two fifths claims, the rest first moves and chains."""
    rng = Random(seed)
    chains = plans = count * 3 // 10
    run = api.open(out / "entity_memory")
    why = fates(run)
    parts = [f"### {count - plans - chains} statements\n"]
    lines = []
    for row in drawn(rng, run["claims"].collect().to_dicts(), count - plans - chains):
        source = row["sentences"][int(row["sentence"]) - 1] if str(row["sentence"]).isdigit() else str(row["sentence"])
        lines.append((source, row["entity"], row["statement"], str(row["time"] or ""), why.get(row["_id"], "kept")))
    parts.append(table(("sentence", "entity", "statement", "time", "fate"), lines))
    run = api.open(out / "fas_planning")
    why, lines = fates(run), []
    for row in drawn(rng, run["plans.drafts"].collect().to_dicts(), plans):
        call = f"{row['call']['name']} {row['call']['arguments']}"
        lines.append(
            (row["style"], row["question"], row["answer"], row["analysis"], call, why.get(row["_id"], "accepted"))
        )
    parts += [f"\n### {plans} first moves\n", table(("style", "question", "answer", "analysis", "call", "fate"), lines)]
    run = api.open(out / "fas_reasoning")
    why, lines = fates(run), []
    for row in drawn(rng, run.store.scan("chains").collect().to_dicts(), chains):
        fixes = " ".join(row["fixes"])
        lines.append((row["question"], row["answer"], fixes, row["chain"], row["final"], why.get(row["_id"], "kept")))
    parts += [f"\n### {chains} chains\n", table(("question", "answer", "fixes", "chain", "final", "fate"), lines)]
    return "\n".join(parts) + "\n"
