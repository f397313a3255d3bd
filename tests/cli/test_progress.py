"""What is drawn while a run is under way, from counters made up here."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from synthkit import api
from synthkit.core.engine import Load
from synthkit.execute.progress import Progress, Stage, clock, stage_of
from synthkit.execute.runtime import Figures
from tests.cli.conftest import call


def _pool(loads: dict[str, Load], starting: list[str] | None = None) -> Any:
    return SimpleNamespace(loads=lambda: loads, starting=lambda: starting or [])


def _executor(project: Path, figures: dict[str, Figures], published: dict[str, int] | None = None) -> Any:
    graph = api.check(project / "small.yaml")
    return SimpleNamespace(graph=graph, scope=SimpleNamespace(figures=figures), published=published or {})


def _drawn(progress: Progress, height: int = 40, width: int = 100) -> str:
    from rich.console import Console

    console = Console(file=io.StringIO(), width=width)
    console.print(progress._table(height))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines())


def test_the_stage_is_as_far_as_its_entries_are(project: Path) -> None:
    figures = {"notes": Figures(rows_out=10), "titled": Figures(rows_in=4, rows_out=8), "glad": Figures(rows_in=8)}
    assert stage_of(_executor(project, figures)) == Stage("small", 0, 4, 10)
    assert stage_of(_executor(project, {"notes": Figures(rows_out=10)})) is None
    assert stage_of(_executor(project, figures, {"titles": 3})) is None


def test_a_terminal_shows_a_line_a_step(project: Path) -> None:
    figures = {
        "notes": Figures(rows_out=1200),
        "titled": Figures(rows_in=400, rows_out=790, rejected=5, requests=405, prompt_tokens=900, cached_tokens=450),
        "glad": Figures(),
    }
    progress = Progress(_pool({"fake": Load(12, 3)}, ["big"]), io.StringIO(), live=True)
    progress.add(_executor(project, figures))
    shown = _drawn(progress).splitlines()
    assert shown[0].split() == ["step", "in", "out", "rejected", "asked", "prefix", "hits"]
    assert shown[1] == "small"
    assert shown[3].split() == ["titled", "400", "790", "5", "405", "50%"]
    assert not any("glad" in line for line in shown), "a step that has not begun"
    assert shown[-1] == "0:00  fake: 12 running, 3 waiting, big: loading, 0 tokens/s, stage 0: 400 of 1,200 rows"
    assert max(map(len, shown)) <= 100
    narrow = " ".join(_drawn(progress, width=40).split())
    assert narrow.endswith("stage 0: 400 of 1,200 rows"), "nothing is cut off in a narrow window"
    assert len(_drawn(progress, height=5).splitlines()) == 5, "a small window shows the last steps"


def test_the_run_that_is_waited_for_stands_above(project: Path) -> None:
    progress = Progress(_pool({}), io.StringIO(), live=True)
    outer = _executor(project, {})
    inner = SimpleNamespace(graph=SimpleNamespace(name="inner", nodes={}), scope=outer.scope, published={})
    progress.add(outer)
    progress.add(inner)
    shown = _drawn(progress)
    assert shown.index("inner") < shown.index("small")
    assert shown.endswith("no model asked yet")


def test_without_a_terminal_a_line_says_what_changed(project: Path) -> None:
    stream = io.StringIO()
    progress = Progress(_pool({"fake": Load(1, 0)}), stream)
    figures = {"notes": Figures(rows_out=3), "titled": Figures(rows_in=1, rows_out=2)}
    progress.add(_executor(project, figures))
    said: dict[str, str] = {}
    progress._line(said)
    progress._line(said)
    figures["titled"].pending = 1
    progress._line(said)
    assert stream.getvalue().splitlines() == [
        "[0:00] small: notes 3 out; titled 1 in, 2 out | fake: 1 running, 0 waiting, 0 tokens/s, stage 0: 1 of 3 rows",
        "[0:00] small: titled 1 in, 2 out, 1 pending | fake: 1 running, 0 waiting, 0 tokens/s, stage 0: 1 of 3 rows",
    ]


def test_quiet_shows_nothing(project: Path) -> None:
    assert call("run", "small.yaml", "--quiet").err == ""


def test_times_read_as_on_a_clock() -> None:
    assert (clock(5), clock(65.9), clock(7265)) == ("0:05", "1:05", "2:01:05")
