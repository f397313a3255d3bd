"""The composition root: loads a spec, binds it, opens its run and executes it.

Everything the command line does is a call of one of these functions; they print nothing.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthkit.core import registry
from synthkit.core.errors import StoreError, StoreFull
from synthkit.execute.control import Control, Stopped, as_stop
from synthkit.execute.options import RunOptions
from synthkit.plan.build import build_graph
from synthkit.plan.graph import Graph
from synthkit.spec.load import load_spec

if TYPE_CHECKING:
    import polars as pl

    from synthkit.core.engine import Role
    from synthkit.core.store import RunStore, StepCounts, Store
    from synthkit.execute.engines import EnginePool
    from synthkit.execute.run import Executor
    from synthkit.execute.trial import Trial
    from synthkit.inspect.run import Run
    from synthkit.plan.state import PlanState

__all__ = ["RunResult", "check", "open", "plan", "run", "run_async", "try_row"]

Watch = Callable[["EnginePool"], Any]
"""Makes a progress display for the run's engines: an async context manager with `add(executor)`."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run came to."""

    path: Path
    """The run directory."""
    tables: Mapping[str, int] = field(default_factory=dict)
    """Published tables and their rows; empty with `until`."""
    ledger: Mapping[str, StepCounts] = field(default_factory=dict)
    """By step, in order."""
    problems: Sequence[str] = ()
    """What does not balance; empty in a sound run."""
    stopped: Stopped | None = None
    """Why it ended early, if it did; everything finished is kept."""
    reads: Sequence[RunResult] = ()
    """The runs of the specs it reads, in the order they were brought up to date."""


def check(
    spec: str | Path,
    *,
    models: str | Path | None = None,
    sets: Mapping[str, str] | None = None,
    path: Sequence[str | Path] = (),
) -> Graph:
    """Load and bind a spec without running it; raises SpecError with every problem.

    `models` swaps the models file, in specs it reads too; `sets` overrides values (`{"vars.k": "8"}`); `path` adds
    folders where prompts, toolsets and specs are looked up.
    """
    loaded = load_spec(
        Path(spec),
        models=Path(models) if models is not None else None,
        sets=dict(sets or {}),
        search=[Path(p) for p in path],
    )
    return build_graph(loaded)


def plan(
    spec: str | Path,
    *,
    models: str | Path | None = None,
    sets: Mapping[str, str] | None = None,
    path: Sequence[str | Path] = (),
    out: str | Path | None = None,
) -> str:
    """The printed plan: steps, columns, models, stages, and what the run directory already holds."""
    from synthkit.plan.text import render_plan

    graph = check(spec, models=models, sets=sets, path=path)
    return render_plan(graph, _plan_state(graph, _run_path(graph, out)))


def open(path: str | Path) -> Run:  # noqa: A001 - `synthkit.open(path)`
    """A finished or running run, for reading: `open("runs/x")["plans"]` is a polars LazyFrame."""
    from synthkit.inspect.run import open as open_run

    return open_run(path)


def run(
    spec: str | Path | Graph,
    *,
    models: str | Path | None = None,
    sets: Mapping[str, str] | None = None,
    path: Sequence[str | Path] = (),
    out: str | Path | None = None,
    options: RunOptions | None = None,
    watch: Watch | None = None,
) -> RunResult:
    """Bring a spec's run up to date, resuming what is there; `stopped` says why it ended early, if it did.

    `models`, `sets` and `path` are kept in run.json for `retry`; where a Graph is given they do nothing else.
    """
    graph = spec if isinstance(spec, Graph) else check(spec, models=models, sets=sets, path=path)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(run_async(graph, out=out, options=options, watch=watch, given=_given(models, sets, path)))


async def run_async(
    graph: Graph,
    *,
    out: str | Path | None = None,
    options: RunOptions | None = None,
    watch: Watch | None = None,
    given: Mapping[str, Any] | None = None,
) -> RunResult:
    """`run` inside an event loop of the caller's; `given` is what the graph was made with, for `retry`."""
    from synthkit.execute.engines import EnginePool

    options = options or RunOptions()
    control = Control(options.max_tokens, options.max_requests)
    pool = EnginePool()
    target = _run_path(graph, out)
    release = _on_interrupt(control)
    try:
        if watch is None:
            return await _Session(pool, control, options, given or {}).run(graph, target)
        async with watch(pool) as progress:
            return await _Session(pool, control, options, given or {}, progress.add).run(graph, target)
    finally:
        release()
        await pool.close()


