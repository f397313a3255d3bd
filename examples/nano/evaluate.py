"""Measure nano through vLLM: `python examples/nano/evaluate.py [--model DIR] [--show 20]`.

Two parts: fresh worlds of the teacher (exact replies, judge accuracy), and the shipped English documents, sent through
the same chain as `specs/fas_planning.yaml` in miniature, with a count of what each filter lets through.
"""

from __future__ import annotations

import os

os.environ |= {
    "OMP_NUM_THREADS": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")

import argparse
import json
import math
import re
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import teacher
from vllm import LLM, SamplingParams
from vllm.sampling_params import StructuredOutputsParams

from prompts import chat, tools
from synthkit.core.expr.text import dangling, echoed_in, mentions, overlap

HERE = Path(__file__).resolve().parent


def obj(**keys: object) -> dict[str, Any]:
    """Return the schema of a closed object."""
    return {"type": "object", "properties": keys, "required": list(keys), "additionalProperties": False}


def text(low: int, high: int) -> dict[str, Any]:
    """Return the schema of a bounded string."""
    return {"type": "string", "minLength": low, "maxLength": high}


def many(item: dict[str, Any], low: int, high: int) -> dict[str, Any]:
    """Return the schema of a bounded list."""
    return {"type": "array", "items": item, "minItems": low, "maxItems": high}


def reference(size: int) -> dict[str, Any]:
    """Return the schema of an index into a list of `size`."""
    return {"type": "integer", "minimum": 1, "maximum": size}


def claims_schema(size: int) -> dict[str, Any]:
    """Schema of the statements reply."""
    time = {"anyOf": [{"type": "string", "pattern": "^[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?$"}, {"type": "null"}]}
    claim = obj(
        sentence=reference(size),
        entity=text(1, 120),
        aliases=many(text(1, 120), 0, 5),
        statement=text(20, 400),
        time=time,
    )
    return obj(claims=many(claim, 0, 8))


def question_schema(size: int) -> dict[str, Any]:
    """Schema of the question reply."""
    return obj(used=many(reference(size), 1, min(8, size)), question=text(20, 400), answer=text(1, 400))


def plan_schema() -> dict[str, Any]:
    """Schema of the plan reply."""
    calls = [obj(name={"const": t["name"]}, arguments=t["parameters"]) for t in tools()]
    return obj(analysis=text(80, 4000), call={"anyOf": [*calls, obj(final=text(1, 400))]})


class Nano:
    """The model under vLLM."""

    def __init__(self, folder: Path, temperature: float, top_p: float) -> None:
        config = {"backend": "xgrammar", "disable_any_whitespace": True}
        self.llm = LLM(
            str(folder),
            dtype="float32",
            enforce_eager=True,
            max_model_len=4096,
            kv_cache_memory_bytes=1 << 29,
            block_size=32,
            enable_chunked_prefill=False,
            structured_outputs_config=config,
        )
        self.tok = self.llm.get_tokenizer()
        self.temperature, self.top_p = temperature, top_p

    def ask(
        self, prompts: list[str], schemas: list[dict[str, Any]], *, greedy: bool = False, seed: int = 0
    ) -> list[str]:
        """Return one constrained reply for each prompt."""
        params = [
            SamplingParams(
                temperature=0.0 if greedy else self.temperature,
                top_p=1.0 if greedy else self.top_p,
                max_tokens=1024,
                seed=seed + i,
                structured_outputs=StructuredOutputsParams(json=schema),
            )
            for i, schema in enumerate(schemas)
        ]
        ids = [{"prompt_token_ids": self.tok.encode(p, add_special_tokens=False)} for p in prompts]
        return [o.outputs[0].text for o in self.llm.generate(ids, params, use_tqdm=False)]

    def judge(self, prompts: list[str]) -> list[float]:
        """Return p(pass) of each prompt from the two labels' log-probabilities."""
        labels = [self.tok.convert_tokens_to_ids(w) for w in ("pass", "fail")]
        params = SamplingParams(max_tokens=1, temperature=0, logprob_token_ids=labels)
        ids = [{"prompt_token_ids": self.tok.encode(p, add_special_tokens=False)} for p in prompts]
        found = []
        for out in self.llm.generate(ids, params, use_tqdm=False):
            first = out.outputs[0].logprobs[0]
            a, b = (first[i].logprob for i in labels)
            found.append(1 / (1 + math.exp(b - a)))
        return found


def parsed(reply: str) -> Any:
    """Return the parsed reply, or None."""
    try:
        return json.loads(reply)
    except ValueError:
        return None


def worlds_part(nano: Nano, count: int) -> dict[str, str]:
    """Exact replies and judge accuracy on worlds that training never saw."""
    rng, figures = Random(987654321), {}
    makers = {
        "statements": (lambda: teacher.statements_example(rng, rng.randint(2, 5)), claims_schema(6)),
        "question": (lambda: teacher.question_example(rng, rng.randint(4, 7)), question_schema(8)),
        "plan": (lambda: teacher.plan_example(rng), plan_schema()),
    }
    for task, (make, schema) in makers.items():
        made = [make() for _ in range(count)]
        items = [i._replace(prompt=i.prompt + i.tails[0][0], reply=i.tails[0][1]) if i.tails else i for i in made]
        replies = nano.ask([i.prompt for i in items], [schema] * count, greedy=True)
        same = sum(r == i.reply for r, i in zip(replies, items, strict=True))
        whole = sum(parsed(r) is not None for r in replies)
        figures[task] = f"parsed {whole}/{count}, exactly the teacher's reply {same}/{count}"
        if task == "statements":
            pairs = [
                (g, w)
                for r, i in zip(replies, items, strict=True)
                for g, w in zip((parsed(r) or {"claims": []})["claims"], json.loads(i.reply)["claims"], strict=False)
            ]
            for key in ("entity", "statement", "sentence", "time"):
                figures[f"statements.{key}"] = f"{sum(g[key] == w[key] for g, w in pairs)}/{len(pairs)}"
        if task == "question":
            pairs = [(parsed(r), json.loads(i.reply)) for r, i in zip(replies, items, strict=True)]
            figures["question.answer in used statement"] = str(
                sum(
                    p is not None and p["answer"].split("; ")[0] in i.prompt
                    for (p, _), i in zip(pairs, items, strict=True)
                )
            )
    items = [teacher.judge_example(rng) for _ in range(count * 2)]
    score = nano.judge([i.prompt + t for i in items for t, _ in i.tails])
    marks = [(c, label) for i in items for c, (_, label) in zip(teacher.CRITERIA, i.tails, strict=True)]
    for criterion in teacher.CRITERIA:
        rows = [(s >= 0.5) == (label == "pass") for s, (c, label) in zip(score, marks, strict=True) if c == criterion]
        passed = [s >= 0.7 for s, m in zip(score, marks, strict=True) if m == (criterion, "pass")]
        failed = [s >= 0.7 for s, m in zip(score, marks, strict=True) if m == (criterion, "fail")]
        figures[f"judge.{criterion}"] = (
            f"right {sum(rows)}/{len(rows)}; "
            f"p >= 0.7 for {sum(passed)}/{len(passed)} sound and {sum(failed)}/{len(failed)} broken"
        )
    return figures


def documents() -> list[dict[str, Any]]:
    """Return the shipped English documents."""
    rows = [
        json.loads(line)
        for p in sorted((HERE.parent / "documents").glob("*.jsonl"))
        for line in p.read_text(encoding="utf-8").splitlines()
    ]
    return [r for r in rows if r.get("language", "en") == "en"]


def claims_of(nano: Nano, funnel: Counter[str], samples: list[str], show: int) -> dict[str, list[dict[str, Any]]]:
    """Send the passages; return the claims that pass the filters of `specs/entity_memory.yaml`, by entity."""
    jobs = []
    for doc in documents():
        sentences = re.split(r"(?<=[.!?]) +(?=[A-Z])", doc["text"])
        jobs += [(doc, sentences[at : at + 5]) for at in range(0, len(sentences), 5)]
    prompts = [
        chat("en/memory/statements.j2", title=d["title"], published=d["published"], sentences=s) for d, s in jobs
    ]
    memory: dict[str, dict[str, dict[str, Any]]] = {}
    funnel["sentences"] = sum(len(s) for _, s in jobs)
    replies = nano.ask(prompts, [claims_schema(len(s)) for _, s in jobs])
    for (doc, sentences), reply in zip(jobs, replies, strict=True):
        funnel["replies parsed"] += parsed(reply) is not None
        for claim in (parsed(reply) or {"claims": []})["claims"]:
            source = sentences[claim["sentence"] - 1]
            tests = {
                "grounded": echoed_in(claim["statement"], [doc["title"], claim["entity"], source]),
                "naming the entity": mentions(claim["statement"], [claim["entity"], *claim["aliases"]]),
                "standing alone": not dangling(claim["statement"]),
                "with the right year": claim["time"] is None or claim["time"][:4] in source,
            }
            funnel["claims"] += 1
            for key, value in tests.items():
                funnel[f"claims {key}"] += value
            if all(tests.values()):
                funnel["claims kept"] += 1
                memory.setdefault(claim["entity"], {})[claim["statement"]] = claim
            if len(samples) < show:
                samples.append(f"  sentence : {source}\n  claim    : {json.dumps(claim, ensure_ascii=False)}")
    return {k: list(v.values()) for k, v in memory.items() if len(v) >= 2}


def documents_part(nano: Nano, show: int) -> dict[str, str]:
    """Send the documents through the chain; count what is left after every filter."""
    rng = Random(5)
    funnel: Counter[str] = Counter()
    samples: list[str] = []
    entities = claims_of(nano, funnel, samples, show)
    funnel["entities with 2 or more"] = len(entities)
    clusters: list[list[dict[str, Any]]] = []
    for _ in range(40 if entities else 0):
        names = rng.sample(sorted(entities), min(rng.randint(1, 2), len(entities)))
        rows = [c for n in names for c in rng.sample(entities[n], min(len(entities[n]), 3))]
        clusters.append([{"id": i, **c} for i, c in enumerate(rows[:6], 1)])
    tasks = [(c, style) for c in clusters for style in teacher.STYLES]
    prompts = [chat("en/fas/question.j2", statements=c, style=s) for c, s in tasks]
    replies = nano.ask(prompts, [question_schema(len(c)) for c, _ in tasks], seed=1000)
    asked: dict[str, tuple[list[dict[str, Any]], str, dict[str, Any]]] = {}
    for (cluster, style), reply in zip(tasks, replies, strict=True):
        row = parsed(reply)
        funnel["questions"] += 1
        if row is None:
            continue
        evidence = " ".join(cluster[i - 1]["statement"] for i in row["used"])
        tests = {
            "hiding the answer": not mentions(row["question"], row["answer"]),
            "with enough evidence": len(set(row["used"])) >= (2 if style == "multi_hop" else 1),
        }
        for key, value in tests.items():
            funnel[f"questions {key}"] += value
        funnel["questions answered by their evidence"] += all(p in evidence for p in row["answer"].split("; "))
        if all(tests.values()):
            asked[row["question"]] = (cluster, style, row)
    funnel["questions kept"] = len(asked)
    prompts = [chat("en/fas/plan.j2", question=question) for question in asked]
    replies = nano.ask(prompts, [plan_schema()] * len(asked), seed=2000)
    plans = []
    for (cluster, style, row), reply in zip(asked.values(), replies, strict=True):
        made = parsed(reply)
        if made is None or "final" in made["call"]:
            funnel["plans not parsed, or final"] += 1
            continue
        query = " ".join(map(str, made["call"]["arguments"].get("query", [])))
        tests = {
            "in own words": overlap(query, row["question"]) < 0.9,
            "short": 0 < len(query) <= 300,
            "without a guess": not mentions(made["analysis"] + " " + query, row["answer"]),
        }
        for key, value in tests.items():
            funnel[f"plans {key}"] += value
        if all(tests.values()):
            plans.append((cluster, style, row, made))
    funnel["plans kept"] = len(plans)
    prompts = [
        chat(
            "en/judge/knowledge_alignment.j2",
            question=r["question"],
            statements=c,
            used=r["used"],
            analysis=m["analysis"],
            call=m["call"],
            criterion=k,
        )
        for c, _, r, m in plans
        for k in teacher.CRITERIA
    ]
    scores = nano.judge(prompts)
    for at, (_, style, row, made) in enumerate(plans):
        three = scores[3 * at : 3 * at + 3]
        for bar in (0.5, 0.7):
            funnel[f"plans accepted at {bar}"] += min(three) >= bar
            funnel[f"plans accepted at {bar}, {style}"] += min(three) >= bar
        if at < show:
            pair = f"{json.dumps(row, ensure_ascii=False)}\n    {json.dumps(made, ensure_ascii=False)}"
            samples.append(f"  {style}: {pair}\n    {[round(t, 2) for t in three]}")
    print("\n".join(samples), flush=True)
    return {k: str(v) for k, v in funnel.items()}


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, default=HERE / "model")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--top-p", type=float, default=1.0)
    parser.add_argument("--show", type=int, default=10)
    args = parser.parse_args()
    nano = Nano(args.model, args.temperature, args.top_p)
    print(json.dumps(worlds_part(nano, args.count), indent=1))
    print(json.dumps(documents_part(nano, args.show), indent=1))


if __name__ == "__main__":
    main()
