"""What an action may ask while it is bound: the planner's side of `core.action.Scope`.

A scope belongs to one step. It answers from the spec, remembers which templates, expressions and variables were
asked for (the fingerprint covers exactly those), and turns every problem into a place in a file. The same problem
reported twice is one problem: actions ask for a template in `reads`, `check` and `adds` alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from synthkit.core.action import SourceAction
from synthkit.core.engine import Capability, Role
from synthkit.core.errors import Mark, Problem, SpecError
from synthkit.core.expr import Expression, ExprSyntaxError, compile_expression
from synthkit.core.names import nearest
from synthkit.core.prompt import Prompt, PromptLibrary, PromptNotFound, PromptSyntaxError
from synthkit.core.row import Value
from synthkit.core.types import Type, TypeSyntaxError, parse_type
from synthkit.spec.model import LoadedSpec, Step

if TYPE_CHECKING:
    from synthkit.core.part import Part
    from synthkit.core.toolset import Toolset
    from synthkit.plan.graph import Graph, Node

Path = tuple[str | int, ...]
OpenSpec = Callable[[str, Mapping[str, Value], "Mark | None"], "Graph"]
"""Builds the graph of another spec: its name as written, values for its variables, and where these stand."""


class Problems(list[Problem]):
    """Problems in the order they were found, each once."""

    def add(self, problem: Problem) -> None:
        """Append it unless the same was said of the same place."""
        if not any(p.message == problem.message and p.mark == problem.mark and p.via == problem.via for p in self):
            self.append(problem)


@dataclass
class World:
    """What all steps of a spec share."""

    loaded: LoadedSpec
    prompts: PromptLibrary
    open_spec: OpenSpec
    problems: Problems = field(default_factory=Problems)
    subspecs: dict[str, Graph] = field(default_factory=dict)
    """By node."""
    identities: dict[str, Mapping[str, Value]] = field(default_factory=dict)
    """By engine: what its replies depend on, which may be a hash of weights, so it is made once."""

    def identity(self, engine: str) -> Mapping[str, Value]:
        """What the replies of an engine depend on."""
        if engine not in self.identities:
            self.identities[engine] = dict(self.loaded.spec.engines[engine].identity())
        return self.identities[engine]


@dataclass
class StepScope:
    """The scope of one step."""

    world: World
    spec_step: Step
    step: str
    """Full name of the node."""
    columns: Mapping[str, Type]
    """Columns of the input rows."""
    tables: Callable[[str], Node | None]
    """Another step in scope; None where there is no such step."""
    above: Callable[[Node], bool]
    """Whether each input row comes from one row of that node."""
    cut: Callable[[str], Part | None]
    """The part of a list that an input column is."""
    prompts: dict[str, Prompt] = field(default_factory=dict)
    """Templates that were asked for."""
    expressions: dict[str, Expression] = field(default_factory=dict)
    """Expressions that were asked for."""
    runs: dict[str, str] = field(default_factory=dict)
    """Tables of finished runs that a step beside a source asked for, `run/table` -> its version."""
    missing: frozenset[str] = frozenset()
    """Columns that are read and not there: known to the action as `json`, and to no step below."""
    silent: set[Path] = field(default_factory=set)
    """Fields whose column is missing; what else is wrong with them follows from that."""
    hushed: bool = False
    """Whether something was left unsaid for that reason."""
    vars: Mapping[str, Value] = field(init=False)
    """The spec's variables."""
    toolset: Toolset | None = field(init=False)
    """The spec's tools."""

    def __post_init__(self) -> None:
        self.vars = self.world.loaded.spec.vars
        self.toolset = self.world.loaded.spec.toolset

    def role(self, name: str) -> Role | None:
        """The role of that name; None (and a problem at the field that names it) where there is none."""
        roles = self.world.loaded.spec.models
        if name not in roles:
            action = self.spec_step.action
            places = [at for kind, at, text in action.mentions() if kind == "model" and text == name] if action else []
            self.problem(
                f"there is no model {name!r}", places[0] if places else (), nearest(name, sorted(roles), "models")
            )
        return roles.get(name)

    def capabilities(self, role: str) -> frozenset[Capability]:
        """What the role's engine can do; empty where the role is unknown."""
        found = self.world.loaded.spec.models.get(role)
        engine = self.world.loaded.spec.engines.get(found.engine) if found else None
        return engine.capabilities() if engine else frozenset()

    def identity(self, role: str) -> Mapping[str, Value]:
        """What the replies of the role's engine depend on; empty where the role is unknown."""
        found = self.world.loaded.spec.models.get(role)
        return self.world.identity(found.engine) if found and found.engine in self.world.loaded.spec.engines else {}

    def step_columns(self, step: str) -> Mapping[str, Type]:
        """Columns of another step's rows; empty where there is no such step (reported once, with its place)."""
        found = self.tables(step)
        return found.columns if found else {}

    def step_parts(self, step: str) -> Mapping[str, Part]:
        """Columns of another step that are parts of a list of its input; empty where it has none."""
        found = self.tables(step)
        return found.parts if found else {}

    def part_of(self, column: str) -> Part | None:
        """The part of a list that an input column is; None where it is none."""
        return self.cut(column)

    def is_origin(self, step: str) -> bool:
        """Whether each input row comes from one row of that step, by way of steps that carry columns."""
        found = self.tables(step)
        return found is not None and self.above(found)

    def prompt(self, name: str, at: Path) -> Prompt | None:
        """A template; None (and a problem at `at`, or in the template) where there is none or it does not parse."""
        try:
            found = self.world.prompts.get(name)
        except PromptNotFound as error:
            self.problem(error.message, at, error.help)
            return None
        except PromptSyntaxError as error:
            self._inside(error, at)
            return None
        self.prompts[name] = found
        return found

    def expr(self, text: str, at: Path) -> Expression | None:
        """A compiled expression; None (and a problem at the character that is wrong) where it does not parse."""
        try:
            found = compile_expression(text)
        except ExprSyntaxError as error:
            self.problem_within(error.message, at, text, error.offset, error.help)
            return None
        self.expressions[text] = found
        return found

    def type(self, declared: Any, at: Path) -> Type | None:
        """A parsed type; None (and a problem at the part of it that is wrong) where it does not parse."""
        if isinstance(declared, Type):
            return declared
        try:
            return parse_type(declared)
        except TypeSyntaxError as error:
            self.problem_within(error.message, (*at, *error.at), str(declared), error.offset, error.help)
            return None

    def published(
        self, table: str, *, spec: str | None, run: str | None, with_vars: Mapping[str, Value], at: Path
    ) -> Mapping[str, Type]:
        """Columns of a table that another spec publishes; empty (and a problem) where there is none."""
        if spec is None:
            return self._of_run(run or "", table, at)
        try:
            graph = self.world.open_spec(spec, with_vars, self.problem_of("", ("with",)).mark)
        except SpecError as error:
            self._inside(error, at)
            return {}
        self.world.subspecs[self.step] = graph
        found = graph.publish.get(table)
        if found is None:
            self.problem(
                f"{spec} publishes no table {table!r}",
                ("table",),
                nearest(table, sorted(graph.publish), "it publishes"),
            )
            return {}
        return found.columns

    def is_own_run(self, run: str) -> bool:
        """Whether a finished run is this spec's own, where it lies by default."""
        from synthkit.plan.runs import RUNS, run_folder

        return run_folder(run).resolve() == (RUNS / self.world.loaded.spec.name).resolve()

    def _of_run(self, run: str, table: str, at: Path) -> Mapping[str, Type]:
        """Columns of a table of a finished run."""
        from synthkit.plan.runs import published_columns, published_version

        try:
            columns = published_columns(run, table)
            if not isinstance(self.spec_step.action, SourceAction):  # a source has a stamp of its own
                self.runs[f"{run}/{table}"] = published_version(run, table)
            return columns
        except SpecError as error:
            for each in error.problems:
                self.problem(each.message, at, each.help)
            return {}

    def problem(self, message: str, at: Path = (), help: str | None = None) -> None:
        """Report something wrong at the field path `at` below the verb."""
        if at and at in self.silent:
            self.hushed = True
            return
        self.world.problems.add(self.problem_of(message, at, help=help))

    def problem_of(self, message: str, at: Path = (), *, key: bool = False, help: str | None = None) -> Problem:
        """A problem with its place, not yet reported."""
        return self.spec_step.problem(message, at, key=key, help=help)

    def problem_within(self, message: str, at: Path, text: str, offset: int, help: str | None = None) -> None:
        """A problem at a character of the text at `at`, where the file has that text as it is."""
        problem = self.problem_of(message, at, help=help)
        mark, line = problem.mark, problem.source or ""
        if mark and mark.column:
            quote = int(line[mark.column - 1 : mark.column] in ("'", '"'))
            if line.startswith(text, mark.column - 1 + quote):
                problem = replace(problem, mark=replace(mark, column=mark.column + quote + offset))
        self.world.problems.add(problem)

    def _inside(self, error: SpecError, at: Path) -> None:
        """Problems of a file that the field at `at` names: in their own place, with this one in the help."""
        document = self.spec_step.site.document
        used = f"used at {self.problem_of('', at).mark}"
        for each in error.problems:
            if each.mark is None:
                self.problem(each.message, at, each.help)
            elif each.mark.file == document.file:
                self.world.problems.add(document.problem_at(each.message, each.mark, help=each.help))
            else:
                self.world.problems.add(replace(each, help=f"{each.help}; {used}" if each.help else used))
