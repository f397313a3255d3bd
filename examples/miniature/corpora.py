"""The data of the experiment, made by the shipped specs and handed over by `synthkit export`.

Three worlds share no title: one for continual pre-training, one for fine-tuning, one held out. In each the specs run
from documents to what is wanted of it, with the programmatic teacher behind the scripted engine; recipes in `recipes/`
make packed Parquet with loss masks of the tables. The general text is passages of the same grammar, as many as are
needed, none of them seen twice.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any, NamedTuple

import oracle
import pyarrow.parquet as pq
import worlds
import yaml
from tokenizers import Tokenizer

from synthkit import api
from synthkit.core.engine import Request
from synthkit.core.expr.normal import norm
from synthkit.core.expr.text import mentions
from synthkit.core.resources import shipped
from synthkit.train.export import export
from synthkit.train.prepare import prepare

HERE = Path(__file__).resolve().parent
NANO = HERE.parent / "nano"
MODELS = {
    "engines": {"teacher": {"scripted": "oracle_now:reply", "record": False}},
    "models": {"writer": {"engine": "teacher", "max_tokens": 2048}, "judge": {"engine": "teacher", "temperature": 0}},
    "tokenizer": "nano",
}
SETS = {
    "trajectories": {  # short responses: a run of 300 tokens teaches a small model more than one of 900
        "steps.runs.rollout.tools.search.k": "2",
        "vars.errors": "0",
        "vars.window": "16Ki",
    },
    "has_expand": {
        "vars.toolset": "offline_research.yaml",
        "vars.key": "null",
        "vars.columns": "{messages: json, reward: float|none}",
        "vars.window": "16Ki",
        "vars.n": "2",
        "vars.pivots": "2",
    },
}


TRAINED = ("base", "general", "agentic", "sft")
"""Exports that are trained on."""


class Size(NamedTuple):
    """How much of everything."""

    cpt_documents: int = 160
    sft_documents: int = 100
    test_documents: int = 100
    clusters: int = 50
    """Of statements in the world of continual pre-training; up to five questions each."""
    sft_clusters: int = 30
    test_clusters: int = 12
    base: int = 40_000
    """Tokens of plain text that make the base model."""
    cpt: int = 75_000
    """Tokens of continual pre-training, in either arm."""
    sft: int = 25_000
    """Tokens of fine-tuning, those that are only read counted."""
    test: int = 5_000
    """Tokens of held-out runs for the loss."""
    epochs: int = 2
    """Of fine-tuning."""


def jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON lines; a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    partial.replace(path)


def document(split: str, number: int, passage: worlds.Passage) -> dict[str, Any]:
    """A passage as the specs read documents."""
    text = " ".join(s.text for s in passage.sentences)
    return {"id": f"{split}-{number:04d}", "title": passage.title, "text": text, "published": "2026-01-01"}


def general(seed: int, tokens: int) -> list[dict[str, Any]]:
    """Plain passages of the same grammar, a tenth more of them than `tokens` asks for."""
    rng, tok, rows, many = Random(seed), Tokenizer.from_file(str(NANO / "model" / "tokenizer.json")), [], 0
    while many < 1.1 * tokens:
        row = document("general", len(rows), worlds.passage(rng, rng.randint(3, 8), plain=0.6))
        rows.append({"id": row["id"], "text": f"{row['title']}\n{row['text']}"})
        many += len(tok.encode(rows[-1]["text"]).ids)
    return rows


def worlds_of(size: Size) -> dict[str, list[worlds.Passage]]:
    """The passages of each world; a held-out title is mentioned in no other world and in no general text."""
    cpt = list(oracle.passages(1, size.cpt_documents))
    sft = list(oracle.passages(2, size.sft_documents))
    seen = " ".join(f"{p.title} {s.text}" for p in cpt + sft for s in p.sentences)
    plain = " ".join(row["text"] for row in (*general(11, size.base), *general(12, size.cpt)))
    test = [p for p in oracle.passages(3, 2 * size.test_documents) if not mentions([seen, plain], p.title)]
    titles = {p.title.lower() for p in cpt}
    return {
        "cpt": cpt,
        "sft": [p for p in sft if p.title.lower() not in titles],
        "test": test[: size.test_documents],
    }


def run(folder: Path, spec: Path, **sets: str) -> None:
    """Bring a spec's run in `folder` up to date."""
    given = SETS.get(spec.stem, {}) | sets
    result = api.run(spec, models=folder / "models.yaml", sets=given, out=folder / "runs" / spec.stem)
    if result.stopped or result.problems:
        raise SystemExit(f"{spec.stem} in {folder}: {result.stopped} {result.problems}")


