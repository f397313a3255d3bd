"""One branch of a step that routes, as a node of its own: `stage.short` takes the rows that `stage` sent there.

So a branch has a table, a line in the ledger and consumers like every step, at the price of one id a row; rows of the
other branches are accounted for as unused, `in long`. Only branches that something refers to become nodes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import ClassVar

from synthkit.core.action import Column, RowAction
from synthkit.core.context import Context
from synthkit.core.outcome import Outcome
from synthkit.core.row import Child, Row
from synthkit.plan.graph import Node


class Branch(RowAction):
    """The action of a branch; written as `from: step.name`."""

    verb: ClassVar[str] = "branch"

    by: Column
    """The column that names each row's branch."""
    name: str
    """The branch."""

    def keeps_id(self) -> bool:
        """A row stays or goes."""
        return True

    async def rows(self, row: Row, ctx: Context) -> AsyncIterator[Child]:
        """The row, where it belongs to the branch."""
        if row[self.by] != self.name:
            ctx.reject(f"in {row[self.by]}", Outcome.UNUSED)
        yield row.child()


def branch_node(node: Node, name: str) -> Node:
    """The node of one of the branches of `node`."""
    column = node.action.branches()[name]
    return Node(
        name=f"{node.name}.{name}",
        action=Branch(by=column, name=name),
        kind="row",
        inputs=(node.name,),
        extra=(),
        columns=node.columns,
        input_columns=node.columns,
        reads=frozenset({column}),
        adds={},
        keeps_id=True,
        carries=True,
        hidden=frozenset(),
        when=None,
        until=None,
        fingerprint="",
        level=node.level + (node.kind != "row"),
        depth=1 + node.depth,
        step=node.step,
        mark=node.mark,
    )


def is_origin(nodes: dict[str, Node], start: str, origin: str) -> bool:
    """Whether each row of `start` comes from one row of `origin`: every way up leads there, and carries columns."""
    if start == origin:
        return True
    node = nodes[start]
    return bool(node.inputs) and node.carries and all(is_origin(nodes, name, origin) for name in node.inputs)
