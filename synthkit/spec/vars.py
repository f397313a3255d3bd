"""References `${vars.x}`, `${params.x}` and `${env.X}`, and values given with `--set`.

References are resolved once, when a file is loaded, so that nothing later knows of them. One that is a whole value
keeps its type; inside a text it must be a scalar. `${env.X}` is only looked at where a secret stands, and stays as
written: stores keep the reference, the engine reads the environment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from synthkit.core.errors import Mark, Problem
from synthkit.core.names import guess, nearest
from synthkit.core.row import Value
from synthkit.spec.document import Document, YamlPath
from synthkit.spec.model import SpecKeys
from synthkit.spec.yaml import MAX_VALUES, parse_value

REFERENCE = re.compile(r"\$\{([^{}]*)\}")
ENVIRONMENT = re.compile(r"\$\{env\.([A-Za-z_][A-Za-z0-9_]*)\}")
MAX_CHAIN = 30
"""Variables that may refer to one another in a row."""
CHARACTERS_PER_VALUE = 64
"""How much text weighs as much as one value, in the bound on what references bring in (`MAX_VALUES`)."""


def override(
    document: Document, sets: Mapping[str, str], given: Mapping[str, Value] | None = None, given_at: Mark | None = None
) -> tuple[Document, list[Problem]]:
    """The document with `--set a.b=value` applied, and `given` (a `with:` of the reading spec) as its vars."""
    problems: list[Problem] = []
    entries: list[tuple[YamlPath, Value, Mark, str]] = []
    for name, value in (given or {}).items():
        entries.append((("vars", name), value, given_at or Mark(f"with {name}"), f"vars.{name}"))
    for option, text in sets.items():
        mark = Mark(f"--set {option}={text}")
        try:
            value = parse_value(text)
        except ValueError as error:
            problems.append(Problem(f"the value of {option!r} is not YAML: {error}", mark))
            continue
        parts = tuple(int(part) if part.isdecimal() and len(part) < 9 else part for part in option.split("."))
        entries.append((parts, value, mark, option))
    value, overrides = document.value, dict(document.overrides)
    for path, new, mark, option in entries:
        missing = _missing(value, path)
        if missing is not None:
            problems.append(Problem(f"{option!r} names nothing in {document.file}", mark, missing))
            continue
        value = _replaced(value, path, new)
        overrides[path] = mark
    return replace(document, value=value, overrides=overrides), problems


def _missing(value: Value, path: YamlPath) -> str | None:
    """Why a path cannot be set: help that says what exists. The last key may be new where a spec has such keys."""
    for depth, part in enumerate(path):
        at = ".".join(map(str, path[:depth]))
        if isinstance(value, list):
            if not isinstance(part, int) or part >= len(value):
                return f"{at!r} is a list of {len(value)}; its items count from 0"
        elif not isinstance(value, dict):
            return f"{at!r} holds no keys"
        elif str(part) not in value:
            new_ok = part in SpecKeys.model_fields if depth == 0 else path[0] != "vars"
            if new_ok and depth == len(path) - 1:
                return None
            variables = value.get("vars") if depth == 0 else None
            if isinstance(variables, dict) and guess(str(part), variables):
                return f"did you mean 'vars.{guess(str(part), variables)}'?"
            return nearest(str(part), value, f"keys of {at!r}" if at else "keys")
        value = value[int(part)] if isinstance(value, list) else value.get(str(part))
    return None


def _replaced(value: Value, path: YamlPath, new: Value) -> Value:
    """A copy of `value` with another value at `path`."""
    if not path:
        return new
    if isinstance(value, list):
        items = list(value)
        items[int(path[0])] = _replaced(items[int(path[0])], path[1:], new)
        return items
    return {**value, str(path[0]): _replaced(value.get(str(path[0])), path[1:], new)}


class Variables(Mapping[str, Value]):
    """The `vars:` of a document, each resolved when it is first read; a cycle is a problem at the reference."""

    def __init__(self, document: Document, problems: list[Problem]) -> None:
        """`problems` receives what is wrong with the variables themselves."""
        raw = document.value.get("vars") if isinstance(document.value, dict) else None
        self.raw: dict[str, Value] = raw if isinstance(raw, dict) else {}
        self.resolver = Resolver(document, {"vars": self}, problems)
        self.ready: dict[str, Value] = {}
        self.open: list[str] = []

    def __getitem__(self, name: str) -> Value:
        """The value of a variable; `Cycle` where it depends on itself."""
        if name not in self.ready:
            if name in self.open:
                way = " -> ".join((*self.open[self.open.index(name) :], name))
                raise Cycle(f"the variables refer to each other in a circle: {way}")
            if len(self.open) > MAX_CHAIN:
                raise Cycle(f"more than {MAX_CHAIN} variables refer to one another in a chain")
            raw = self.raw[name]
            self.open.append(name)
            try:
                self.ready[name] = self.resolver.resolve(raw, ("vars", name))
            finally:
                self.open.pop()
        return self.ready[name]

    def __contains__(self, name: object) -> bool:
        """Whether there is such a variable; resolves nothing."""
        return name in self.raw

    def __iter__(self) -> Iterator[str]:
        """Names, in the order of the file."""
        return iter(self.raw)

    def __len__(self) -> int:
        """The number of variables."""
        return len(self.raw)


class Cycle(Exception):
    """A variable that depends on itself; the text says how."""


@dataclass
class Resolver:
    """Replaces the references of one document; problems are gathered, and what is broken is remembered."""

    document: Document
    scopes: Mapping[str, Mapping[str, Value]]
    """Values by namespace: `vars`, `params`."""
    problems: list[Problem]
    secret: Callable[[YamlPath], bool] = lambda path: False
    """Whether `${env.X}` may stand at a path."""
    via: tuple[Mark, ...] = ()

    def __post_init__(self) -> None:
        """Start with nothing broken."""
        self.broken: set[YamlPath] = set()
        self.origins: dict[YamlPath, str] = {}
        self.weight = 0
        self.weights: dict[int, int] = {}

    def whole(self, skip: frozenset[str] = frozenset()) -> Document:
        """The document with every reference replaced, except below the top-level keys in `skip`."""
        value = self.document.value
        if isinstance(value, dict):
            value = {k: v if k in skip else self.resolve(v, (k,)) for k, v in value.items()}
        return replace(self.document.with_value(value, self.origins), broken=frozenset(self.broken))

    def resolve(self, value: Value, path: YamlPath) -> Value:
        """A value with its references replaced."""
        if isinstance(value, str):
            return self.text(value, path) if "${" in value else value
        if isinstance(value, list):
            return [self.resolve(item, (*path, index)) for index, item in enumerate(value)]
        if isinstance(value, dict):
            for key in value:
                if "${" in key:
                    self.problem("a reference cannot be a key", (*path, key), "references stand in values")
            return {key: self.resolve(item, (*path, key)) for key, item in value.items()}
        return value

    def text(self, text: str, path: YamlPath) -> Value:
        """A text with references: the value itself where it is nothing but one, else the text with them filled in."""
        whole = REFERENCE.fullmatch(text)
        if whole:
            if ENVIRONMENT.fullmatch(text) and self.secret(path):
                return text
            found, value = self.look_up(whole[1], path)
            if found:
                self.origins[path] = self.told(whole[1].strip())
            return value if found else text
        if "${" in REFERENCE.sub("", text):
            self.problem("'${' is never closed", path, 'write "${vars.x}"')
            return text

        def fill(match: re.Match[str]) -> str:
            found, value = self.look_up(match[1], path)
            if found and (value is None or isinstance(value, dict | list)):
                self.problem(f"{match[0]} is {_kind(value)}, and cannot stand inside a text", path)
            return _plain(value) if found else match[0]

        return REFERENCE.sub(fill, text)

    def look_up(self, reference: str, path: YamlPath) -> tuple[bool, Value]:
        """Whether a reference names something, and what."""
        space, _, rest = reference.strip().partition(".")
        if space == "env":
            self.problem(
                f"${{env.{rest}}} may only stand where a secret is expected, as a whole value",
                path,
                "secrets are the `key` of an engine; use `vars` and --set for anything else",
            )
            return False, None
        if space not in self.scopes or not rest:
            known = [f"${{{each}.NAME}}" for each in self.scopes]
            hint = f"here one can write {' or '.join(known)}" if known else "nothing can be referred to here"
            if not rest and space:
                owner = next((each for each, names in self.scopes.items() if space in names), None)
                hint = f"did you mean ${{{owner}.{space}}}?" if owner else hint
            self.problem(f"${{{reference}}} is no reference", path, hint)
            return False, None
        value: Any = self.scopes[space]
        at = space
        for part in rest.split("."):
            if not isinstance(value, Mapping) or part not in value:
                known_names = value if isinstance(value, Mapping) else ()
                self.problem(f"{at!r} has no {part!r}", path, nearest(part, known_names, f"names in {at!r}"))
                return False, None
            try:
                value = value[part]
            except Cycle as cycle:
                self.problem(str(cycle), path)
                return False, None
            at = f"{at}.{part}"
        self.weight += self.weigh(value)
        if self.weight > MAX_VALUES:
            self.problem(f"the references up to here bring in more than {MAX_VALUES} values", path)
            return False, None
        scope = self.scopes[space]
        if isinstance(scope, Variables) and ("vars", rest.partition(".")[0]) in scope.resolver.roots():
            self.broken.add(path)
        return True, value

    def weigh(self, value: Value) -> int:
        """How many values a value holds; shared ones count each time, and are counted once."""
        if isinstance(value, str):
            return 1 + len(value) // CHARACTERS_PER_VALUE
        if not isinstance(value, dict | list):
            return 1
        if id(value) not in self.weights:
            items = value.values() if isinstance(value, dict) else value
            self.weights[id(value)] = 1 + sum(self.weigh(item) for item in items)
        return self.weights[id(value)]

    def roots(self) -> set[YamlPath]:
        """The variables that hold something broken."""
        return {path[:2] for path in self.broken}

    def told(self, reference: str) -> str:
        """`vars.k (specs/x.yaml:4:8)`, for the help of problems with the value."""
        path = tuple(reference.split("."))
        if path[0] == "vars" and not self.via:
            return f"{reference} ({self.document.mark(path)})"
        return reference

    def problem(self, message: str, path: YamlPath, help: str | None = None) -> None:
        """Note a problem; nothing else is said of the value there."""
        self.broken.add(path)
        self.problems.append(self.document.problem(message, path, help=help, via=self.via))


def _plain(value: Value) -> str:
    """A scalar as it would be written in YAML."""
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def _kind(value: Value) -> str:
    return "null" if value is None else "a list" if isinstance(value, list) else "a mapping"
