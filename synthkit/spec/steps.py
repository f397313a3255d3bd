"""Steps: exactly one verb each, its parameters validated by its class, rows only from above.

A composite is instantiated here: its file is read once a load, its references are filled with the call's parameters,
and its inner steps go through the same reader, with the call site kept for every problem they have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synthkit.core.action import Action, SourceAction
from synthkit.core.errors import Mark, Problem, SpecError
from synthkit.core.names import guess, nearest
from synthkit.core.row import Value
from synthkit.spec.composite import read_composite, read_params
from synthkit.spec.document import Site
from synthkit.spec.model import Composite, CompositeCall, CompositeKeys, Step, StepKeys
from synthkit.spec.vars import Resolver
from synthkit.spec.verbs import Verbs
from synthkit.spec.wording import keys_of, validate

INPUT = "input"
"""What an inner step calls the rows that come into its composite."""
RESERVED = frozenset({INPUT, "rejects", "attempts", "completions", "published"})
"""Names that a run directory or a composite uses itself."""
_VERBS = "`synthkit actions` lists the verbs"
MAX_NESTING = 8
"""Composites within composites."""


@dataclass
class StepReader:
    """Reads the steps of one spec and of the composites it uses; gathers problems."""

    verbs: Verbs
    problems: list[Problem]
    composites: dict[Path, Composite | None] = field(default_factory=dict)
    """Files read so far; None where one is broken."""

    def steps(
        self, raw: Mapping[str, Value], site: Site, *, above: frozenset[str] = frozenset(), stack: tuple[str, ...] = ()
    ) -> dict[str, Step]:
        """The steps of a mapping; `above` are names that may be taken from beside the ones read before."""
        found: dict[str, Step] = {}
        names = list(raw)
        for position, (name, body) in enumerate(raw.items()):
            here = site.at(name)
            if name in RESERVED:
                hint = f"taken are {', '.join(sorted(RESERVED))}"
                self.report(here.problem(f"{name!r} cannot name a step", key=True, help=hint))
            if not isinstance(body, dict):
                continue
            step = self.step(name, body, here, stack)
            if step:
                found[name] = step
                self.references(step, [*names[:position], *above], names[position:])
        return found

    def step(self, name: str, body: Mapping[str, Value], site: Site, stack: tuple[str, ...]) -> Step | None:
        """One step, or None where it has a problem."""
        before = len(self.problems)
        known = keys_of(StepKeys)
        verb = self.verb(name, [key for key in body if key not in known], site)
        keys = validate(StepKeys, {k: v for k, v in body.items() if k in known}, site, f"step {name!r}")
        if isinstance(keys, list):
            self.problems.extend(keys)
        if verb is None:
            return None
        value = {} if body[verb] is None else body[verb]
        here = site.at(verb)
        native = self.native(verb, here)
        action: Action | None = None
        call: CompositeCall | None = None
        if native:
            action = self.action(native, value, here, verb)
        elif file := self.verbs.composite(verb):
            call = self.call(file, verb, value, here, stack)
        if isinstance(keys, list):
            return None
        source = native is not None and issubclass(native, SourceAction)
        if source and keys.from_:
            self.report(site.problem(f"{verb!r} is a source: it has no `from`", "from", key=True, help="leave it out"))
        if not source and not keys.from_ and not site.document.is_broken((*site.path, "from")):
            self.report(
                site.problem(f"step {name!r} lacks the key 'from'", key=True, help="name the step it takes rows from")
            )
        if len(self.problems) > before or (action is None and call is None):
            return None
        return Step(name, verb, keys, site, action, call)

    def verb(self, name: str, others: list[str], site: Site) -> str | None:
        """The one key of a step that is a verb."""
        verbs = [key for key in others if self.verbs.exists(key)]
        if len(verbs) > 1:
            listed = ", ".join(verbs)
            self.report(
                site.problem(
                    f"step {name!r} has {len(verbs)} verbs: {listed}",
                    verbs[1],
                    key=True,
                    help="a step does one thing; make it two steps",
                )
            )
            return None
        if not others:
            self.report(site.problem(f"step {name!r} has no verb", key=True, help=_VERBS))
            return None
        for key in others:
            if key in verbs:
                continue
            if verbs:
                self.report(
                    site.problem(f"step {name!r} has no key {key!r}", key, key=True, help=self.misplaced(key, verbs[0]))
                )
            else:
                meant = guess(key, [*self.verbs.names(), *keys_of(StepKeys)])
                hint = f"did you mean {meant!r}? {_VERBS}" if meant else _VERBS
                self.report(site.problem(f"there is no verb {key!r}", key, key=True, help=hint))
        return verbs[0] if verbs else None

    def misplaced(self, key: str, verb: str) -> str:
        """Help for a key beside the verb: perhaps it belongs into it."""
        native = self.native(verb, None)
        if native and key in keys_of(native):
            return f"it is a key of {verb!r}: indent it below"
        return nearest(key, keys_of(StepKeys), f"keys beside {verb!r}")

    def native(self, verb: str, site: Site | None) -> type[Action] | None:
        """The class of a verb that is one; where it cannot be imported, a problem at `site`."""
        try:
            return self.verbs.action(verb)
        except SpecError as error:
            if site:
                self.report(*(site.problem(problem.message, key=True) for problem in error.problems))
            return None

    def action(self, native: type[Action], value: Value, site: Site, verb: str) -> Action | None:
        """An action with its parameters."""
        if site.document.is_broken(site.path):
            return None
        try:
            action = validate(native, value, site, repr(verb), shorthand=native.shorthand)
        except SpecError as error:
            self.report(*(site.problem(problem.message, key=True, help=problem.help) for problem in error.problems))
            return None
        if isinstance(action, list):
            self.problems.extend(action)
            return None
        return action

    def references(self, step: Step, above: Iterable[str], below: Iterable[str]) -> None:
        """Steps named in `from`, or in a field of the action, must stand above."""
        at: list[tuple[str, tuple[Any, ...]]] = []
        for index, name in enumerate(step.from_):
            written = step.site.document.get((*step.site.path, "from"))
            at.append((name, ("from", index) if isinstance(written, list) else ("from",)))
            if name in step.from_[:index]:
                self.report(
                    step.key_problem(f"{name!r} is named twice", *at[-1][1], help="a union takes each step once")
                )
        if step.action:
            cut = 1 if type(step.action).shorthand else 0
            at += [
                (name, (step.verb, *path[cut:])) for meaning, path, name in step.action.mentions() if meaning == "step"
            ]
        known = list(above)
        for name, path in at:
            head = name.partition(".")[0]
            if head in known or step.site.document.is_broken((*step.site.path, *path)):
                continue
            if head == step.name:
                self.report(step.key_problem(f"step {step.name!r} takes rows from itself", *path))
            elif head in below:
                self.report(
                    step.key_problem(
                        f"{head!r} stands further down", *path, help="steps refer upward only; move one of the two"
                    )
                )
            else:
                self.report(
                    step.key_problem(f"there is no step {head!r}", *path, help=nearest(head, known, "steps above"))
                )

    def call(self, file: Path, verb: str, value: Value, site: Site, stack: tuple[str, ...]) -> CompositeCall | None:
        """A composite with its parameters filled in."""
        if verb in stack or len(stack) >= MAX_NESTING:
            way = " -> ".join((*stack, verb))
            self.report(site.problem(f"the action {verb!r} uses itself: {way}", key=True))
            return None
        composite = self.composite(file, verb)
        if composite is None:
            return None
        params = read_params(composite, value, site)
        if isinstance(params, list):
            self.report(*params)
            return None
        via = (*site.via, site.mark(key=True))
        return self.instance(composite, params, via, (*stack, verb))

    def composite(self, file: Path, verb: str) -> Composite | None:
        """The file of a composite, read once."""
        if file not in self.composites:
            try:
                self.composites[file] = read_composite(file, verb)
            except SpecError as error:
                self.composites[file] = None
                self.report(*error.problems)
        return self.composites[file]

    def instance(
        self, composite: Composite, params: Mapping[str, Value], via: tuple[Mark, ...], stack: tuple[str, ...]
    ) -> CompositeCall | None:
        """The inner steps of a call."""
        before = len(self.problems)
        resolver = Resolver(composite.document, {"params": params}, self.problems, via=via)
        document = resolver.whole(skip=frozenset({"action", "about", "params"}))
        site = Site(document, (), via)
        keys = validate(CompositeKeys, document.value, site, f"the action {composite.verb!r}")
        if isinstance(keys, list):
            self.problems.extend(keys)
            return None
        steps = self.steps(keys.steps, site.at("steps"), above=frozenset({INPUT}), stack=stack)
        output = keys.output.from_
        if output.partition(".")[0] not in keys.steps:
            self.report(
                site.problem(
                    f"there is no step {output!r}", "output", "from", help=nearest(output, keys.steps, "inner steps")
                )
            )
        if len(self.problems) > before:
            return None
        return CompositeCall(composite, params, steps, keys.needs, output, keys.output.adds, site)

    def report(self, *problems: Problem) -> None:
        """Note problems."""
        self.problems.extend(problems)
