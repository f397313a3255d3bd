"""What a corpus recipe says: sources and their shares, tokenizer, sequence length, loss, and what is written.

Sizes are those of specs: tokens of a sequence are binary (`32Ki`), a budget is decimal (`200B`). A share is one of
tokens, not of rows, because a trainer's budget is one of tokens. What only the data can tell (runs, tags, columns, how
many tokens there are) is checked when the sources are opened, before anything is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from synthkit.core.sizes import Count, Share, Tokens
from synthkit.spec.document import Document, Site
from synthkit.spec.model import FILE_NAME, Keys, Name

Over = Literal["aside", "split", "next"]
Output = Literal["megatron", "packed", "documents", "chat", "datasets"]
Weight = Annotated[int, Field(ge=0, le=1)]


def _as_list(value: Any) -> Any:
    """One text stands for a list of one."""
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


Texts = Annotated[tuple[str, ...], BeforeValidator(_as_list, json_schema_input_type=str | list[str])]


class SourceKeys(Keys):
    """Where documents come from, and how much of the corpus they are to be."""

    run: str | None = None
    """A run that published the table: `name@tag` below `runs/`, or the path of one. The tag pins the rows."""
    table: str | None = None
    """The published table of that run."""
    path: Texts = ()
    """Files instead of a run, with `*` and `**`: Parquet, JSON lines and the other formats of `read`."""
    text: str = "text"
    """Column of the document's text. Role spans are taken from a column `spans` beside it, where there is one."""
    messages: str | None = None
    """Column of chat messages instead of a text; for the outputs `chat` and `datasets`."""
    tools: str | None = None
    """Column of the tools that go with the messages."""
    together: str | None = None
    """Column, such as `question`, by whose value rows are held out, so that rows of one value are on one side, in every
    source that has it; each row by itself where it is left out."""
    share: Share = 0.0
    """Part of the corpus in tokens, `22%`; all shares make 100 %."""
    repeat: Annotated[float, Field(ge=1)] = 1.0
    """The most times its documents may be seen; more than that is refused."""
    over: Over | None = None
    """What happens to its longer documents, where that is not what the recipe says."""
    longer: Tokens = 0
    """Only documents of more tokens than this: what an earlier stage left to this one with `over: next`."""


class DecontaminateKeys(Keys):
    """Documents that repeat a benchmark are set aside; the verb `decontaminate` has the same keys."""

    against: Texts
    """Benchmark files, with `*` and `**`."""
    fields: Texts
    """Fields of their records that hold what must not be repeated."""
    ngram: Annotated[int, Field(ge=4, le=100)] = 13
    """Words of a run that is a leak wherever it stands."""
    threshold: Annotated[Share, Field(gt=0)] = 0.7
    """Least Jaccard at which a whole text is a near copy."""
    common: Annotated[int, Field(ge=1)] = 10
    """Runs that stand in more benchmark rows than this are a form, not a leak."""


class DedupKeys(Keys):
    """Documents that say what another one says are left out, across all sources; the verb `dedup` compares like this.

    The one that stays is that of the source listed first, and within a source the one of the smallest id, or first
    place in its files. Whole sources are compared, whatever the budget takes of them.
    """

    exact: bool = False
    """Only texts that are the same to the byte."""
    threshold: Annotated[Share, Field(gt=0)] = 0.8
    """Least Jaccard of two texts that are alike; 100% is the same shingles."""
    words: Annotated[int, Field(ge=1, le=50)] | None = None
    """Length of a shingle in words (a Chinese character is one); 5 where neither is given."""
    chars: Annotated[int, Field(ge=1, le=200)] | None = None
    """Length of a shingle in characters instead."""


class TrainKeys(Keys):
    """What the trainer is started with; `synthkit preflight` checks it, and it goes into the manifest as it is."""

    checkpoint: str | None = None
    """Folder of the weights that training begins with."""
    tensor: Annotated[int, Field(ge=1)] = 1
    """Tensor parallel ranks."""
    pipeline: Annotated[int, Field(ge=1)] = 1
    """Pipeline parallel ranks."""
    context: Annotated[int, Field(ge=1)] = 1
    """Context parallel ranks; twice as many must divide the sequence."""
    expert: Annotated[int, Field(ge=1)] = 1
    """Expert parallel ranks."""
    micro_batch: Annotated[int, Field(ge=1)] = 1
    """Sequences of one forward pass."""


