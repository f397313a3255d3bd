"""What a run's decisions look like: how many options they offer, how varied, and how often they end well.

The figures are those that a spec may bound, side by side, so that a broken one is read beside the others. Whether a
candidate would have been right nobody knows, for none was carried out: `correct` is the share of decisions in runs
that ended well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from synthkit.inspect.choices import collapsed, length_auc, position_p
from synthkit.inspect.rows import stored_rows

if TYPE_CHECKING:
    from synthkit.inspect.run import Run


@dataclass(frozen=True, slots=True)
class Decisions:
    """The decisions of one step."""

    step: str
    decisions: int
    options: float
    """Mean number of options, the real one included."""
    variety: float | None
    """Mean distance of two options, 0..1."""
    collapsed: float | None
    """Share whose options are nearly the same."""
    position_p: float | None
    """p that the real option's place was drawn evenly."""
    length_auc: float | None
    """How often a classifier of length and style prefers the real option; 0.5 is chance."""
    correct: float | None
    """Share in runs that ended well, of those with a verdict."""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def decisions(run: Run, step: str) -> Decisions | None:
    """The decisions of a step that adds `options` and `chosen`; None where it has none."""
    columns = run.store.columns(step).keys()
    names = [name for name in ("options", "chosen", "variety", "correct") if name in columns]

    def made() -> Iterator[dict[str, Any]]:
        return (row for row in stored_rows(run, step, names) if row["options"])

    seen = [(len(row["options"]), row.get("variety"), row.get("correct")) for row in made()]
    if not seen:
        return None
    distances = [variety for _, variety, _ in seen if variety is not None]
    verdicts = [correct for _, _, correct in seen if correct is not None]
    return Decisions(
        step=step,
        decisions=len(seen),
        options=sum(offered for offered, _, _ in seen) / len(seen),
        variety=sum(distances) / len(distances) if distances else None,
        collapsed=collapsed({"variety": variety} for variety in distances),
        position_p=position_p(made()),
        length_auc=length_auc(made()),
        correct=sum(verdicts) / len(verdicts) if verdicts else None,
    )
