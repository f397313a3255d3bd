"""Where the gold answer stands, and where a text betrays that it was written from given knowledge.

In a column `answer` or in the final line of a chain it belongs; in a question, or in a plan before any search, it is a
leak. So the audit says the share of every column, and `answer_leak` bounds those where it never belongs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from synthkit.core.expr.text import mentions
from synthkit.inspect.rows import rows_of

if TYPE_CHECKING:
    from synthkit.core.types import Type
    from synthkit.inspect.run import Run

BETRAYS = (
    "given knowledge", "given statements", "given facts", "provided knowledge", "provided statements",
    "provided facts", "provided evidence", "the evidence provided", "the statements above", "the facts above",
    "根据给定", "根据提供的", "根据所给", "所提供的知识", "给定的知识", "上述陈述", "给定的陈述",
)  # fmt: skip
"""What nobody writes who has only seen the question."""


@dataclass(frozen=True, slots=True)
class Leak:
    """One column of one step."""

    step: str
    column: str
    rows: int
    """Rows with an answer and a text in the column."""
    with_answer: float
    """Share of them that says the answer."""
    betrays: float
    """Share that says that it was written from given knowledge."""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def leakage(run: Run, step: str) -> list[Leak]:
    """Every text of a step beside its answer; none where it has no `answer`."""
    there = run.store.columns(run.node(step))
    columns = [name for name, of in there.items() if name != "answer" and _is_text(of)]
    if "answer" not in there or not columns:
        return []
    counts = {name: [0, 0, 0] for name in columns}
    for row in rows_of(run, step, ["answer", *columns]):
        for name in columns if row["answer"] else ():
            texts = list(_texts(row[name]))
            if texts:
                counts[name][0] += 1
                counts[name][1] += mentions(texts, [str(row["answer"])])
                counts[name][2] += mentions(texts, BETRAYS)
    return [
        Leak(step, name, rows, said / rows, betrayed / rows) for name, (rows, said, betrayed) in counts.items() if rows
    ]


def answer_leak(run: Run, step: str) -> float | None:
    """The figure of that name."""
    leaks = rows = 0
    for row in rows_of(run, step, ["question", "answer", "analysis", "call"]):
        if row["answer"]:
            rows += 1
            call = row.get("call")
            planned = [str(call.get("text") or "")] if isinstance(call, Mapping) and call.get("name") else []
            leaks += mentions([str(row["question"] or ""), *planned], [str(row["answer"])])
    return leaks / rows if rows else None


def _is_text(type: Type) -> bool:
    from synthkit.core.types import Call, ListOf, Str
    from synthkit.core.types.model import bare

    inner = bare(type)
    return isinstance(inner, Str | Call) or (isinstance(inner, ListOf) and isinstance(bare(inner.of), Str))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = value.get("text")
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, str) and each:
            yield each
