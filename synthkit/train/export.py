"""Exports a recipe: tokens, then one pack plan, then every output of it, and last the manifest.

Each stage leaves files that the next export takes as they are where nothing they depend on has changed: an export that
was killed goes on, and one that is repeated reads nothing again. `manifest.json` is removed before the first file
changes that it tells of and written last: where it stands the export is whole, and one that is refused leaves it alone.
"""

from __future__ import annotations

import shutil
import typing
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthkit.core.errors import StoreError
from synthkit.core.ids import digest
from synthkit.store.lock import RunLock
from synthkit.train import copies, manifest
from synthkit.train.distinct import without_copies
from synthkit.train.ingest import Ingest
from synthkit.train.mixture import amount, epochs
from synthkit.train.outputs import datasets, documents, megatron, packed
from synthkit.train.packs import SPLITS, SourcePlan
from synthkit.train.prepare import Prepared
from synthkit.train.recipe import Output
from synthkit.train.store import TokenStore

Say = Callable[[str], None]


@dataclass(frozen=True)
class SourceResult:
    """What became of one source."""

    plan: SourcePlan
    epochs: float
    engine: str
    """What encoded it, and why that."""


def export(prepared: Prepared, out: Path, say: Say) -> Mapping[str, Any]:
    """Write the export and return its manifest; `say` is told of each stage."""
    with _owned(out):
        prepared = without_copies(prepared, out, say)
        if prepared.recipe.chat:
            from synthkit.train.chat import export_chat

            chats = export_chat(prepared, out, say)
            _clear(prepared, out)
            return manifest.write(prepared, out, chats)
        stores, engines = _read(prepared, out, say)
        epochs(
            prepared.recipe,
            {name: store.train_tokens for name, store in stores.items()},
            lambda name: _aside(stores[name]),
        )
        (out / manifest.FILE).unlink(missing_ok=True)  # from here on files change that it tells of
        results = _planned(prepared, out, stores, engines)
        _clear(prepared, out)
        shares = _weights(prepared, results)
        for output in prepared.recipe.keys.outputs:
            say(f"writing {output}")
            if output in ("packed", "datasets"):
                _rows(prepared, out, stores, results, output)
            else:
                _indexed(prepared, out, stores, results, output)
        if "megatron" in prepared.recipe.keys.outputs:
            megatron.write_blend(out / megatron.FOLDER / "blend.json", _blend(results, shares))
        return manifest.write(prepared, out, manifest.packed(prepared, results, shares))


def _read(prepared: Prepared, out: Path, say: Say) -> tuple[dict[str, TokenStore], dict[str, str]]:
    """Every source's tokens."""
    stores: dict[str, TokenStore] = {}
    engines: dict[str, str] = {}
    for name, source in prepared.sources.items():
        ingest = Ingest(prepared.recipe, source, prepared.tokenizer, prepared.benchmarks)
        store = TokenStore(out / "tokens" / name, ingest.key(), masked=prepared.recipe.masked)
        engines[name] = f"{ingest.engine.name}: {ingest.why}"
        say(f"{name}: {amount(store.tokens)} tokens are there; {engines[name]}")
        told = [0, 0]

        def progress(new: int, told: list[int] = told, name: str = name) -> None:
            told[0] += new
            if told[0] - told[1] >= 100_000_000:
                told[1] = told[0]
                say(f"{name}: {amount(told[0])} tokens read")

        ingest.run(store, prepared.recipe.wanted(name), progress)
        stores[name] = store
    return stores, engines


def _aside(store: TokenStore) -> Mapping[str, int]:
    """Why documents of a source are in no pack, and how many."""
    found: Counter[str] = Counter()
    for part in store.parts():
        found.update(part["aside"].drop_null().to_pylist())
    return found


def _planned(
    prepared: Prepared, out: Path, stores: Mapping[str, TokenStore], engines: Mapping[str, str]
) -> dict[str, SourceResult]:
    """The pack plan of every source; refuses a mixture that the tokens do not make."""
    recipe = prepared.recipe
    plans: dict[str, SourcePlan] = {}
    for name, store in stores.items():
        plans[name] = SourcePlan(out / "plan", out / "ledger", name)
        plans[name].make(store, recipe.wanted(name), recipe.keys.sequence, prepared.copies)
    there = {name: plan.splits["train"].tokens for name, plan in plans.items()}
    seen = epochs(recipe, there, lambda name: plans[name].aside)
    return {name: SourceResult(plan, seen[name], engines[name]) for name, plan in plans.items()}


