"""What an export will come to, before it starts: tokens, packs, iterations, bytes, time.

Documents of the first batch are encoded and the rest is taken to be like them; where an earlier export has read a
source to its end, its own count stands. Rates are measured on the same batch, so they hold for this machine as it is.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from synthkit.train.ingest import Ingest, sample
from synthkit.train.outputs import chat
from synthkit.train.prepare import Prepared
from synthkit.train.store import TokenStore

_SAMPLE = 256
"""Chats that are measured."""


@dataclass(frozen=True, slots=True)
class SourceEstimate:
    """One source, about."""

    rows: int | None
    tokens: int | None
    """Of all its documents; None where it cannot be told how many there are."""
    rate: float
    """Tokens encoded in a second; 0 where there is no document."""
    engine: str
    exact: bool
    """Whether an earlier export counted it."""


def estimate(prepared: Prepared, out: Path) -> dict[str, SourceEstimate]:
    """By source; writes nothing."""
    return {name: _source(prepared, out, name) for name in prepared.sources}


def _source(prepared: Prepared, out: Path, name: str) -> SourceEstimate:
    source = prepared.sources[name]
    rows = source.size()
    if prepared.recipe.chat:
        lengths, seconds = _chats(prepared, name)
        mean = sum(lengths) / len(lengths) if lengths else 0.0
        tokens = None if rows is None else round(mean * rows)
        return SourceEstimate(rows, tokens, sum(lengths) / max(seconds, 1e-6), "chat template", False)
    ingest = Ingest(prepared.recipe, source, prepared.tokenizer, prepared.benchmarks)
    known = _known(out / "tokens" / name, ingest.key(), masked=prepared.recipe.masked)
    first = sample(source)
    began = time.perf_counter()
    count = len(ingest.engine.encode(first).ids) + len(first)
    rate = count / max(time.perf_counter() - began, 1e-6)
    if known is not None:
        return SourceEstimate(rows, known, rate, ingest.engine.name, True)
    tokens = None if rows is None or not len(first) else round(count / len(first) * rows)
    return SourceEstimate(rows, tokens, rate, ingest.engine.name, False)


def _known(folder: Path, key: str, *, masked: bool) -> int | None:
    """The tokens that an earlier export read of the whole of it."""
    mark = folder / "key"
    if not mark.is_file() or mark.read_text() != key:
        return None
    store = TokenStore(folder, key, masked=masked)
    return store.train_tokens if store.done else None


def _chats(prepared: Prepared, name: str) -> tuple[list[int], float]:
    began = time.perf_counter()
    lengths = []
    for document, _ in chat.measured(
        prepared.sources[name], prepared.tokenizer, prepared.recipe.keys.sequence, 0, "aside", lambda row: False, None
    ):
        lengths.append(document.tokens)
        if len(lengths) == _SAMPLE:
            break
    return lengths, time.perf_counter() - began
