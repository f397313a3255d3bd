"""What would waste a cluster's day, found before it is taken: the export, its files, the tokenizer, the launch.

Everything here is read from the recipe, the manifest and the files themselves, in seconds and without a GPU: indexes
are read, tokens are not. A problem stops a launch; a warning is for a person to judge.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from synthkit.core.errors import SpecError, StoreError
from synthkit.core.ids import digest
from synthkit.core.registry import open_store
from synthkit.train import manifest
from synthkit.train import tokenizer as tokenizers
from synthkit.train.chat_template import hashed, with_template
from synthkit.train.load import load_recipe
from synthkit.train.mixture import amount
from synthkit.train.preflight_files import Finding, files
from synthkit.train.recipe import Recipe, TrainKeys
from synthkit.train.tokenizer import TrainTokenizer

_CHAT_END = ("<|im_end|>", "<|eot_id|>", "<end_of_turn>")


def preflight(path: Path, out: Path | None, gpus: int | None) -> list[Finding]:
    """All findings, the serious ones first; SpecError where the recipe itself is wrong."""
    recipe = load_recipe(path)
    folder = out or Path("exports") / recipe.name
    found = [*_checkpoint(recipe), *_launch(recipe, gpus)]
    tokenizer: TrainTokenizer | None = None
    try:
        tokenizer = tokenizers.load(recipe.keys.tokenizer, recipe.keys.eod, recipe.keys.special)
    except SpecError as error:
        found.append(Finding(True, error.problems[0].message, error.problems[0].help or ""))
    else:
        found += _tokenizer(recipe, tokenizer)
    try:
        described = manifest.read(folder)
    except StoreError as error:
        found.append(Finding(True, str(error), f"synthkit export {path}"))
    else:
        found += [*_same(recipe, described, path, tokenizer), *_counts(recipe, described), *_overlap(recipe, described)]
        found += [*_pinned(recipe, described), *_duplicates(recipe, described)]
        found += files(folder, described)
    return sorted(found, key=lambda each: not each.serious)


def _tokenizer(recipe: Recipe, one: TrainTokenizer) -> Iterator[Finding]:
    """The pad and end-of-document trap, and a checkpoint with another vocabulary."""
    end = one.named("eos_token")
    if recipe.keys.eod is not None and end is not None and end != recipe.keys.eod:
        yield Finding(
            True, f"documents end with {recipe.keys.eod}, and the trainer takes the tokenizer's eos_token {end}",
            "leave eod out of the recipe, or set eos_token in the trainer's tokenizer",
        )  # fmt: skip
    if end in _CHAT_END and not recipe.chat:
        yield Finding(
            False, f"{one.name} is a chat tokenizer: documents end with {end}, which a base model never saw there",
            "continue pre-training with the base model's tokenizer",
        )  # fmt: skip
    folder = _checkpoint_folder(recipe)
    if folder is None:
        return
    if (theirs := folder / "tokenizer.json").is_file() and theirs.read_text(encoding="utf-8") != one.original:
        yield Finding(True, f"{theirs} is another tokenizer than {one.name}", "name the checkpoint's own tokenizer")
    if (config := folder / "config.json").is_file():
        try:
            size = orjson.loads(config.read_bytes()).get("vocab_size")
        except (ValueError, AttributeError) as error:
            yield Finding(True, f"{config} cannot be read: {error}")
            return
        if isinstance(size, int) and size < one.vocab_size:
            yield Finding(True, f"the checkpoint knows {size:,} tokens, the tokenizer has {one.vocab_size:,}")


def _checkpoint_folder(recipe: Recipe) -> Path | None:
    train = recipe.keys.train
    return Path(train.checkpoint) if train and train.checkpoint and Path(train.checkpoint).is_dir() else None


def _checkpoint(recipe: Recipe) -> Iterator[Finding]:
    """Weights to begin with; without them trainers begin with random ones, some without a word."""
    train = recipe.keys.train
    if train is None or train.checkpoint is None:
        yield Finding(
            False,
            "the recipe names no checkpoint: training would begin with random weights",
            "train: {checkpoint: FOLDER}",
        )
    elif not Path(train.checkpoint).is_dir():
        yield Finding(True, f"there is no checkpoint {train.checkpoint}: training would begin with random weights")
    elif not any(Path(train.checkpoint).iterdir()):
        yield Finding(True, f"the checkpoint {train.checkpoint} is empty")


def _launch(recipe: Recipe, gpus: int | None) -> Iterator[Finding]:
    """Whether the GPUs can be shared out as the recipe says."""
    train = recipe.keys.train or TrainKeys()
    if recipe.keys.tokens_per_step is None and not recipe.chat:
        yield Finding(False, "the recipe has no tokens_per_step, so iterations are not checked")
    if gpus is None:
        yield Finding(False, "the number of GPUs is not given, so parallel sizes are not checked", "--gpus N")
        return
    ranks = train.tensor * train.pipeline * train.context
    said = f"tensor {train.tensor} x pipeline {train.pipeline} x context {train.context}"
    if gpus % ranks:
        yield Finding(True, f"{gpus} GPUs are no multiple of {ranks} ({said})")
        return
    experts = train.tensor * train.pipeline * train.expert
    if gpus % experts:
        yield Finding(True, f"{gpus} GPUs are no multiple of {experts} (tensor x pipeline x expert {train.expert})")
    batch, replicas = recipe.global_batch, gpus // ranks
    if batch is not None and batch % (replicas * train.micro_batch):
        yield Finding(
            True, f"a step of {batch:,} sequences cannot be shared by {replicas} replicas of micro batch "
            f"{train.micro_batch}", f"{gpus} GPUs / ({said}) = {replicas} replicas",
        )  # fmt: skip


def _same(recipe: Recipe, described: Mapping[str, Any], path: Path, now: TrainTokenizer | None) -> Iterator[Finding]:
    """Whether the export is that of this recipe."""
    again = f"synthkit export {path}"
    if described["recipe"]["hash"] != digest(recipe.definition()):
        yield Finding(True, "the export was made from another state of this recipe", again)
    theirs = described["tokenizer"]
    if now is None:
        return
    if theirs["hash"] != now.hash or theirs["eod"] != now.eod or theirs["pad"] != now.pad:
        yield Finding(True, f"the export was encoded with another tokenizer than {now.name} is now", again)
    if recipe.chat:
        try:
            template = hashed(with_template(now, recipe.keys.template))
        except SpecError as error:
            yield Finding(True, error.problems[0].message)
            return
        if described.get("template", {}).get("hash") != template:
            yield Finding(True, "chats were measured with another chat template than the trainer takes now", again)


def _pinned(recipe: Recipe, described: Mapping[str, Any]) -> Iterator[Finding]:
    """Tables whose rows may be others tomorrow, or are others already."""
    loose = []
    for name, keys in recipe.keys.sources.items():
        origin = described["sources"].get(name, {}).get("from", {})
        if keys.run is None or "run" not in origin:
            continue
        if origin["tag"] is None:
            loose.append(name)
        try:
            store = open_store()(Path(origin["run"]), write=False)
            now = store.published_version(origin["table"], origin["tag"])
        except StoreError as error:
            yield Finding(False, f"{name}: {error}")
            continue
        if now != origin["lance_version"]:
            told = f"{name}: {origin['run']} has published {origin['table']} anew since the export"
            yield Finding(False, told, "tag the run and name it with @tag")
    if loose:
        told = f"sources of no tag: {', '.join(loose)}; their rows can change between two exports"
        yield Finding(False, told, "synthkit tag RUN NAME, then run: RUN@NAME")


def _counts(recipe: Recipe, described: Mapping[str, Any]) -> Iterator[Finding]:
    """Enough tokens for the iterations; documents that no pack holds."""
    iterations, batch = described.get("iterations"), described.get("global_batch")
    for name, each in described["sources"].items():
        train = each["splits"].get("train")
        if train and iterations and batch and "packs" in train:
            seen = iterations * batch * each["weight"] / train["packs"]
            # the last step is whole, and a source is rounded to whole packs; recipes/nemo allows the same
            if seen > each["repeat"] + (batch * each["weight"] + 1) / train["packs"]:
                yield Finding(
                    True, f"{name}: {iterations:,} iterations see its {train['packs']:,} packs {seen:.3g} times, and "
                    f"repeat allows {each['repeat']:g}", "fewer iterations, a smaller share, or more rows",
                )  # fmt: skip
        for reason, count in each["aside"].items():
            if "longer than" in reason or "of more than" in reason:
                yield Finding(False, f"{name}: {count:,} documents are aside: {reason}", "over: split, or next")
    held = any(each["splits"].get("valid") for each in described["sources"].values())
    if recipe.keys.holdout and not held:
        yield Finding(True, f"holdout {recipe.keys.holdout:.3%} keeps no document for validation", "a larger holdout")


def _overlap(recipe: Recipe, described: Mapping[str, Any]) -> Iterator[Finding]:
    """Whether benchmarks were looked for, and are still what they were."""
    if recipe.keys.decontaminate is None:
        yield Finding(False, "overlap with benchmarks was not looked for", "decontaminate: {against: ..., fields: ...}")
        return
    from synthkit.train.overlap import stamp

    try:
        now = stamp(recipe.keys.decontaminate)
    except SpecError as error:
        yield Finding(True, error.problems[0].message)
        return
    if now != described.get("decontaminated"):
        yield Finding(True, "the benchmarks have changed since the export looked for them", "export again")


def _duplicates(recipe: Recipe, described: Mapping[str, Any]) -> Iterator[Finding]:
    """Whether copies were looked for, and sources that are mostly copies."""
    if recipe.keys.dedup is None:
        if len(recipe.keys.sources) > 1:
            yield Finding(False, "documents that repeat another source's were not looked for", "dedup: {}")
        return
    for name, each in described["sources"].items():
        counts = each.get("duplicates", {})
        copies, rows = sum(counts.values()), each.get("rows", 0)
        if 2 * copies > rows:
            of = ", ".join(f"{count:,} of {other}" for other, count in counts.items())
            told = f"{name}: {copies:,} of {rows:,} rows are copies ({of})"
            yield Finding(False, told, "the source listed first keeps its documents")


def summary(recipe: Path, out: Path | None) -> str:
    """What is about to be trained, in a line."""
    loaded = load_recipe(recipe)
    described = manifest.read(out or Path("exports") / loaded.name)
    total = sum(each["tokens"] for each in described["sources"].values())
    steps = f", {described['iterations']:,} iterations" if described.get("iterations") else ""
    return f"{loaded.name}: {amount(described['budget'])} of {amount(total)} tokens{steps}"
