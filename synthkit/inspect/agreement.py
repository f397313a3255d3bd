"""How far decisions and marks agree, and how far chance alone would go: the arithmetic behind `sweep` and the probes.

Intervals are at 95 %. Nothing here knows of runs; sequences in, numbers out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import atanh, sqrt, tanh
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

LEVEL = 0.95
"""Of every interval."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """A table of two by two: kept or not, and good or not by the mark."""

    kept_good: int
    kept_bad: int
    lost_good: int
    lost_bad: int

    @classmethod
    def of(cls, kept: Sequence[bool], good: Sequence[bool]) -> Agreement:
        """Count pairs."""
        pairs = list(zip(kept, good, strict=True))
        return cls(*(pairs.count(each) for each in ((True, True), (True, False), (False, True), (False, False))))

    @property
    def total(self) -> int:
        """All pairs."""
        return self.kept_good + self.kept_bad + self.lost_good + self.lost_bad

    @property
    def precision(self) -> float | None:
        """Share of the kept that are good; None where none is kept."""
        return _share(self.kept_good, self.kept_good + self.kept_bad)

    @property
    def recall(self) -> float | None:
        """Share of the good that are kept; None where none is good."""
        return _share(self.kept_good, self.kept_good + self.lost_good)

    @property
    def kappa(self) -> float | None:
        """Cohen's: agreement beyond that of chance, 1 at most; None where all are kept and all are good, or neither."""
        if not self.total:
            return None
        kept, good = self.kept_good + self.kept_bad, self.kept_good + self.lost_good
        chance = (kept * good + (self.total - kept) * (self.total - good)) / self.total**2
        return None if chance == 1 else ((self.kept_good + self.lost_bad) / self.total - chance) / (1 - chance)

    @property
    def precision_interval(self) -> tuple[float, float] | None:
        """Where the precision of all rows lies (Wilson)."""
        return wilson(self.kept_good, self.kept_good + self.kept_bad)


def wilson(hits: int, total: int, tests: int = 1) -> tuple[float, float] | None:
    """Interval of a share; `tests` shares looked at together widen it (Bonferroni). None of none."""
    if not total:
        return None
    z = quantile(tests)
    middle = (hits + z * z / 2) / (total + z * z)
    half = z / (total + z * z) * sqrt(hits * (total - hits) / total + z * z / 4)
    return max(0.0, middle - half), min(1.0, middle + half)


def rank_correlation(one: pl.Series, other: pl.Series) -> float | None:
    """Spearman's, ties at their average rank; None where one of the two does not vary."""
    import polars as pl

    frame = pl.DataFrame({"one": one.rank("average"), "other": other.rank("average")})
    if frame.height < 2 or any(frame[name].n_unique() < 2 for name in frame.columns):
        return None
    return float(frame.select(pl.corr("one", "other")).item())


def beyond_chance(correlation: float, rows: int, tests: int = 1) -> float:
    """The least size of a correlation that `rows` pairs allow (Fisher's z); 0 where it may be none at all."""
    if rows < 4:
        return 0.0
    size = atanh(min(abs(correlation), 1 - 1e-12)) - quantile(tests) * 1.03 / sqrt(rows - 3)  # 1.03: ranks (Fieller)
    return tanh(max(size, 0.0))


def separation(scores: Sequence[float], good: Sequence[bool]) -> float | None:
    """AUC: how often a good one has the higher score than a bad one, ties half; None where there are not both."""
    import polars as pl

    positives = sum(good)
    if not 0 < positives < len(good):
        return None
    ranks = pl.Series(scores).rank("average")
    above = float(ranks.filter(pl.Series(good)).sum()) - positives * (positives + 1) / 2
    return above / (positives * (len(good) - positives))


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def quantile(tests: int) -> float:
    """Standard errors on each side of an interval, where `tests` of them must hold together (Bonferroni)."""
    return NormalDist().inv_cdf(1 - (1 - LEVEL) / 2 / max(tests, 1))
