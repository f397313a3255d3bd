"""One run of training in numbers, from settings and corpus; what would waste the cluster's time is refused here.

Nothing here needs a trainer's library or a GPU: `make` takes milliseconds, so the launcher calls it before it asks
for nodes and every rank calls it again with the same result.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from recipes.nemo import apart
from recipes.nemo.corpus import Blend, Corpus
from recipes.nemo.errors import LaunchError
from recipes.nemo.settings import Settings

Library = Literal["bridge", "nemo"]

_TRACKERS = {
    "bridge": ("latest_train_state.pt", "latest_checkpointed_iteration.txt"),
    "nemo": ("weights", "context"),
}
"""What the library itself looks for in a checkpoint's folder; any one of them."""


@dataclass(frozen=True)
class Plan:
    """What the adapters put into the library's configuration."""

    settings: Settings
    corpus: Corpus
    checkpoint: Path
    tensor: int
    pipeline: int
    context: int
    expert: int
    micro_batch: int
    global_batch: int
    iterations: int
    train: Blend | None
    """None for chats and for documents apart, which stand in one file or are mixed already."""
    valid: Blend | None

    @property
    def sequence(self) -> int:
        """Tokens of a sequence."""
        return self.corpus.sequence

    @property
    def apart(self) -> bool:
        """Whether documents of a pack do not attend to each other."""
        return self.settings.stage == "pretrain" and self.settings.documents == "apart"

    @property
    def validated(self) -> bool:
        """Whether anything is held out."""
        if self.settings.stage == "sft":
            return True
        return bool(apart.files(self.corpus, "valid")) if self.apart else self.valid is not None

    @property
    def chats(self) -> Path:
        """Folder of training.jsonl and validation.jsonl."""
        return (self.corpus.folder / "chat").resolve()

    @property
    def yarn_factor(self) -> float:
        """By how much YaRN stretches the known positions."""
        return self.sequence / self.settings.rope.known


def make(settings: Settings, corpus: Corpus, library: Library) -> Plan:
    """The plan, or a LaunchError that says what is wrong and what to do."""
    recipe, parallel = corpus.train, settings.parallel
    checkpoint = settings.checkpoint or recipe.get("checkpoint")
    if checkpoint is None:
        raise LaunchError(
            "no checkpoint is named, so training would begin with random weights",
            "name it in the corpus recipe's `train:` or in the settings",
        )
    global_batch = settings.global_batch or corpus.manifest["global_batch"]
    if global_batch is None:
        raise LaunchError(
            "neither the settings nor the corpus say how many sequences a step has",
            "set global_batch, or tokens_per_step in the corpus recipe",
        )
    iterations = _iterations(settings, corpus, global_batch, library)
    blended = settings.stage == "pretrain" and settings.documents == "together"
    plan = Plan(
        settings=settings,
        corpus=corpus,
        checkpoint=Path(checkpoint),
        tensor=parallel.tensor or recipe.get("tensor") or 1,
        pipeline=parallel.pipeline or recipe.get("pipeline") or 1,
        context=parallel.context or recipe.get("context") or 1,
        expert=parallel.expert or recipe.get("expert") or 1,
        micro_batch=recipe.get("micro_batch") or 1,
        global_batch=global_batch,
        iterations=iterations,
        train=corpus.blend("train") if blended else None,
        valid=corpus.blend("valid") if blended else None,
    )
    _checkpoint(plan, library)
    _ranks(plan)
    _positions(plan)
    _budget(plan)
    if plan.apart:
        apart.check(plan, library)
    return plan


