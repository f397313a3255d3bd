"""One input row at one step: run the action, name its children, say what became of the row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from synthkit.core.action import RowAction
from synthkit.core.errors import EngineDead, RequestRefused, SpecError, StoreError, TransportError
from synthkit.core.expr import ExprError
from synthkit.core.ids import Id, mint
from synthkit.core.outcome import Outcome, Reject
from synthkit.core.prompt import PromptError
from synthkit.core.row import Child
from synthkit.execute.context import RowContext, RowRejected
from synthkit.execute.control import FULL, Stopped
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
        return [{"_id": ident, **base, **added} for ident, added in self.children]


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
    except Exception as error:
        return _ended(result, _leaf(error))
    return result


def _ended(result: Visit, error: Exception) -> Visit:
    """What an error makes of the row; raises it where it is not the row's own."""
    if isinstance(error, _ENDS_RUN) or (isinstance(error, OSError) and error.errno in FULL):
        raise error
    result = Visit(result.runtime, result.row, result.input)
    if isinstance(error, TransportError):
        result.pending = True
        result.runtime.figures.reasons[f"pending: {error}"[:200]] += 1
    elif isinstance(error, RequestRefused):
        result.decline(error.reason, Outcome.FAILED, "engine", detail={"error": str(error)})
    else:
        reason = next((said for kind, said in _NAMED.items() if isinstance(error, kind)), type(error).__name__)
        result.decline(reason, Outcome.FAILED, detail={"error": str(error)[:2000]})
    return result


_ENDS_RUN = (EngineDead, StoreError, SpecError, Stopped, MemoryError)
_NAMED = {ExprError: "expression has no value", PromptError: "prompt cannot be rendered"}


def _leaf(error: Exception) -> Exception:
    """The first error of a group, as an action with tasks of its own raises it."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def _named(runtime: NodeRuntime, row_id: Id, made: list[Child]) -> list[tuple[Id, Data]]:
    """Children with their ids; two with one path would be one row, which is the action's mistake."""
    adds = runtime.node.adds
    named: dict[Id, Data] = {}
    for child in made:
        ident = row_id if runtime.node.keeps_id else mint(row_id, runtime.name, *child.path)
        if ident in named:
            said = f"path {child.path!r} twice" if not runtime.node.keeps_id else "more than one row of a row"
            raise ValueError(
                f"{runtime.name} made {said}; give each child a path of its own: row.child(columns, path=...)"
            )
        if unknown := child.columns.keys() - adds.keys():
            raise ValueError(f"{runtime.name} made columns it does not declare: {', '.join(sorted(unknown))}")
        named[ident] = child.columns
    return list(named.items())


def _stamped(reject: Reject, result: Visit) -> Reject:
    return replace(reject, fingerprint=result.runtime.node.fingerprint, input=result.input)


def _nothing(result: Visit, samples: list[Reject]) -> None:
    """No child and no `ctx.reject`: failed where a reply did not parse, else what the action said of its samples."""
    failed = [r for r in samples if r.outcome is Outcome.FAILED]
    first = failed[0] if failed else samples[0] if samples else None
    if first is None:
        result.decline("no rows", Outcome.FILTERED)
    else:
        result.decline(first.reason, first.outcome, first.boundary, attempt=first.attempt)
