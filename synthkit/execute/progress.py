"""Live progress: one line a step on a terminal, plain lines where there is none.

Both are drawn from the executor's counters four times a second (plain: every ten seconds, and only what changed), so
that progress costs the same at ten rows and at ten million. The time left is that of the stage under way, from its
rate over the last half minute: what a later stage costs is not known before its barrier has told its rows.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

if TYPE_CHECKING:
    from synthkit.execute.engines import EnginePool
    from synthkit.execute.run import Executor
    from synthkit.execute.runtime import Figures

PLAIN_SECONDS = 10.0
LIVE_SECONDS = 0.25
_TOKENS_OVER = 10.0
_ROWS_OVER = 30.0


class Stage(NamedTuple):
    """How far the stage under way has come: source rows whose whole tree is done."""

    run: str
    level: int
    done: int
    total: int


class Progress:
    """Shows the runs under way: the one asked for and those of the specs it reads."""

    def __init__(self, pool: EnginePool, stream: TextIO | None = None, live: bool | None = None) -> None:
        """Live drawing is chosen by whether `stream` (standard error) is a terminal."""
        self._pool = pool
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty() if live is None else live
        self._executors: list[Executor] = []
        self._begun = time.monotonic()
        self._task: asyncio.Task[None] | None = None
        self._tokens: list[tuple[float, float]] = []
        self._rows: list[tuple[float, float]] = []
        self._stage: tuple[str, int] | None = None

    def add(self, executor: Executor) -> None:
        """Show one more run, above the one that waits for it."""
        self._executors.insert(0, executor)

    async def __aenter__(self) -> Progress:
        """Begin drawing."""
        self._task = asyncio.create_task(self._draw() if self._live else self._print())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Draw once more and end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _draw(self) -> None:
        from rich.console import Console
        from rich.live import Live

        console = Console(file=self._stream, highlight=False)
        with Live(console=console, auto_refresh=False, transient=False) as live:
            try:
                while True:
                    live.update(self._table(console.height), refresh=True)
                    await asyncio.sleep(LIVE_SECONDS)
            finally:
                live.update(self._table(console.height), refresh=True)

    async def _print(self) -> None:
        said: dict[str, str] = {}
        try:
            while True:
                await asyncio.sleep(PLAIN_SECONDS)
                self._line(said)
        finally:
            self._line(said)

    def _line(self, said: dict[str, str]) -> None:
        """One line with the steps that changed since the last one; none where nothing did."""
        runs = []
        for executor in self._executors:
            steps = []
            for name, figures in executor.scope.figures.items():
                text, key = _brief(figures), f"{executor.graph.name}/{name}"
                if text and said.get(key) != text:
                    said[key] = text
                    steps.append(f"{name} {text}")
            if steps:
                runs.append(f"{executor.graph.name}: {'; '.join(steps)}")
        if runs:
            print(f"[{self._clock()}] {' | '.join([*runs, self._state()])}", file=self._stream, flush=True)

    def _table(self, height: int) -> Any:
        """Steps that have begun; where they do not fit, the last ones."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        lines: list[tuple[str, Figures | None]] = []
        for executor in self._executors:
            lines.append((executor.graph.name, None))
            lines += [
                (f"  {name}", figures)
                for name, figures in executor.scope.figures.items()
                if figures.rows_in or figures.rows_out
            ]
        lines = lines[-max(height - 4, 3) :]
        shown = [figures for _, figures in lines if figures is not None]
        columns = [name for name in _COLUMNS if name in _ALWAYS or any(_cell(f, name) for f in shown)]
        table = Table(box=None, pad_edge=False, header_style="bold", expand=False)
        table.add_column("step", no_wrap=True)
        for name in columns:
            table.add_column(name, justify="right", no_wrap=True)
        for name, figures in lines:
            cells = [_cell(figures, each) for each in columns] if figures else []
            table.add_row(Text(name, style="" if figures else "bold"), *cells)
        state = Text(f"{self._clock()}  {self._state()}")  # two lines at 80 columns: the time left stands at its end
        return Group(table, state)

    def _state(self) -> str:
        """Engines, tokens a second, and how far the stage is."""
        loads = self._pool.loads()
        parts = [f"{name}: {load.running:,} running, {load.waiting:,} waiting" for name, load in loads.items()]
        parts += [f"{name}: loading" for name in self._pool.starting()]
        figures = [f for executor in self._executors for f in executor.scope.figures.values()]
        rate = _rate(self._tokens, sum(f.completion_tokens for f in figures), _TOKENS_OVER)
        if loads:
            parts.append(f"{rate:,.0f} tokens/s")
        stage = next((found for executor in reversed(self._executors) if (found := stage_of(executor))), None)
        if stage is not None and stage.total > stage.done:
            parts.append(f"stage {stage.level}: {stage.done:,} of {stage.total:,} rows{self._left(stage)}")
        return ", ".join(parts) or "no model asked yet"

    def _left(self, stage: Stage) -> str:
        if self._stage != (stage.run, stage.level):
            self._stage, self._rows = (stage.run, stage.level), []
        rate = _rate(self._rows, stage.done, _ROWS_OVER)
        return f", {clock((stage.total - stage.done) / rate)} left" if rate else ""

    def _clock(self) -> str:
        return clock(time.monotonic() - self._begun)


def stage_of(executor: Executor) -> Stage | None:
    """The last stage of a run that has begun to stream; None before the first and after the last is published."""
    if executor.published:
        return None
    nodes, figures = executor.graph.nodes, executor.scope.figures
    begun = [node for name, node in nodes.items() if node.kind == "row" and name in figures and figures[name].rows_in]
    level = max((node.level for node in begun), default=None)
    entries = [node for node in begun if node.level == level and _is_entry(nodes[node.inputs[0]], node.level)]
    if level is None or not entries:
        return None
    done = sum(figures[node.name].rows_in for node in entries)
    total = sum(figures[node.inputs[0]].rows_out for node in entries if node.inputs[0] in figures)
    return Stage(executor.graph.name, level, done, total)


def _is_entry(source: Any, level: int) -> bool:
    return bool(source.kind != "row" or source.level < level)


def _rate(seen: list[tuple[float, float]], value: float, over: float) -> float:
    """Growth a second over the last `over` seconds; `seen` is what was noted before."""
    now = time.monotonic()
    seen.append((now, value))
    while len(seen) > 2 and now - seen[0][0] > over:
        seen.pop(0)
    (first, before), (last, after) = seen[0], seen[-1]
    return (after - before) / (last - first) if last > first else 0.0


_COLUMNS = ("in", "out", "rejected", "pending", "reused", "asked", "replayed", "tokens", "prefix hits")
_ALWAYS = ("in", "out", "rejected")


def _cell(f: Figures, column: str) -> str:
    if column == "prefix hits":
        return f"{f.cached_tokens / f.prompt_tokens:.0%}" if f.prompt_tokens else ""
    values = {
        "in": f.rows_in,
        "out": f.rows_out,
        "rejected": f.rejected,
        "pending": f.pending,
        "reused": f.reused,
        "asked": f.requests,
        "replayed": f.replayed,
        "tokens": f.completion_tokens,
    }
    return f"{values[column]:,}" if values[column] else ""


def _brief(f: Figures) -> str:
    words = (("in", f.rows_in), ("out", f.rows_out), ("rejected", f.rejected), ("pending", f.pending))
    return ", ".join(f"{count:,} {word}" for word, count in words if count)


def clock(seconds: float) -> str:
    """`1:05`, or `2:01:05` from an hour on."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
