"""What a user changes from run to run: `stage1.yaml`, `stage2.yaml` and `sft.yaml` beside this file.

What the corpus recipe says (checkpoint, parallel ranks, batch, budget) is in the manifest, where `synthkit preflight`
checked it, and is not repeated here; a value given here stands above it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import yaml

# A dependency of both libraries (by wandb, which they require), so it is in their containers.
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from recipes.nemo.errors import LaunchError, nearest


class Keys(BaseModel):
    """A mapping that refuses names it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, strict=True)


class Parallel(Keys):
    """Ranks along each axis; None takes the corpus recipe's `train:`."""

    tensor: int | None = Field(default=None, ge=1)
    """Tensor parallel ranks."""
    pipeline: int | None = Field(default=None, ge=1)
    """Pipeline stages."""
    context: int | None = Field(default=None, ge=1)
    """Context parallel ranks; twice as many must divide the sequence."""
    expert: int | None = Field(default=None, ge=1)
    """Expert parallel ranks."""
    context_exchange: Literal["p2p", "all_gather", "a2a"] = "p2p"
    """How keys and values travel between context ranks. `a2a` splits heads, so it is bound by the number of KV
    heads."""


class Rope(Keys):
    """How positions beyond those of the base are reached."""

    kind: Literal["keep", "base", "yarn"] = "keep"
    """`keep` the base's own, raise the rotary `base`, or stretch by `yarn`."""
    known: int = Field(default=32768, ge=1)
    """Positions that the base was trained on; a longer sequence needs `base` or `yarn`."""
    base: int = Field(default=5_000_000, ge=10_000)
    """Rotary base, for `base`."""
    beta_fast: float = 32.0
    """Rotations above which a dimension is left alone, for `yarn`."""
    beta_slow: float = 1.0
    """Rotations below which a dimension is stretched in full, for `yarn`."""


class Schedule(Keys):
    """Learning rate over the run."""

    peak: float = Field(gt=0)
    """Highest learning rate."""
    final: float = Field(ge=0)
    """Learning rate at the end."""
    warmup: int = Field(ge=0)
    """Iterations up to the peak."""
    style: Literal["cosine", "linear", "constant", "WSD"] = "cosine"
    """How it falls."""
    decay: int | None = Field(default=None, ge=1)
    """Last iterations in which it falls, for `WSD`; Bridge 0.3.1 accepts a WSD without and fails hours later."""

    @model_validator(mode="after")
    def _consistent(self) -> Schedule:
        if self.final > self.peak:
            raise ValueError("`final` is above `peak`")
        if (self.style == "WSD") != (self.decay is not None):
            raise ValueError("WSD needs `decay`, and only WSD has it")
        return self


class Slurm(Keys):
    """How a job is asked for; None in `Launch` runs here, by torchrun."""

    account: str
    """Account that is charged."""
    partition: str
    """Partition of the GPU nodes."""
    time: str = "04:00:00"
    """Wall clock limit; a run goes on from its last checkpoint when it is started again."""
    container: str | None = None
    """Image with the library; a tag is part of what was trained with."""
    mounts: tuple[str, ...] = ()
    """`host:container` folders: corpus, checkpoints, output and this repository."""

    @model_validator(mode="before")
    @classmethod
    def _lists(cls, value: Any) -> Any:
        return {**value, "mounts": tuple(value["mounts"])} if isinstance(value.get("mounts"), list) else value


class Launch(Keys):
    """Where it runs."""

    nodes: int = Field(default=1, ge=1)
    """Machines."""
    gpus: int = Field(default=8, ge=1)
    """GPUs of one machine."""
    slurm: Slurm | None = None
    """A Slurm job; runs on this machine where it is left out."""
    env: dict[str, str] = Field(default_factory=dict)
    """Environment of every rank."""


class Settings(Keys):
    """One run of training."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,60}$")
    """Name of the run and of the job."""
    stage: Literal["pretrain", "sft"]
    """Continual pre-training on packs, or fine-tuning on chats."""
    documents: Literal["together", "apart"] = "together"
    """Whether documents of a pack attend to each other: `together` reads `megatron/`, `apart` the rows of
    `packed/`, with Bridge 0.6 and without context ranks."""
    base: str
    """Name on the hub or folder of the model: its tokenizer. For `pretrain` the *base* model's: with a chat model's,
    every end of document would be masked."""
    recipe: str | None = None
    """`module:function` of the library's recipe; the Qwen3 30B-A3B of the installed version where it is left out."""
    output: str
    """Folder of checkpoints and logs."""
    checkpoint: str | None = None
    """Megatron checkpoint that training begins with; the corpus recipe's `train:` where it is left out."""
    parallel: Parallel = Parallel()
    """Ranks."""
    global_batch: int | None = Field(default=None, ge=1)
    """Sequences of one step; the corpus recipe's `tokens_per_step` where it is left out."""
    rope: Rope = Rope()
    """Positions."""
    schedule: Schedule
    """Learning rate."""
    recompute: Literal["full", "selective", "none"] = "full"
    """Activations computed again in the backward pass: `full` layers, `selective` the attention core, or `none`."""
    chat_template: str | None = None
    """File of the chat template, for `sft`; the tokenizer's own where it marks the assistant's turns by `{%
    generation %}`."""
    save_every: int = Field(default=500, ge=1)
    """Iterations between checkpoints."""
    validate_every: int = Field(default=500, ge=1)
    """Iterations between validations; none where the corpus holds nothing out."""
    workers: int = Field(default=8, ge=0)
    """Data loading processes of a rank."""
    seed: int = Field(default=1, ge=0)
    """Order of samples and random numbers."""
    overrides: dict[str, Any] = Field(default_factory=dict)
    """`section.field` of the library's own configuration -> value, for all else. Unknown names are refused here; the
    libraries take them in silence."""
    launch: Launch = Launch()
    """Where it runs."""


def load(path: Path, sets: Sequence[str] = ()) -> Settings:
    """Settings of a file, with `a.b=value` on top; LaunchError where a name or a value is wrong."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise LaunchError(f"{path}: {error}") from None
    if not isinstance(content, dict):
        raise LaunchError(f"{path} holds no mapping")
    for each in sets:
        _set(content, each)
    try:
        return Settings.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        hint = nearest(str(first["loc"][-1]), _names(first["loc"][:-1])) if first["type"] == "extra_forbidden" else ""
        what = "is no setting" if first["type"] == "extra_forbidden" else first["msg"]
        raise LaunchError(f"{path}: {where} {what}", hint) from None


def _set(content: dict[str, Any], given: str) -> None:
    """Put one `a.b=value`, the value as YAML reads it."""
    name, found, value = given.partition("=")
    if not found:
        raise LaunchError(f"--set {given} is no name=value")
    *path, last = name.split(".")
    for part in path:
        content = content.setdefault(part, {})
        if not isinstance(content, dict):
            raise LaunchError(f"--set {given}: {part} is no mapping")
    try:
        content[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise LaunchError(f"--set {given}: {value} is no YAML: {getattr(error, 'problem', error)}") from None


def _names(path: Sequence[str | int]) -> list[str]:
    """Fields of the mapping at a path."""
    model: Any = Settings
    for part in path:
        annotation = model.model_fields[part].annotation
        model = next(
            each for each in (annotation, *getattr(annotation, "__args__", ())) if hasattr(each, "model_fields")
        )
    return list(model.model_fields)
