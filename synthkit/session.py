"""One call of `run`: the graph asked for, and the specs it reads, on the same engines, on one event loop.

Each graph runs in its own directory under its own lock; what stops one stops all, resumably. Kept apart from `api`,
so that `check` loads neither asyncio nor what executes (40 ms of 0.6 s).
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable, Coroutine, Mapping
from contextlib import nullcontext, suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from synthkit.core import registry
from synthkit.core.errors import StoreFull
from synthkit.execute.control import Control, Stopped, as_stop
from synthkit.execute.engines import EnginePool
from synthkit.execute.options import RunOptions
from synthkit.execute.result import RunResult
from synthkit.execute.run import Executor
from synthkit.inspect.ledger import account
from synthkit.inspect.run import open as open_run
from synthkit.inspect.standing import is_whole, refuse_other_options, refuse_pilot
from synthkit.plan.graph import Graph
from synthkit.plan.runs import run_folder

if TYPE_CHECKING:
    import polars as pl

    from synthkit.core.engine import Role
    from synthkit.core.store import RunStore, Store

T = TypeVar("T")
Watch = Callable[[EnginePool], Any]
"""Makes a progress display for the run's engines: an async context manager with `add(executor)`."""


def drive(work: Coroutine[Any, Any, T]) -> T:
    """What the coroutine gives, on an event loop of its own."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(work)


async def run_graph(
    graph: Graph, target: Path, options: RunOptions, watch: Watch | None, given: Mapping[str, Any]
) -> RunResult:
    """Bring the run of a graph up to date in `target`; see `api.run`."""
    refuse_other_options(graph, target, given)
    control = Control(options.max_tokens, options.max_requests)
    pool = EnginePool()
    release = _on_interrupt(control)
    try:
        if watch is None:
            return await Session(pool, control, options, given).run(graph, target)
        async with watch(pool) as progress:
            return await Session(pool, control, options, given, progress.add).run(graph, target)
    finally:
        release()
        await pool.close()


class Session:
    """The graph asked for and those of the specs it reads share engines and control."""

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
        read: tuple[str, Mapping[str, Any]] | None = None,
    ) -> RunResult:
        """Run one graph in its directory and count what became of every row.

        `read` is of a spec that is read: who reads it, and what its graph was made with.
        """
        store: RunStore = registry.open_store()(target, write=True)
        stopped: Stopped | None = None
        options = options or self.options
        try:
            if options.limit is not None:
                refuse_pilot(store, options.limit)
            _describe(store, graph)
            reader, given = read or (None, self.given)
            if read or store.state.get("given") != given:  # `retry` gives what it finds, and the reader stays
                store.state.update(given=dict(given), read_by=reader)
            readers = Readers(self, graph, target)
            executor = Executor(graph, store, options, pool=self.pool, control=self.control, readers=readers)
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


class Readers:
    """How the run of a graph reaches other runs."""

    def __init__(self, session: Session, graph: Graph, target: Path) -> None:
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
        """A published table of a finished run, `name@tag`, `name` or a path: of the one that the plan looked at."""
        store, tag = self._finished(run)
        return store.published(table, tag)

    def run_folder(self, run: str) -> Path:
        """The directory of that run."""
        return run_folder(run)

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
            limit = None if is_whole(target, graph) else self._session.options.limit
            options = RunOptions(limit=limit, concurrency=self._session.options.concurrency)
            sets = {f"vars.{name}": json.dumps(value) for name, value in graph.vars.items()}
            given = {**self._session.given, "sets": sets}
            result = await self._session.run(graph, target, options, (self._graph.name, given))
            self._done[node] = result
            if result.stopped is not None:
                raise result.stopped
        return open_run(self._done[node].path).store

    def _finished(self, run: str) -> tuple[Store, str | None]:
        return open_run(run_folder(run)).store, run.partition("@")[2] or None


def _describe(store: RunStore, graph: Graph) -> None:
    """What `run.json` says of the spec, so that the run can be read without it."""
    store.state.update(
        name=graph.name,
        spec=str(graph.spec_path),
        spec_text=graph.spec_text,
        vars=dict(graph.vars),
        synthkit=version("synthkit"),
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
