"""Figures of decisions: is the real option recognisable by its place or by its looks, and are the options alike?

`position_p` tests the shuffle, `length_auc` the generator: a small logistic regression over length and classes of
characters is trained on four fifths of the steps to tell the real option from the others, and judged on the rest. It
needs some 500 steps before 0.05 more than chance means anything (its error is about 0.5 / sqrt(steps)). 10^5 steps
take 2 s. Rows are read once, as they come, and their texts are let go: nine numbers an option are kept.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Rows = Iterable[Mapping[str, Any]]
ALIKE = 0.2
"""Options whose mean distance is below it leave nothing to decide."""
_FOLDS = 5
_CHUNK = 1024
_RIDGE = 1.0


def position_p(rows: Rows) -> float | None:
    """p that the real option stands at a place drawn evenly: a chi-square of each number of options, summed.

    0.01 is reached by chance once in a hundred runs; a shuffler with a favourite place comes to far less.
    """
    places = Counter((len(row["options"]), int(row["chosen"])) for row in _decisions(rows))
    sizes = Counter(size for size, _ in places.elements())
    statistic, freedom = 0.0, 0
    for size, steps in sizes.items():
        expected = steps / size
        statistic += sum((places[size, place] - expected) ** 2 / expected for place in range(1, size + 1))
        freedom += size - 1
    return chi_square_p(statistic, freedom) if freedom else None


def chi_square_p(statistic: float, freedom: int) -> float:
    """The chance of a chi-square variable of so many degrees of freedom to be larger (upper regularised gamma)."""
    a, x = freedom / 2, statistic / 2
    if x <= 0:
        return 1.0
    scale = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:  # the lower gamma's series
        term = total = 1 / a
        n = a
        while term > total * 1e-15:
            n += 1
            term *= x / n
            total += term
        return max(0.0, 1 - total * scale)
    tiny = 1e-300  # the upper gamma's continued fraction, by Lentz
    b = x + 1 - a
    c, d = 1 / tiny, 1 / b
    value = d
    for i in range(1, 10_000):
        step = -i * (i - a)
        b += 2
        d = 1 / (step * d + b or tiny)
        c = b + step / c or tiny
        value *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    return min(1.0, value * scale)


def length_auc(rows: Rows) -> float | None:
    """How often a trivial classifier of length and style prefers the real option to another one of its step.

    0.5 is chance; 1 means that its looks give it away. Steps are split by id, so the figure is the same each time.
    """
    import numpy as np

    decisions = _decisions(rows)
    shape: list[tuple[int, int, int]] = []
    parts: list[NDArray[np.float64]] = []
    while steps := list(islice(decisions, _CHUNK)):
        shape += [(len(row["options"]), int(row["chosen"]) - 1, int(row["_id"][:8], 16) % _FOLDS) for row in steps]
        parts.append(_looks([option for row in steps for option in row["options"]]))
    if not shape:
        return None
    sizes, places, folds = np.array(shape).T
    real = np.cumsum(sizes) - sizes + places
    looks = np.concatenate(parts)
    of = np.repeat(np.arange(len(sizes)), sizes)
    others = np.ones(len(of), dtype=bool)
    others[real] = False
    lines, of = (looks[real[of]] - looks)[others], of[others]
    weights = 1 / (sizes[of] - 1)
    fold = folds[of]
    found, seen = 0.0, 0.0
    for each in range(_FOLDS):
        test = fold == each
        if test.any() and not test.all():
            scores = lines[test] @ _trained(lines[~test], weights[~test])
            found += float(weights[test] @ ((scores > 1e-12) + 0.5 * (np.abs(scores) <= 1e-12)))
            seen += float(weights[test].sum())
    return found / seen if seen else None


def collapsed(rows: Rows) -> float | None:
    """The share of steps whose options are nearly the same: what is left of them is no decision."""
    alike = [row["variety"] < ALIKE for row in rows if row["variety"] is not None]
    return sum(alike) / len(alike) if alike else None


def _decisions(rows: Rows) -> Iterator[Mapping[str, Any]]:
    """Rows with a choice among several."""
    return (row for row in rows if row["chosen"] is not None and len(row["options"] or ()) > 1)


def _looks(options: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
    """Lengths, lines and shares of character classes of each option, and nothing of what it means."""
    import numpy as np

    classes = _classes()
    shown = [(option["thought"] or "", _said(option["call"])) for option in options]
    texts = [f"{thought} {said}" for thought, said in shown]
    lengths = np.array([len(text) for text in texts])
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "replace"), dtype=np.uint32)
    kinds, starts = classes[np.minimum(codes, 128)], np.cumsum(lengths) - lengths
    found = np.empty((len(options), 9))
    found[:, :4] = np.log1p(
        [[len(t), len(s), len(x.split()), x.count("\n")] for (t, s), x in zip(shown, texts, strict=True)]
    )
    for kind in range(1, 6):
        found[:, 3 + kind] = np.add.reduceat(kinds == kind, starts, dtype=np.int64) / lengths
    return found


def _said(call: Mapping[str, Any]) -> str:
    return next((str(call[name]) for name in ("final", "say", "arguments") if call[name] is not None), "")


def _classes() -> NDArray[np.uint8]:
    """By character code, 128 for all above: other, capital, digit, space, mark, beyond ASCII."""
    import numpy as np

    tests: tuple[Callable[[str], bool], ...] = (str.isupper, str.isdigit, str.isspace, lambda c: not c.isalnum())
    found = [next((at for at, test in enumerate(tests, 1) if test(chr(code))), 0) for code in range(128)]
    return np.array([*found, 5], dtype=np.uint8)


def _trained(lines: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights of the looks by which the real option (positive side of each line) is told best: logistic, with ridge."""
    import numpy as np

    scale = lines.std(axis=0)
    scale[scale < 1e-9] = np.inf
    scaled = lines / scale
    found = np.zeros(lines.shape[1])
    for _ in range(20):
        p = 1 / (1 + np.exp(np.clip(scaled @ found, -30, 30)))
        slope = scaled.T @ (weights * p) - _RIDGE * found
        bend = (scaled * (weights * p * (1 - p))[:, None]).T @ scaled + _RIDGE * np.eye(len(found))
        step = np.linalg.solve(bend, slope)
        found += step
        if float(np.abs(step).max()) < 1e-8:
            break
    result: NDArray[np.float64] = found / scale
    return result
