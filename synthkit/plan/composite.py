"""One call of a composite: its inner steps are bound in a frame of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from synthkit.core.names import nearest
from synthkit.core.types import Type
from synthkit.plan.columns import quota
from synthkit.plan.frame import Frame, Unbound
from synthkit.spec.model import CompositeCall, Step

if TYPE_CHECKING:
    from synthkit.plan.bind import Binder


def bind_call(binder: Binder, step: Step, call: CompositeCall, frame: Frame, source: str | None) -> str:
    """Bind the inner steps of a composite; the node its rows come from."""
    assert source is not None, "a composite is no source"
    name = f"{frame.prefix}{step.name}"
    columns = dict(binder.nodes[source].columns)
    label = frame.labels.get(step.from_[0], step.from_[0])
    inner = Frame(
        prefix=f"{name}.",
        step=frame.step or step.name,
        names={"input": source},
        labels={"input": label},
        when=(*frame.when, *([step] if step.keys.when else [])),
    )
    lacking = [need for need in call.needs if need not in columns and not binder.flows[source].open]
    for need in lacking:
        hint = nearest(need, sorted(columns), f"{label!r} has")
        binder.world.problems.add(step.problem(f"{step.verb!r} needs the column {need!r}", help=hint))
    if lacking:
        raise Unbound
    for each in call.steps.values():
        binder.step(each, inner)
    out = inner.names.get(call.output) if call.output in call.steps else None
    if out is None:
        raise Unbound
    _dead(binder, call, out, inner)
    _hide(binder, call, out, columns)
    if step.keys.until:
        if binder.nodes[out].until:
            binder.problem(step, f"{step.verb!r} has a quota of its own", "until", help="take one of the two out")
        until = quota(step, binder.nodes[out].columns, binder.flows[out], binder.world)
        per = {until.per} & binder.nodes[out].input_columns.keys() if until and until.per else set()
        binder.nodes[out] = replace(binder.nodes[out], until=until, reads=binder.nodes[out].reads | per)
    binder.aliases[name] = out
    return out


def _dead(binder: Binder, call: CompositeCall, out: str, inner: Frame) -> None:
    """Inner steps whose rows go nowhere would be paid for and thrown away."""
    needed: set[str] = set()
    waiting = [out]
    while waiting:
        each = waiting.pop()
        if each not in needed and each in binder.nodes:
            needed.add(each)
            waiting.extend(binder.nodes[each].parents)
    for name, node in inner.names.items():
        if name != "input" and node is not None and node not in needed:
            message = f"the inner step {name!r} does not lead to the output {call.output!r}"
            binder.world.problems.add(call.steps[name].key_problem(message, help="take it out, or give out its rows"))


def _hide(binder: Binder, call: CompositeCall, out: str, columns: Mapping[str, Type]) -> None:
    """End the inner columns that `output.adds` does not name."""
    node = binder.nodes[out]
    for index, name in enumerate(call.adds):
        if name not in node.columns and not binder.flows[out].open:
            hint = nearest(name, sorted(node.columns), f"{call.output!r} has")
            binder.world.problems.add(
                call.site.problem(f"column {name!r} is not available in the output", "output", "adds", index, help=hint)
            )
    for name in sorted(columns.keys() & node.columns.keys() - set(call.adds)):
        if binder.flows[out].owner.get(name, "").startswith(f"{node.name.rpartition('.')[0]}."):
            message = f"an inner step replaces {name!r}, which `adds` does not name"
            binder.world.problems.add(call.site.problem(message, "output", "adds", help=f"add {name!r} to `adds`"))
    hidden = frozenset(node.columns.keys() - columns.keys() - set(call.adds))
    visible = {each: of for each, of in node.columns.items() if each not in hidden}
    binder.nodes[out] = replace(node, columns=visible, hidden=node.hidden | hidden)