class RecipeKeys(Keys):
    """The top level of a recipe."""

    name: str = Field(default="", pattern=FILE_NAME)
    """Name of the export, `exports/<name>`; the file's name where it is left out."""
    about: str = ""
    """One sentence for whoever reads the recipe next."""
    tokenizer: str
    """The trainer's own: `nano`, a folder with tokenizer.json and tokenizer_config.json, or a name on the hub."""
    eod: str | None = None
    """Text of the token after each document; the tokenizer's `eos_token`, which the trainer takes, if left out."""
    special: Texts = ()
    """Special tokens that a document's text may hold as tokens; all others are encoded as ordinary text."""
    template: str | None = None
    """File of the chat template that the trainer takes, by which chats are measured; the tokenizer's own if
    left out."""
    sequence: Annotated[Tokens, Field(ge=2)]
    """Tokens of a training sequence, `32Ki`."""
    budget: Annotated[Count, Field(ge=1)]
    """Tokens to train on, `200B`."""
    tokens_per_step: Tokens | None = None
    """Tokens of one optimiser step, `4Mi`: a multiple of the sequence; gives global batch and iterations."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Which rows are held out, and the order of files and packs."""
    holdout: Annotated[Share, Field(lt=1)] = 0.0
    """Part of the rows kept for validation, by the hash of their ids (or of `together`): a row stays where it is as
    tables grow."""
    sources: dict[Name, SourceKeys] = Field(min_length=1)
    """Name -> source."""
    over: Over = "aside"
    """Documents longer than the sequence: set `aside`, `split` where a role or a line begins, or left to the `next`
    stage. None is ever cut in silence."""
    loss: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")], Weight] = Field(default={"all": 1})
    """By role, 1 where its tokens are learned and 0 where they are only read; `all` is for every other token."""
    decontaminate: DecontaminateKeys | None = None
    """Benchmarks that no document may repeat."""
    dedup: DedupKeys | None = None
    """Documents that repeat another one, of whichever source, are left out; `{}` takes the defaults."""
    outputs: Annotated[tuple[Output, ...], BeforeValidator(_as_list, json_schema_input_type=Output | list[Output])] = (
        Field(default=("megatron",), min_length=1)
    )
    """What is written: `megatron` packs in .bin/.idx, `packed` Parquet with loss masks, `documents` in .bin/.idx,
    `chat` as JSON lines, `datasets` of packs or messages for Hugging Face's `load_from_disk`."""
    train: TrainKeys | None = None
    """How it will be trained."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe that is valid in itself, with where it stands."""

    name: str
    keys: RecipeKeys
    path: Path
    document: Document = field(compare=False)

    @property
    def site(self) -> Site:
        """The top of its file."""
        return Site(self.document)

    @property
    def masked(self) -> bool:
        """Whether some tokens are read and not learned."""
        return any(weight == 0 for weight in self.keys.loss.values())

    @property
    def chat(self) -> bool:
        """Whether its sources are messages."""
        messages = any(source.messages is not None for source in self.keys.sources.values())
        return "chat" in self.keys.outputs or (set(self.keys.outputs) == {"datasets"} and messages)

    def over(self, source: str) -> Over:
        """What happens to that source's documents that are longer than the sequence."""
        return self.keys.sources[source].over or self.keys.over

    def wanted(self, source: str) -> int:
        """Tokens of that source in the whole of the training."""
        return round(self.keys.budget * self.keys.sources[source].share)

    @property
    def global_batch(self) -> int | None:
        """Sequences of one optimiser step."""
        step = self.keys.tokens_per_step
        return None if step is None else step // self.keys.sequence

    @property
    def iterations(self) -> int | None:
        """Optimiser steps that the budget makes, the last one whole."""
        step = self.keys.tokens_per_step
        return None if step is None else -(-self.keys.budget // step)

    def definition(self) -> Mapping[str, Any]:
        """Its content as plain values, for its hash."""
        order = {} if self.keys.dedup is None else {"order": list(self.keys.sources)}  # decides which copy stays
        return {**self.keys.model_dump(mode="json"), "name": self.name, **order}
