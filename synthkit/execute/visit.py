"""One input row at one step: run the action, name its children, say what became of the row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from synthkit.core.action import RowAction
from synthkit.core.errors import EngineDead, RequestRefused, SpecError, StoreError, TransportError
from synthkit.core.ids import Id, mint
from synthkit.core.outcome import Outcome, Reject
from synthkit.core.row import Child
from synthkit.execute.context import RowContext, RowRejected
from synthkit.execute.control import Stopped
from synthkit.execute.runtime import NodeRuntime

Data = Mapping[str, Any]


@dataclass(slots=True)
class Visit:
    """What one row left at one step."""

    runtime: NodeRuntime
    row: Id
    input: Id
    """`_in`."""
    children: list[tuple[Id, Data]] = field(default_factory=list)
    """Rows made: id and the columns added."""
    rejects: list[Reject] = field(default_factory=list)
    stale: bool = False
    """Whether older rows or rejects of this row must go first."""
    reused: bool = False
    """Whether everything stands in the table already."""
    pending: bool = False
    """Not decided: nothing is written, a later run asks again."""
    gone: bool = False
    """No longer an input of the step: what is stored of it goes, and nothing comes."""

    def decline(self, reason: str, outcome: Outcome, boundary: str = "action", **more: Any) -> None:
        """The row gives nothing: one row-level reject."""
        self.children = []
        self.rejects.append(
            Reject(self.runtime.name, self.row, outcome, reason, boundary=boundary, **self._where(), **more)
        )

    def _where(self) -> dict[str, Any]:
        return {"fingerprint": self.runtime.node.fingerprint, "input": self.input}

    def records(self) -> list[dict[str, Any]]:
        """Rows as the table keeps them."""
        base = {"_parents": [self.row], "_in": self.input}
        return [{"_id": id, **base, **added} for id, added in self.children]


async def visit(runtime: NodeRuntime, row_id: Id, data: Data) -> Visit:
    """Run the step's action on one row. Only what ends the whole run is raised; all else is data."""
    node = runtime.node
    result = Visit(runtime, row_id, runtime.input_digest(row_id, data))
    try:
        if not runtime.wanted(data):
            untouched = dict.fromkeys(node.adds)
            if node.replaced:
                untouched.update({name: data.get(name) for name in node.replaced})
            result.children = _named(runtime, row_id, [Child(runtime.project(row_id, data), untouched)])
            return result
        ctx = RowContext(runtime, row_id)
        action = node.action
        assert isinstance(action, RowAction), f"{runtime.name} is a row step"
        made = [child async for child in action.rows(runtime.project(row_id, data), ctx)]
        result.children = _named(runtime, row_id, made)
        result.rejects = [_stamped(r, result) for r in ctx.rejects]
        if not made:
            _nothing(result, ctx.rejects)
    except RowRejected as reason:
        result.rejects = [_stamped(r, result) for r in ctx.rejects]
        result.decline(reason.reason, reason.outcome, detail=reason.detail)
    except TransportError as error:
        result = Visit(runtime, row_id, result.input, pending=True)
        runtime.figures.reasons[f"pending: {error}"[:200]] += 1
    except RequestRefused as error:
        result.decline(error.reason, Outcome.FAILED, "engine", detail={"error": str(error)})
    except (EngineDead, StoreError, SpecError, Stopped, OSError, MemoryError):
        raise
    except Exception as error:
        result.decline(type(error).__name__, Outcome.FAILED, detail={"error": str(error)[:2000]})
    return result


def _named(runtime: NodeRuntime, row_id: Id, made: list[Child]) -> list[tuple[Id, Data]]:
    """Children with their ids; two with one path would be one row, which is the action's mistake."""
    adds = runtime.node.adds
    named: dict[Id, Data] = {}
    for child in made:
        id = row_id if runtime.node.keeps_id else mint(row_id, runtime.name, *child.path)
        if id in named:
            said = f"path {child.path!r} twice" if not runtime.node.keeps_id else "more than one row of a row"
            raise ValueError(f"{runtime.name} made {said}; give each child a path of its own: row.child(columns, path=...)")
        if unknown := child.columns.keys() - adds.keys():
            raise ValueError(f"{runtime.name} made columns it does not declare: {', '.join(sorted(unknown))}")
        named[id] = child.columns
    return list(named.items())


def _stamped(reject: Reject, result: Visit) -> Reject:
    from dataclasses import replace

    return replace(reject, fingerprint=result.runtime.node.fingerprint, input=result.input)


def _nothing(result: Visit, samples: list[Reject]) -> None:
    """No child and no `ctx.reject`: failed where a reply did not parse, else what the action said of its samples."""
    failed = [r for r in samples if r.outcome is Outcome.FAILED]
    first = failed[0] if failed else samples[0] if samples else None
    if first is None:
        result.decline("no rows", Outcome.FILTERED)
    else:
        result.decline(first.reason, first.outcome, first.boundary, attempt=first.attempt)
