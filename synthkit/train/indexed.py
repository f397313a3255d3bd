"""Megatron's indexed files, written with numpy: `.bin` holds the tokens, `.idx` where each sequence lies.

Byte for byte what megatron-core's `IndexedDatasetBuilder(dtype=int32)` writes, without torch. Tokens are int32 whatever
the vocabulary, because the padding of a base tokenizer is -1.
"""

from __future__ import annotations

import struct
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MAGIC = b"MMIDIDX\x00\x00"
_INT32 = 4
"""Megatron's code of the type."""


class IndexedWriter:
    """One pair of files, each sequence a document of its own; they get their names when they are whole."""

    def __init__(self, prefix: Path) -> None:
        """`prefix` is the path without suffix."""
        prefix.parent.mkdir(parents=True, exist_ok=True)
        self.prefix = prefix
        self._lengths: list[NDArray[np.int32]] = []
        self._file: IO[bytes] = self._part(".bin").open("wb")

    def __enter__(self) -> IndexedWriter:
        """For a `with` block."""
        return self

    def add(self, tokens: NDArray[np.int32], lengths: NDArray[np.int32]) -> None:
        """Append sequences of these lengths; `tokens` holds them one after another."""
        tokens.tofile(self._file)
        self._lengths.append(lengths)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Write the index and give both files their names; after an error leave nothing but parts."""
        self._file.close()
        if kind is None:
            self._part(".idx").write_bytes(self._index())
            for suffix in (".bin", ".idx"):
                self._part(suffix).replace(self.prefix.with_name(self.prefix.name + suffix))

    def _part(self, suffix: str) -> Path:
        return self.prefix.with_name(f"{self.prefix.name}{suffix}.part")

    def _index(self) -> bytes:
        import numpy as np

        lengths = np.concatenate(self._lengths) if self._lengths else np.empty(0, dtype=np.int32)
        starts = np.zeros(len(lengths), dtype=np.int64)
        np.cumsum(lengths[:-1] * np.int64(4), out=starts[1:])
        documents = np.arange(len(lengths) + 1, dtype=np.int64)
        head = _MAGIC + struct.pack("<QBQQ", 1, _INT32, len(lengths), len(documents))
        return head + lengths.astype(np.int32).tobytes() + starts.tobytes() + documents.tobytes()


def read_index(prefix: Path) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Lengths and starting bytes of the sequences of a pair of files written here; ValueError where they are not."""
    import numpy as np

    data = prefix.with_name(prefix.name + ".idx").read_bytes()
    at = len(_MAGIC) + struct.calcsize("<QBQQ")
    if len(data) < at:
        raise ValueError(f"{prefix}.idx is cut off")
    magic, (_, code, count, _) = data[: len(_MAGIC)], struct.unpack("<QBQQ", data[len(_MAGIC) : at])
    if magic != _MAGIC or code != _INT32:
        raise ValueError(f"{prefix}.idx is no index of int32 tokens")
    lengths = np.frombuffer(data, dtype=np.int32, count=count, offset=at)
    starts = np.frombuffer(data, dtype=np.int64, count=count, offset=at + 4 * count)
    return lengths, starts
