"""The vectors of rows, of length 1, in a file without a name: memory is what the kernel caches of it.

Equal vectors are kept once. The file is gone with the process, however that ends: what it holds stands in the tables
of `embed` and is read again in seconds.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, Self

from synthkit.core.errors import SpecError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy import float32, int64
    from numpy.typing import NDArray


class Vectors:
    """Different vectors by number, in the order they came."""

    def __init__(self, folder: Path) -> None:
        """`folder` takes the file."""
        from synthkit.actions.near.places import Places

        self._file = TemporaryFile(dir=folder)  # noqa: SIM115  # closed by `__exit__`
        self._places = Places()
        self._size = 0

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let the file go."""
        self._file.close()

    def add(self, vectors: pa.Array) -> NDArray[int64]:
        """The number of each vector of a large_list array without nulls; -1 for one without a direction."""
        import numpy as np

        lengths = np.diff(vectors.offsets.to_numpy())
        if not len(lengths):
            return np.empty(0, dtype=np.int64)
        size = self._size = self._size or int(lengths[0])
        if not lengths.all():
            raise SpecError("a vector has no numbers; a row without a vector has none (null), not an empty list")
        if wrong := next((each for each in lengths.tolist() if each != size), None):
            raise SpecError(f"a vector of {size} numbers and one of {wrong}: they are not of one model")
        numbers = vectors.flatten().to_numpy(zero_copy_only=False).astype(np.float64).reshape(-1, size)
        if not np.isfinite(numbers).all():
            raise SpecError("a vector has numbers that are not finite")
        norms = np.sqrt(np.einsum("ij,ij->i", numbers, numbers))
        there = norms > 0
        units = (numbers[there] / norms[there, None]).astype(np.float32)
        found = np.full(len(lengths), -1, dtype=np.int64)
        found[there], new = self._places.add(_hashes(units))
        self._file.write(np.ascontiguousarray(units[new]).tobytes())
        return found

    def finish(self) -> None:
        """Nothing waits; here the vectors can be read."""
        self._file.flush()

    @property
    def matrix(self) -> NDArray[float32]:
        """[n, size]: the vectors, of length 1."""
        import numpy as np

        if not self._places.count:
            return np.empty((0, max(1, self._size)), dtype=np.float32)
        shape = (self._places.count, self._size)
        mapped: Any = np.memmap(self._file, dtype=np.float32, mode="r", shape=shape)
        return np.asarray(mapped)


def _hashes(units: NDArray[float32]) -> Any:
    """[n, 2]: 128 bits of each vector's bytes."""
    import numpy as np

    from synthkit.actions.near.signatures import hashes

    data = np.ascontiguousarray(units).reshape(-1).view(np.uint8)
    bounds = np.arange(len(units) + 1, dtype=np.int64) * (units.shape[1] * 4)
    data.flags.writeable = bounds.flags.writeable = False  # one kernel serves these arrays and Arrow's
    found = np.empty((len(units), 2), dtype=np.uint64)
    hashes(data, bounds, found)
    return found
