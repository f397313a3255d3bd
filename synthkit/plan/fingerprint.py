"""A step's fingerprint: the digest of everything in its definition that can change a row, and of nothing else.

Rows are reused while (fingerprint, hash of the input row) match, so a part left out wrongly keeps stale rows, and one
put in wrongly recomputes them (from the journal, without a model call). Where in doubt a part is in. What is left
out stands in `EXCLUDED` with its reason; tests change every field of every action, role and engine and compare.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from synthkit.core.engine import Role
from synthkit.core.ids import Id, digest
from synthkit.core.types import Call, Type
from synthkit.core.types.schema import parts
from synthkit.plan.graph import Node
from synthkit.plan.scope import StepScope, World
from synthkit.plan.source import source

SEMANTICS = 2
"""Raised by hand when synthkit itself (filters, type readers, identity, judging) gives other rows for the same spec."""

EXCLUDED: Mapping[str, Mapping[str, str]] = {
    "step": {
        "name": "names the table and is part of every minted id already",
        "from": "the hash of each input row stands for where it came from, so an inserted filter recomputes nothing",
    },
    "action": {
        "replace": "a permission, checked by the plan",
        "reject_rate": "decides when a run stops, not what its rows are",
    },
    "role": {
        "engine": "a name in the spec; the engine's identity is covered",
    },
    "engine": {
        "*": "all but what `identity()` returns: URLs, keys, GPUs, replicas, windows and timeouts"
        " change how soon a reply comes, not what it is",
    },
    "spec": {
        "name": "names the run",
        "about": "prose",
        "publish": "published tables are compared by their rows",
        "audit": "bounds are judged after the run",
        "vars": "those that are read are covered by value: in parameters where `${vars.x}` stood, else by name",
    },
}
"""Version 1 of what no fingerprint covers. `Role.reask` is covered: another limit lets other rows through, and rows
that parsed at once are recomputed from the journal, for the request's hash leaves it out. `until` and `when` too."""


def definition(node: Node, scope: StepScope | None) -> dict[str, Any]:
    """What the fingerprint covers, as plain values that `diff` can compare part by part."""
    action = node.action
    code = source(type(action))
    found: dict[str, Any] = {
        "semantics": SEMANTICS,
        "verb": action.verb,
        "parameters": _parameters(action),
        "source": code.digest,
        "adds": _pairs(node.adds),
    }
    if depends := action.depends():
        found["depends"] = _pairs(depends)
    if node.when:
        found["when"] = node.when
    if node.until:
        found["until"] = {"rows": node.until.rows, "tokens": node.until.tokens, "per": node.until.per}
    if scope is None:
        return found
    spec = scope.world.loaded.spec
    if scope.runs:
        found["runs"] = dict(sorted(scope.runs.items()))
    if scope.prompts:
        found["templates"] = {name: prompt.source for name, prompt in scope.prompts.items()}
    if node.roles:
        found["models"] = {name: _role(spec.models[name], scope.world) for name in node.roles}
    if names := _vars(scope):
        found["vars"] = {name: spec.vars[name] for name in sorted(names) if name in spec.vars}
    if spec.toolset is not None and _uses_tools(node, scope):
        found["toolset"] = spec.toolset.digest
    if code.counts_tokens:
        found["tokenizer"] = spec.tokenizer
    sampled = any(spec.models[name].temperature > 0 for name in node.roles)
    if spec.seed and (sampled or code.draws):
        found["seed"] = spec.seed
    return found


def fingerprint(definition: Mapping[str, Any]) -> Id:
    """The digest of a definition; the order of keys does not matter."""
    return digest(definition)


def _parameters(action: BaseModel) -> dict[str, Any]:
    """Fields by name; a mapping inside a field keeps its order, which in `filter`, `out` and `each` has meaning."""
    names = sorted(type(action).model_fields.keys() - EXCLUDED["action"].keys())
    return {name: _pairs(getattr(action, name)) for name in names}


def _pairs(value: Any) -> Any:
    """A value whose mappings are lists of pairs."""
    if isinstance(value, BaseModel):
        return _parameters(value)
    if isinstance(value, Type):
        return str(value)
    if isinstance(value, Mapping):
        return [[str(key), _pairs(item)] for key, item in value.items()]
    if isinstance(value, list | tuple):
        return [_pairs(item) for item in value]
    if isinstance(value, type):
        return source(value).digest
    if isinstance(value, set | frozenset):
        return sorted(str(_pairs(item)) for item in value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _role(role: Role, world: World) -> dict[str, Any]:
    """Sampling, and what the engine's replies depend on."""
    sampling = role.model_dump(mode="json", exclude=set(EXCLUDED["role"]))
    return {"sampling": sampling, "engine": world.identity(role.engine)}


def _vars(scope: StepScope) -> set[str]:
    """Variables that templates and expressions read when they run."""
    found: set[str] = set()
    for prompt in scope.prompts.values():
        found |= prompt.vars_read.keys()
    for expression in scope.expressions.values():
        found |= expression.vars_read
    return found


def _uses_tools(node: Node, scope: StepScope) -> bool:
    """Whether the toolset decides a row: a `call` is given or read, or a template lists the tools."""
    types = [*node.adds.values(), *(of for name, of in node.input_columns.items() if name in node.reads)]
    if any(isinstance(part, Call) for of in types for part in parts(of)):
        return True
    return any(prompt.uses_tools for prompt in scope.prompts.values()) or any(
        "valid" in text for text in scope.expressions
    )