def _weights(prepared: Prepared, results: Mapping[str, SourceResult]) -> dict[str, dict[str, float]]:
    """By split, each source's part of the sequences."""
    sources = prepared.recipe.keys.sources
    sequence = prepared.recipe.keys.sequence
    return {
        split: megatron.weights(
            {name: sources[name].share for name in results},
            {name: result.plan.splits[split].fill(sequence) for name, result in results.items()},
        )
        for split in SPLITS
    }


def _blend(
    results: Mapping[str, SourceResult], shares: Mapping[str, Mapping[str, float]]
) -> dict[str, tuple[list[str], list[float]]]:
    return {
        split: ([f"{megatron.FOLDER}/{name}_{split}" for name in shares[split]], list(shares[split].values()))
        for split in SPLITS
    }


def _indexed(
    prepared: Prepared, out: Path, stores: Mapping[str, TokenStore], results: Mapping[str, SourceResult], output: str
) -> None:
    """The .bin/.idx files of packs or of documents."""
    keys = prepared.recipe.keys
    pad = prepared.tokenizer.pad
    for name, result in results.items():
        for split in SPLITS:
            packs = result.plan.packs(split)
            prefix = out / output / f"{name}_{split}"
            if not len(packs):
                for suffix in (".bin", ".idx", ".of"):  # of an earlier recipe, which had some
                    prefix.with_name(prefix.name + suffix).unlink(missing_ok=True)
                continue
            what = digest([stores[name].key, prepared.recipe.wanted(name), keys.sequence, pad])
            with _once(prefix, what) as needed:
                if needed and output == "megatron":
                    megatron.write(prefix, packs, stores[name].ids(), keys.sequence, pad)
                elif needed:
                    documents.write(prefix, packs, stores[name].ids())


@contextmanager
def _once(prefix: Path, what: str) -> Iterator[bool]:
    """Whether a pair of files must be written; what an earlier export wrote from the same plan stands."""
    mark = prefix.with_name(prefix.name + ".of")
    whole = all(prefix.with_name(prefix.name + suffix).is_file() for suffix in (".bin", ".idx"))
    needed = not (whole and mark.is_file() and mark.read_text() == what)
    if needed:
        mark.unlink(missing_ok=True)
    yield needed
    if needed:
        mark.write_text(what)


def _rows(
    prepared: Prepared, out: Path, stores: Mapping[str, TokenStore], results: Mapping[str, SourceResult], output: str
) -> None:
    """Packs as rows of the mixture: packed Parquet, or a dataset."""
    keys = prepared.recipe.keys
    folder, written = out / output, []
    if output == "datasets":
        datasets.begin(folder)
    for split in SPLITS:
        parts = {}
        for name, result in results.items():
            packs = result.plan.packs(split)
            seen = result.epochs if split == "train" else 1.0
            count = round(len(packs) * seen)
            parts[name] = packed.Part(packs, stores[name].ids(), stores[name].mask(), count)
        if output == "packed":
            packed.write(folder, out / "ledger", split, parts, keys.sequence, keys.seed)
        elif datasets.write_packs(folder, out / "ledger", split, parts, keys.sequence, keys.seed):
            written.append(split)
    if output == "datasets":
        datasets.finish(folder, written)


@contextmanager
def _owned(out: Path) -> Iterator[None]:
    """The folder, for this process alone; one that holds something else is not written into."""
    if out.is_dir() and any(out.iterdir()) and not any((out / each).exists() for each in ("tokens", manifest.FILE)):
        raise StoreError(f"{out} holds files and is no export; give another folder with --out")
    out.mkdir(parents=True, exist_ok=True)
    (out / "tokens").mkdir(exist_ok=True)
    lock = RunLock(out)
    try:
        yield
    finally:
        lock.release()


def _clear(prepared: Prepared, out: Path) -> None:
    """Remove what an earlier recipe wrote here and this one does not."""
    keys = prepared.recipe.keys
    ours = {*keys.sources, *(f"{name}_{split}" for name in keys.sources for split in SPLITS)}
    ours.add("packed")  # the order of packed rows, in the ledger
    if keys.dedup is not None:
        ours |= {copies.SKETCHES, copies.STATE.partition(".")[0]}
    for folder in ("tokens", "plan", "ledger", copies.FOLDER, *typing.get_args(Output)):
        wanted = folder in ("tokens", "plan", "ledger", *keys.outputs) or (folder == copies.FOLDER and keys.dedup)
        for file in (out / folder).iterdir() if (out / folder).is_dir() else ():
            known = file.name.partition(".")[0] in ours or folder in ("packed", "chat", "datasets")
            if not (known and wanted):
                shutil.rmtree(file) if file.is_dir() else file.unlink()
