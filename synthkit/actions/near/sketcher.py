"""Arrow texts to sketches: shingles, signature, band keys and the two hashes by which texts are found and told equal.

What is said of a text here depends on the text and the `Shingling` alone, never on the texts beside it, so sketches can
be kept for ever and shared by runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from synthkit.actions.near.bands import PERMUTATIONS

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy import int64, uint32, uint64
    from numpy.typing import NDArray

_FORMAT = 1
"""Raised when the same text gets another sketch."""
_MONTHS = (
    "jan january feb february mar march apr april may jun june jul july aug august sep sept september oct october nov "
    "november dec december"
)


@dataclass(frozen=True, slots=True)
class Shingling:
    """How texts become sets of shingles."""

    size: int
    """Of a shingle, in words or characters."""
    characters: bool = False
    figures: bool = True
    """Without, numbers and months are all alike."""

    @property
    def name(self) -> str:
        """Tells it from others in a file name."""
        import unicodedata

        unit = "chars" if self.characters else "words"
        masked = "" if self.figures else "-masked"
        return f"{self.size}-{unit}{masked}-unicode{unicodedata.unidata_version}-{_FORMAT}"


@dataclass(frozen=True, slots=True)
class Sketches:
    """Of some texts, a row each."""

    content: NDArray[uint64]
    """[n, 2]: 128 bits of the set of shingles; equal for texts of Jaccard 1."""
    signatures: NDArray[uint32]
    """[n, 128]: datasketch's, scheme `affine32`, seed 1."""
    flat: NDArray[uint32]
    """Shingles of all texts, each text's distinct and sorted."""
    bounds: NDArray[int64]
    """[n + 1]: where those of each text begin in `flat`."""


class Sketcher:
    """Makes sketches; may be called from several threads at once."""

    def __init__(self, shingling: Shingling) -> None:
        """Load the tables."""
        import numpy as np
        from datasketch import MinHash

        from synthkit.actions.near import shingles
        from synthkit.actions.near.characters import characters

        self._shingling = shingling
        self._characters = characters()
        self._crc, self._zeros = shingles.crc_table(), shingles.zeros_table()
        self._a, self._b = (np.ascontiguousarray(each, dtype=np.uint32) for each in MinHash(PERMUTATIONS).permutations)
        self._months = np.array([_packed(month) for month in _MONTHS.split()], dtype=np.uint64)

    def sketch(self, texts: pa.Array) -> Sketches:
        """Sketches of a large_string array without nulls."""
        import numpy as np

        from synthkit.actions.near.shingles import shingle
        from synthkit.actions.near.signatures import hashes, sign

        shingling, characters = self._shingling, self._characters
        data, offsets = buffers(self._folded(texts))
        flat = np.empty(4 * (int(offsets[-1]) - int(offsets[0])) + len(texts) + 2, dtype=np.uint32)
        bounds = np.empty(len(texts) + 1, dtype=np.int64)
        shingle(
            data, offsets, characters.folds, characters.pool, characters.classes, self._months,
            shingling.characters, shingling.size, shingling.figures, self._crc, self._zeros, flat, bounds,
        )  # fmt: skip
        flat = flat[: bounds[-1]].copy()
        signatures = np.empty((len(texts), PERMUTATIONS), dtype=np.uint32)
        sign(flat, bounds, self._a, self._b, signatures)
        content = np.empty((len(texts), 2), dtype=np.uint64)
        hashes(_fixed(flat.view(np.uint8)), _fixed(bounds * 4), content)
        return Sketches(content, signatures, flat, bounds)

    def marks(self, text: str) -> NDArray[uint64]:
        """A number for each word of a text, whatever the shingling."""
        import pyarrow as pa

        from synthkit.actions.near.shingles import marks

        tables = self._characters
        data, offsets = buffers(self._folded(pa.array([text], pa.large_string())))
        found: NDArray[uint64] = marks(
            data, offsets, tables.folds, tables.pool, tables.classes, self._months, self._crc, self._zeros
        )
        return found

    def _folded(self, texts: pa.Array) -> pa.Array:
        """The texts, those folded that the kernel's table cannot fold."""
        import pyarrow as pa
        import pyarrow.compute as pc

        from synthkit.actions.near.characters import folded
        from synthkit.actions.near.shingles import marked

        found = marked(*buffers(texts), self._characters.folds)
        if not found.any():
            return texts
        mask = pa.array(found)
        done = [folded(text) for text in texts.filter(mask).to_pylist()]
        return pc.replace_with_mask(texts, mask, pa.array(done, pa.large_string()))


def text_hashes(texts: pa.Array) -> NDArray[uint64]:
    """[n, 2]: 128 bits of each text's bytes."""
    import numpy as np

    from synthkit.actions.near.signatures import hashes

    found = np.empty((len(texts), 2), dtype=np.uint64)
    hashes(*buffers(texts), found)
    return found


def buffers(texts: pa.Array) -> tuple[Any, NDArray[int64]]:
    """Bytes of a large_string array, and where each text begins."""
    import numpy as np

    _, offsets, data = texts.buffers()
    where = np.frombuffer(offsets, dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return np.frombuffer(data or b"", dtype=np.uint8), where


def _fixed(array: NDArray[Any]) -> NDArray[Any]:
    """An array as Arrow's are, not writable: numba compiles a kernel again for every type of array."""
    array.flags.writeable = False
    return array


def _packed(word: str) -> int:
    """A word of lower-case letters in 5 bits each."""
    found = 0
    for letter in word:
        found = found << 5 | ord(letter) - 96
    return found
