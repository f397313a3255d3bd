"""A batch on its way into the store: texts that are looked at only where they must be, and the ledger's lines."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from synthkit.train.align import Span
from synthkit.train.batch import Batch
from synthkit.train.store import SCHEMA, Block, Document

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Text:
    """A document's text, made a Python object only where it is looked at."""

    def __init__(self, batch: Batch, at: int) -> None:
        self._batch = batch
        self._at = at

    @cached_property
    def value(self) -> str:
        """The text."""
        return str(self._batch.texts[self._at].as_py())

    @cached_property
    def spans(self) -> list[Span]:
        """Its roles; none where the source has no spans."""
        written = None if self._batch.spans is None else self._batch.spans[self._at].as_py()
        return [Span(each["role"], each["start"], each["end"]) for each in written or ()]

    @property
    def sound(self) -> bool:
        """Whether every span lies within the text."""
        size = len(self.value)
        return all(0 <= span.start <= span.end <= size for span in self.spans)


class Lines:
    """Lines of the ledger, column by column, and the tokens of those in no pack left out."""

    def __init__(self, masked: bool) -> None:
        """`masked`: each token has a weight."""
        self.rows: list[str] = []
        self.pieces: list[int] = []
        self.tokens: list[int] = []
        self.valid: list[bool] = []
        self.aside: list[str | None] = []
        self.ids: list[NDArray[np.int32]] = []
        self._weights: list[NDArray[np.uint8]] | None = [] if masked else None

    def add(
        self, document: Document, ids: NDArray[np.int32] | None = None, weights: NDArray[np.uint8] | None = None
    ) -> None:
        """A document; its tokens are taken where it is not aside."""
        columns: tuple[list[Any], ...] = (self.rows, self.pieces, self.tokens, self.valid, self.aside)
        for column, value in zip(columns, document, strict=True):
            column.append(value)
        if document.aside is None and ids is not None:
            self.ids.append(ids)
            if self._weights is not None and weights is not None:
                self._weights.append(weights)

    def done(self) -> Block:
        """What the store takes."""
        import pyarrow as pa

        columns = (self.rows, self.pieces, self.tokens, self.valid, self.aside)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
        return Block(pa.RecordBatch.from_arrays(arrays, schema=SCHEMA), self.ids, self._weights)
