"""A run as an object: `open("runs/x")["plans"]` is a polars LazyFrame."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthkit.core.errors import StoreError
from synthkit.core.names import nearest
from synthkit.core.registry import open_store
from synthkit.core.store import StepCounts, StepLayout, Store

if TYPE_CHECKING:
    import polars as pl

    from synthkit.core.types import Type
    from synthkit.inspect.ledger import Account


def open(path: str | Path, store: str = "lance") -> Run:  # noqa: A001 - `synthkit.open(path)`
    """Open a run directory for reading; it may be written meanwhile."""
    return Run(open_store(store)(Path(path), write=False))


class Run:
    """A run directory, for reading."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, tables: {', '.join(self.tables) or 'none'})"

    def __getitem__(self, table: str) -> pl.LazyFrame:
        """The published table of that name, or else the step's rows with all columns visible there."""
        step = self.resolve(table)
        return self.store.published(table) if step is None else self.store.scan(step)

    def __contains__(self, table: object) -> bool:
        return table in self.tables

    @property
    def path(self) -> Path:
        """The run directory."""
        return self.store.path

    @property
    def state(self) -> Mapping[str, Any]:
        """Content of `run.json`: spec text, vars, versions, and what each step was computed from."""
        return self.store.state

    @property
    def steps(self) -> Mapping[str, StepLayout]:
        """The steps of the run, in the order of the spec."""
        return self.store.layouts

    @property
    def tables(self) -> list[str]:
        """Names that `run[...]` takes: published tables, then steps, composites by their own name too."""
        return list(dict.fromkeys([*self.store.published_names(), *self.steps, *self._aliases]))

    @property
    def rejects(self) -> pl.LazyFrame:
        """Everything that was not kept."""
        return self.store.rejects()

    @property
    def completions(self) -> pl.LazyFrame:
        """Every finished call."""
        return self.store.completions()

    @property
    def usage(self) -> pl.DataFrame:
        """Requests, samples, tokens and seconds by step and model, over all of the run's life."""
        import polars as pl

        return (
            self.store.completions()
            .filter(pl.col("kind") == "ask")
            .group_by("step", "model")
            .agg(
                requests=pl.len(),
                samples=pl.col("n").sum(),
                prompt_tokens=pl.col("prompt_tokens").sum(),
                cached_tokens=pl.col("cached_tokens").sum(),
                completion_tokens=pl.col("completion_tokens").sum(),
                seconds=pl.col("seconds").sum(),
            )
            .sort("step", "model")
            .collect()
        )

    def columns(self, table: str) -> Mapping[str, Type]:
        """The columns of `run[table]` and their types."""
        step = self.resolve(table)
        return self.store.published_types(table) if step is None else self.store.columns(step)

    def account(self, *steps: str) -> Account:
        """What became of every input row, by step, and whether the tables are sound."""
        from synthkit.inspect.ledger import account

        return account(self.store, *map(self.node, steps))

    def ledger(self, *steps: str) -> Mapping[str, StepCounts]:
        """What became of every input row, by step."""
        return self.account(*steps).counts

    def tokens_per_second(self) -> float | None:
        """Generated tokens over the time in which completions came; None before there are any."""
        import polars as pl

        asked = self.store.completions().filter(pl.col("kind") == "ask")
        tokens, first, last = (
            asked.select(
                pl.col("completion_tokens").sum(),
                first=(pl.col("at") - pl.col("seconds")).min(),
                last=pl.col("at").max(),
            )
            .collect()
            .row(0)
        )
        return tokens / (last - first) if tokens and last > first else None

    def resolve(self, table: str) -> str | None:
        """The step whose rows `run[table]` gives; None where it is a published table."""
        if table not in self:
            raise StoreError(f"{self.path} has no table {table!r}; {nearest(table, self.tables, 'tables')}")
        return None if table in self.store.published_names() else self.node(table)

    def node(self, step: str) -> str:
        """The step that holds a composite's rows; any other name stands for itself, also where a table is called so."""
        return self._aliases.get(step, step)

    @property
    def _aliases(self) -> Mapping[str, str]:
        """Composite step -> the step its rows come from."""
        return dict(self.state.get("aliases") or {})
