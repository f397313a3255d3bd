"""Whether nano's judge finds errors that were planted: the judge steps of the shipped specs, on rows made here.

Half of the rows are sound. A plan counts as accepted where every criterion reaches the bar of the spec, as in a run;
the four types of error are drawn in turn.
"""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import judging
import reasoning
import teacher
import yaml
from chain import share

from synthkit import api
from synthkit.core.resources import shipped

COLUMNS = {
    "plan": {
        "question": "str",
        "statements": "[{id: int, entity: str, statement: str, time: str|none}]",
        "used": "[int]",
        "analysis": "str",
        "call": "{name: str, arguments: {query: [str]}}",
    },
    "same": {"question": "str", "answer": "str", "given": "str"},
    "supported": {
        "question": "str",
        "evidence": "[{id: int, entity: str, statement: str, time: str|none}]",
        "fixes": "[str]",
        "chain": "str",
        "final": "str",
    },
}
STEPS = {
    "plan": ("fas_planning", "aligned"),
    "same": ("fas_reasoning", "agreed"),
    "supported": ("fas_reasoning", "supported"),
}


def rows_of(kind: str, count: int, seed: int) -> list[dict[str, Any]]:
    """Return rows for one judge, with the error of each: `none` where it is sound."""
    rng, found = Random(seed), []
    types = list(judging.ERRORS)
    for n in range(count):
        sentences, asked, other = judging.two_questions(rng)
        evidence, sound = [sentences[i - 1] for i in sorted(asked.used)], n % 2 == 0
        if kind == "plan":
            error = types[n // 2 % len(types)]
            analysis, call = teacher.plan(asked)
            if not sound:
                analysis, call, _ = judging.wrong(rng, asked, other, rng.choice(judging.ERRORS[error]))
            row = judging.aligned_row(asked, evidence, analysis, call)
        elif kind == "same":
            error = "another answer"
            given = (judging.same if sound else judging.other_answer)(rng, asked.answer, "of them")
            row = {"question": asked.text, "answer": asked.answer, "given": given}
        else:
            error = "unsupported"
            made = reasoning.reason(rng, asked, evidence)
            made = made if sound else judging.unsupported(rng, made, asked)
            row = {"question": asked.text, "evidence": teacher.shown(evidence), **made._asdict()}
        found.append({"id": str(n), "error": "none" if sound else error, **row})
    return found


def judged(kind: str, out: Path, models: Path, count: int, seed: int) -> list[dict[str, Any]]:
    """Run the judge step of the shipped spec on planted rows; return them with their probabilities."""
    spec_name, step = STEPS[kind]
    shipped_spec = yaml.safe_load((shipped("specs") / f"{spec_name}.yaml").read_text(encoding="utf-8"))
    judge = {key: value for key, value in shipped_spec["steps"][step]["judge"].items() if key != "keep"}
    judge["prompt"] = judge["prompt"].replace("${vars.language}", "en")
    rows = out / f"{kind}.jsonl"
    rows.write_text(
        "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows_of(kind, count, seed)), encoding="utf-8"
    )
    spec = {
        "name": kind,
        "about": "Planted errors, judged as in the shipped spec.",
        "models": str(models),
        "toolset": "deep_research.yaml",
        "steps": {
            "rows": {
                "read": {"path": str(rows), "key": "id", "columns": {"id": "str", "error": "str", **COLUMNS[kind]}}
            },
            "verdict": {"from": "rows", "judge": judge},
        },
        "publish": {"verdicts": {"from": "verdict", "columns": ["error", "verdict"]}},
    }
    path = out / f"{kind}.yaml"
    path.write_text(yaml.safe_dump(spec, sort_keys=False), encoding="utf-8")
    api.run(path, out=out / kind)
    return api.open(out / kind)["verdict"].collect().to_dicts()


def figures(out: Path, models: Path, count: int, seed: int) -> dict[str, str]:
    """Accuracy of the three judges, and for plans that of each type of error."""
    bar = yaml.safe_load((shipped("specs") / "fas_planning.yaml").read_text(encoding="utf-8"))["vars"]["bar"]
    found = {}
    for kind in STEPS:
        verdicts = judged(kind, out, models, 4 * count if kind == "plan" else 2 * count, seed)
        right: dict[str, list[bool]] = {}
        for row in verdicts:
            accepted = min(row["verdict"].values()) >= bar
            right.setdefault(row["error"], []).append(accepted == (row["error"] == "none"))
        every = [each for found in right.values() for each in found]
        found[f"judge.{kind}"] = share(sum(every), len(every))
        found |= {f"judge.{kind}.{error}": share(sum(each), len(each)) for error, each in sorted(right.items())}
    return found
