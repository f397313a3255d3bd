"""From steps to nodes: names resolved, composites expanded, unions made nodes, columns and types carried along.

One walk in the order of the file, since steps refer upward only. Every problem is noted and the walk goes on: a step
that cannot be bound silences those below it, a column that is missing is taken to be `json` from there on, so that
one mistake is one diagnostic. Fingerprints come last, when quotas of composites have reached their nodes.
"""

from __future__ import annotations

from collections.abc import Mapping

from synthkit.core.action import Action, SourceAction, TableAction
from synthkit.core.errors import Problem
from synthkit.core.names import nearest
from synthkit.core.part import Part
from synthkit.core.types import Type
from synthkit.plan.branch import branch_node, is_origin
from synthkit.plan.columns import Flow, after, bind_reads, quota, union_columns
from synthkit.plan.composite import bind_call
from synthkit.plan.frame import Frame, Unbound
from synthkit.plan.graph import Kind, Node, Union
from synthkit.plan.scope import StepScope, World
from synthkit.spec.model import Step


class Binder:
    """Binds all steps of one spec; `nodes`, `aliases` and `scopes` are its result."""

    def __init__(self, world: World) -> None:
        """`world` collects the problems."""
        self.world = world
        self.nodes: dict[str, Node] = {}
        self.aliases: dict[str, str] = {}
        self.scopes: dict[str, StepScope] = {}
        self.flows: dict[str, Flow] = {}

    def spec(self) -> Frame:
        """Bind every step; the frame knows which could be."""
        frame = Frame()
        for step in self.world.loaded.spec.steps.values():
            self.step(step, frame)
        return frame

    def step(self, step: Step, frame: Frame) -> None:
        """Bind one step, or note why that cannot be."""
        frame.names[step.name] = None
        try:
            source = self._source(step, frame)
            if step.call is not None:
                node = bind_call(self, step, step.call, frame, source)
            else:
                node = self._native(step, _action(step), frame, source)
        except Unbound:
            return
        frame.names[step.name] = node

    def problem(self, step: Step, message: str, *parts: str | int, help: str | None = None) -> None:
        """Note a problem at a key of the step."""
        self.world.problems.add(step.key_problem(message, *parts, help=help))

    # --- where rows come from

    def _source(self, step: Step, frame: Frame) -> str | None:
        """The node whose rows the step takes; a union node where there are several; None for a source."""
        many = len(step.from_) > 1
        found = [self._look_up(n, step, frame, ("from", i) if many else ("from",)) for i, n in enumerate(step.from_)]
        if not found:
            return None
        return self._union(step, found, frame) if many else found[0]

    def _look_up(self, name: str, step: Step, frame: Frame, parts: tuple[str | int, ...]) -> str:
        """The node of a step above; that there is such a step the loader has seen to, its branches it cannot know."""
        if name not in frame.names:
            found = self.branch(name, frame)
            if isinstance(found, str):
                return found
            if found is not None:
                self.problem(step, found.message, *parts, help=found.help)
            raise Unbound
        node = frame.names[name]
        if node is None:
            raise Unbound
        return node

    def branch(self, name: str, frame: Frame) -> str | Problem | None:
        """The node of `step.branch`; what is wrong with the name; None where the step could not be bound."""
        head, _, branch = name.partition(".")
        owner = frame.names[head]
        if owner is None:
            return None
        known = sorted(self.nodes[owner].action.branches())
        if branch in known:
            node = branch_node(self.nodes[owner], branch)
            self.nodes.setdefault(node.name, node)
            self.flows.setdefault(node.name, self.flows[owner])
            return node.name
        alone = f"{head!r} gives its rows under its own name: write {head}"
        hint = nearest(branch, known, f"{head!r} has") if known else alone
        return Problem(f"{head!r} has no branch {branch!r}", help=hint)

    def _union(self, step: Step, inputs: list[str], frame: Frame) -> str:
        """The node that puts the rows of several steps after one another."""
        name = f"{frame.prefix}{step.name}.union"
        if step.call is not None and "union" in step.call.steps:
            self.problem(step, f"{step.verb!r} has an inner step 'union', which is the name of its input", "from")
        branches = {step.from_[i]: self.nodes[n].columns for i, n in enumerate(inputs)}
        columns, clashes = union_columns(branches)
        for message, hint in clashes:
            self.problem(step, message, "from", help=hint)
        above = [self.nodes[n] for n in inputs]
        self.nodes[name] = Node(
            name=name,
            action=Union(),
            kind="union",
            inputs=tuple(inputs),
            extra=(),
            columns=columns,
            input_columns=columns,
            reads=frozenset(),
            adds={},
            keeps_id=False,
            carries=True,
            hidden=frozenset(),
            when=None,
            until=None,
            fingerprint="",
            level=_level("union", above),
            depth=1 + max(node.depth for node in above),
            step=frame.step or step.name,
            mark=step.site.mark("from", key=True),
        )
        self.flows[name] = Flow.of_union([self.flows[n] for n in inputs])
        return name

    # --- native steps

    def _native(self, step: Step, action: Action, frame: Frame, source: str | None) -> str:
        """Bind a step to its action."""
        name = f"{frame.prefix}{step.name}"
        above = self.nodes[source] if source is not None else None
        flow = self.flows[source] if source is not None else Flow()
        columns: Mapping[str, Type] = dict(above.columns) if above else {}
        label = frame.labels.get(step.from_[0], step.from_[0]) if len(step.from_) == 1 else f"the union in {step.name}"
        scope = StepScope(
            self.world,
            step,
            name,
            columns,
            lambda each: self._node_of(each, frame),
            lambda other: source is not None and is_origin(self.nodes, source, other.name),
            lambda column: self._part_of(column, flow),
        )
        self.scopes[name] = scope
        tables = self._tables(step, action, frame, columns)
        extra = {text: tables[text] for meaning, _, text in action.mentions() if meaning == "step"}
        kind = _kind(action)
        when = self._when(step, action, kind, frame)
        reads = bind_reads(scope, action, when, flow, label)
        before = len(self.world.problems)
        adds = dict(action.adds(scope))
        incomplete = scope.hushed or len(self.world.problems) > before
        if not flow.open:
            action.check(scope)
        visible, adds = after(scope, action, adds, bool(when), flow, label)
        hidden = action.hides(scope) & visible.keys()
        visible = {each: of for each, of in visible.items() if each not in hidden}
        parents = [self.nodes[n] for n in ((source,) if source else ()) + tuple(extra.values())]
        self.flows[name] = flow.through(scope, action, adds, incomplete)
        until = quota(step, visible, self.flows[name], self.world) if step.keys.until else None
        models = [text for meaning, _, text in action.mentions() if meaning == "model"]
        self.nodes[name] = Node(
            name=name,
            action=action,
            kind=kind,
            inputs=(source,) if source else (),
            extra=tuple(dict.fromkeys(extra.values())),
            columns=visible,
            input_columns=columns,
            reads=reads | ({until.per} & columns.keys() if until and until.per else set()),
            adds=adds,
            keeps_id=kind != "source" and action.keeps_id(),
            carries=kind != "source" and action.carries,
            hidden=hidden,
            when=when,
            until=until,
            fingerprint="",
            level=_level(kind, parents),
            depth=1 + max((node.depth for node in parents), default=-1),
            roles=tuple(dict.fromkeys(models)),
            prompts=tuple(scope.prompts),
            step=frame.step or step.name,
            tables=tables,
            extra_reads=_reads_of(action, scope, extra),
            parts=action.parts(),
            replaced=frozenset(adds.keys() & columns.keys()) if action.carries else frozenset(),
            reject_rate=getattr(action, "reject_rate", 0.5),
            mark=step.site.mark(key=True),
        )
        return name

    def _node_of(self, step: str, frame: Frame) -> Node | None:
        """The node of a step in scope."""
        node = frame.names.get(step)
        return self.nodes[node] if node else None

    def _part_of(self, column: str, flow: Flow) -> Part | None:
        """The part of a list that a column is, by the node that added it."""
        owner = self.nodes.get(flow.owner.get(column, ""))
        return owner.parts.get(column) if owner else None

    def _tables(self, step: Step, action: Action, frame: Frame, columns: Mapping[str, Type]) -> dict[str, str]:
        """Nodes named by `StepName` and `Origin` fields, by the name the action uses."""
        found: dict[str, str] = {}
        for meaning, at, text in action.mentions():
            head = text.partition(".")[0]
            if meaning == "origin" and text not in columns and (head not in frame.names or head == step.name):
                above = [name for name in frame.names if name != step.name]
                message = f"there is no column and no step above {text!r}"
                self.world.problems.add(
                    step.problem(message, at, help=nearest(text, sorted({*columns, *above}), "there are"))
                )
                raise Unbound
            if meaning == "step" or (meaning == "origin" and text not in columns):
                found[text] = self._look_up(text, step, frame, (step.verb, *at))
        return found

    def _when(self, step: Step, action: Action, kind: Kind, frame: Frame) -> str | None:
        """The conditions of the step and of the calls around it, all of which must hold."""
        owners = [*frame.when, *([step] if step.keys.when else [])]
        if owners and (kind != "row" or not action.carries):
            inside = f"{step.verb!r} in {owners[0].verb!r}" if owners[0] is not step else f"{step.verb!r}"
            self.world.problems.add(
                owners[0].key_problem(
                    f"`when` chooses row by row, and {inside} works on the whole table",
                    "when",
                    help="filter the rows in a step of their own, and join them by `from: [a, b]`",
                )
            )
            return None
        texts = [owner.keys.when for owner in owners if owner.keys.when]
        return " and ".join(f"({text})" for text in texts) if len(texts) > 1 else next(iter(texts), None)


def _reads_of(action: Action, scope: StepScope, extra: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """The columns that decide of tables that are read too, by node; one that is named twice is read for both."""
    found: dict[str, frozenset[str]] = {}
    for text, node in extra.items():
        reads = action.reads_of(text, scope)
        if reads is not None:
            found[node] = found.get(node, frozenset()) | reads
    return found


def _action(step: Step) -> Action:
    assert step.action is not None, "a step has an action or a call"
    return step.action


def _kind(action: Action) -> Kind:
    if isinstance(action, SourceAction):
        return "source"
    return "table" if isinstance(action, TableAction) else "row"


def _level(kind: Kind, parents: list[Node]) -> int:
    """The stage: what is read whole must be complete, and row steps end with their stage; they stream with their input.

    Sources, tables and unions of a stage come first, in order.
    """
    if kind == "source":
        return 0
    if kind == "table":
        return 1 + max(node.level for node in parents)
    complete = [node.level + (node.kind == "row") for node in parents]
    return max([parents[0].level, *complete[1:]]) if kind == "row" else max(complete)
