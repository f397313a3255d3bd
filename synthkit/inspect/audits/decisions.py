"""What a run's decisions look like: how many options they offer, how varied, and how often they end well.

The figures are those that a spec may bound, side by side, so that a broken one is read beside the others. Whether a
candidate would have been right nobody knows, for none was carried out: `correct` is the share of decisions in runs
that ended well.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from synthkit.inspect.choices import collapsed, length_auc, position_p

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
    rows = run.store.scan(step, names).collect().to_dicts()
    made = [row for row in rows if row["options"]]
    if not made:
        return None
    verdicts = [row["correct"] for row in made if row.get("correct") is not None]
    distances = [row["variety"] for row in made if row.get("variety") is not None]
    return Decisions(
        step=step,
        decisions=len(made),
        options=sum(len(row["options"]) for row in made) / len(made),
        variety=sum(distances) / len(distances) if distances else None,
        collapsed=collapsed(made) if distances else None,
        position_p=position_p(made),
        length_auc=length_auc(made),
        correct=sum(verdicts) / len(verdicts) if verdicts else None,
    )
