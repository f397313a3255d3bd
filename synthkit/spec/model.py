"""What a spec says, validated: steps with their actions, roles, engines, published tables, audit bounds.

The top level and the keys common to all steps are pydantic models, whose error locations are YAML paths. A `Step` holds
either a native action (an instance of a registered class) or the call of a composite, already instantiated with its
parameters; both know where they stand in a file, so that the plan can report columns without knowing about YAML.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from synthkit.core.action import Action, Expr
from synthkit.core.engine import EngineConfig, Role
from synthkit.core.errors import Problem
from synthkit.core.row import Value
from synthkit.core.sizes import Bounds, Count
from synthkit.spec.document import Document, Site

if TYPE_CHECKING:
    from synthkit.core.toolset import Toolset
    from synthkit.core.types import Type
    from synthkit.spec.search import Search

IDENTIFIER = r"[A-Za-z][A-Za-z0-9_]{0,63}"
NAME = rf"^{IDENTIFIER}$"
"""Names of steps, roles, engines, variables and published tables."""
BRANCH = rf"^{IDENTIFIER}(\.{IDENTIFIER})?$"
"""A step, or one branch of a step that routes: `stage.short`."""
FILE_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$"
"""The name of a spec, which is also that of its run directory."""
FIGURE = rf"^{IDENTIFIER}(\.[A-Za-z0-9_]+)+$"
"""A figure of the run: `aligned.accepted`."""

Name = Annotated[str, Field(pattern=NAME)]
StepRef = Annotated[str, Field(pattern=BRANCH)]


class Keys(BaseModel):
    """Base of everything that is read from a mapping with known keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)


def _as_list(value: Any) -> Any:
    """One name stands for a list of one; a tuple, for strict validation below a validator knows no lists."""
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


class Quota(Keys):
    """How much is wanted of a step; accepted in source order, the rest is set aside as `over quota`."""

    rows: Annotated[Count, Field(ge=1)] | None = None
    """Rows wanted."""
    tokens: Annotated[Count, Field(ge=1)] | None = None
    """Tokens wanted, summed over the column `tokens`."""
    per: str | None = None
    """A column; each of its values has a quota of its own."""

    @model_validator(mode="after")
    def _one_measure(self) -> Quota:
        if (self.rows is None) == (self.tokens is None):
            raise ValueError("a quota is counted either in `rows` or in `tokens`")
        return self


class StepKeys(Keys):
    """The keys that every step may have beside its verb."""

    from_: Annotated[tuple[StepRef, ...], BeforeValidator(_as_list, json_schema_input_type=StepRef | list[StepRef])] = (
        Field(default=(), alias="from")
    )
    """The step it takes rows from; a list is a union of equal schemas, missing columns are null."""
    when: Expr | None = None
    """Rows for which this is false pass untouched; new columns are then null."""
    until: Quota | None = None
    """A quota after the step."""


class Publish(Keys):
    """A table written whole for others to read."""

    from_: StepRef = Field(alias="from")
    """The step whose rows are published."""
    columns: tuple[str, ...] | None = None
    """Columns, in order; all where it is left out."""


class SpecKeys(Keys):
    """The top level of a spec."""

    name: str = Field(default="", pattern=FILE_NAME)
    """Name of the run directory, `runs/<name>`; the file's name where it is left out."""
    about: str = ""
    """One sentence for whoever reads the spec next."""
    engines: dict[Name, dict[str, Any]] = {}
    """What is loaded: name -> `{vllm: nano}`, `{openai: model, urls: [...]}`."""
    models: str | dict[Name, dict[str, Any]] = {}
    """Roles: name -> engine and sampling; or a file that brings `engines` and `models`."""
    toolset: str | None = None
    """File that declares the tools a `call` may name."""
    tokenizer: str | None = None
    """Whose tokens are counted: `nano`, a path, or a name on the hub."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """What samples are drawn from: another number asks anew wherever a temperature is above 0; going back is free."""
    vars: dict[Name, Any] = {}
    """Values to refer to as `${vars.x}`; `--set vars.x=...` replaces one."""
    steps: dict[Name, dict[str, Any]] = Field(min_length=1)
    """Name -> step; each step is a table, and takes rows from steps above it."""
    publish: dict[Name, Publish] = {}
    """Tables for others to read."""
    audit: dict[Annotated[str, Field(pattern=FIGURE)], Bounds] = {}
    """Bounds on figures of the run, by `step.figure`; `synthkit audit` enforces them."""


class ModelsKeys(Keys):
    """The top level of a models file."""

    engines: dict[Name, dict[str, Any]]
    """What is loaded."""
    models: dict[Name, dict[str, Any]]
    """Roles: name -> engine and sampling."""
    tokenizer: str | None = None
    """Whose tokens are counted."""


class OutputKeys(Keys):
    """What a composite action gives."""

    from_: StepRef = Field(alias="from")
    """The inner step whose rows come out."""
    adds: tuple[str, ...]
    """Its columns that stay visible; all other inner ones are hidden."""


class CompositeKeys(Keys):
    """The top level of a composite action's file."""

    action: Name
    """The verb."""
    about: str = ""
    """One sentence for whoever reads the reference."""
    params: dict[Name, Any] = {}
    """Name -> type, `int(1..32) = 1` with a default; also `model prompt column new_column expr`."""
    needs: tuple[str, ...] = ()
    """Columns that the input must have."""
    steps: dict[Name, dict[str, Any]] = Field(min_length=1)
    """Inner steps; the first takes rows `from: input`."""
    output: OutputKeys
    """What comes out."""


