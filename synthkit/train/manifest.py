"""`manifest.json`: what an export is made of, in counts of its own tokenizer; written last, by rename."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from synthkit.core.errors import StoreError
from synthkit.train.chat_template import hashed
from synthkit.train.packs import SPLITS
from synthkit.train.prepare import Prepared

if TYPE_CHECKING:
    from synthkit.train.export import SourceResult

FILE = "manifest.json"
FORMAT = 1


def packed(
    prepared: Prepared, results: Mapping[str, SourceResult], weights: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
    """The entry of every source of an export of packs."""
    keys = prepared.recipe.keys
    found = {}
    for name, result in results.items():
        splits = {split: result.plan.splits[split] for split in SPLITS}
        packs = sum(each.packs for each in splits.values())
        tokens = sum(each.tokens for each in splits.values())
        described = {}
        for split, each in splits.items():
            prefix = {"prefix": f"megatron/{name}_{split}"} if "megatron" in keys.outputs else {}
            counts = {"packs": each.packs, "tokens": each.tokens, "documents": each.documents}
            described[split] = {**prefix, **counts} if each.packs else None
        found[name] = {
            "share": keys.sources[name].share,
            "repeat": keys.sources[name].repeat,
            "weight": weights["train"].get(name, 0.0),
            "documents": sum(each.documents for each in splits.values()),
            "tokens": tokens,
            "packs": packs,
            "fill": tokens / (packs * keys.sequence) if packs else 0.0,
            "epochs": result.epochs,
            "aside": dict(sorted(result.plan.aside.items())),
            "splits": described,
            "engine": result.engine,
            **duplicates(prepared, name),
            "from": dict(prepared.sources[name].identity),
        }
    return found


def write(prepared: Prepared, out: Path, sources: Mapping[str, Any]) -> dict[str, Any]:
    """Write the manifest and return it; it holds no time of day, so the same export has the same bytes."""
    recipe, tokenizer = prepared.recipe, prepared.tokenizer
    keys = recipe.keys
    content: dict[str, Any] = {
        "format": FORMAT,
        "synthkit": version("synthkit"),
        "recipe": {"name": recipe.name, "hash": prepared.hash, "file": recipe.document.file},
        "tokenizer": {
            "name": tokenizer.name,
            "hash": tokenizer.hash,
            "vocab_size": tokenizer.vocab_size,
            "eod": tokenizer.eod,
            "pad": tokenizer.pad,
            "pad_token": tokenizer.pad_token,
            "special": dict(tokenizer.special),
        },
        **({"template": {"file": keys.template, "hash": hashed(tokenizer)}} if recipe.chat else {}),
        "sequence": keys.sequence,
        "budget": keys.budget,
        "tokens_per_step": keys.tokens_per_step,
        "global_batch": recipe.global_batch,
        "iterations": recipe.iterations,
        "seed": keys.seed,
        "loss": dict(keys.loss),
        "decontaminated": _benchmarks(prepared),
        "deduplicated": keys.dedup.model_dump(mode="json") if keys.dedup is not None else None,
        "sources": dict(sources),
        "outputs": list(keys.outputs),
        "train": keys.train.model_dump() if keys.train else None,
    }
    unfinished = out / f"{FILE}.part"
    unfinished.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n")
    unfinished.replace(out / FILE)
    return content


def duplicates(prepared: Prepared, name: str) -> dict[str, Any]:
    """The rows of the whole source, and how many repeat one of which source, where `dedup` looked for them."""
    copies = prepared.copies
    return {} if copies is None else {"rows": copies.rows[name], "duplicates": copies.counts[name]}


def _benchmarks(prepared: Prepared) -> str | None:
    """The benchmarks that were looked for, by content."""
    from synthkit.train.overlap import stamp

    keys = prepared.recipe.keys.decontaminate
    return stamp(keys) if keys is not None else None


def read(out: Path) -> dict[str, Any]:
    """The manifest of a whole export."""
    file = out / FILE
    if not file.is_file():
        there = "an export that was not finished: run it again" if (out / "tokens").is_dir() else "no export"
        raise StoreError(f"{out} is {there}; it has no {FILE}")
    content: dict[str, Any] = orjson.loads(file.read_bytes())
    if content.get("format") != FORMAT:
        raise StoreError(f"{file} has format {content.get('format')!r}; this version reads {FORMAT}")
    return content
