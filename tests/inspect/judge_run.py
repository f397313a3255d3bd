"""A run whose judge says what the notes tell it to say, so that every score is known beforehand."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from synthkit import api

REPLIES = r"""
import json, re
from math import log

from synthkit.core.engine import Sample


def reply(request):
    text = request.messages[0].content
    scores = {name: float(value) for name, value in re.findall(r"(clear|sound)=([0-9.]+)", text)}
    if request.labels:
        p = scores[re.search(r"Criterion: (\w+)", text)[1]]
        return [Sample("pass", label_logprobs={"pass": log(p), "fail": log(1 - p)})]
    votes = round(scores["clear"] * request.n)
    return [json.dumps({"reason": "so", "clear": "pass" if n < votes else "fail"}) for n in range(request.n)]
"""

SPEC = """
name: judged
engines: {fake: {scripted: "replies.py:reply"}}
models: {judge: {engine: fake, temperature: 0.7}}
tokenizer: nano
vars: {bar: 0.5, least: 2, other: 1}
steps:
  notes:
    read: {path: notes.jsonl, key: id, columns: {id: str, note: str, size: int, more: "str|none"}}
  big:
    from: notes
    filter: {big: "size >= vars.least", named: "note | length > 3"}
  judged:
    from: big
    judge:
      model: judge
      prompt: one.j2
      rubric: {clear: pass|fail, sound: pass|fail}
      score: logprob
      keep: {clear: "p(clear) >= vars.bar", sound: "p(sound) >= 0.2 and size < 9"}
  voted:
    from: big
    when: "size < 8"
    judge: {model: judge, prompt: all.j2, rubric: {clear: pass|fail}, votes: 4, keep: {clear: "p(clear) >= vars.bar"}}
  text:
    from: judged
    render: {prompt: document.j2}
publish: {notes: {from: text}}
"""


def lay_out(folder: Path, count: int = 60, seed: int = 0, spec: str = SPEC, **change: Any) -> Path:
    """The spec and its notes; `change` replaces text of the spec."""
    rng = random.Random(seed)
    notes = []
    for number in range(count):
        clear, sound = round(rng.uniform(0.05, 0.95), 3), round(rng.uniform(0.05, 0.95), 3)
        note = f"note {number} clear={clear} sound={sound}"
        notes.append({"id": f"n{number}", "note": note, "size": rng.randint(0, 9), "more": None})
    (folder / "notes.jsonl").write_text("\n".join(map(json.dumps, notes)) + "\n")
    (folder / "replies.py").write_text(REPLIES)
    (folder / "prompts").mkdir(exist_ok=True)
    (folder / "prompts/one.j2").write_text("Judge: {{ note }}\nCriterion: {{ criterion }}\n")
    (folder / "prompts/all.j2").write_text("Judge: {{ note }}\n")
    (folder / "prompts/document.j2").write_text("{{ note }}\n")
    (folder / "spec.yaml").write_text(spec)
    return folder / "spec.yaml"


def kept(spec: Path, step: str, **vars: Any) -> set[str]:
    """Ids that a run with these variables keeps; one run directory for all."""
    api.run(spec, sets={f"vars.{name}": str(value) for name, value in vars.items()}, out="runs/again")
    return set(api.open("runs/again").store.scan(step, []).collect()["_id"])
