"""Measure nano through the shipped specs and the real engine: `python examples/nano/evaluate.py --out /tmp/nano_eval`.

Four parts, each a run directory below `--out`: held-out worlds (`worlds`) and the shipped documents (`shipped`), both
from memory to runs of its own, which in `shipped` are also expanded, as are the shipped runs of others; text that
nobody here wrote (`real`, where SYNTHKIT_REALDATA is set); errors planted for the judge (`planted`). A part that has
run is read again, not asked again. `--rows 50` also writes rows drawn by seed, the bad ones with the good.

Worlds, planted errors and real text are drawn twice. Weights and averages are chosen on `--split validation`; the
figures of the card are those of `--split test`, which is run when the weights are chosen.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from random import Random
from typing import Any

import acted
import chain
import planted
import rows
import worlds
import yaml

from synthkit import api
from synthkit.core.resources import shipped

HERE = Path(__file__).resolve().parent
SPLITS = {"validation": 987_654_321, "test": 564_738_291}  # seeds; training draws from small ones and sees neither


def models_file(out: Path, model: Path) -> Path:
    """Write the shipped models file with `model` in nano's place."""
    found = yaml.safe_load((shipped("specs") / "models.yaml").read_text(encoding="utf-8"))
    found["engines"]["nano"]["vllm"] = str(model.resolve())
    path = out / "models.yaml"
    path.write_text(yaml.safe_dump(found), encoding="utf-8")
    return path


def write(path: Path, documents: list[dict[str, Any]]) -> Path:
    """Write documents as JSONL."""
    path.write_text("".join(json.dumps(d, ensure_ascii=False) + "\n" for d in documents), encoding="utf-8")
    return path


def world_documents(count: int, split: str) -> list[dict[str, Any]]:
    """Return documents of held-out worlds: two plain, one encyclopedic, in turn."""
    rng, found = Random(SPLITS[split]), []
    for n in range(count):
        size = rng.randint(3, 6)
        made = worlds.encyclopedic(rng, size) if n % 3 == 2 else worlds.passage(rng, size, plain=1.0)
        text = " ".join(s.text for s in made.sentences)
        found.append({"id": f"world-{n}", "title": made.title, "text": text, "published": "2026-01-01"})
    return found


def real_documents(count: int, split: str) -> list[dict[str, Any]]:
    """Return encyclopedia abstracts drawn by seed; those of one split are not in the other."""
    path = Path(os.environ["SYNTHKIT_REALDATA"]) / "wiki" / "articles.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    drawn = Random(17).sample(lines, 2 * count)  # the latter half measured earlier weights
    if split == "test":
        drawn = Random(18).sample([line for line in lines if line not in drawn], count)
    return [json.loads(line) for line in drawn[:count]]


def run(spec: str, models: Path, out: Path, **sets: object) -> None:
    """Run a shipped spec, and those that it reads, below `out`."""
    given = {f"vars.{key}": str(value) for key, value in sets.items()}
    api.run(shipped("specs") / f"{spec}.yaml", models=str(models), sets=given, out=out / spec)


def acting(out: Path, models: Path, sets: dict[str, object]) -> dict[str, str]:
    """Figures of nano's own runs."""
    run("trajectories", models, out, **sets)
    return acted.rollouts(out)


def expanding(out: Path, models: Path) -> dict[str, str]:
    """Figures of the specs that read runs: those of nano's own, or the shipped runs of others."""
    own, others = out / "trajectories" / "published" / "runs.lance", out / "others"
    run("has_expand", models, out, runs=own, toolset="offline_research.yaml", key="null")
    for spec in ("has_expand", "step_samples", "sft_a", "sft_b", "sft_c"):
        run(spec, models, others)
    more = acted.choices(others) | acted.samples(others) | acted.summaries(others)
    return acted.choices(out) | {f"others.{key}": value for key, value in more.items()}


def main() -> None:
    """Run the parts that are asked for and print their figures as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, default=HERE / "model")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--parts", default="planted,worlds,shipped,real")
    parser.add_argument("--split", choices=SPLITS, default="validation", help="what is drawn by seed, for which use")
    parser.add_argument("--count", type=int, default=40, help="documents of a part")
    parser.add_argument("--clusters", type=int, default=40, help="of statements in worlds; five questions each")
    parser.add_argument("--rows", type=int, default=0, help="rows of the shipped documents to write to rows.md")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    models, figures = models_file(args.out, args.model), {}
    for part in args.parts.split(","):
        out = args.out / part
        out.mkdir(exist_ok=True)
        if part == "planted":
            figures[part] = planted.figures(out, models, args.count, SPLITS[args.split])
        elif part == "real":
            if "SYNTHKIT_REALDATA" not in os.environ:
                print("real: SYNTHKIT_REALDATA is not set", flush=True)
                continue
            found = real_documents(args.count, args.split)
            run("entity_memory", models, out, documents=write(out / "documents.jsonl", found))
            figures[part] = chain.memory(out)
        else:
            sets: dict[str, object] = {"clusters": args.clusters} if part == "worlds" else {}
            if part == "worlds":
                sets["documents"] = write(out / "documents.jsonl", world_documents(args.count, args.split))
                sets["want"] = 1000  # no quota: every row counts
            run("fas_planning", models, out, **sets)
            figures[part] = chain.memory(out) | chain.planning(out)
            sets = {key: value for key, value in sets.items() if key == "documents"}
            if part == "worlds":
                run("fas_planning", models, out, **sets)  # as the next read it, with its own quota
            run("fas_reasoning", models, out, **sets)
            figures[part] |= chain.reasoning(out) | acting(out, models, sets)
            if part == "shipped":
                figures[part] |= expanding(out, models)
        print(json.dumps({part: figures[part]}, indent=1, ensure_ascii=False), flush=True)
    (args.out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if args.rows:
        (args.out / "rows.md").write_text(rows.draw(args.out / "shipped", args.rows, seed=50), encoding="utf-8")


if __name__ == "__main__":
    main()
