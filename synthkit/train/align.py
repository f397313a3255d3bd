"""Where tokens lie in a text: loss masks from role spans, and places to split a long document at.

A byte-level tokenizer's tokens have known lengths, so their places are a running sum; that it ends where the text
does is checked for each document. Where NFC has changed the text, the sum is one of the changed text, and lines that
are as they were carry it over. Else Hugging Face's own offsets are taken, with the same ids or not at all; that is 40
times slower than to encode the document. A token that two roles share is learned where either is.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from synthkit.train.tokenizer import TrainTokenizer


class Span(NamedTuple):
    """A role's characters."""

    role: str
    start: int
    end: int


class Unaligned(Exception):
    """A document whose tokens cannot be placed in its text."""


def token_ends(text: str, ids: NDArray[np.int32], tokenizer: TrainTokenizer) -> NDArray[np.int64]:
    """The byte of the text's UTF-8 at which each token ends; Unaligned where that cannot be told."""
    import numpy as np

    lengths = tokenizer.byte_lengths
    if lengths is not None and (spelt := _spelt(text, tokenizer)) is not None:
        ends: NDArray[np.int64] = np.cumsum(lengths.take(ids))
        if (int(ends[-1]) if len(ends) else 0) == len(spelt.encode()):
            return ends if spelt == text else _carried(text, spelt, ends, tokenizer)
    encoded = tokenizer.reference.encode(text, add_special_tokens=False)
    if not np.array_equal(np.array(encoded.ids, dtype=np.int32), ids):
        raise Unaligned
    places = byte_places(text)
    found: NDArray[np.int64] = places[np.array([end for _, end in encoded.offsets], dtype=np.int64)]
    return found


def _spelt(text: str, tokenizer: TrainTokenizer) -> str | None:
    """The text as the normaliser leaves it; None where that is not known."""
    if tokenizer.normalizer is None or text.isascii():
        return text
    return unicodedata.normalize("NFC", text) if tokenizer.normalizer == {"type": "NFC"} else None


def _carried(text: str, spelt: str, ends: NDArray[np.int64], tokenizer: TrainTokenizer) -> NDArray[np.int64]:
    """Ends of tokens in `spelt`, which is the text in NFC, as bytes of the text.

    NFC joins nothing across a line feed, so both have the same lines, and only those that differ are looked into.
    """
    import numpy as np

    before, after = text.split("\n"), spelt.split("\n")
    starts, begins = _line_starts(before), _line_starts(after)
    lines = np.searchsorted(begins, ends, side="left") - 1
    found: NDArray[np.int64] = starts[lines] + ends - begins[lines]
    for line, (one, other) in enumerate(zip(before, after, strict=True)):
        if one == other:
            continue
        low, high = np.searchsorted(lines, [line, line + 1])
        places = byte_places(one)
        sources = [end for _, end in tokenizer.speller.encode(one, add_special_tokens=False).offsets]
        bytes_of = np.append(places[np.array(sources, dtype=np.int64)], places[-1] + 1)  # of the line feed, too
        found[low:high] = starts[line] + bytes_of[ends[low:high] - begins[line] - 1]
    return found


def _line_starts(lines: Sequence[str]) -> NDArray[np.int64]:
    """The byte at which each line begins."""
    import numpy as np

    sizes = np.array([len(line.encode()) + 1 for line in lines], dtype=np.int64)
    return np.cumsum(sizes) - sizes


def byte_places(text: str) -> NDArray[np.int64]:
    """The byte at which each character begins, and the end."""
    import numpy as np

    data = np.frombuffer(text.encode(), dtype=np.uint8)
    starts = np.flatnonzero((data & 0xC0) != 0x80)
    return np.append(starts, len(data)).astype(np.int64)


def loss_mask(text: str, spans: Sequence[Span], ends: NDArray[np.int64], loss: Mapping[str, int]) -> NDArray[np.uint8]:
    """1 for each token that is learned; `loss` is by role, `all` for tokens of no role and of roles not named."""
    import numpy as np

    rest = loss.get("all", 1)
    places = byte_places(text)
    learned = np.full(len(places), rest, dtype=np.uint8)  # by character, and one beyond
    for span in spans:
        learned[span.start : span.end] = loss.get(span.role, rest)
    learned[-1] = 0
    total = np.concatenate([[0], np.cumsum(learned[:-1], dtype=np.int64)])
    starts = np.concatenate([[0], ends[:-1]])
    last = np.searchsorted(places, ends, side="left")
    # The character that a token begins in; Hugging Face places every token of one character at that character's end.
    first = np.minimum(np.searchsorted(places, starts, side="right") - 1, np.maximum(last - 1, 0))
    mask: NDArray[np.uint8] = (total[last] > total[first]).astype(np.uint8)
    return mask


def end_weight(spans: Sequence[Span], length: int, loss: Mapping[str, int]) -> int:
    """Whether the end of the document is learned: where its last character is."""
    rest = loss.get("all", 1)
    last = max(spans, key=lambda span: span.end, default=None)
    return loss.get(last.role, rest) if last is not None and last.end >= length > 0 else rest


def cuts(text: str, spans: Sequence[Span], ends: NDArray[np.int64], most: int) -> list[int] | None:
    """Token positions that part a document into pieces of at most `most` tokens; None where there is no such place.

    A document with roles is parted where a role begins, any other where a line does; pieces are as long as can be.
    """
    import numpy as np

    data = np.frombuffer(text.encode(), dtype=np.uint8)
    begins = np.zeros(len(data) + 1, dtype=bool)
    if spans:
        begins[byte_places(text)[sorted({span.start for span in spans} - {0})]] = True
    else:
        np.equal(data, 10, out=begins[1:])
    found: list[int] = []
    start = 0
    while len(ends) - start > most:
        at = _last_place(ends, begins, start, start + most)
        if at is None:
            return None
        start = at
        found.append(start)
    return found


def _last_place(ends: NDArray[np.int64], begins: NDArray[np.bool_], start: int, stop: int) -> int | None:
    """The last place after `start` and up to `stop` before which a token ends at one of `begins`.

    Of tokens that are placed at one character's end only the last will do. Most places are close to `stop`.
    """
    import numpy as np

    low = stop
    while low > start:
        low, high = max(start, stop - 8 * (stop - low) - 256), low
        within = np.flatnonzero(begins[ends[low:high]] & (ends[low:high] != ends[low + 1 : high + 1]))
        if len(within):
            return low + int(within[-1]) + 1
    return None
