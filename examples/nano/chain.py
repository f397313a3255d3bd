"""Figures of finished runs of the shipped specs: what parses, is grounded, is a sound first move, is right.

The filters are read from the specs themselves and each is also counted alone, since a run names only the first that a
row fails.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from synthkit import api
from synthkit.core.expr import compile_expression
from synthkit.core.expr.answers import same_answer
from synthkit.core.expr.text import mentions
from synthkit.core.resources import shipped
from synthkit.inspect.run import Run


def share(part: int, whole: int) -> str:
    """Write a share with its counts."""
    return f"{part} of {whole}, {part / whole:.0%}" if whole else "none"


def filters(spec: str, step: str) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the filters of a step of a shipped spec, and its vars."""
    found = yaml.safe_load((shipped("specs") / f"{spec}.yaml").read_text(encoding="utf-8"))
    return found["steps"][step]["filter"], found["vars"]


def parsed(run: Run, step: str) -> str:
    """Return how many replies of a step parse."""
    counts = run.ledger()[step]
    return share(counts.accepted, counts.asked)


def memory(out: Path) -> dict[str, str]:
    """Figures of a run of `entity_memory`."""
    run = api.open(out / "entity_memory")
    claims = run["claims"].collect().to_dicts()
    tests, given = filters("entity_memory", "grounded")
    passed = {
        name: [bool(compile_expression(text).evaluate(row, vars=given)) for row in claims]
        for name, text in tests.items()
    }
    found = {"claims.parsed": parsed(run, "claims")}
    found |= {f"claims.{name}": share(sum(each), len(each)) for name, each in passed.items()}
    both = [all(each) for each in zip(*passed.values(), strict=True)]
    found["claims.all filters"] = share(sum(both), len(both))
    found["claims.of the sentences"] = share(len(claims), run["passages"].collect()["sentences"].list.len().sum())
    return found


def planning(out: Path) -> dict[str, str]:
    """Figures of a run of `fas_planning`."""
    run = api.open(out / "fas_planning")
    plans = run["plans.drafts"].collect().to_dicts()
    asked = run.ledger()["plans.drafts"].input - run.ledger()["plans.drafts"].unused
    named, hidden, valid = 0, 0, 0
    for row in plans:
        query = json.loads(row["call"]["arguments"] or "{}").get("query") or []
        subjects = [s["entity"] for s in row["statements"] if mentions(row["question"], s["entity"])]
        names, hides = mentions(query, subjects), not mentions(query, row["answer"])
        named, hidden, valid = named + names, hidden + hides, valid + (names and hides)
    ledger = run.ledger()
    styles: dict[str, int] = {}
    for row in run["aligned"].collect().to_dicts():
        styles[row["style"]] = styles.get(row["style"], 0) + 1
    return {
        "questions.parsed": parsed(run, "questions"),
        "questions.kept": share(ledger["sound"].output, ledger["sound"].input),
        "plans.parsed": parsed(run, "plans.drafts"),
        "plans.names an entity": share(named, asked),
        "plans.hides the answer": share(hidden, asked),
        "plans.valid first call": share(valid, asked),
        "plans.all filters": share(ledger["plans.sound"].output, ledger["plans.sound"].input),
        "plans.accepted by the judge": share(
            ledger["aligned"].kept, ledger["aligned"].input - ledger["aligned"].unused
        ),
        "plans.accepted of each style": ", ".join(f"{k} {v}" for k, v in sorted(styles.items())),
    }


def reasoning(out: Path) -> dict[str, str]:
    """Figures of a run of `fas_reasoning`."""
    run = api.open(out / "fas_reasoning")
    ledger = run.ledger()
    chains = run.store.scan("chains").collect().to_dicts()  # the published table has the same name
    right = [same_answer(row["final"], row["answer"]) for row in chains]
    evident = [
        all(any(part in s["statement"] for s in row["evidence"]) for part in row["answer"].split("; "))
        for row in chains
    ]
    both = sum(a and b for a, b in zip(right, evident, strict=True))
    return {
        "drafts.parsed": parsed(run, "drafts"),
        "chains.parsed": parsed(run, "chains"),
        "chains.right answer": share(sum(right), ledger["chains"].asked),
        "chains.the question's answer stands in its evidence": share(sum(evident), len(chains)),
        "chains.right answer where it does": share(both, sum(evident)),
        "chains.all filters": share(ledger["clean"].output, ledger["clean"].input),
        "chains.agreed": share(ledger["agreed"].output, ledger["agreed"].input),
        "chains.supported": share(ledger["supported"].kept, ledger["supported"].input - ledger["supported"].unused),
    }
