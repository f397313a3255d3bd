"""Reads a source into its token store: encode, place, hold out, set aside, append the end of the document.

Work per token is numpy's and the tokenizer's. Documents that are only tokens and an end go through in runs, about
1 us each; a document is a Python object only where it is masked, split, set aside or compared with benchmarks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import blake2b
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from synthkit.core.ids import digest
from synthkit.train.align import Unaligned, cuts, end_weight, loss_mask, token_ends
from synthkit.train.batch import Batch, Source
from synthkit.train.encode import encoded
from synthkit.train.lines import Lines, Text
from synthkit.train.recipe import Recipe
from synthkit.train.store import Block, Document, TokenStore
from synthkit.train.tokenizer import SAMPLE, Gigatoken, Reference, Tokens, TrainTokenizer, engine

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from synthkit.actions.benchmarks import Benchmarks

FORMAT = 2
"""Raised where the same source would come to other tokens than before."""


class Ingest:
    """One source on its way into its store."""

    def __init__(
        self, recipe: Recipe, source: Source, tokenizer: TrainTokenizer, benchmarks: Benchmarks | None
    ) -> None:
        """`benchmarks` are what no document may repeat."""
        self.recipe = recipe
        self.source = source
        self.tokenizer = tokenizer
        self.benchmarks = benchmarks
        keys = recipe.keys
        self.over = recipe.over(source.name)
        self.longer = keys.sources[source.name].longer
        self.engine, self.why = self._engine()

    def _engine(self) -> tuple[Gigatoken | Reference, str]:
        """The engine that the first documents of the source allow."""
        return engine(self.tokenizer, sample(self.source))

    def key(self) -> str:
        """What the store's content depends on."""
        keys = self.recipe.keys
        against = None
        if keys.decontaminate is not None:
            from synthkit.train.overlap import stamp

            against = stamp(keys.decontaminate)
        what = [FORMAT, self.source.stamp, digest(self.tokenizer.content), self.engine.name]
        return digest(
            [
                *what,
                [self.tokenizer.eod, self.tokenizer.pad_token],
                keys.sources[self.source.name].together,
                keys.sequence,
                self.over,
                self.longer,
                keys.seed,
                keys.holdout,
                sorted(keys.loss.items()),
                against,
            ]
        )

    def run(self, store: TokenStore, wanted: int, progress: Callable[[int], None]) -> None:
        """Read on until there are `wanted` tokens to train on or no more documents; `progress` takes new tokens."""
        if store.done or store.train_tokens >= wanted:
            return
        cursor: Any = store.cursor
        with store, closing(encoded(self.source.batches(cursor), self.engine)) as batches:
            for batch, tokens in batches:
                progress(store.add(self._placed(batch, tokens)))
                cursor = batch.cursor
                if store.full:
                    store.commit(cursor, done=False)
                    if store.train_tokens >= wanted:
                        return
            store.commit(cursor, done=True)

    def _placed(self, batch: Batch, tokens: Tokens) -> Block:
        """The documents of a batch with their tokens; runs of plain ones at once, the others one by one."""
        import numpy as np

        found = Lines(self.recipe.masked)
        for row, reason in batch.broken:
            found.add(Document(row, 0, 0, self._valid(row), reason))
        starts = tokens.ends - np.diff(tokens.ends, prepend=0)
        marked = np.zeros(len(batch.rows), dtype=bool)
        for number in self.tokenizer.forbidden:
            marked[np.searchsorted(tokens.ends, np.flatnonzero(tokens.ids == number), side="right")] = True
        done = 0
        for at in [*self._special(tokens, marked).tolist(), len(batch.rows)]:
            if at > done:
                self._plain(found, batch, tokens, starts, done, at)
            if at < len(batch.rows):
                ids = tokens.ids[starts[at] : tokens.ends[at]]
                for piece in self._pieces(
                    batch.rows[at], self._valid(batch.held_by[at]), Text(batch, at), ids, bool(marked[at])
                ):
                    found.add(*piece)
            done = at + 1
        return found.done()

    def _special(self, tokens: Tokens, marked: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Documents that are more than their tokens and an end: all of them where their text has to be looked at."""
        import numpy as np

        if self.recipe.masked or self.benchmarks is not None:
            return np.arange(len(tokens.ends))
        sizes = np.diff(tokens.ends, prepend=0) + 1
        plain = (sizes > max(1, self.longer)) & (sizes <= self.recipe.keys.sequence) & ~marked
        return np.flatnonzero(~plain)

    def _plain(
        self, found: Lines, batch: Batch, tokens: Tokens, starts: NDArray[np.int64], first: int, last: int
    ) -> None:
        """Documents `first` to `last`, each as it is with its end behind it."""
        import numpy as np

        rows, ends = batch.rows[first:last], tokens.ends[first:last]
        found.rows += rows
        found.pieces += [0] * len(rows)
        found.tokens += (ends - starts[first:last] + 1).tolist()
        found.valid += [self._valid(each) for each in batch.held_by[first:last]]
        found.aside += [None] * len(rows)
        found.ids.append(_ended(tokens.ids, np.append(starts[first], ends), self.tokenizer.eod))

    def _pieces(
        self, row: str, valid: bool, text: Text, ids: NDArray[np.int32], marked: bool
    ) -> Iterator[tuple[Document, NDArray[np.int32], NDArray[np.uint8]]]:
        """The document with its end, in as many pieces as its length and `over` make; or why it is set aside."""
        import numpy as np

        size = len(ids) + 1
        sequence = self.recipe.keys.sequence
        none = np.empty(0, dtype=np.uint8)
        reason = self._aside(text, size, marked)
        if reason is None and (self.recipe.masked or size > sequence) and not text.sound:
            reason = "role spans outside of the text"
        bounds = [0, len(ids)]
        ends: NDArray[np.int64] | None = None
        if reason is None:
            try:
                if self.recipe.masked or size > sequence:
                    ends = token_ends(text.value, ids, self.tokenizer)
                if size > sequence:
                    assert ends is not None, "just found"
                    inner = cuts(text.value, text.spans, ends, sequence - 1)
                    what = "role" if text.spans else "line"
                    reason = f"a {what} of more than {sequence:,} tokens" if inner is None else None
                    bounds = [0, *(inner or []), len(ids)]
            except Unaligned:
                reason = "its tokens cannot be placed in its text"
        if reason is not None:
            yield Document(row, 0, size, valid, reason), ids, none
            return
        mask = none
        if self.recipe.masked:
            assert ends is not None, "found above"
            loss = self.recipe.keys.loss
            mask = np.append(
                loss_mask(text.value, text.spans, ends, loss), np.uint8(end_weight(text.spans, len(text.value), loss))
            )
        eod = np.int32(self.tokenizer.eod)
        for piece, (begin, end) in enumerate(pairwise(bounds)):
            part = np.append(ids[begin:end], eod)
            last = end == len(ids)
            weight = mask[begin : end + 1] if last or not len(mask) else np.append(mask[begin:end], np.uint8(0))
            yield Document(row, piece, len(part), valid, None), part, weight

    def _aside(self, text: Text, size: int, marked: bool) -> str | None:
        """Why a document of `size` tokens is in no pack."""
        if size == 1:
            return "empty"
        if marked:
            return "holds the token that ends documents"
        if size <= self.longer:
            return f"not longer than {self.longer:,} tokens"
        if size > self.recipe.keys.sequence and self.over != "split":
            return "for the next stage" if self.over == "next" else f"longer than {self.recipe.keys.sequence:,} tokens"
        if self.benchmarks is not None and (match := self.benchmarks.match(text.value)):
            return f"in benchmark {match.item.file}"
        return None

    def _valid(self, held_by: str) -> bool:
        return held_out(held_by, self.recipe.keys.seed, self.recipe.keys.holdout)


def _ended(ids: NDArray[np.int32], bounds: NDArray[np.int64], eod: int) -> NDArray[np.int32]:
    """Documents between the bounds, each with its end behind it; Arrow joins them as bytes."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = pa.large_binary()
    buffers = [None, pa.py_buffer(bounds * ids.itemsize), pa.py_buffer(ids)]
    documents = pa.LargeBinaryArray.from_buffers(kind, len(bounds) - 1, buffers)
    end, nothing = pa.scalar(np.int32(eod).tobytes(), kind), pa.scalar(b"", kind)
    joined = pc.binary_join_element_wise(documents, end, nothing)
    count = int(bounds[-1] - bounds[0]) + len(documents)
    return np.frombuffer(joined.buffers()[2], dtype=np.int32, count=count)


def sample(source: Source) -> pa.LargeStringArray:
    """The first documents of a source that can be read."""
    import pyarrow as pa

    first = next((batch for batch in source.batches({}) if len(batch.texts)), None)
    return pa.array([], pa.large_string()) if first is None else first.texts.slice(0, SAMPLE)


def held_out(held_by: str, seed: int, share: float) -> bool:
    """Whether a row is kept for validation: by its id, or what it is held together by, and nothing else."""
    if not share:
        return False
    number = int.from_bytes(blake2b(f"{seed}\0{held_by}".encode(), digest_size=8).digest(), "big")
    return number < share * 2.0**64