def _iterations(settings: Settings, corpus: Corpus, global_batch: int, library: Library) -> int:
    """Steps of the budget, the last one whole. NeMo 2 does not pack chats, so there a step is of chats and not of
    tokens."""
    if settings.stage == "sft" and library == "nemo":
        with (corpus.folder / "chat" / "training.jsonl").open("rb") as file:
            return -(-sum(1 for _ in file) // global_batch)
    return -(-int(corpus.manifest["budget"]) // (global_batch * corpus.sequence))


def _checkpoint(plan: Plan, library: Library) -> None:
    """Bridge 0.3.1 skips a path that holds nothing and begins with random weights, without a word."""
    found = [each for each in _TRACKERS[library] if (plan.checkpoint / each).exists()]
    if not found:
        there = "holds none of " + ", ".join(_TRACKERS[library]) if plan.checkpoint.is_dir() else "is no folder"
        raise LaunchError(f"checkpoint {plan.checkpoint} {there}", "convert the base first: docs/nemo.md, 'The base'")


def _ranks(plan: Plan) -> None:
    launch = plan.settings.launch
    world, model = launch.nodes * launch.gpus, plan.tensor * plan.pipeline * plan.context
    if plan.context > 1 and plan.sequence % (2 * plan.context):
        raise LaunchError(
            f"a sequence of {plan.sequence} does not divide by 2 x {plan.context} context ranks",
            "a power of two for both",
        )
    if world % model:
        raise LaunchError(
            f"{world} GPUs do not divide by {model} = tensor {plan.tensor} x pipeline {plan.pipeline} x context "
            f"{plan.context}",
            f"launch.nodes and launch.gpus that make a multiple of {model}",
        )
    if world % (plan.expert * plan.pipeline):
        raise LaunchError(f"{world} GPUs do not divide by expert {plan.expert} x pipeline {plan.pipeline}")
    replicas = world // model
    if plan.global_batch % (plan.micro_batch * replicas):
        raise LaunchError(
            f"a batch of {plan.global_batch} does not divide by {replicas} replicas x micro batch {plan.micro_batch}",
            "fewer GPUs, or another batch",
        )


def _positions(plan: Plan) -> None:
    rope = plan.settings.rope
    if plan.sequence > rope.known and rope.kind == "keep":
        raise LaunchError(
            f"sequences of {plan.sequence} go beyond the {rope.known} positions that the base knows",
            "rope: {kind: base} or {kind: yarn}",
        )
    if plan.sequence <= rope.known and rope.kind == "yarn":
        raise LaunchError(
            f"yarn stretches nothing: the base knows {rope.known} positions, the sequence has {plan.sequence}"
        )


def _budget(plan: Plan) -> None:
    schedule = plan.settings.schedule
    if schedule.warmup >= plan.iterations:
        raise LaunchError(
            f"a warm-up of {schedule.warmup} iterations, and the budget makes {plan.iterations}",
            "a shorter schedule.warmup, or a larger budget",
        )
    if schedule.decay is not None and schedule.decay > plan.iterations:
        raise LaunchError(f"a decay of {schedule.decay} iterations, and the budget makes {plan.iterations}")
    if plan.train is not None and (short := list(plan.corpus.short(plan.iterations, plan.global_batch))):
        raise LaunchError(
            f"too few tokens for {plan.iterations} iterations; " + "; ".join(short),
            "export again with this budget, or take the corpus recipe's batch",
        )


def tokenizer_agrees(plan: Plan, tokenizer: Any) -> None:
    """Refuse a tokenizer (`transformers`) whose end-of-document or pad token is not the one that the corpus was made
    with.

    Megatron masks each token that equals the tokenizer's pad. With a base tokenizer pad *is* the end of document;
    Megatron sees that, and masks -1 instead, which is what the packs are filled with. With a chat model's tokenizer
    it would mask every end of document, and feed -1 to the embedding.
    """
    theirs = plan.corpus.manifest["tokenizer"]
    eod, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    if eod != theirs["eod"]:
        raise LaunchError(
            f"{plan.settings.base} ends documents with {eod}, and the corpus with {theirs['eod']}",
            f"base: the model whose tokenizer made the corpus, {theirs['name']}",
        )
    masked = -1 if pad is None or pad == eod else pad
    if plan.settings.stage == "pretrain" and masked != theirs["pad"]:
        raise LaunchError(
            f"with {plan.settings.base} Megatron masks {masked}, and the packs are filled with {theirs['pad']}",
            f"base: the model whose tokenizer made the corpus, {theirs['name']}",
        )
    if len(tokenizer) < theirs["vocab_size"]:
        raise LaunchError(f"{plan.settings.base} has {len(tokenizer)} tokens, and the corpus {theirs['vocab_size']}")


def template(plan: Plan, tokenizer: Any) -> str | None:
    """The chat template to train with, None for the tokenizer's own; LaunchError where it marks no assistant's turns.

    Without `{% generation %}` the libraries take *every* token of a chat for the assistant's, users' and tools'
    included, and say nothing.
    """
    named = plan.settings.chat_template
    text = Path(named).read_text(encoding="utf-8") if named else tokenizer.chat_template
    if not text or "generation" not in text.replace("add_generation_prompt", ""):
        raise LaunchError(
            f"the chat template of {named or plan.settings.base} does not mark the assistant's turns",
            "chat_template: recipes/nemo/chatml.jinja, or one of yours with {% generation %}",
        )
    return text if named else None
