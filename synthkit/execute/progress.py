"""Live progress: one line a step on a terminal, plain lines where there is none.

Both are drawn from the executor's counters four times a second (plain: every ten seconds, and only when something
changed), so that progress costs the same at ten rows and at ten million.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from synthkit.execute.engines import EnginePool
    from synthkit.execute.run import Executor
    from synthkit.execute.runtime import Figures

PLAIN_SECONDS = 10.0
LIVE_SECONDS = 0.25


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
        self._tokens: list[tuple[float, int]] = []

    def add(self, executor: Executor) -> None:
        """Show one more run."""
        self._executors.append(executor)

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

        console = Console(file=self._stream)
        with Live(console=console, auto_refresh=False, transient=False) as live:
            try:
                while True:
                    live.update(self._table(), refresh=True)
                    await asyncio.sleep(LIVE_SECONDS)
            finally:
                live.update(self._table(), refresh=True)

    async def _print(self) -> None:
        last = ""
        try:
            while True:
                await asyncio.sleep(PLAIN_SECONDS)
                last = self._line(last)
        finally:
            self._line(last)

    def _line(self, last: str) -> str:
        parts = []
        for executor in self._executors:
            for name, figures in executor.scope.figures.items():
                if figures.rows_in or figures.rows_out:
                    parts.append(f"{executor.graph.name}/{name} {_brief(figures)}")
        text = "; ".join(parts[-6:])
        if text and text != last:
            print(f"[{_clock(time.monotonic() - self._begun)}] {text} | {self._engines()}", file=self._stream, flush=True)
        return text

    def _table(self) -> Any:
        from rich.table import Table

        table = Table(box=None, pad_edge=False, header_style="bold", expand=False)
        table.add_column("step")
        for name in ("in", "out", "rejected", "pending", "reused", "asked", "replayed", "tokens", "prefix hits"):
            table.add_column(name, justify="right")
        for executor in self._executors:
            table.add_row(f"[bold]{executor.graph.name}[/bold]")
            for name, f in executor.scope.figures.items():
                hits = f"{f.cached_tokens / f.prompt_tokens:.0%}" if f.prompt_tokens else ""
                cells = (f.rows_in, f.rows_out, f.rejected, f.pending, f.reused, f.requests, f.replayed)
                tokens = _count(f.completion_tokens)
                table.add_row(f"  {name}", *(_count(c) for c in cells), tokens, hits)
        table.caption = f"{_clock(time.monotonic() - self._begun)}  {self._engines()}"
        table.caption_justify = "left"
        return table

    def _engines(self) -> str:
        parts = [f"{name}: {load.running} running, {load.waiting} waiting" for name, load in self._pool.loads().items()]
        rate = self._rate(f for e in self._executors for f in e.scope.figures.values())
        return ", ".join([*parts, f"{rate:,.0f} tokens/s"]) if parts else "no engine running"

    def _rate(self, figures: Iterable[Figures]) -> float:
        """Generated tokens a second over the last ten seconds."""
        now = time.monotonic()
        self._tokens.append((now, sum(f.completion_tokens for f in figures)))
        self._tokens = [(at, n) for at, n in self._tokens if now - at <= 10] or self._tokens[-1:]
        (first, before), (last, after) = self._tokens[0], self._tokens[-1]
        return (after - before) / (last - first) if last > first else 0.0


def _brief(f: Figures) -> str:
    text = f"{f.rows_in} in, {f.rows_out} out"
    if f.rejected:
        text += f", {f.rejected} rejected"
    return text + (f", {f.pending} pending" if f.pending else "")


def _count(value: int) -> str:
    return f"{value:,}" if value else ""


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
