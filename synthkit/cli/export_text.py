"""The printed plan and the printed result of an export."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from synthkit.inspect.text import align
from synthkit.train.estimate import SourceEstimate
from synthkit.train.mixture import amount
from synthkit.train.prepare import Prepared

_WRITTEN = 200e6
"""Tokens a second that gathering and writing take on one core of a local disk, measured."""
_COMPARED = 500
"""Bytes of memory that `dedup` takes for a row, measured."""
_COMPARING = 21e-6
"""Seconds of one core that `dedup` takes for a row, measured on texts of 1.3 KB."""


def plan_text(prepared: Prepared, found: Mapping[str, SourceEstimate]) -> str:
    """The printed plan, and what the mixture would need that is not there."""
    keys = prepared.recipe.keys
    lines = [("source", "share", "rows", "available", "wanted", "epochs", "repeat", "")]
    short = []
    for name, each in found.items():
        wanted, repeat = prepared.recipe.wanted(name), keys.sources[name].repeat
        seen = wanted / each.tokens if each.tokens else None
        about = "" if each.exact else "about "
        rows = "?" if each.rows is None else f"{each.rows:,}"
        there = "?" if each.tokens is None else about + amount(each.tokens)
        epochs = "?" if seen is None else f"{seen:.3g}"
        lines.append(
            (name, f"{keys.sources[name].share:.3%}", rows, there, amount(wanted), epochs, f"{repeat:g}", each.engine)
        )
        if seen is not None and seen > repeat:
            short.append(
                f"{name}: {there} tokens available, {amount(wanted)} wanted = {epochs} epochs, repeat {repeat:g}"
            )
    parts = [_head(prepared), "\n".join(align(lines)), _totals(prepared, found)]
    if short:
        parts.append("too few tokens, as it looks:\n" + "\n".join(f"  {line}" for line in short))
    return "\n\n".join(parts)


def _head(prepared: Prepared) -> str:
    keys, tokenizer = prepared.recipe.keys, prepared.tokenizer
    over = {keys.over, *(source.over for source in keys.sources.values() if source.over)}
    pad = "-1 (the trainer masks it)" if tokenizer.pad == -1 else str(tokenizer.pad)
    return (
        f"{prepared.recipe.name}: {amount(keys.budget)} tokens in sequences of {keys.sequence:,}; "
        f"longer documents: {', '.join(sorted(over))}\n"
        f"tokenizer {tokenizer.name}: {tokenizer.vocab_size:,} ids, end of document {tokenizer.eod}, padding {pad}"
    )


def _totals(prepared: Prepared, found: Mapping[str, SourceEstimate]) -> str:
    """Packs, iterations, bytes and time of the whole."""
    recipe = prepared.recipe
    keys = recipe.keys
    read = {name: min(each.tokens or recipe.wanted(name), recipe.wanted(name)) for name, each in found.items()}
    total = sum(read.values())
    seconds = sum(read[name] / each.rate for name, each in found.items() if each.rate and not each.exact)
    if keys.dedup is not None and prepared.copies is None:
        seconds += _COMPARING * sum(each.rows or 0 for each in found.values())
    lines = [*_dedup(prepared, found), f"tokens to read     {amount(total)}"]
    size = 0.0
    if not recipe.chat:
        size = 4.0 * total * (1 + sum(output in keys.outputs for output in ("megatron", "documents")))
        seconds += total * sum(output in keys.outputs for output in ("megatron", "documents")) / _WRITTEN
        lines.append(f"packs              {total // keys.sequence + len(found):,}")
    if "packed" in keys.outputs:
        size += 3.0 * keys.budget
        seconds += keys.budget / (_WRITTEN / 4)
    if "datasets" in keys.outputs and not recipe.chat:
        size += 12.0 * keys.budget
        seconds += keys.budget / (_WRITTEN / 4)
    if recipe.iterations is not None:
        lines.append(f"iterations         {recipe.iterations:,} of {recipe.global_batch:,} sequences")
    if size:
        lines.append(f"bytes              {size / 1e9:,.2f} GB")
    lines.append(f"time               about {_duration(seconds)}")
    return "\n".join(lines)


def _dedup(prepared: Prepared, found: Mapping[str, SourceEstimate]) -> Iterator[str]:
    """What `dedup` will compare, or has found."""
    copies = prepared.copies
    if copies is not None:
        counts = {name: sum(each.values()) for name, each in copies.counts.items()}
        listed = ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)
        rows = sum(copies.rows.values())
        yield f"dedup              {sum(counts.values()):,} of {rows:,} rows are copies{listed and f': {listed}'}"
    elif prepared.recipe.keys.dedup is not None:
        known = [each.rows for each in found.values()]
        rows = sum(filter(None, known))
        size = f"{rows:,}" if None not in known else f"more than {rows:,}"
        memory = f"{rows * _COMPARED / 1e9:,.2g} GB of memory"
        yield f"dedup              {size} rows are read and compared first, in about {memory}; copies count no more"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def result_text(manifest: Mapping[str, Any], out: Path, seconds: float) -> str:
    """What was written, by source."""
    lines = [("source", "documents", "tokens", "packs", "fill", "epochs", "held out", "aside")]
    for name, each in manifest["sources"].items():
        valid = each["splits"].get("valid")
        aside = "; ".join(f"{count:,} {reason}" for reason, count in each["aside"].items())
        packs = f"{each['packs']:,}" if "packs" in each else "."
        fill = f"{each['fill']:.2%}" if "fill" in each else "."
        held = f"{valid['documents']:,}" if valid else "."
        counts = (f"{each['documents']:,}", amount(each["tokens"]), packs, fill, f"{each['epochs']:.3g}", held)
        lines.append((name, *counts, aside or "."))
    written = ", ".join(f"{out / each}" for each in manifest["outputs"])
    total = sum(each["tokens"] for each in manifest["sources"].values())
    return "\n".join([*align(lines), "", f"{amount(total)} tokens in {_duration(seconds)}: {written}"])
