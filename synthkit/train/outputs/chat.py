"""Chat messages as JSON lines, `training.jsonl` and `validation.jsonl`, with the loss of each message.

A chat is measured by the trainer's own chat template and tokenizer, because a trainer cuts what is too long without a
word; such chats are set aside here. The mixture is made as for packed Parquet: whole epochs and a part of one, in one
seeded order. Lines wait on disk while their order is drawn; in memory are 16 bytes a chat.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from synthkit.core.errors import SpecError
from synthkit.train.batch import Source
from synthkit.train.chat_template import written
from synthkit.train.said import said
from synthkit.train.store import Document
from synthkit.train.tokenizer import TrainTokenizer

if TYPE_CHECKING:
    import numpy as np
    from jinja2.nodes import Node
    from jinja2.parser import Parser
    from numpy.typing import NDArray

    from synthkit.actions.benchmarks import Benchmarks

FOLDER = "chat"
FILES = {"train": "training.jsonl", "valid": "validation.jsonl"}
Render = Callable[[Mapping[str, Any]], str]


class BadChat(Exception):
    """Messages that are none, or that the chat template refuses."""


def template(tokenizer: TrainTokenizer) -> Render:
    """What renders `{messages, tools}` as the trainer will; SpecError where the tokenizer has no template."""
    from jinja2 import TemplateError, TemplateSyntaxError
    from jinja2.ext import Extension
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    text = written(tokenizer)
    if text is None:
        raise SpecError(
            f"tokenizer {tokenizer.name!r} has no chat_template.jinja and no chat_template in its "
            "tokenizer_config.json; name one by template:"
        )

    def refuse(message: str) -> str:
        raise TemplateError(message)

    class Generation(Extension):
        """`{% generation %}`, by which trainers find what is learned; it writes what stands inside."""

        tags = {"generation"}  # noqa: RUF012 - Jinja's own way

        def parse(self, parser: Parser) -> list[Node]:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", Generation]
    )
    environment.filters["tojson"] = lambda value, **options: json.dumps(value, ensure_ascii=False, **options)
    environment.globals.update(raise_exception=refuse, strftime_now=time.strftime)
    try:
        compiled = environment.from_string(text)
    except TemplateSyntaxError as error:
        raise SpecError(f"line {error.lineno} of the chat template: {error.message}") from error
    words = {name: tokenizer.named(name) or "" for name in ("bos_token", "eos_token")}

    def render(chat: Mapping[str, Any]) -> str:
        try:
            return compiled.render(**words, messages=chat["messages"], tools=chat.get("tools"))
        except (TemplateError, TypeError, ValueError, KeyError, AttributeError) as error:
            raise BadChat(f"the chat template refuses it: {error}"[:200]) from error

    return render


def measured(
    source: Source,
    tokenizer: TrainTokenizer,
    sequence: int,
    longer: int,
    over: str,
    valid: Callable[[str], bool],
    benchmarks: Benchmarks | None,
) -> Iterator[tuple[Document, bytes]]:
    """Each chat with its length in tokens and its line; the line is empty where the chat is set aside."""
    render = template(tokenizer)
    for batch in source.batches({}):
        for row, why in batch.broken:
            yield Document(row, 0, 0, valid(row), why), b""
        for row, held_by, value in zip(batch.rows, batch.held_by, batch.values, strict=True):
            try:
                chat = _chat(value)
                tokens = len(tokenizer.whole.encode(render(chat), add_special_tokens=False).ids)
            except BadChat as error:
                yield Document(row, 0, 0, valid(held_by), str(error)), b""
                continue
            reason = None
            if not chat["messages"]:
                reason = "empty"
            elif tokens <= longer:
                reason = f"not longer than {longer:,} tokens"
            elif tokens > sequence:
                reason = "for the next stage" if over == "next" else f"longer than {sequence:,} tokens"
            elif benchmarks is not None:
                found = next(filter(None, map(benchmarks.match, said(chat["messages"]))), None)
                reason = None if found is None else f"in benchmark {found.item.file}"
            line = orjson.dumps({**chat, "id": row, "source": source.name}) + b"\n" if reason is None else b""
            yield Document(row, 0, tokens, valid(held_by), reason), line


def _chat(value: Mapping[str, Any]) -> dict[str, Any]:
    """Messages without the keys that hold nothing, which templates take for something."""
    written = value["messages"] or ()
    if not isinstance(written, Sequence) or not all(isinstance(message, Mapping) for message in written):
        raise BadChat("messages that are no list of mappings")
    messages = [
        {key: each for key, each in message.items() if each is not None or key == "content"} for message in written
    ]
    tools = value.get("tools")
    return {"messages": messages, **({"tools": tools} if tools else {})}


class Lines(NamedTuple):
    """One source's lines of one split, as they wait."""

    path: Path
    bounds: NDArray[np.int64]
    """Where each line begins, and the end."""
    taken: int
    """How many are taken in all, epochs counted."""

    @property
    def mean(self) -> float:
        """Bytes of a line."""
        return float(self.bounds[-1]) / max(1, len(self.bounds) - 1)


def picked(lines: Mapping[str, Lines], seed: int) -> Iterator[bytes]:
    """The lines of one split, mixed: whole epochs and a part of one, in one seeded order."""
    import numpy as np

    random = np.random.default_rng([seed, 0xC4A7])
    chosen = []
    for at, (_, bounds, count) in enumerate(lines.values()):
        there = len(bounds) - 1
        whole, rest = divmod(count, there) if there else (0, 0)
        numbers = np.concatenate([*[np.arange(there)] * whole, random.permutation(there)[:rest]]).astype(np.int64)
        chosen.append(np.stack([np.full(len(numbers), at), numbers], axis=1))
    order = random.permutation(np.concatenate(chosen))
    starts = [each.bounds for each in lines.values()]
    with ExitStack() as stack:
        files = [stack.enter_context(each.path.open("rb")) for each in lines.values()]
        for source, number in order.tolist():
            begin, end = int(starts[source][number]), int(starts[source][number + 1])
            files[source].seek(begin)
            yield files[source].read(end - begin)


def write(path: Path, lines: Mapping[str, Lines], seed: int) -> None:
    """One split as JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as out:
        out.writelines(picked(lines, seed))
    unfinished.replace(path)