def try_row(graph: Graph, step: str, *, row: str | None = None, out: str | Path | None = None) -> Trial:
    """One row at one step in full, read from the graph's run directory; asks anew and writes nothing."""
    from synthkit.execute.trial import try_row as trial

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(trial(graph, _reading(graph, _run_path(graph, out), step), step, row))


def _reading(graph: Graph, target: Path, step: str) -> Store:
    store: RunStore = registry.open_store()(target, write=False)
    above = graph.resolve(step).inputs[:1]
    before = {name: layout.fingerprint for name, layout in store.layouts.items()}
    for name in sorted({each for parent in above for each in graph.ancestors(parent)}):
        if before.get(name, graph.nodes[name].fingerprint) != graph.nodes[name].fingerprint:
            raise StoreError(
                f"{target} holds rows of another {name!r} than the spec now says, and {step!r} works on what comes of "
                "it; run the spec first, or give `try` the --set and --models of that run"
            )
    store.describe(graph.layouts())
    return store


class _Session:
    """One call of `run`: the graph asked for and those of the specs it reads share engines and control."""

    def __init__(
        self,
        pool: EnginePool,
        control: Control,
        options: RunOptions,
        given: Mapping[str, Any],
        show: Callable[[Executor], None] = lambda executor: None,
    ) -> None:
        self.pool = pool
        self.control = control
        self.options = options
        self.given = given
        self.show = show

    async def run(
        self,
        graph: Graph,
        target: Path,
        options: RunOptions | None = None,
        given: Mapping[str, Any] | None = None,
    ) -> RunResult:
        """Run one graph in its directory and count what became of every row."""
        from synthkit.execute.run import Executor
        from synthkit.inspect.ledger import account

        store: RunStore = registry.open_store()(target, write=True)
        stopped: Stopped | None = None
        try:
            _describe(store, graph)
            store.state["given"] = dict(self.given if given is None else given)
            readers = _Readers(self, graph, target)
            executor = Executor(
                graph, store, options or self.options, pool=self.pool, control=self.control, readers=readers
            )
            self.show(executor)
            try:
                try:
                    await executor.run()
                finally:
                    await store.journal.close()  # the ledger counts samples from its tables
            except (Stopped, StoreFull) as reason:
                stopped = as_stop(reason)
            steps = [name for name in graph.nodes if name in executor.chosen]
            found = await asyncio.to_thread(account, store, *steps)
            problems = found.problems if stopped is None else []
            return RunResult(target, executor.published, found.counts, problems, stopped, readers.results)
        finally:
            with suppress(StoreFull) if stopped else nullcontext():  # what is in segments is found by the next run
                await store.close()


class _Readers:
    """How the run of a graph reaches other runs."""

    def __init__(self, session: _Session, graph: Graph, target: Path) -> None:
        self._session = session
        self._graph = graph
        self._target = target
        self._done: dict[str, RunResult] = {}

    @property
    def results(self) -> tuple[RunResult, ...]:
        """The runs brought up to date, each once, those that they read before them."""
        every = [each for result in self._done.values() for each in (*result.reads, result)]
        return tuple({result.path: result for result in every}.values())

    async def read_spec(self, node: str, table: str) -> pl.LazyFrame:
        """A published table of the spec that `node` reads, brought up to date."""
        return (await self._bring(node)).published(table)

    def read_run(self, run: str, table: str) -> pl.LazyFrame:
        """A published table of a finished run, `name@tag` or `name`: beside this run, or a path."""
        store, tag = self._finished(run)
        return store.published(table, tag)

    async def version(self, node: str, table: str, run: str | None) -> str:
        """Which table these would read now: its run, when that was begun, and the version."""
        store, tag = (await self._bring(node), None) if run is None else self._finished(run)
        begun = store.state.get("created", 0)
        return f"{store.path.name}/{table} version {store.published_version(table, tag)} of the run begun {begun:.3f}"

    async def _bring(self, node: str) -> Store:
        """Bring the spec that `node` reads up to date in its own directory, beside this run's."""
        graph = self._graph.subspecs[node]
        if node not in self._done:
            target = self._target.parent / graph.name
            options = RunOptions(limit=self._session.options.limit, concurrency=self._session.options.concurrency)
            sets = {f"vars.{name}": json.dumps(value) for name, value in graph.vars.items()}
            given = {**self._session.given, "sets": sets}
            result = await self._session.run(graph, target, options, given)
            self._done[node] = result
            if result.stopped is not None:
                raise result.stopped
        return open(self._done[node].path).store

    def _finished(self, run: str) -> tuple[Store, str | None]:
        name, _, tag = run.partition("@")
        beside = self._target.parent / name
        return open(beside if beside.exists() else Path(name)).store, tag or None


