"""What makes two rows of a `dedup` alike: equal texts, texts of nearly the same words, near vectors.

Each knows first which values are equal, as rows are read, and then tells which rows stand for one another.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from synthkit.actions.near.bands import bands
from synthkit.actions.near.copies import Copies, Texts
from synthkit.actions.near.duplicates import Duplicates
from synthkit.actions.near.rows import Known, Rows
from synthkit.actions.near.sketched import Sketched
from synthkit.actions.near.sketcher import Shingling
from synthkit.actions.vectors.kept import Vectors
from synthkit.actions.vectors.neighbours import Neighbours

if TYPE_CHECKING:
    from numpy import float64, int64
    from numpy.typing import NDArray


class Found(Protocol):
    """Which rows are alike."""

    def firsts(self) -> tuple[NDArray[int64], NDArray[int64]]:
        """For each row the first of those that are the same, and of those that are alike but for figures."""
        ...

    def similarities(self, ones: NDArray[int64], others: NDArray[int64]) -> NDArray[float64]:
        """How alike pairs of rows are, 1 for the same."""
        ...


class Likeness(Protocol):
    """A way of being alike."""

    @property
    def known(self) -> Sequence[Known]:
        """What gives values their numbers; entered before rows are read."""
        ...

    def found(self, rows: Rows, before: int) -> Found:
        """Compare the rows, all of which have a value; those below `before` are of other tables."""
        ...


class Equal:
    """The same text, character by character."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self.known = [Texts()]

    def found(self, rows: Rows, before: int) -> Found:
        """Equal texts have one number."""
        return Copies(rows)


class Worded:
    """A Jaccard of shingles."""

    def __init__(
        self, folder: Path, beside: Iterable[Path], size: int, threshold: float, characters: bool, cluster: bool
    ) -> None:
        """`folder` takes sketches, `beside` has those of other runs; with `cluster` a kind of them sees no figures."""
        self._threshold = threshold
        others = [each for each in beside if each != folder]
        shinglings = [Shingling(size, characters, figures) for figures in (True, False)[: 1 + cluster]]
        self.known = [Sketched(folder, each, bands(threshold), others) for each in shinglings]

    def found(self, rows: Rows, before: int) -> Found:
        """Candidates by bands, verified."""
        found = Duplicates(rows, before, self.known[0], self.known[-1], self._threshold)
        found.find(bands(self._threshold)[0])
        return found


class Near:
    """A cosine of vectors."""

    def __init__(self, folder: Path, threshold: float) -> None:
        """`folder` takes the vectors while the step runs."""
        self._threshold = threshold
        self.known = [Vectors(folder)]

    def found(self, rows: Rows, before: int) -> Found:
        """All pairs."""
        found = Neighbours(rows, before, self.known[0], self._threshold)
        found.find()
        return found