ParamKind = Literal["value", "model", "prompt", "column", "new_column", "expr"]


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter of a composite action."""

    name: str
    kind: ParamKind
    declared: str
    """As written, for messages and the editor schema."""
    type: Type | None
    """For `value`: what it must be."""
    required: bool = True
    default: Value = None


@dataclass(frozen=True, slots=True)
class Composite:
    """A composite action as its file declares it."""

    verb: str
    about: str
    params: Mapping[str, Param]
    keys: CompositeKeys
    document: Document = field(compare=False)


@dataclass(frozen=True, slots=True)
class CompositeCall:
    """A composite action with its parameters filled in."""

    composite: Composite
    params: Mapping[str, Value]
    steps: Mapping[str, Step]
    """Inner steps in order; `from: input` names the rows that come in."""
    needs: tuple[str, ...]
    """Columns that the input must have."""
    output: str
    """Inner step whose rows come out."""
    adds: tuple[str, ...]
    """Inner columns that stay visible."""
    site: Site = field(compare=False)
    """The composite's file, for problems with `needs` and `output`."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: where its rows come from and what is done to them; either `action` or `call` is set."""

    name: str
    verb: str
    keys: StepKeys
    site: Site = field(compare=False)
    """The step's mapping, `steps.<name>`."""
    action: Action | None = None
    call: CompositeCall | None = None

    @property
    def from_(self) -> tuple[str, ...]:
        """The steps it takes rows from; empty for a source."""
        return self.keys.from_

    def problem(
        self, message: str, at: tuple[str | int, ...] = (), *, key: bool = False, help: str | None = None
    ) -> Problem:
        """A problem at the field path `at` of the action, e.g. `("keep", "logic")`; without it, at the verb."""
        shorthand = type(self.action).shorthand if self.action else None
        parts = at[1:] if shorthand and at[:1] == (shorthand,) else at
        return self.site.problem(message, self.verb, *parts, key=key or not at, help=help)

    def key_problem(self, message: str, *parts: str | int, help: str | None = None) -> Problem:
        """A problem at a key beside the verb: `("until", "per")`, `("from",)`; without parts, at the step's name."""
        return self.site.problem(message, *parts, key=not parts, help=help)


@dataclass(frozen=True, slots=True)
class Spec:
    """A whole spec, valid in itself; columns, templates and capabilities are the plan's to check."""

    name: str
    about: str
    engines: Mapping[str, EngineConfig]
    models: Mapping[str, Role]
    tokenizer: str | None
    toolset: Toolset | None = field(compare=False)
    vars: Mapping[str, Value]
    steps: Mapping[str, Step]
    publish: Mapping[str, Publish]
    audit: Mapping[str, Bounds]
    seed: int = 0


@dataclass(frozen=True, slots=True)
class LoadedSpec:
    """A spec with the files it was read from."""

    spec: Spec
    path: Path
    document: Document
    """The spec's own file, references resolved."""
    models_document: Document
    """The file that holds `engines` and `models`: the spec's own, a models file, or the one of `--models`."""
    search: Search
    """Finds prompts, toolsets and other specs as this spec names them."""
    prompts: tuple[Path, ...]
    """Folders to look up templates in, first match wins; those of its composites last."""
    models_given: Path | None = None
    """The file of `--models`, which specs that are read inherit."""

    def site(self, *path: str | int) -> Site:
        """A place in the spec's own file: `("publish", "plans", "columns", 0)`."""
        return Site(self.document, path)