def _describe(store: RunStore, graph: Graph) -> None:
    """What `run.json` says of the spec, so that the run can be read without it."""
    from synthkit import __version__

    store.state.update(
        name=graph.name,
        spec=str(graph.spec_path),
        spec_text=graph.spec_text,
        vars=dict(graph.vars),
        synthkit=__version__,
        definitions={name: dict(what) for name, what in graph.definitions.items()},
        aliases=dict(graph.aliases),
        about=graph.about,
        read_runs={node: sub.name for node, sub in graph.subspecs.items()},
        reads={name: sorted(node.reads) for name, node in graph.nodes.items()},
        publish={name: {c: str(t) for c, t in table.columns.items()} for name, table in graph.publish.items()},
        published_from={name: table.node for name, table in graph.publish.items()},
        audit=[{"figure": each.figure, "least": each.least, "most": each.most} for each in graph.audit],
        roles={name: _asked(graph, role) for name, role in graph.roles.items()},
        toolset=graph.toolset.model_dump(mode="json") if graph.toolset else None,
    )


def _asked(graph: Graph, role: Role) -> str:
    """A role's model as its engine knows it, for who reads the run later."""
    engine = graph.engines[role.engine]
    return f"{getattr(engine, engine.kind)} by {engine.kind}, temperature {role.temperature:g}"


def _plan_state(graph: Graph, target: Path) -> PlanState | None:
    """What a run directory says of earlier work; None where there is no run."""
    from synthkit.plan.state import PlanState

    if not (target / "run.json").exists():
        return None
    known = open(target)
    below = {node: _plan_state(sub, target.parent / sub.name) for node, sub in graph.subspecs.items()}
    return PlanState.of(
        known.ledger(),
        fingerprints={name: layout.fingerprint for name, layout in known.steps.items()},
        usage=known.usage.to_dicts(),
        complete=bool(known.state.get("complete")) and known.state.get("limit") is None,
        tokens_per_second=known.tokens_per_second(),
        subspecs={node: state for node, state in below.items() if state is not None},
    )


def _given(models: str | Path | None, sets: Mapping[str, str] | None, path: Sequence[str | Path]) -> dict[str, Any]:
    """The arguments of `check`, as run.json keeps them."""
    return {
        "models": None if models is None else str(models),
        "sets": dict(sets or {}),
        "path": [str(each) for each in path],
    }


def _run_path(graph: Graph, out: str | Path | None) -> Path:
    return Path(out) if out is not None else Path("runs") / graph.name


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it is installed: a quarter less CPU a request."""
    with suppress(ImportError):
        import uvloop

        factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
        return factory
    return None


def _on_interrupt(control: Control) -> Callable[[], None]:
    """Ctrl-C once ends cleanly, twice at once; returns what puts the old handlers back."""
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        control.stop(Stopped("interrupted; run again to go on from here", 130))
        for each in (signal.SIGINT, signal.SIGTERM):
            with suppress(ValueError, NotImplementedError):
                loop.remove_signal_handler(each)
                signal.signal(each, signal.SIG_DFL)

    try:
        for each in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(each, interrupt)
    except (ValueError, RuntimeError, NotImplementedError):  # not the main thread: the caller's handlers stand
        return lambda: None

    def release() -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            with suppress(ValueError, NotImplementedError):
                loop.remove_signal_handler(each)

    return release