def synthesise(folder: Path, split: str, passages: list[worlds.Passage], clusters: int) -> None:
    """Documents and the runs over them."""
    documents = folder / "documents.jsonl"
    jsonl(documents, (document(split, n, p) for n, p in enumerate(passages)))
    (folder / "models.yaml").write_text(yaml.safe_dump(MODELS), encoding="utf-8")
    specs = shipped("specs")
    with scripted("oracle_now", oracle.Oracle(passages, folder / "questions.jsonl").reply):
        every = {"vars.documents": str(documents)}
        asked = {"clusters": str(clusters), "want": "100000"}  # of fas_planning, which the others read
        below = every | {f"steps.questions.read.with.{key}": value for key, value in asked.items()}
        run(folder, specs / "fas_planning.yaml", **every, **{f"vars.{key}": value for key, value in asked.items()})
        run(folder, specs / "trajectories.yaml", **below)
        if split == "cpt":
            run(folder, specs / "fas_reasoning.yaml", **below, **{"vars.want": "100000"})
        runs = {"vars.runs": str(folder / "runs" / "trajectories" / "published" / "runs.lance")}
        if split == "cpt":
            run(folder, specs / "has_expand.yaml", **runs)
        else:
            run(folder, HERE / "sft.yaml", **runs)


@contextlib.contextmanager
def scripted(module: str, reply: Callable[[Request], str]) -> Iterator[None]:
    """Let `scripted: MODULE:reply` of a models file be this function."""
    made = ModuleType(module)
    made.reply = reply  # type: ignore[attr-defined]
    sys.modules[module] = made
    try:
        yield
    finally:
        del sys.modules[module]


def pack(work: Path, name: str, budget: int) -> None:
    """Export a recipe with its budget; its paths are relative to the work folder."""
    target = work / "recipes" / f"{name}.yaml"
    target.parent.mkdir(exist_ok=True)
    text = (HERE / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")
    target.write_text(re.sub(r"^budget: .*$", f"budget: {budget}", text, flags=re.MULTILINE), encoding="utf-8")
    with contextlib.chdir(work):
        export(prepare(Path("recipes") / f"{name}.yaml"), Path("exports") / name, lambda line: None)


def settle(work: Path, size: Size) -> None:
    """Begin a work folder, or make sure that what is in it was made by the same settings."""
    work.mkdir(parents=True, exist_ok=True)
    kept, settings = work / "settings.json", size._asdict()
    if kept.exists():
        before = json.loads(kept.read_text(encoding="utf-8"))
        other = [
            f"{key} {before.get(key)}, now {settings[key]}" for key in settings if before.get(key) != settings[key]
        ]
        if other:
            raise SystemExit(
                f"{work} holds a run of other settings ({'; '.join(other)}): give them again, or another --out"
            )
    kept.write_text(json.dumps(settings, indent=1), encoding="utf-8")


def make(work: Path, size: Size) -> None:
    """Everything that training reads, below `work`; what is there already is taken as it is."""
    settle(work, size)
    done = work / "data.done"
    if done.exists():
        return
    jsonl(work / "general" / "base.jsonl", general(11, size.base))
    jsonl(work / "general" / "cpt.jsonl", general(12, size.cpt))
    clusters = {"cpt": size.clusters, "sft": size.sft_clusters, "test": size.test_clusters}
    for split, passages in worlds_of(size).items():
        (work / split).mkdir(exist_ok=True)
        synthesise(work / split, split, passages, clusters[split])
    budgets = {"base": size.base, "general": size.cpt, "agentic": size.cpt, "sft": size.sft, "heldout": size.test}
    for name, budget in budgets.items():
        pack(work, name, budget)
    if shared := leaked(work):
        raise SystemExit(f"held-out titles or questions stand in what is trained on: {shared[:5]}")
    done.touch()


def leaked(work: Path, exports: Iterable[str] = TRAINED) -> list[str]:
    """Titles and questions of the held-out world that the packs of the training exports hold, as decoded."""
    tok = Tokenizer.from_file(str(NANO / "model" / "tokenizer.json"))
    files = [file for name in exports for file in (work / "exports" / name / "packed").glob("*.parquet")]
    rows = [ids for file in files for ids in pq.read_table(file)["input_ids"].to_pylist()]
    texts = [norm(tok.decode(ids, skip_special_tokens=False)) for ids in rows]
    documents = (work / "test" / "documents.jsonl").read_text(encoding="utf-8").splitlines()
    titles = [json.loads(line)["title"] for line in documents]
    questions = api.open(work / "test" / "runs" / "fas_planning")["questions"].collect()["question"].to_list()
    return [each for each in (*titles, *questions) if mentions(texts, each)]
